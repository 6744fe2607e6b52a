//! Readers with how they are.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
};
use cardinal_domain::{names::ReaderName, site::Reader};
use serde::{Deserialize, Serialize};

use super::ApiError;
use crate::{
    host::Host,
    sessions::{Command, ReaderStatus},
};

/// A reader, and how it is; none where it is not enabled.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReaderView {
    #[serde(flatten)]
    pub spec: Reader,
    pub status: Option<ReaderStatus>,
}

/// An operator's command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandBody {
    pub command: String,
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
}

pub(super) async fn list(State(host): State<Arc<Host>>) -> Json<Vec<ReaderView>> {
    let setup = host.services.store.setup();
    let view = |spec: &Reader| ReaderView { status: host.sessions.status(&spec.name), spec: spec.clone() };
    Json(setup.readers.values().map(view).collect())
}

pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Path(name): Path<ReaderName>,
) -> Result<Json<ReaderView>, ApiError> {
    let setup = host.services.store.setup();
    let spec = setup.readers.get(&name).ok_or_else(|| {
        let known: Vec<_> = setup.readers.keys().map(ReaderName::as_str).collect();
        let near = cardinal_domain::nearest::nearest(name.as_str(), &known);
        ApiError::not_found(format!("there is no reader {:?}{near}", name.as_str()))
    })?;
    Ok(Json(ReaderView { status: host.sessions.status(&name), spec: spec.clone() }))
}

pub(super) async fn command(
    State(host): State<Arc<Host>>,
    Path(name): Path<ReaderName>,
    Json(body): Json<CommandBody>,
) -> Result<Json<()>, ApiError> {
    let arguments = body.arguments.into_iter().collect();
    Ok(Json(host.sessions.command(&name, Command { name: body.command, arguments })?))
}
