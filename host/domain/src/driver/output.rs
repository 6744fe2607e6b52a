//! What a driver wants done.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Fault, Id, Millis, Pair, Response};

/// One thing the host should do.
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Send bytes every so often; none stops it.
    Keepalive(Option<Keepalive>),
    /// A card was shown.
    Card(CardRead),
    /// A person typed something: port and text.
    Typed(u8, String),
    /// Fire this timer, this long from now.
    SetTimer(Id, Millis),
    /// Forget this timer.
    CancelTimer(Id),
    /// Make an HTTP request to the reader.
    Fetch(Fetch),
    /// Answer a call.
    Answer(Id, Response),
    /// How the reader is.
    Status(Status),
    /// Keep these bytes for later sessions, by key.
    Remember(String, Vec<u8>),
    /// A line of log.
    Log(LogLevel, String),
    /// End the session and its connection.
    Close(Fault),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(bytes) => write!(f, "Send({} bytes)", bytes.len()),
            Self::Keepalive(keepalive) => write!(f, "Keepalive({:?})", keepalive.as_ref().map(|it| it.every)),
            Self::Card(card) => card.fmt(f),
            Self::Typed(port, text) => write!(f, "Typed({port}, {} characters)", text.chars().count()),
            Self::SetTimer(id, after) => write!(f, "SetTimer({id}, {after})"),
            Self::CancelTimer(id) => write!(f, "CancelTimer({id})"),
            Self::Fetch(fetch) => write!(f, "Fetch({}, {} {})", fetch.id, fetch.method, fetch.path),
            Self::Answer(id, answer) => write!(f, "Answer({id}, {})", answer.status),
            Self::Status(status) => f.debug_tuple("Status").field(status).finish(),
            Self::Remember(key, bytes) => write!(f, "Remember({key:?}, {} bytes)", bytes.len()),
            Self::Log(level, line) => write!(f, "Log({level}, {line:?})"),
            Self::Close(fault) => f.debug_tuple("Close").field(fault).finish(),
        }
    }
}

/// Bytes sent every so often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    /// Time between two sends.
    pub every: Millis,
    /// What is sent.
    pub bytes: Vec<u8>,
}

/// A card as the reader says it.
#[derive(Clone, PartialEq, Eq)]
pub struct CardRead {
    /// The driver's id of this swipe.
    pub swipe: Id,
    /// Text, to be converted.
    pub number: Option<String>,
    /// The raw credential.
    pub bits: Option<Bits>,
    /// Such as `125 kHz`.
    pub technology: Option<String>,
    /// The antenna, from 0.
    pub port: u8,
    /// Whatever else the reader tells.
    pub facts: Vec<Pair>,
}

// Hand-written: a derived one would put the card number into logs.
impl fmt::Debug for CardRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number.as_deref().map(crate::card::mask);
        f.debug_struct("CardRead")
            .field("swipe", &self.swipe)
            .field("number", &number)
            .field("bits", &self.bits.as_ref().map(|bits| bits.length))
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Bits of a credential, the first in the highest bit of the first byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Bits {
    /// As many bytes as `length` needs; unused low bits are 0.
    pub data: Vec<u8>,
    /// How many bits.
    pub length: u32,
}

/// An HTTP request to the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Chosen by the driver.
    pub id: Id,
    /// None: the mode's first port.
    pub port: Option<u16>,
    /// HTTPS.
    pub tls: bool,
    /// The HTTP method.
    pub method: String,
    /// Begins with `/`.
    pub path: String,
    /// Not yet encoded.
    pub query: Vec<Pair>,
    /// Names and values.
    pub headers: Vec<Pair>,
    /// The body.
    pub body: Vec<u8>,
}

/// How a reader is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// In one word.
    pub health: Health,
    /// Why.
    pub reason: String,
    /// Such as `firmware`.
    pub facts: Vec<Pair>,
}

/// A reader's health in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Online,
    /// Working, with something to look at.
    Degraded,
    /// Not working.
    Error,
}

impl Health {
    /// Every health, with its name in the contract.
    pub const ALL: [(&'static str, Self); 3] =
        [("online", Self::Online), ("degraded", Self::Degraded), ("error", Self::Error)];

    /// The health of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, health)| *health)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, health)| health == self).map_or("", |(name, _)| name))
    }
}

/// How much a line of a driver's log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For the driver's author.
    Debug,
    /// For the record.
    Info,
    /// Something to look at.
    Warn,
    /// Something is broken.
    Error,
}

impl LogLevel {
    /// Every level, with its name in the contract.
    pub const ALL: [(&'static str, Self); 4] =
        [("debug", Self::Debug), ("info", Self::Info), ("warn", Self::Warn), ("error", Self::Error)];

    /// The level of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, level)| level == self).map_or("", |(name, _)| name))
    }
}
