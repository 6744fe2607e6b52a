//! Readers with how they are.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use cardinal_domain::{driver::SettingKind, names::ReaderName, settings::SettingValue, site::Reader};
use serde::{Deserialize, Serialize};

use super::{
    ApiError,
    extract::{Body, Path},
};
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
    Json(setup.readers.values().map(|spec| view(&host, spec)).collect())
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
    Ok(Json(view(&host, spec)))
}

/// A reader as it may be shown: settings that its driver calls secret are left out of sight.
fn view(host: &Host, spec: &Reader) -> ReaderView {
    let mut spec = spec.clone();
    let driver = host.services.drivers.find(&spec.driver).ok();
    let mode = driver.as_ref().and_then(|driver| driver.manifest().mode(&spec.mode));
    for (key, value) in &mut spec.settings {
        // Without its driver nobody knows which are secret.
        let is_open = mode.is_some_and(|mode| {
            mode.settings.iter().any(|setting| setting.key == *key && setting.kind != SettingKind::Secret)
        });
        if !is_open {
            *value = SettingValue::Text("***".to_owned());
        }
    }
    // A token is secret; that there is one is not.
    spec.token = spec.token.and_then(|_| "********".to_owned().try_into().ok());
    ReaderView { status: host.sessions.status(&spec.name), spec }
}

pub(super) async fn command(
    State(host): State<Arc<Host>>,
    Path(name): Path<ReaderName>,
    Body(body): Body<CommandBody>,
) -> Result<Json<()>, ApiError> {
    let arguments = body.arguments.into_iter().collect();
    Ok(Json(host.sessions.command(&name, Command { name: body.command, arguments })?))
}
