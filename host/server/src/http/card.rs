//! A conversion tried out on a read. Card numbers stand in bodies alone, which nobody logs.

use std::sync::Arc;

use axum::{Json, extract::State};
use cardinal_domain::{
    convert::{Rules, Stage, Typed},
    names::DeviceName,
    nearest::nearest,
};
use serde::{Deserialize, Serialize};

use super::{ApiError, extract::Body};
use crate::host::Host;

/// A read to convert. Holds a card number, hence no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvertBody {
    /// As the reader says it.
    pub read: String,
    /// It is so many raw bits, written as digits 0 and 1 or as a hexadecimal number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u32>,
    /// By the rules of this device instead of the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceName>,
    /// This pattern instead of the one set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// This chain instead of the one set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
}

/// What became of it, in clear. Hence no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct Converted {
    /// The pattern in force; empty: none.
    pub regex: String,
    /// The chain in force; empty: none.
    pub chain: String,
    /// Each stage with what came in and went out.
    pub stages: Vec<Stage>,
    /// The number as it is looked up; none where a stage failed.
    pub card: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
}

/// Converts a read by these rules.
///
/// # Errors
/// The rules or the read cannot be read.
pub fn converted(rules: Rules<'_>, read: &str, bits: Option<u32>) -> Result<Converted, String> {
    let conversion = rules.compile().map_err(|error| error.to_string())?;
    let typed = Typed::new(read, bits).map_err(|error| error.to_string())?;
    let (stages, result) = conversion.explain(typed.number.as_deref(), typed.bits.as_ref());
    let (card, error) = match result {
        Ok(card) => (Some(card.reveal().to_owned()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Converted { regex: rules.regex.to_owned(), chain: rules.chain.to_owned(), stages, card, error })
}

pub(super) async fn convert(
    State(host): State<Arc<Host>>,
    Body(body): Body<ConvertBody>,
) -> Result<Json<Converted>, ApiError> {
    let setup = host.services.store.setup();
    let device = match &body.device {
        None => None,
        Some(name) => Some(setup.devices.get(name).ok_or_else(|| {
            let known: Vec<_> = setup.devices.keys().map(DeviceName::as_str).collect();
            ApiError::not_found(format!("there is no device {:?}{}", name.as_str(), nearest(name.as_str(), &known)))
        })?),
    };
    let set = Rules::of(&setup.config, device);
    let rules =
        Rules { regex: body.regex.as_deref().unwrap_or(set.regex), chain: body.chain.as_deref().unwrap_or(set.chain) };
    converted(rules, &body.read, body.bits).map(Json).map_err(ApiError::refused)
}
