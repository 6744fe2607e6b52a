//! The settings a session is opened with, and the arguments of a command, read by key.

use std::str::FromStr;

use crate::{Command, Context, Fault, Millis, Pair, bytes_of};

/// A view of `context.settings`.
///
/// The host has checked every value against the manifest and filled in the defaults, so each method but [`Settings::get`]
/// and [`Settings::all`] takes a missing or misshapen value as a mistake of the driver's and gives a fault that names the
/// key: end `open` with it by `?`.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a>(&'a [Pair]);

impl<'a> Settings<'a> {
    /// The settings of this session.
    pub fn of(context: &'a Context) -> Self {
        Self(&context.settings)
    }

    /// The arguments of a command, read the same way. No host has checked these.
    pub fn of_arguments(command: &'a Command) -> Self {
        Self(&command.arguments)
    }

    /// A setting that may be absent: one that is neither required nor has a default.
    pub fn get(self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
    }

    /// Every value of a repeated setting, in order.
    pub fn all(self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |pair| pair.key == key).map(|pair| pair.value.as_str())
    }

    /// A setting as it stands.
    ///
    /// # Errors
    /// Missing.
    pub fn text(self, key: &str) -> Result<&'a str, Fault> {
        self.get(key).ok_or_else(|| Fault::new("setting-missing", format!("`{key}` has no value")))
    }

    /// A setting of kind `integer`.
    ///
    /// # Errors
    /// Missing, or not a number of this type (a negative one as `u32`, say).
    pub fn integer<N: FromStr>(self, key: &str) -> Result<N, Fault> {
        self.parsed(key, "it must be a whole number in range")
    }

    /// A setting of kind `milliseconds`.
    ///
    /// # Errors
    /// Missing, or not a number.
    pub fn milliseconds(self, key: &str) -> Result<Millis, Fault> {
        self.parsed(key, "it must be a number of milliseconds")
    }

    /// A setting of kind `boolean`.
    ///
    /// # Errors
    /// Missing, or neither `true` nor `false`.
    pub fn boolean(self, key: &str) -> Result<bool, Fault> {
        self.parsed(key, "it must be true or false")
    }

    /// A setting of kind `bytes`.
    ///
    /// # Errors
    /// Missing, or with an escape that means nothing.
    pub fn bytes(self, key: &str) -> Result<Vec<u8>, Fault> {
        bytes_of(self.text(key)?).map_err(|fault| wrong(key, &fault.message))
    }

    /// Every value of a repeated setting of kind `bytes`.
    ///
    /// # Errors
    /// An escape that means nothing.
    pub fn all_bytes(self, key: &str) -> Result<Vec<Vec<u8>>, Fault> {
        self.all(key).map(|text| bytes_of(text).map_err(|fault| wrong(key, &fault.message))).collect()
    }

    fn parsed<T: FromStr>(self, key: &str, why: &str) -> Result<T, Fault> {
        self.text(key)?.parse().map_err(|_| wrong(key, why))
    }
}

/// Without the value: it may be a secret.
fn wrong(key: &str, why: &str) -> Fault {
    Fault::new("setting-invalid", format!("`{key}` is invalid: {why}"))
}
