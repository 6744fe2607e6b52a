//! A core module becomes a component.

use wit_component::ComponentEncoder;

use crate::BuildError;

/// The component of a core module; the encoder checks it against the interface that the module carries.
///
/// # Errors
/// The module carries none (a crate without `cardinal_sdk::driver!`), or is not what it says.
pub fn component(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encode = |module| ComponentEncoder::default().validate(true).module(module)?.encode();
    encode(module).map_err(|error| BuildError::Component(format!("{error:#}")))
}
