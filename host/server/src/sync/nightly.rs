//! When the nightly sync comes: each day at its time of the wall clock, whatever the clocks do.

use std::{sync::Arc, time::Duration};

use cardinal_domain::{
    config_keys::{is_on, value},
    event::{EventBody, EventKind},
    names::TraceId,
};
use jiff::{Timestamp, ToSpan as _, Zoned, civil::Time, tz::TimeZone};

use super::{Kind, SyncBody};
use crate::host::Host;

/// How often it is looked whether it is time: the clock may be set, the machine may sleep.
const LOOK: Duration = Duration::from_secs(20);

/// Starts a sync each night until the host stops.
pub async fn run(host: Arc<Host>) {
    let mut looked = Timestamp::now();
    while host.stopping.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        let now = Timestamp::now();
        let setup = host.services.store.setup();
        let is_wanted = is_on(&setup.config, "user-source.nightly") && !setup.sources.is_empty();
        let zone = zone(value(&setup.config, "user-source.time-zone"));
        let is_time =
            next(looked, &zone, value(&setup.config, "user-source.nightly-at")).is_some_and(|next| next <= now);
        looked = now;
        if !is_wanted || !is_time {
            continue;
        }
        let body = SyncBody { kind: Kind::Nightly, remove: false, yes: true };
        if let Err(error) = host.syncs.start(&host, &body) {
            let message = format!("the nightly sync did not begin: {error}");
            host.services.tell(EventBody::new(TraceId::new(), EventKind::SyncFailed, message)).await;
        }
    }
}

fn zone(name: &str) -> TimeZone {
    let named = if name.is_empty() { None } else { TimeZone::get(name).ok() };
    named.unwrap_or_else(TimeZone::system)
}

/// The next time behind this moment at which the clock on the wall shows this time. Where the clocks go forward over it, it is
/// as much later; where they go back over it, it is the first of the two.
fn next(after: Timestamp, zone: &TimeZone, at: &str) -> Option<Timestamp> {
    let time: Time = Time::strptime("%H:%M", at).ok()?;
    let now = Zoned::new(after, zone.clone());
    let of =
        |day: jiff::civil::Date| Some(zone.to_ambiguous_zoned(day.to_datetime(time)).compatible().ok()?.timestamp());
    let today = now.date();
    // Yesterday's may still come: a gap moved it beyond midnight.
    let days = [today.yesterday().ok()?, today, today.checked_add(1.day()).ok()?, today.checked_add(2.days()).ok()?];
    days.into_iter().filter_map(of).find(|next| *next > after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_once_each_day_whatever_the_clocks_do() {
        let nights = |zone: &str, from: &str, at: &str| {
            let (zone, mut now) = (TimeZone::get(zone).unwrap(), from.parse::<Timestamp>().unwrap());
            let mut told = Vec::new();
            for _ in 0..3 {
                now = next(now, &zone, at).unwrap();
                told.push(now.to_string());
            }
            told
        };
        // Winter, and then summer: an hour earlier by UTC.
        assert_eq!(
            nights("Europe/Berlin", "2026-03-28T00:00:00Z", "00:55"),
            ["2026-03-28T23:55:00Z", "2026-03-29T22:55:00Z", "2026-03-30T22:55:00Z"]
        );
        // 02:30 is not there that night; the next has it again.
        assert_eq!(
            nights("Europe/Berlin", "2026-03-28T12:00:00Z", "02:30"),
            ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]
        );
        // 02:30 is there twice that night; the first counts, and no second.
        assert_eq!(
            nights("Europe/Berlin", "2026-10-24T12:00:00Z", "02:30"),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]
        );
        // Where midnight itself is skipped.
        assert_eq!(
            nights("America/Havana", "2026-03-07T12:00:00Z", "00:15"),
            ["2026-03-08T05:15:00Z", "2026-03-09T04:15:00Z", "2026-03-10T04:15:00Z"]
        );
        assert_eq!(next(Timestamp::UNIX_EPOCH, &TimeZone::UTC, "nonsense"), None);
    }
}
