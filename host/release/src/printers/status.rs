//! How a printer is, in words for people and programs. Pure: made from what it said, or from why it said nothing.

use std::fmt;

use cardinal_domain::{event::Level, time::Timestamp};
use serde::{Deserialize, Serialize};

use super::trouble;
use crate::backends::ipp::attributes::{Abilities, Described};

/// `printer-state` (RFC 8011 §5.4.11).
const PROCESSING: i32 = 4;
const STOPPED: i32 = 5;
/// How many troubles are put into one sentence.
const MOST_IN_WORDS: usize = 3;

/// In which state a printer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrinterState {
    /// It was not looked at yet.
    #[default]
    Unknown,
    /// It could print.
    Idle,
    /// It is at work, for us or for somebody else.
    Printing,
    /// It stands still until somebody does something.
    Stopped,
    /// No connection with it can be made.
    Unreachable,
    /// It can be reached, but does not tell sensibly how it is. Jobs are sent to it all the same.
    Silent,
    /// It is a folder, which has no state.
    Folder,
}

impl PrinterState {
    /// Its name in the API and the CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Idle => "idle",
            Self::Printing => "printing",
            Self::Stopped => "stopped",
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::Folder => "folder",
        }
    }
}

impl fmt::Display for PrinterState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that is the matter with a printer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The printer's own keyword (`printer-state-reasons`), or one of ours: `unreachable`, `silent`, `stopped`,
    /// `not-accepting-jobs`.
    pub reason: String,
    /// How bad it is.
    pub level: Level,
    /// What it means, in words that follow the printer's name.
    pub words: String,
}

/// How a printer is, as of the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrinterStatus {
    /// In which state it is.
    pub state: PrinterState,
    /// What is the matter with it, the worst first.
    pub trouble: Vec<Trouble>,
    /// Whether it takes jobs. None: it does not tell.
    pub accepting: Option<bool>,
    /// What it says of its state, in its own words.
    pub message: String,
    /// How many jobs it has, ours and others'. None: it does not tell.
    pub queued: Option<u32>,
    /// Make and model.
    pub model: String,
    /// The version of its firmware.
    pub firmware: String,
    /// The document formats it takes. Empty: it does not tell.
    pub formats: Vec<String>,
    /// The wishes it tells that it knows, such as `sides` and `media`. Empty: it does not tell.
    pub options: Vec<String>,
    /// When it was last looked at.
    pub looked: Option<Timestamp>,
    /// When it last answered.
    pub answered: Option<Timestamp>,
    /// When its trouble last changed, or ended.
    pub since: Option<Timestamp>,
}

/// Whether a job can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// No connection can be made: why.
    Unreachable(String),
    /// It would only keep the job until somebody comes: why, in words that follow its name.
    NotYet(String),
}

impl PrinterStatus {
    pub(super) fn take(&mut self, told: &Described) {
        let now = Timestamp::now();
        (self.looked, self.answered) = (Some(now), Some(now));
        self.state = match told.state {
            Some(STOPPED) => PrinterState::Stopped,
            Some(PROCESSING) => PrinterState::Printing,
            _ => PrinterState::Idle,
        };
        self.accepting = told.accepting;
        self.message.clone_from(&told.message);
        self.queued = told.queued;
        self.trouble = told.reasons.iter().map(|reason| trouble::of(reason)).collect();
        if self.state == PrinterState::Stopped && !self.trouble.iter().any(|one| one.level == Level::Error) {
            self.trouble.push(trouble::own("stopped", Level::Error, "is stopped"));
        }
        if self.accepting == Some(false) {
            self.trouble.push(trouble::own("not-accepting-jobs", Level::Warning, "does not accept jobs"));
        }
        // In an order of ours: a printer that tells the same in another order has no other trouble.
        self.trouble.sort_by(|one, other| other.level.cmp(&one.level).then_with(|| one.reason.cmp(&other.reason)));
        self.trouble.dedup_by(|one, other| one.reason == other.reason);
    }

    pub(super) fn take_abilities(&mut self, abilities: &Abilities) {
        self.model.clone_from(&abilities.model);
        self.firmware.clone_from(&abilities.firmware);
        self.formats.clone_from(&abilities.formats);
        self.options = abilities.supported.keys().cloned().collect();
    }

