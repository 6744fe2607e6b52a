//! The HTTP side: the API for the command line and other clients. Deny by default: every route asks for the owner's token,
//! and a route that is not there asks for it, too.

mod captures;
mod card;
mod config;
mod devices;
mod drivers;
mod error;
mod events;
mod extract;
mod groups;
mod jobs;
mod listener;
mod printers;
mod publishers;
mod readers;
mod site;
mod swap;
mod syncs;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, header::AUTHORIZATION},
    middleware::{self, Next},
    response::Response,
    routing::{delete, get, post, put},
};

pub use self::{
    captures::CaptureBody,
    card::{ConvertBody, Converted, converted},
    config::ConfigView,
    devices::DeviceView,
    drivers::{DriverView, InstallQuery, NamesKept, SIGNATURE},
    error::{ApiError, ErrorBody},
    events::EventQuery,
    groups::GroupView,
    jobs::{JobQuery, ReleaseBody},
    listener::{Expected, ListenerLimits, Requests, bind, serve},
    printers::PrinterView,
    publishers::{PublisherChanged, TrustBody},
    readers::{Callback, CommandBody, ReaderView, RotateBody, Rotated},
    site::{Applied, ApplyQuery},
    syncs::{ArchivedView, ChangeQuery, SyncQuery},
};
use cardinal_domain::bounds::size;

use crate::host::Host;

/// The largest site that can be applied at once, in bytes: a hundred thousand users take about 15 MB.
const LARGEST_SITE: usize = 64 << 20;

/// The API.
pub fn router(host: Arc<Host>) -> Router {
    let largest_driver = size(host.services.config.drivers.bounds.component_bytes);
    Router::new()
        .route("/api/v1/site", get(site::export).post(site::apply))
        .route("/api/v1/site/{kind}", get(site::list))
        .route("/api/v1/site/{kind}/{name}", get(site::show).patch(site::patch).delete(site::remove))
        .route("/api/v1/config", get(config::list).patch(config::patch))
        .route("/api/v1/reader", get(readers::list))
        .route("/api/v1/reader/{name}", get(readers::show))
        .route("/api/v1/reader/{name}/command", post(readers::command))
        .route("/api/v1/device", get(devices::list))
        .route("/api/v1/device/{name}", get(devices::show))
        .route("/api/v1/reader/{name}/callback", get(readers::callback))
        .route("/api/v1/reader/{name}/rotate", post(readers::rotate))
        .route("/api/v1/reader/{name}/free", post(readers::free))
        .route("/api/v1/reader/{name}/trace", get(captures::trace))
        .route("/api/v1/reader/{name}/capture", post(captures::start).delete(captures::stop))
        .route("/api/v1/capture", get(captures::list))
        .route("/api/v1/capture/{id}", delete(captures::remove))
        .route("/api/v1/capture/{id}/{session}", get(captures::fetch))
        .route("/api/v1/printer", get(printers::list))
        .route("/api/v1/printer/{name}", get(printers::show))
        .route("/api/v1/printer/{name}/certificate", get(printers::certificate))
        .route("/api/v1/job", get(jobs::list))
        .route("/api/v1/job/{number}", get(jobs::show).delete(jobs::cancel))
        .route("/api/v1/job/{number}/release", post(jobs::release))
        .route("/api/v1/card/convert", post(card::convert))
        .route("/api/v1/group", get(groups::list))
        .route("/api/v1/group/{name}", get(groups::show))
        .route("/api/v1/sync", get(syncs::list).post(syncs::start))
        .route("/api/v1/sync/current", get(syncs::current).delete(syncs::call_off))
        .route("/api/v1/sync/archived", get(syncs::archived))
        .route("/api/v1/sync/{number}", get(syncs::show))
        .route("/api/v1/sync/{number}/change", get(syncs::changes))
        .route("/api/v1/sync/{number}/approve", post(syncs::approve))
        .route("/api/v1/event", get(events::list))
        .route("/api/v1/event/stream", get(events::stream))
        .layer(DefaultBodyLimit::max(LARGEST_SITE))
        .route(
            "/api/v1/driver",
            get(drivers::list).post(drivers::install).layer(DefaultBodyLimit::max(largest_driver.saturating_add(1))),
        )
        .route("/api/v1/publisher", get(publishers::list).post(publishers::trust))
        .route("/api/v1/publisher/{vendor}/{key}", delete(publishers::withdraw))
        .route("/api/v1/driver/{vendor}/{name}", get(drivers::show).delete(drivers::remove))
        .route(
            "/api/v1/driver/{vendor}/{name}/names",
            put(drivers::names).layer(DefaultBodyLimit::max(cardinal_build::LARGEST_NAMES)),
        )
        .route("/api/v1/driver/{vendor}/{name}/swap", get(swap::show).post(swap::start).delete(swap::call_off))
        .method_not_allowed_fallback(async || {
            ApiError::not_found("this page of the API does not take that method; see docs/api.md")
        })
        .fallback(async || ApiError::not_found("there is no such page in the API; see docs/api.md"))
        .layer(middleware::from_fn_with_state(Arc::clone(&host), authorise))
        .with_state(host)
}

/// Nobody without the token comes to any handler.
async fn authorise(
    State(host): State<Arc<Host>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !host.token.admits(shown) {
        return Err(ApiError::unauthorized());
    }
    // A task of its own: a client that hangs up must not leave a change half carried out.
    tokio::spawn(next.run(request)).await.map_err(|_| ApiError::ours("the request failed in the host; see its log"))
}
