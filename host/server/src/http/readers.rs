//! Readers with how they are.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use cardinal_domain::{
    driver::SettingKind,
    names::ReaderName,
    settings::SettingValue,
    site::{Reader, Token},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

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
    #[serde(flatten, deserialize_with = "shown")]
    pub spec: Reader,
    pub status: Option<ReaderStatus>,
}

/// A reader as it is shown: what stands in place of its token would be refused as one.
fn shown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reader, D::Error> {
    let mut fields = Map::deserialize(deserializer)?;
    let token = fields.remove("token");
    let mut spec: Reader = serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom)?;
    spec.token = token.map(|_| Token::hidden());
    Ok(spec)
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

/// Which settings of a reader its driver calls secret. Without its driver nobody knows, and all are.
pub(super) fn secrets(host: &Host, spec: &Reader) -> Vec<String> {
    let driver = host.services.drivers.find(&spec.driver).ok();
    let mode = driver.as_ref().and_then(|driver| driver.manifest().mode(&spec.mode));
    let is_open = |key: &str| {
        mode.is_some_and(|mode| {
            mode.settings.iter().any(|setting| setting.key == key && setting.kind != SettingKind::Secret)
        })
    };
    spec.settings.keys().filter(|key| !is_open(key)).cloned().collect()
}

/// A reader as it may be shown: settings that its driver calls secret are left out of sight.
fn view(host: &Host, spec: &Reader) -> ReaderView {
    let mut spec = spec.clone();
    for key in secrets(host, &spec) {
        spec.settings.insert(key, SettingValue::Text("***".to_owned()));
    }
    // A token is secret; that there is one is not.
    spec.token = spec.token.map(|_| Token::hidden());
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reader_with_a_hidden_token_is_read_as_it_is_shown() {
        let shown = json!({
            "name": "r", "driver": "cardinal/generic", "mode": "generic", "transport": "listen", "address": "10.0.0.1",
            "listen": "0.0.0.0:7778", "token": Token::hidden(), "device": "d", "settings": { "keepalive_seconds": 30 },
            "status": null,
        });
        let view: ReaderView = serde_json::from_value(shown.clone()).unwrap();
        assert_eq!(view.spec.token, Some(Token::hidden()));
        assert_eq!(serde_json::to_value(&view).unwrap(), shown);
    }
}
