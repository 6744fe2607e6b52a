//! Jobs as they are kept.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    names::{DeviceName, JobId, PrinterName, QueueName, UserName},
    time::Timestamp,
};

/// Where a job stands. The moves between these are decided by the release engine alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Announced by a client; its document has not arrived whole.
    Receiving,
    /// Whole, on disk, waiting for its owner.
    Held,
    /// Chosen for a printer, not one byte sent.
    Releasing,
    /// Being sent: the printer may have it.
    Sending,
    /// The printer has taken it and has not yet said that it is done.
    Printing,
    /// The printer says that it is done.
    Delivered,
    /// Cancelled; its document is gone.
    Cancelled,
}

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 7] =
        [Self::Receiving, Self::Held, Self::Releasing, Self::Sending, Self::Printing, Self::Delivered, Self::Cancelled];

    /// Its name in the store, the API and the CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Held => "held",
            Self::Releasing => "releasing",
            Self::Sending => "sending",
            Self::Printing => "printing",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen to it.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Cancelled)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for JobState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|state| state.as_str() == text).copied().ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|state| state.as_str()).collect();
            format!("no job state {text:?}{}; known: {}", crate::nearest::nearest(text, &known), known.join(", "))
        })
    }
}

/// The option (RFC 8011 §5.2.2) by which somebody keeps a job until it is released by name or card. It is ours to act on:
/// no printer is told of it.
pub const HOLD_UNTIL: &str = "job-hold-until";
/// The value of [`HOLD_UNTIL`] that keeps a job; any other keeps none.
pub const INDEFINITE: &str = "indefinite";

/// A job as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// For ever and everywhere.
    pub id: JobId,
    /// The number that IPP clients and people use; unique on this site.
    pub number: i32,
    /// The hold queue it was printed to.
    pub queue: QueueName,
    /// The name that the client gave (`requesting-user-name`); not authenticated.
    pub owner: String,
    /// The user who signed in to print it. None: nobody was asked to.
    #[serde(default)]
    pub signed_in: Option<UserName>,
    /// Whose job it is: who signed in, else the user of the name that the client gave, if there is one. None: held
    /// unassigned, for operators to see.
    pub user: Option<UserName>,
    /// What the client calls it (`job-name`).
    pub name: String,
    /// The document's MIME type (`document-format`).
    pub format: String,
    /// The document's size in bytes.
    pub bytes: u64,
    /// SHA-256 of the document, in hexadecimal.
    pub sha256: String,
    /// What else the client asked for (`copies`, `sides`, `media`, …), to be passed on to the printer.
    pub options: BTreeMap<String, String>,
    /// Where it stands.
    pub state: JobState,
    /// Why it stands there, in words for a person; empty where there is nothing to say.
    pub reason: String,
    /// Whether it may have printed already: then only a person's tap or an operator sends it again.
    pub doubtful: bool,
    /// The printer it goes or went to.
    pub printer: Option<PrinterName>,
    /// The device it was released at.
    pub device: Option<DeviceName>,
    /// The printer's own number for it (`job-id`), once it has one.
    pub remote: Option<i32>,
    /// How many times it was released. It travels to the printer with the id, so that what the printer still lists of an
    /// earlier attempt is not taken for this one.
    #[serde(default)]
    pub attempt: u32,
    /// When the client announced it.
    pub created: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
}

impl Job {
    /// Whether somebody asked that it wait until it is released ([`HOLD_UNTIL`]).
    pub fn on_hold(&self) -> bool {
        self.options.get(HOLD_UNTIL).is_some_and(|until| until == INDEFINITE)
    }

    /// Who it is from, as surely as that is known: who signed in, else the name that the client gave (RFC 8011 §5.3.6).
    pub fn originator(&self) -> &str {
        self.signed_in.as_ref().map_or(&self.owner, |user| user.as_str())
    }
}

/// What is known of a job when a client announces it.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The queue it is printed to.
    pub queue: QueueName,
    /// The name that the client gave.
    pub owner: String,
    /// The user who signed in.
    pub signed_in: Option<UserName>,
    /// What the client calls it.
    pub name: String,
    /// The document's MIME type.
    pub format: String,
    /// What else the client asked for.
    pub options: BTreeMap<String, String>,
}

impl NewJob {
    /// The job as it begins: in state `receiving`, with this number, for who signed in, else for this user if
    /// the owner is known.
    pub fn announced(self, number: i32, named: Option<UserName>) -> Job {
        let now = Timestamp::now();
        Job {
            id: JobId::new(),
            number,
            queue: self.queue,
            owner: self.owner,
            user: self.signed_in.clone().or(named),
            signed_in: self.signed_in,
            name: self.name,
            format: self.format,
            bytes: 0,
            sha256: String::new(),
            options: self.options,
            state: JobState::Receiving,
            reason: "its document is arriving".to_owned(),
            doubtful: false,
            printer: None,
            device: None,
            remote: None,
            attempt: 0,
            created: now,
            changed: now,
        }
    }
}
