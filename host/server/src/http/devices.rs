//! Devices with the trouble of the readers that stand at them.

use std::sync::Arc;

use axum::{Json, extract::State};
use cardinal_domain::{
    names::{DeviceName, ReaderName},
    nearest::nearest,
    site::Device,
};
use serde::{Deserialize, Serialize};

use super::{ApiError, extract::Path};
use crate::host::Host;

/// A device, and what is wrong at it.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeviceView {
    #[serde(flatten)]
    pub spec: Device,
    pub trouble: Vec<Trouble>,
}

/// What is wrong with one reader.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trouble {
    pub reader: ReaderName,
    /// For people.
    pub reason: String,
}

pub(super) async fn list(State(host): State<Arc<Host>>) -> Json<Vec<DeviceView>> {
    let setup = host.services.store.setup();
    Json(setup.devices.values().map(|spec| view(&host, spec)).collect())
}

pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Path(name): Path<DeviceName>,
) -> Result<Json<DeviceView>, ApiError> {
    let setup = host.services.store.setup();
    let spec = setup.devices.get(&name).ok_or_else(|| {
        let known: Vec<_> = setup.devices.keys().map(DeviceName::as_str).collect();
        ApiError::not_found(format!("there is no device {:?}{}", name.as_str(), nearest(name.as_str(), &known)))
    })?;
    Ok(Json(view(&host, spec)))
}

/// A reader that is not enabled has no status, and no trouble either.
fn view(host: &Host, spec: &Device) -> DeviceView {
    let setup = host.services.store.setup();
    let there = setup.readers.values().filter(|reader| reader.device == spec.name);
    let trouble = there.filter_map(|reader| {
        let reason = host.sessions.status(&reader.name)?.trouble()?;
        Some(Trouble { reader: reader.name.clone(), reason })
    });
    DeviceView { spec: spec.clone(), trouble: trouble.collect() }
}
