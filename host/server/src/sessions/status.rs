//! How a reader is, as the API and the command line show it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cardinal_domain::{
    card,
    driver::{CardRead, Health, Status, VerdictCode},
    site::Reader,
    time::Timestamp,
};
use cardinal_runtime::Driver;
use serde::{Deserialize, Serialize};

/// Where a reader's session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It cannot be run as configured; `last_error` says what to change.
    Misconfigured,
    /// Its driver failed too often and is not started; `last_error` says why.
    Quarantined,
    /// A connection is being made, or waited for.
    Connecting,
    /// A connection stands. Over HTTP, where none does: its driver is at work. Whether the reader itself answers is then
    /// what the driver reports as its health.
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
    /// When it was last heard of: bytes or a call from it, or its answer to a fetch.
    #[serde(default)]
    pub last_seen: Option<Timestamp>,
    /// Since when is counted: since the host started, or the reader was changed or begun anew.
    pub since: Timestamp,
    /// How many connections there were since then; over HTTP, how often its driver began anew.
    pub connects: u64,
    /// How many cards it showed since then.
    pub cards: u64,
    /// When it showed the last one.
    pub last_card: Option<Timestamp>,
    /// The number of that card as the reader said it, masked.
    #[serde(default)]
    pub last_card_masked: Option<String>,
    /// Since when it is read more slowly, because it sends too much; none while it does not.
    #[serde(default)]
    pub throttled: Option<Timestamp>,
    /// How often that was since then.
    #[serde(default)]
    pub throttles: u64,
    /// Whether its driver is saved and has no instance until something happens.
    #[serde(default)]
    pub asleep: bool,
    /// How many cards nobody has, or could not be decided about, since then.
    #[serde(default)]
    pub rejected: u64,
    /// How often its driver failed since then: a trap, a crossed bound, a fault.
    #[serde(default)]
    pub faults: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
    /// What is not as it should be for as long as the reader is configured like this.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl ReaderStatus {
    /// What keeps people from using it, or soon may; none: it is well.
    pub fn trouble(&self) -> Option<String> {
        let reason = |otherwise: &str| {
            let reason = if self.reason.is_empty() { otherwise } else { &self.reason };
            Some(reason.to_owned())
        };
        match (self.phase, self.health) {
            (Phase::Misconfigured | Phase::Quarantined, _) => Some(self.last_error.clone().unwrap_or_default()),
            (Phase::Connecting, _) => {
                let why = self.last_error.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                Some(format!("there is no connection with it{why}"))
            }
            (Phase::Online, Some(Health::Error)) => reason("its driver says that it does not work"),
            (Phase::Online, Some(Health::Degraded)) => reason("its driver says that something is wrong with it"),
            (Phase::Online, _) if self.throttled.is_some() => {
                Some("it sends too much, and is read more slowly".to_owned())
            }
            (Phase::Online, _) => None,
        }
    }
}

/// The status of one reader, shared between its task and whoever asks.
#[derive(Clone)]
pub(super) struct StatusCell(Arc<Mutex<Cell>>);

