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
    /// The drivers (`vendor/name`) of which a version may run now that could not, or the other way round. Sessions of the
    /// vendor's drivers that may not run were ended.
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
    follow(&host, &publisher.vendor).await;
    Ok(Json(PublisherChanged { publisher, changed }))
}

pub(super) async fn withdraw(
    State(host): State<Arc<Host>>,
    Path((vendor, key)): Path<(String, String)>,
) -> Result<Json<PublisherChanged>, ApiError> {
    let key: KeyId = key.parse().map_err(ApiError::refused)?;
    let (publisher, changed) = host.services.drivers.withdraw(&vendor, key).await?;
    follow(&host, &publisher.vendor).await;
    Ok(Json(PublisherChanged { publisher, changed }))
}

/// What must not run any more ends now, and not with the next connection; also a file that was replaced or removed while it
/// ran, for which nobody vouches now. What may run again begins.
async fn follow(host: &Host, vendor: &str) {
    let (services, sessions) = (&host.services, &host.sessions);
    for reader in services.store.setup().readers.values() {
        let is_theirs = reader.driver.id.split_once('/').is_some_and(|(of, _)| of == vendor);
        if is_theirs && sessions.runs(&reader.name).is_some_and(|digest| !services.drivers.may_run(&digest)) {
            sessions.restart(&reader.name).await;
        }
    }
    sessions.reconcile().await;
}
