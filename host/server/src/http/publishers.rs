//! Whose signatures are believed.

use std::sync::Arc;

use axum::{Json, extract::State};
use cardinal_store::Publisher;
use serde::{Deserialize, Serialize};

use super::{
    ApiError,
    extract::{Body, Path},
};
use crate::{drivers::KeyId, host::Host};

/// A key to be trusted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustBody {
    /// Whose drivers it signs.
    pub vendor: String,
    /// The .pub file, or its second line.
    pub key: String,
    /// The vendor has a key already, and its publisher says that this one is its, too.
    #[serde(default)]
    pub rotate: bool,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct PublisherChanged {
    #[serde(flatten)]
    pub publisher: Publisher,
    /// The drivers (`vendor/name`) of which a version may run now that could not, or the other way round. Their readers were
    /// restarted.
    pub changed: Vec<String>,
}

pub(super) async fn list(State(host): State<Arc<Host>>) -> Json<Vec<Publisher>> {
    Json(host.services.drivers.publishers())
}

pub(super) async fn trust(
    State(host): State<Arc<Host>>,
    Body(body): Body<TrustBody>,
) -> Result<Json<PublisherChanged>, ApiError> {
    let (publisher, changed) = host.services.drivers.trust(&body.vendor, &body.key, body.rotate).await?;
    restart(&host, &changed).await;
    Ok(Json(PublisherChanged { publisher, changed }))
}

pub(super) async fn withdraw(
    State(host): State<Arc<Host>>,
    Path((vendor, key)): Path<(String, String)>,
) -> Result<Json<PublisherChanged>, ApiError> {
    let key: KeyId = key.parse().map_err(ApiError::refused)?;
    let (publisher, changed) = host.services.drivers.withdraw(&vendor, key).await?;
    restart(&host, &changed).await;
    Ok(Json(PublisherChanged { publisher, changed }))
}

/// What must not run any more ends now, and not with the next connection.
async fn restart(host: &Host, drivers: &[String]) {
    let setup = host.services.store.setup();
    for reader in setup.readers.values().filter(|reader| drivers.contains(&reader.driver.id)) {
        host.sessions.restart(&reader.name).await;
    }
}