struct Cell {
    status: ReaderStatus,
    /// The commands that the reader's mode takes.
    commands: Vec<String>,
    /// Of the driver's file.
    digest: String,
}

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
            last_seen: None,
            since: Timestamp::now(),
            connects: 0,
            cards: 0,
            last_card: None,
            last_card_masked: None,
            throttled: None,
            throttles: 0,
            asleep: false,
            rejected: 0,
            faults: 0,
            last_error: None,
            last_error_at: None,
            warnings: Vec::new(),
        };
        Self(Arc::new(Mutex::new(Cell { status, commands: Vec::new(), digest: String::new() })))
    }

    pub(super) fn get(&self) -> ReaderStatus {
        self.lock().status.clone()
    }

    /// The commands that the reader's mode takes.
    pub(super) fn commands(&self) -> Vec<String> {
        self.lock().commands.clone()
    }

    /// The digest of the driver's file, empty while that is looked up; none while it has no session.
    pub(super) fn digest(&self) -> Option<String> {
        let cell = self.lock();
        (cell.status.phase == Phase::Online).then(|| cell.digest.clone())
    }

    /// The driver that runs it, or did last: with its version, and its digest.
    pub(super) fn driver(&self) -> (String, String) {
        let cell = self.lock();
        (cell.status.driver.clone(), cell.digest.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Cell> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut ReaderStatus)) {
        change(&mut self.lock().status);
    }

    pub(super) fn runs(&self, driver: &Driver, commands: Vec<String>) {
        let mut cell = self.lock();
        cell.status.driver = driver.label();
        cell.status.asleep = false;
        driver.digest().clone_into(&mut cell.digest);
        cell.commands = commands;
    }

    /// A session is about to begin. It runs nothing before [`runs`](Self::runs) says what.
    pub(super) fn online(&self, peer: String) {
        let mut cell = self.lock();
        cell.digest.clear();
        let status = &mut cell.status;
        status.phase = Phase::Online;
        status.peer = Some(peer);
        status.warnings.clear();
        status.connected = Some(Timestamp::now());
        status.connects += 1;
        status.facts.clear();
        status.health = None;
        status.reason.clear();
        status.asleep = false;
    }

    pub(super) fn offline(&self, error: &str) {
        self.fails(Phase::Connecting, error);
    }

    pub(super) fn quarantined(&self, error: &str) {
        self.fails(Phase::Quarantined, error);
    }

    pub(super) fn misconfigured(&self, error: &str) {
        self.fails(Phase::Misconfigured, error);
    }

    fn fails(&self, phase: Phase, error: &str) {
        self.change(|status| {
            status.phase = phase;
            status.peer = None;
            status.connected = None;
            status.asleep = false;
            status.last_error = Some(error.to_owned());
            status.last_error_at = Some(Timestamp::now());
        });
    }

    pub(super) fn card(&self, read: &CardRead) {
        // Bits have no last characters that would tell anybody anything.
        let masked = card::mask(read.number.as_deref().unwrap_or_default());
        self.change(|status| {
            status.cards += 1;
            status.last_card = Some(Timestamp::now());
            status.last_card_masked = Some(masked);
        });
    }

    /// What became of a card.
    pub(super) fn decided(&self, code: VerdictCode) {
        if matches!(code, VerdictCode::UnknownCard | VerdictCode::Failed) {
            self.change(|status| status.rejected += 1);
        }
    }

    /// Its driver sleeps, or is awake.
    pub(super) fn asleep(&self, asleep: bool) {
        self.change(|status| status.asleep = asleep);
    }

    /// Its driver failed: which one that was, and the digest of its file.
    pub(super) fn failed(&self) -> (String, String) {
        let mut cell = self.lock();
        cell.status.faults += 1;
        (cell.status.driver.clone(), cell.digest.clone())
    }

    /// The reader was heard of.
    pub(super) fn seen(&self) {
        self.change(|status| status.last_seen = Some(Timestamp::now()));
    }

    /// Something to be warned of for as long as this session lasts.
    pub(super) fn warn(&self, warning: Option<&str>) {
        self.change(|status| status.warnings.extend(warning.map(str::to_owned)));
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
        let mut cell = self.lock();
        let status = &mut cell.status;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_says_what_is_wrong_now_and_nothing_of_what_was() {
        let spec = serde_json::json!({ "name": "r", "driver": "test/d", "mode": "m", "address": "a", "device": "d" });
        let cell = StatusCell::new(&serde_json::from_value(spec).unwrap());
        let trouble = || cell.get().trouble();
        assert_eq!(trouble().as_deref(), Some("there is no connection with it"));
        cell.misconfigured("the driver is not installed");
        assert_eq!(trouble().as_deref(), Some("the driver is not installed"));
        cell.offline("refused");
        assert_eq!(trouble().as_deref(), Some("there is no connection with it: refused"));
        cell.online("10.0.0.1".to_owned());
        cell.warn(Some("plain"));
        assert_eq!((trouble(), cell.get().warnings), (None, vec!["plain".to_owned()]));
        let report = |health, reason: &str| Status { health, reason: reason.to_owned(), facts: Vec::new() };
        cell.reported(&report(Health::Error, "firmware 2.03 is too old"), 1);
        assert_eq!(trouble().as_deref(), Some("firmware 2.03 is too old"));
        cell.reported(&report(Health::Degraded, ""), 1);
        assert_eq!(trouble().as_deref(), Some("its driver says that something is wrong with it"));
        cell.reported(&report(Health::Online, ""), 1);
        cell.throttled();
        assert!(trouble().is_some_and(|trouble| trouble.contains("too much")));
        cell.unthrottled();
        assert_eq!(trouble(), None);
        cell.online("10.0.0.1".to_owned());
        assert!(cell.get().warnings.is_empty());
    }

    #[test]
    fn a_card_is_shown_masked() {
        let spec = serde_json::json!({ "name": "r", "driver": "test/d", "mode": "m", "address": "a", "device": "d" });
        let cell = StatusCell::new(&serde_json::from_value(spec).unwrap());
        let number = Some("5235092385".to_owned());
        cell.card(&CardRead { swipe: 1, number, bits: None, technology: None, port: 0, facts: Vec::new() });
        assert_eq!(cell.get().last_card_masked.as_deref(), Some("***85"));
    }
}
