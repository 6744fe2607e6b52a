//! Drivers: listed, installed by upload, removed.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State};
use cardinal_domain::site::DriverRef;
use cardinal_store::InstalledDriver;

use super::{ApiError, extract::Path};
use crate::host::Host;

pub(super) async fn list(State(host): State<Arc<Host>>) -> Result<Json<Vec<InstalledDriver>>, ApiError> {
    Ok(Json(host.services.store.drivers().await?))
}

/// One driver: `vendor/name` gives the newest version, `vendor/name@version` that one.
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Path((vendor, name)): Path<(String, String)>,
) -> Result<Json<InstalledDriver>, ApiError> {
    let wanted = reference(&vendor, &name)?;
    let digest = host.services.drivers.find(&wanted).map_err(ApiError::not_found)?.digest().to_owned();
    let installed = host.services.store.drivers().await?;
    let found = installed.into_iter().find(|driver| driver.digest == digest);
    found.map(Json).ok_or_else(|| ApiError::not_found(format!("driver {wanted} was just removed")))
}

pub(super) async fn install(State(host): State<Arc<Host>>, wasm: Bytes) -> Result<Json<InstalledDriver>, ApiError> {
    let installed = host.services.drivers.install(wasm.to_vec()).await?;
    // Readers that waited for it can start now.
    host.sessions.reconcile().await;
    Ok(Json(installed))
}

pub(super) async fn remove(
    State(host): State<Arc<Host>>,
    Path((vendor, name)): Path<(String, String)>,
) -> Result<Json<()>, ApiError> {
    let _applying = host.applying.lock().await;
    Ok(Json(host.services.drivers.remove(&reference(&vendor, &name)?).await?))
}

fn reference(vendor: &str, name: &str) -> Result<DriverRef, ApiError> {
    DriverRef::try_from(format!("{vendor}/{name}")).map_err(ApiError::refused)
}
