//! What a driver is told: the context it starts with, and each thing that happened.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Fault, Id, Pair};

/// What a session starts with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The mode's id.
    pub mode: String,
    /// `dial`, `listen` or `http`.
    pub transport: String,
    /// Checked, defaults filled in.
    pub settings: Vec<Pair>,
    /// The address the reader is to call, for HTTP. A secret.
    pub callback: Option<String>,
    /// What earlier sessions asked to remember.
    pub memory: Vec<(String, Vec<u8>)>,
    /// What `save` gave, when a session goes on.
    pub saved: Option<Vec<u8>>,
}

// Hand-written, as those of `Input` and `Output`: settings and memory may be secret, and bytes may be a card or a PIN.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("mode", &self.mode)
            .field("transport", &self.transport)
            .field("settings", &self.settings.iter().map(|(key, _)| key).collect::<Vec<_>>())
            .field("memory", &self.memory.iter().map(|(key, _)| key).collect::<Vec<_>>())
            .field("saved", &self.saved.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq)]
pub enum Input {
    /// A connection stands; 32 fresh random bytes.
    Connected(Vec<u8>),
    /// The session goes on from saved state.
    Resumed,
    /// Bytes from the reader, cut anywhere.
    Received(Vec<u8>),
    /// The connection ended.
    Disconnected(Fault),
    /// A timer fired.
    Timer(Id),
    /// A fetch came to its end.
    Fetched(Id, Result<Response, Fault>),
    /// The reader calls us.
    Called(Call),
    /// The host stopped waiting for the answer to this call.
    CallEnded(Id),
    /// What became of a card.
    Verdict(Verdict),
    /// An operator's command: its name and arguments.
    Command(String, Vec<Pair>),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(_) => f.write_str("Connected"),
            Self::Resumed => f.write_str("Resumed"),
            Self::Received(bytes) => write!(f, "Received({} bytes)", bytes.len()),
            Self::Disconnected(fault) => f.debug_tuple("Disconnected").field(fault).finish(),
            Self::Timer(id) => write!(f, "Timer({id})"),
            Self::Fetched(id, outcome) => {
                write!(f, "Fetched({id}, {:?})", outcome.as_ref().map(|answer| answer.status))
            }
            Self::Called(call) => write!(f, "Called({})", call.id),
            Self::CallEnded(id) => write!(f, "CallEnded({id})"),
            Self::Verdict(verdict) => f.debug_tuple("Verdict").field(verdict).finish(),
            Self::Command(name, _) => write!(f, "Command({name:?})"),
        }
    }
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<Pair>,
    /// The body.
    pub body: Vec<u8>,
}

/// The reader's HTTP request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// To be given back with the answer.
    pub id: Id,
    /// The HTTP method.
    pub method: String,
    /// What follows the callback address.
    pub path: String,
    /// Decoded.
    pub query: Vec<Pair>,
    /// Names in lower case.
    pub headers: Vec<Pair>,
    /// The body.
    pub body: Vec<u8>,
}

/// What became of a card, as the driver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The driver's own id of the swipe.
    pub swipe: Id,
    /// The verdict's code.
    pub code: VerdictCode,
    /// For a display; may be empty.
    pub message: String,
}

/// The verdicts that Cardinal gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictCode {
    /// Jobs are on their way.
    Released,
    /// The device is free to use.
    Unlocked,
    /// The person has no job waiting that this device may print.
    NothingHeld,
    /// No user has this card.
    UnknownCard,
    /// The user may not use this device.
    Denied,
    /// A PIN is wanted.
    EnterPin,
    /// The card now belongs to its owner.
    Registered,
    /// Cardinal's own fault.
    Failed,
}

impl VerdictCode {
    /// Every verdict, with its code in the contract.
    pub const ALL: [(&'static str, Self); 8] = [
        ("released", Self::Released),
        ("unlocked", Self::Unlocked),
        ("nothing-held", Self::NothingHeld),
        ("unknown-card", Self::UnknownCard),
        ("denied", Self::Denied),
        ("enter-pin", Self::EnterPin),
        ("registered", Self::Registered),
        ("failed", Self::Failed),
    ];

    /// The code in the contract.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, code)| *code == self).map_or("failed", |(name, _)| name)
    }

    /// The verdict of this code.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, code)| *code)
    }
}

impl fmt::Display for VerdictCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