    pub(super) fn fails(&mut self, state: PrinterState, why: String) {
        self.state = state;
        self.looked = Some(Timestamp::now());
        self.accepting = None;
        self.queued = None;
        let words = match state {
            PrinterState::Unreachable => format!("cannot be reached: {why}"),
            _ => format!("does not tell how it is: {why}"),
        };
        self.message = why;
        self.trouble = vec![trouble::own(state.as_str(), Level::Warning, &words)];
    }

    /// The trouble that is worth an event: reports are none.
    pub(super) fn told(&self) -> impl Iterator<Item = &Trouble> {
        self.trouble.iter().filter(|one| one.level >= Level::Warning)
    }

    /// What keeps jobs at this printer waiting, in words that follow its name. None: nothing that it tells of.
    pub(crate) fn holds_up(&self) -> Option<String> {
        let stopped = self.state == PrinterState::Stopped;
        let holds = |one: &&Trouble| {
            one.level == Level::Error
                || (one.level == Level::Warning && trouble::stops(&one.reason))
                || ["unreachable", "not-accepting-jobs"].contains(&one.reason.as_str())
                || (stopped && one.level == Level::Warning)
        };
        let words: Vec<_> =
            self.trouble.iter().filter(holds).take(MOST_IN_WORDS).map(|one| one.words.as_str()).collect();
        (!words.is_empty()).then(|| words.join(" and "))
    }

    /// Whether a job can be sent now. Only a printer that says that it stands still, or takes nothing, is waited for: one
    /// that has run out of one sort of paper prints on from another tray.
    pub(crate) fn readiness(&self) -> Readiness {
        match self.state {
            PrinterState::Unreachable => Readiness::Unreachable(self.message.clone()),
            _ if self.state == PrinterState::Stopped || self.accepting == Some(false) => {
                Readiness::NotYet(self.holds_up().unwrap_or_else(|| "is stopped".to_owned()))
            }
            _ => Readiness::Ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: i32, accepting: bool, reasons: &[&str]) -> PrinterStatus {
        let mut status = PrinterStatus::default();
        status.take(&Described {
            state: Some(state),
            accepting: Some(accepting),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            ..Described::default()
        });
        status
    }

    #[test]
    fn a_printer_that_stands_still_is_waited_for_and_no_other() {
        for (state, accepting, reasons, words) in [
            (3, true, &[][..], None),
            (4, true, &["toner-low-report"], None),
            // One of several trays.
            (3, true, &["media-empty-warning"], None),
            (5, true, &["media-empty-error"], Some("is out of paper")),
            (5, true, &["media-empty-warning"], Some("is stopped and is out of paper")),
            (5, true, &[], Some("is stopped")),
            (3, false, &[], Some("does not accept jobs")),
            (
                5,
                false,
                &["cover-open", "media-jam-error"],
                Some("has a cover open and has a paper jam and does not accept jobs"),
            ),
        ] {
            let wanted = words.map_or(Readiness::Ready, |words| Readiness::NotYet(words.to_owned()));
            assert_eq!(status(state, accepting, reasons).readiness(), wanted, "{reasons:?}");
        }
        let mut off = PrinterStatus::default();
        off.fails(PrinterState::Unreachable, "Connection refused".to_owned());
        assert_eq!(off.readiness(), Readiness::Unreachable("Connection refused".to_owned()));
        off.fails(PrinterState::Silent, "rubbish".to_owned());
        assert_eq!((off.readiness(), off.holds_up()), (Readiness::Ready, None));
    }

    #[test]
    fn jobs_are_told_what_holds_them_up() {
        for (state, reasons, words) in [
            (4, &["media-empty-warning"][..], Some("is out of paper")),
            (4, &["door-open"], Some("has a door open")),
            (4, &["toner-low-warning"], None),
            (4, &["spool-area-full-report"], None),
        ] {
            assert_eq!(status(state, true, reasons).holds_up().as_deref(), words, "{reasons:?}");
        }
    }

    #[test]
    fn the_same_trouble_in_another_order_is_the_same() {
        let one = status(5, true, &["toner-low-warning", "media-jam", "door-open"]);
        let other = status(5, true, &["door-open", "media-jam", "toner-low-warning", "door-open"]);
        assert_eq!(one.trouble, other.trouble);
        let levels: Vec<_> = one.trouble.iter().map(|one| one.level).collect();
        assert_eq!(levels, [Level::Error, Level::Error, Level::Warning]);
    }
}
