//! The flight recorder: what a reader's driver was told lately, and captures.

use std::sync::Arc;

use axum::{Json, extract::State, http::header::CONTENT_TYPE, response::IntoResponse};
use cardinal_domain::names::ReaderName;
use serde::{Deserialize, Serialize};

use super::{
    ApiError,
    extract::{Body, Path},
    readers::find,
};
use crate::{
    host::Host,
    recorder::{Capture, Shown},
};

/// Whom events name: the only credential of the API.
const OWNER: &str = "owner";

/// A capture to be opened.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureBody {
    /// How long it is open.
    #[serde(default = "ten_minutes")]
    pub seconds: u64,
    /// What it is for.
    #[serde(default)]
    pub note: Option<String>,
}

fn ten_minutes() -> u64 {
    600
}

/// What the reader's driver was told and answered lately, masked.
pub(super) async fn trace(
    State(host): State<Arc<Host>>,
    Path(name): Path<ReaderName>,
) -> Result<Json<Vec<Shown>>, ApiError> {
    find(&host, &name)?;
    Ok(Json(host.services.recorder.shown(&name)))
}

pub(super) async fn start(
    State(host): State<Arc<Host>>,
    Path(name): Path<ReaderName>,
    Body(body): Body<CaptureBody>,
) -> Result<Json<Capture>, ApiError> {
    let spec = find(&host, &name)?;
    Ok(Json(host.services.recorder.start(&spec, body.seconds, body.note, OWNER).await?))
}

pub(super) async fn stop(State(host): State<Arc<Host>>, Path(name): Path<ReaderName>) -> Result<Json<()>, ApiError> {
    Ok(Json(host.services.recorder.stop(&name, OWNER)?))
}

pub(super) async fn list(State(host): State<Arc<Host>>) -> Json<Vec<Capture>> {
    Json(host.services.recorder.list())
}

/// One session of a capture: a trace, in clear.
pub(super) async fn fetch(
    State(host): State<Arc<Host>>,
    Path((id, session)): Path<(String, u64)>,
) -> Result<impl IntoResponse, ApiError> {
    let trace = host.services.recorder.fetch(&id, session).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], trace))
}

pub(super) async fn remove(State(host): State<Arc<Host>>, Path(id): Path<String>) -> Result<Json<()>, ApiError> {
    Ok(Json(host.services.recorder.remove(&id, OWNER).await?))
}
