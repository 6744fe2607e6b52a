//! Events: listed, and followed as they are committed.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use cardinal_domain::{
    event::Event,
    names::{ReaderName, TraceId, UserName},
};
use cardinal_store::EventFilter;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::{ApiError, extract::Query};
use crate::host::Host;

/// Which events to list.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventQuery {
    /// Only those behind this place in the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reader: Option<ReaderName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// How many events are listed where no limit is given, and at the most.
const USUAL: u32 = 50;
const MOST: u32 = 10_000;
/// How many events are read from the store at once while following.
const BATCH: i64 = 500;

fn filter(query: EventQuery) -> Result<EventFilter, ApiError> {
    Ok(EventFilter {
        after: query.after,
        reader: query.reader,
        user: query.user,
        trace: query.trace,
        kind: query.kind.map(|kind| kind.parse()).transpose().map_err(ApiError::refused)?,
        limit: i64::from(query.limit.unwrap_or(USUAL).min(MOST)),
    })
}

pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Query(query): Query<EventQuery>,
) -> Result<Json<Vec<Event>>, ApiError> {
    Ok(Json(host.services.store.events(&filter(query)?).await?))
}

/// A line of JSON for each event, as it is committed, for as long as the client listens. None is left out: watching only
/// wakes us, and the events themselves come from the store.
pub(super) async fn stream(
    State(host): State<Arc<Host>>,
    Query(query): Query<EventQuery>,
) -> Result<Response, ApiError> {
    let mut filter = EventFilter { limit: BATCH, ..filter(query)? };
    let wake = host.services.store.watch();
    if filter.after.is_none() {
        filter.after = Some(host.services.store.last_event().await?);
    }
    let lines =
        stream::unfold((host, filter, wake, VecDeque::new()), async |(host, mut filter, mut wake, mut ready)| {
            loop {
                if let Some(event) = ready.pop_front() {
                    let line = serde_json::to_string(&event).map(|line| line + "\n").map_err(std::io::Error::other);
                    return Some((line, (host, filter, wake, ready)));
                }
                // Asked first: what is stored meanwhile stands behind it and is found the next time.
                let Ok(end) = host.services.store.last_event().await else { return None };
                let Ok(events) = host.services.store.events(&filter).await else { return None };
                let is_all = i64::try_from(events.len()).is_ok_and(|count| count < BATCH);
                let found = events.last().map(|event| event.seq);
                // What does not fit the filter is not looked at again.
                filter.after = if is_all { filter.after.max(found).max(Some(end)) } else { found };
                if !events.is_empty() {
                    ready.extend(events);
                    continue;
                }
                tokio::select! {
                    () = host.stopping.cancelled() => return None,
                    woken = wake.recv() => if let Err(tokio::sync::broadcast::error::RecvError::Closed) = woken {
                        return None;
                    },
                }
            }
        });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], axum::body::Body::from_stream(Box::pin(lines))).into_response())
}
