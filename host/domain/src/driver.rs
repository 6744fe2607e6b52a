//! The driver contract in the host's own words.
//!
//! These types mirror `wit/` but belong to no generation of it: the runtime's adapters translate each generation to and
//! from them, so nothing above the runtime knows a component model type. What each item means is written in `wit/v1/`.

mod input;
mod manifest;
mod output;

use serde::{Deserialize, Serialize};

pub use self::{
    input::{Call, Context, Input, Response, Verdict, VerdictCode},
    manifest::{Manifest, Mode, Setting, SettingKind, Transport},
    output::{Bits, CardRead, Fetch, Health, Keepalive, LogLevel, Output, Status},
};

/// Milliseconds on a session's own clock: starts at 0 with the session, goes on across save and open.
pub type Millis = u64;

/// A number that ties an answer to what was asked, unique within a session.
pub type Id = u32;

/// A name and a value.
pub type Pair = (String, String);

/// Why something went wrong: a code for programs, a message for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Fault {
    /// Lower-case words joined by `-`.
    pub code: String,
    /// What was being done, and what to do next.
    pub message: String,
}

impl Fault {
    /// A fault of this code and message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}
