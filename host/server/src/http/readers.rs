//! Readers with how they are.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Json, extract::State};
use cardinal_domain::{
    driver::SettingKind,
    names::ReaderName,
    settings::SettingValue,
    site::{Reader, Token},
    time::Timestamp,
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::{
    ApiError,
    extract::{Body, Path},
};
use crate::{
    calls::{self, CallsError},
    drivers::Standing,
    host::Host,
    sessions::{Command, ReaderStatus},
};

/// A reader, and how it is; none where it is not enabled.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReaderView {
    #[serde(flatten, deserialize_with = "shown")]
    pub spec: Reader,
    pub status: Option<ReaderStatus>,
    /// On whose word its driver runs; none where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_standing: Option<Standing>,
    /// What is unsafe about how it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
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
    Ok(Json(view(&host, &*find(&host, &name)?)))
}

pub(super) fn find(host: &Host, name: &ReaderName) -> Result<Arc<Reader>, ApiError> {
    let setup = host.services.store.setup();
    setup.readers.get(name).cloned().ok_or_else(|| {
        let known: Vec<_> = setup.readers.keys().map(ReaderName::as_str).collect();
        let near = cardinal_domain::nearest::nearest(name.as_str(), &known);
        ApiError::not_found(format!("there is no reader {:?}{near}", name.as_str()))
    })
}

/// Whether a reader calls us over HTTP. Without its driver nobody knows what it does where it does not say.
fn calls_over_http(host: &Host, spec: &Reader) -> bool {
    if let Some(transport) = &spec.transport {
        return transport == "http";
    }
    let driver = host.services.drivers.find(&spec.driver).ok();
    let mode = driver.as_ref().and_then(|driver| driver.manifest().mode(&spec.mode));
    mode.and_then(|mode| mode.transports.first()).is_some_and(|transport| transport.name() == "http")
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
    let warning = calls::warning(&spec).map(str::to_owned);
    let driver_standing = host.services.drivers.standing_of(&spec.driver);
    ReaderView { status: host.sessions.status(&spec.name), spec, driver_standing, warning }
}

pub(super) async fn command(
    State(host): State<Arc<Host>>,
    Path(name): Path<ReaderName>,
    Body(body): Body<CommandBody>,
) -> Result<Json<()>, ApiError> {
    let arguments = body.arguments.into_iter().collect();
    Ok(Json(host.sessions.command(&name, Command { name: body.command, arguments })?))
}

/// The longest overlap: a week. A reader that is away for longer is configured by hand, or when it is back.
const LONGEST_OVERLAP_SECONDS: u64 = 7 * 24 * 3_600;

/// Another secret for a reader that calls over HTTP.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateBody {
    /// How long the one before is still good.
    #[serde(default = "ten_minutes")]
    pub overlap_seconds: u64,
}

fn ten_minutes() -> u64 {
    600
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rotated {
    /// Until when the secret before is good.
    pub overlap_ends: Timestamp,
}

/// The address that a reader calls, for a device on which a person has to type it. It holds the reader's secret.
#[derive(Debug, Serialize, Deserialize)]
pub struct Callback {
    pub url: String,
}

/// Tells the address, to whoever may give the reader another one anyway.
pub(super) async fn callback(
    State(host): State<Arc<Host>>,
    Path(name): Path<ReaderName>,
) -> Result<Json<Callback>, ApiError> {
    let spec = calling(&host, &name)?;
    let url = host.services.calls.url(&spec).await.map_err(|error| match error {
        CallsError::Store(error) => ApiError::from(error),
        other => ApiError::refused(other.to_string()),
    })?;
    Ok(Json(Callback { url }))
}

fn calling(host: &Host, name: &ReaderName) -> Result<Arc<Reader>, ApiError> {
    let spec = find(host, name)?;
    if calls_over_http(host, &spec) {
        Ok(spec)
    } else {
        Err(ApiError::refused(format!("reader {name} does not call over HTTP: it has no callback address")))
    }
}

pub(super) async fn rotate(
    State(host): State<Arc<Host>>,
    Path(name): Path<ReaderName>,
    Body(body): Body<RotateBody>,
) -> Result<Json<Rotated>, ApiError> {
    // The reader is not removed meanwhile.
    let _applying = host.applying.lock().await;
    let spec = calling(&host, &name)?;
    if body.overlap_seconds > LONGEST_OVERLAP_SECONDS {
        let words = format!("overlap_seconds may be 0 to {LONGEST_OVERLAP_SECONDS}, which is a week");
        return Err(ApiError::refused(words));
    }
    let overlap_ends = host.services.calls.rotate(&spec, Duration::from_secs(body.overlap_seconds)).await?;
    // Its driver is told the new address and configures the reader with it.
    host.sessions.restart(&name).await;
    Ok(Json(Rotated { overlap_ends }))
}

/// Starts a driver again that was quarantined on a reader.
pub(super) async fn free(State(host): State<Arc<Host>>, Path(name): Path<ReaderName>) -> Result<Json<()>, ApiError> {
    if !host.services.quarantine.free(&name) {
        return Err(ApiError::conflict(format!("no driver is quarantined on {name}")));
    }
    Ok(Json(()))
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
