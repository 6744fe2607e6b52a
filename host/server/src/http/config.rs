//! Config keys: what they are on this site, and setting them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use cardinal_domain::{
    config_keys::{CONFIG_KEYS, check, value},
    site::Site,
};
use serde::{Deserialize, Serialize};

use super::{
    ApiError, Applied, ApplyQuery,
    extract::{Body, Query},
    site,
};
use crate::host::Host;

/// A config key on this site.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConfigView {
    pub name: String,
    /// What holds: the site's own, or the default.
    pub value: String,
    pub default: String,
    /// Whether the site says so itself.
    pub is_set: bool,
    /// What it does.
    pub help: String,
}

pub(super) async fn list(State(host): State<Arc<Host>>) -> Result<Json<Vec<ConfigView>>, ApiError> {
    host.services.store.refresh().await?;
    let setup = host.services.store.setup();
    let view = |key: &cardinal_domain::config_keys::ConfigKey| ConfigView {
        name: key.name.to_owned(),
        value: value(&setup.config, key.name).to_owned(),
        default: key.default.to_owned(),
        is_set: setup.config.contains_key(key.name),
        help: key.help.to_owned(),
    };
    Ok(Json(CONFIG_KEYS.iter().map(view).collect()))
}

/// Sets those that are named, all or none; null takes one back to its default (RFC 7396).
pub(super) async fn patch(
    State(host): State<Arc<Host>>,
    Query(query): Query<ApplyQuery>,
    Body(fields): Body<BTreeMap<String, Option<String>>>,
) -> Result<Json<Applied>, ApiError> {
    let has_back = fields.values().any(Option::is_none);
    // Only what is pruned goes back to its default, so the rest of the site has to be there.
    site::change(&host, ApplyQuery { prune: has_back, ..query }, |current| {
        let mut wanted = if has_back { current.clone() } else { Site::default() };
        for (name, value) in fields {
            match value {
                Some(value) => drop(wanted.config.insert(name, value)),
                None => {
                    let was_set = wanted.config.remove(&name).is_some();
                    // One that this version does not know can go where the site has it.
                    if !was_set && !CONFIG_KEYS.iter().any(|key| key.name == name) {
                        check(&name, "").map_err(ApiError::refused)?;
                    }
                }
            }
        }
        Ok(wanted)
    })
    .await
}
