//! The driver contract in the host's own words.
//!
//! These types mirror `wit/` but belong to no generation of it: the runtime's adapters translate each generation to and
//! from them, so nothing above the runtime knows a component model type. What each item means is written in `wit/v1/`.

use std::fmt;

use serde::{Deserialize, Serialize};

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

/// What a driver says of itself at installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Who publishes it.
    pub vendor: String,
    /// Its name within the vendor.
    pub name: String,
    /// `major.minor.patch`.
    pub version: String,
    /// One line for a list.
    pub summary: String,
    /// Connection modes; at least one.
    pub modes: Vec<Mode>,
}

impl Manifest {
    /// `vendor/name`, as administrators write it.
    pub fn id(&self) -> String {
        format!("{}/{}", self.vendor, self.name)
    }

    /// The mode of this id.
    pub fn mode(&self, id: &str) -> Option<&Mode> {
        self.modes.iter().find(|mode| mode.id == id)
    }
}

/// A connection mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    /// What is written in configuration.
    pub id: String,
    /// A few words.
    pub title: String,
    /// What it is for.
    pub summary: String,
    /// The ways it can be reached, the default first.
    pub transports: Vec<Transport>,
    /// What an administrator may set.
    pub settings: Vec<Setting>,
    /// What an operator may command by hand.
    pub commands: Vec<String>,
}

/// How a reader and the host reach each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// The host dials; the TCP port where none is configured (0: no default).
    Dial(u16),
    /// The reader dials the host.
    Listen,
    /// HTTP both ways; the reader's ports that a fetch may use.
    Http(Vec<u16>),
}

impl Transport {
    /// The name used in configuration: `dial`, `listen` or `http`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dial(_) => "dial",
            Self::Listen => "listen",
            Self::Http(_) => "http",
        }
    }
}

/// One setting of a mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The key in `[reader.settings]`.
    pub key: String,
    /// A few words.
    pub title: String,
    /// What it does and its unit.
    pub help: String,
    /// What a value looks like.
    pub kind: SettingKind,
    /// Used where nothing is given.
    pub default: Option<String>,
    /// Whether there must be a value.
    pub required: bool,
    /// Whether a list may be given.
    pub repeated: bool,
    /// The values of a `choice`.
    pub allowed: Vec<String>,
}

/// What the value of a setting looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A decimal number of 64 bits.
    Integer,
    /// A number of milliseconds, not negative.
    Milliseconds,
    /// `true` or `false`.
    Boolean,
    /// Text with escapes that stands for bytes.
    Bytes,
    /// Text that is never shown.
    Secret,
    /// One of the allowed values.
    Choice,
}

impl SettingKind {
    /// Every kind, with the name the contract gives it.
    pub const ALL: [(&'static str, Self); 7] = [
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("milliseconds", Self::Milliseconds),
        ("boolean", Self::Boolean),
        ("bytes", Self::Bytes),
        ("secret", Self::Secret),
        ("choice", Self::Choice),
    ];

    /// The kind of this name in the contract.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

impl fmt::Display for SettingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name))
    }
}

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
