//! Swaps of a driver to another of its versions.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{
    ApiError,
    extract::{Body, Path},
};
use crate::{
    host::Host,
    swap::{SwapBody, SwapError, SwapView},
};

/// Begins a swap. It goes on by itself; ask for it to see how it is.
pub(super) async fn start(
    State(host): State<Arc<Host>>,
    Path((vendor, name)): Path<(String, String)>,
    Body(body): Body<SwapBody>,
) -> Result<Json<SwapView>, ApiError> {
    // The readers that it was checked for are those that it begins with.
    let _applying = host.applying.lock().await;
    let id = format!("{vendor}/{name}");
    // Every reader's configuration is checked, which takes its time where there are a hundred thousand.
    Ok(Json(tokio::task::block_in_place(|| host.swaps.start(&host, &id, &body))?))
}

/// How the last one is.
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Path((vendor, name)): Path<(String, String)>,
) -> Result<Json<SwapView>, ApiError> {
    let id = format!("{vendor}/{name}");
    let view = host.swaps.view(&id);
    view.map(Json).ok_or_else(|| ApiError::not_found(format!("there was no swap of {id} since the host started")))
}

/// Calls the one that is under way off.
pub(super) async fn call_off(
    State(host): State<Arc<Host>>,
    Path((vendor, name)): Path<(String, String)>,
) -> Result<Json<()>, ApiError> {
    let id = format!("{vendor}/{name}");
    if !host.swaps.call_off(&id) {
        return Err(ApiError::conflict(format!("no swap of {id} is under way")));
    }
    Ok(Json(()))
}

impl From<SwapError> for ApiError {
    fn from(error: SwapError) -> Self {
        match error {
            SwapError::Refused(message) => Self::refused(message),
            SwapError::Conflict(message) => Self::conflict(message),
        }
    }
}
