//! How a reader is, as the API and the command line show it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use cardinal_domain::{
    driver::{Health, Status},
    site::Reader,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Where a reader's session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It cannot be run as configured; `last_error` says what to change.
    Misconfigured,
    /// A connection is being made, or waited for.
    Connecting,
    /// A connection stands.
    Online,
}

/// How a reader is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderStatus {
    /// Where its session stands.
    pub phase: Phase,
    /// The driver that runs it, with its version.
    pub driver: String,
    /// The health its driver reports, once it does.
    pub health: Option<Health>,
    /// Why.
    pub reason: String,
    /// What the driver knows of the reader, such as `version`.
    pub facts: BTreeMap<String, String>,
    /// The address at the other end.
    pub peer: Option<String>,
    /// When the connection was made.
    pub connected: Option<Timestamp>,
    /// How many connections there were since the host started.
    pub connects: u64,
    /// How many cards it showed since the host started.
    pub cards: u64,
    /// When it showed the last one.
    pub last_card: Option<Timestamp>,
    /// Since when it is read more slowly, because it sends too much; none while it does not.
    #[serde(default)]
    pub throttled: Option<Timestamp>,
    /// How often that was since the host started.
    #[serde(default)]
    pub throttles: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
}

/// The status of one reader, shared between its task and whoever asks.
#[derive(Clone)]
pub(super) struct StatusCell(Arc<Mutex<(ReaderStatus, Vec<String>)>>);

impl StatusCell {
    pub(super) fn new(spec: &Reader) -> Self {
        let status = ReaderStatus {
            phase: Phase::Connecting,
            driver: spec.driver.to_string(),
            health: None,
            reason: String::new(),
            facts: BTreeMap::new(),
            peer: None,
            connected: None,
            connects: 0,
            cards: 0,
            last_card: None,
            throttled: None,
            throttles: 0,
            last_error: None,
            last_error_at: None,
        };
        Self(Arc::new(Mutex::new((status, Vec::new()))))
    }

    pub(super) fn get(&self) -> ReaderStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// The commands that the reader's mode takes.
    pub(super) fn commands(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn change(&self, change: impl FnOnce(&mut ReaderStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0);
    }

    pub(super) fn runs(&self, driver: String, commands: Vec<String>) {
        let mut cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cell.0.driver = driver;
        cell.1 = commands;
    }

    pub(super) fn online(&self, peer: String) {
        self.change(|status| {
            status.phase = Phase::Online;
            status.peer = Some(peer);
            status.connected = Some(Timestamp::now());
            status.connects += 1;
            status.facts.clear();
            status.health = None;
            status.reason.clear();
        });
    }

    pub(super) fn offline(&self, error: &str) {
        self.fails(Phase::Connecting, error);
    }

    pub(super) fn misconfigured(&self, error: &str) {
        self.fails(Phase::Misconfigured, error);
    }

    fn fails(&self, phase: Phase, error: &str) {
        self.change(|status| {
            status.phase = phase;
            status.peer = None;
            status.connected = None;
            status.last_error = Some(error.to_owned());
            status.last_error_at = Some(Timestamp::now());
        });
    }

    pub(super) fn card(&self) {
        self.change(|status| {
            status.cards += 1;
            status.last_card = Some(Timestamp::now());
        });
    }

    /// A flood began.
    pub(super) fn throttled(&self) {
        self.change(|status| {
            status.throttled = Some(Timestamp::now());
            status.throttles += 1;
        });
    }

    /// A flood is over.
    pub(super) fn unthrottled(&self) {
        self.change(|status| status.throttled = None);
    }

    /// What the driver reports, of which this many facts are kept: they add up over a session, and a driver may go mad.
    /// True: the health is another than before, which is worth an event.
    pub(super) fn reported(&self, report: &Status, most_facts: usize) -> bool {
        let mut cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = &mut cell.0;
        let news = status.health != Some(report.health) || status.reason != report.reason;
        status.health = Some(report.health);
        status.reason.clone_from(&report.reason);
        for (key, value) in &report.facts {
            if value.is_empty() {
                status.facts.remove(key);
            } else if status.facts.len() < most_facts || status.facts.contains_key(key) {
                status.facts.insert(cut(key), cut(value));
            }
        }
        news
    }
}

/// The longest part of a fact that is kept, in characters: it is for people to read.
const LONGEST_FACT: usize = 1_024;

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_FACT).collect()
}
