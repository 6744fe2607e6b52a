//! The flight recorder: what a reader's driver was told lately, and captures.

use std::sync::Arc;

use axum::{Json, extract::State, http::header::CONTENT_TYPE, response::IntoResponse};
use cardinal_domain::{names::ReaderName, settings::SettingValue};
use serde::{Deserialize, Serialize};

use super::{
    ApiError,
    extract::{Body, Path},
    readers::{find, secrets},
};
use crate::{
    host::Host,
    recorder::{Capture, Shown, Standins},
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
    let spec = find(&host, &name)?;
    // A driver's reason should hold none; whether it does is not left to the driver.
    let hidden = secrets(&host, &spec);
    let secret = |key: &String| match spec.settings.get(key) {
        Some(SettingValue::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let standins = Standins::new(&hidden.iter().filter_map(secret).collect::<Vec<_>>(), None);
    let mut lines = host.services.recorder.shown(&name);
    lines.iter_mut().filter(|line| line.what.starts_with("> status")).for_each(|line| standins.text(&mut line.what));
    Ok(Json(lines))
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
