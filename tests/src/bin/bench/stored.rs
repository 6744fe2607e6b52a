//! What the host has stored: its events, page by page.

use std::time::Duration;

use anyhow::Result;
use cardinal_domain::event::{Event, EventKind};
use cardinal_tests::host::Host;

use crate::limits::within;

/// How many events are asked for at once: the most that the API lists.
const PAGE: usize = 10_000;
/// How long a page may take.
const LONGEST: Duration = Duration::from_secs(60);

/// Tells every event of this kind behind this place, and gives the place of the last one.
pub(crate) async fn each(host: &Host, kind: EventKind, after: i64, mut tell: impl FnMut(Event)) -> Result<i64> {
    let mut last = after;
    loop {
        let path = format!("event?limit={PAGE}&kind={kind}&after={last}");
        let page: Vec<Event> = within(LONGEST, "a page of events", host.api().get(&path)).await?;
        let is_last = page.len() < PAGE;
        for event in page {
            last = last.max(event.seq);
            tell(event);
        }
        if is_last {
            return Ok(last);
        }
    }
}

/// The place of the newest event.
pub(crate) async fn newest(host: &Host) -> Result<i64> {
    let last: Vec<Event> = within(LONGEST, "the newest event", host.api().get("event?limit=1")).await?;
    Ok(last.last().map_or(0, |event| event.seq))
}
