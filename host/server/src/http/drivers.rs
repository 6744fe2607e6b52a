//! Drivers: listed, inspected and installed by upload, removed.

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State, http::HeaderMap};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cardinal_domain::site::DriverRef;
use cardinal_store::{InstalledDriver, Origin};
use serde::{Deserialize, Serialize};

use super::{
    ApiError,
    extract::{Path, Query},
};
use crate::{
    drivers::{DriverFile, Report, Standing, Wishes},
    host::Host,
    swap::SwapView,
};

/// The header of an upload that has its signature: the .minisig file in base64, because it has several lines.
pub const SIGNATURE: &str = "cardinal-signature";

/// An installed driver, and how it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct DriverView {
    #[serde(flatten)]
    pub driver: InstalledDriver,
    /// On whose word it runs; none where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Why it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether it is the version of readers that name none.
    pub chosen: bool,
}

/// That names were kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct NamesKept {
    /// Of how many functions.
    pub functions: usize,
}

/// How to install.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InstallQuery {
    /// Only say what would become of it.
    pub dry_run: bool,
    /// Let other bytes take the place of the same version.
    pub replace: bool,
    /// Take a version below the highest that was ever installed.
    pub older: bool,
}

pub(super) async fn list(State(host): State<Arc<Host>>) -> Result<Json<Vec<DriverView>>, ApiError> {
    let drivers = host.services.store.drivers().await?;
    Ok(Json(drivers.into_iter().map(|driver| view(&host, driver)).collect()))
}

/// One driver: `vendor/name` gives the version of readers that name none, `vendor/name@version` that one.
pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Path((vendor, name)): Path<(String, String)>,
) -> Result<Json<DriverView>, ApiError> {
    let wanted = reference(&vendor, &name)?;
    let drivers = &host.services.drivers;
    let version = wanted.version.clone().or_else(|| drivers.chosen(&wanted.id)).unwrap_or_default();
    let installed = host.services.store.drivers().await?;
    let is_it = |driver: &InstalledDriver| driver.manifest.id() == wanted.id && driver.manifest.version == version;
    if let Some(driver) = installed.into_iter().find(is_it) {
        return Ok(Json(view(&host, driver)));
    }
    let why = drivers.find(&wanted).err();
    Err(ApiError::not_found(why.unwrap_or_else(|| format!("driver {wanted} was just removed"))))
}

fn view(host: &Host, driver: InstalledDriver) -> DriverView {
    let about = host.services.drivers.about(&driver.manifest.id(), &driver.manifest.version);
    let (standing, trouble) = match about.standing {
        Ok(standing) => (Some(standing), None),
        Err(why) => (None, Some(why)),
    };
    DriverView { driver, standing, trouble, chosen: about.chosen }
}

pub(super) async fn install(
    State(host): State<Arc<Host>>,
    Query(query): Query<InstallQuery>,
    headers: HeaderMap,
    wasm: Bytes,
) -> Result<Json<Report>, ApiError> {
    let file = DriverFile { wasm: wasm.to_vec(), signature: signature(&headers)?, origin: Origin::Installed };
    let wishes = Wishes { replace: query.replace, older: query.older };
    if query.dry_run {
        return Ok(Json(host.services.drivers.dry_run(file, wishes).await?));
    }
    let report = host.services.drivers.install(file, wishes).await?;
    // Readers that waited for it can start now.
    host.sessions.reconcile().await;
    Ok(Json(report))
}

/// Keeps the names of an installed driver's functions: `vendor/name@version`, and the text of its names file.
pub(super) async fn names(
    State(host): State<Arc<Host>>,
    Path((vendor, name)): Path<(String, String)>,
    text: String,
) -> Result<Json<NamesKept>, ApiError> {
    let functions = host.services.drivers.keep_names(&reference(&vendor, &name)?, &text).await?;
    Ok(Json(NamesKept { functions }))
}

fn signature(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(SIGNATURE) else { return Ok(None) };
    let text = BASE64_STANDARD.decode(value.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let wrong = || ApiError::refused(format!("the header {SIGNATURE} is not the text of a .minisig file in base64"));
    text.map(Some).ok_or_else(wrong)
}

pub(super) async fn remove(
    State(host): State<Arc<Host>>,
    Path((vendor, name)): Path<(String, String)>,
) -> Result<Json<()>, ApiError> {
    let _applying = host.applying.lock().await;
    let driver = reference(&vendor, &name)?;
    let is_moved = |swap: &SwapView| driver.version.as_ref().is_none_or(|it| [&swap.from, &swap.to].contains(&it));
    if let Some(swap) = host.swaps.under_way(&driver.id).filter(is_moved) {
        let (id, from, to) = (&driver.id, swap.from, swap.to);
        let message = format!(
            "a swap of {id} from {from} to {to} is under way and needs both; wait for it, or call it off: \
             `cardinal driver swap {id} --call-off`"
        );
        return Err(ApiError::conflict(message));
    }
    Ok(Json(host.services.drivers.remove(&driver).await?))
}

fn reference(vendor: &str, name: &str) -> Result<DriverRef, ApiError> {
    DriverRef::try_from(format!("{vendor}/{name}")).map_err(ApiError::refused)
}
