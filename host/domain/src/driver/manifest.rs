//! What a driver says of itself: who it is, how it can be reached, what can be set.

use std::fmt;

use serde::{Deserialize, Serialize};

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
