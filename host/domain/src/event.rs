//! Events: every step of a swipe and of a job, stored, shown and counted.
//!
//! The table below is the only list of event kinds; `docs/events.md` is made from it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    names::{DeviceName, JobId, ReaderName, TraceId, UserName},
    time::Timestamp,
};

/// How much an event matters to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Info,
    /// Something to look at.
    Warning,
    /// Something is broken.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

macro_rules! kinds {
    ($($variant:ident $name:literal $level:ident $help:literal)*) => {
        /// What an event tells of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $(#[doc = $help] #[serde(rename = $name)] $variant,)*
        }

        impl EventKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the API and in the documentation.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How much it matters.
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)* }
            }

            /// What it means, in a line.
            pub fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

kinds! {
    HostStarted       "host.started"        Info    "The host is up; its listeners are open."
    HostStopped       "host.stopped"        Info    "The host ended in an orderly way."
    TlsReloaded       "tls.reloaded"        Info    "The files of the host's certificate changed and were read again."
    TlsRefused        "tls.refused"         Error   "The new files of the host's certificate cannot be used; the one before is kept."
    TlsExpires        "tls.expires"         Warning "The host's certificate ends within 30 days, or has ended; told once a day."
    SyncStarted       "sync.started"        Info    "A sync began to read its sources."
    SyncProgress      "sync.progress"       Info    "A sync is reading; the facts say how many entries of how many, every ten seconds."
    SyncPlanned       "sync.planned"        Info    "A sync read everything and says what it would change; nothing has changed."
    SyncHeld          "sync.held"           Warning "A sync would change more than passes without a word; it waits for approval."
    SyncApplied       "sync.applied"        Info    "A sync changed users and groups; the facts say how many."
    SyncFailed        "sync.failed"         Error   "A sync could not read everything, so it changed nothing; the message says what to do."
    SyncUndone        "sync.undone"         Warning "What a sync had changed was taken back."
    SiteChanged       "site.changed"        Info    "A user, printer, queue, device, reader or config key was added, changed or removed."
    DriverInstalled   "driver.installed"    Info    "A driver was inspected, compiled, described and installed."
    DriverRefused     "driver.refused"      Error   "A driver file was not accepted; the message says why."
    DriverRemoved     "driver.removed"      Info    "A driver was removed."
    PublisherTrusted  "publisher.trusted"   Info    "A key is trusted for the drivers of a vendor."
    PublisherWithdrawn "publisher.withdrawn" Warning "A key is not trusted any more; drivers that it alone signed are not run."
    ReaderConnected   "reader.connected"    Info    "A connection with the reader stands."
    ReaderUnreachable "reader.unreachable"  Warning "The reader could not be reached; told once, then the host goes on trying quietly."
    ReaderDisconnected "reader.disconnected" Warning "The connection with the reader ended; the message says why."
    ReaderStatus      "reader.status"       Info    "The driver reports another health of the reader."
    ReaderLog         "reader.log"          Info    "A line of log from the reader's driver."
    ReaderMisconfigured "reader.misconfigured" Error "The reader cannot be run as it is configured; the message says what to change."
    ReaderThrottled   "reader.throttled"    Warning "The reader sends more than is taken from one reader; the host reads more slowly from it until the flood is over."
    ReaderRotated     "reader.rotated"      Info    "A reader's callback address has another secret; the one before is good until the overlap ends."
    CaptureStarted    "capture.started"     Warning "Somebody captures what a reader says, card numbers included, for a time; the facts say who and which capture."
    CaptureEnded      "capture.ended"       Info    "A capture ended; the message says why. An error where it could not be written."
    CaptureRemoved    "capture.removed"     Info    "A capture was removed, by somebody or because it was kept for long enough."
    CallRefused       "call.refused"        Warning "An HTTP call to the readers' listener was refused: it shows no secret in use, or comes from another address than its reader's, or over plain HTTP although its reader is not configured so. Once a minute for an address."
    TerminalRefused   "terminal.refused"    Warning "A terminal that dialled a listening port was turned away: it is no reader's address, its token is wrong, or TLS failed. Once a minute for an address."
    ReaderUnthrottled "reader.unthrottled"  Info    "The flood of a reader that was throttled is over."
    DriverFault       "driver.fault"        Error   "A driver ended a session with a fault of its own."
    DriverTrapped     "driver.trapped"      Error   "A driver trapped; its session and connection ended and are made anew."
    DriverBound       "driver.bound"        Error   "A driver crossed a bound, which is named; its session and connection ended and are made anew."
    DriverQuarantined "driver.quarantined"  Error   "A driver failed too often on a reader and is not started there, until it is freed or another version is to run."
    DriverFreed       "driver.freed"        Info    "A reader whose driver was quarantined is served again."
    DriverKept        "driver.kept"         Warning "A reader's session stays in its version of the driver: the other one failed, or refused its state."
    DriverSwap        "driver.swap"         Info    "A swap to another version of a driver began, reached its next stage, or is done."
    DriverSwapBack    "driver.swap-back"    Error   "A swap was rolled back: the readers run the version before again; the message says why."
    DriverLate        "driver.late"         Warning "An answer came for something that is no longer known; it was dropped."
    CardRead          "card.read"           Info    "A card was shown at a reader. The number is masked."
    CardUnreadable    "card.unreadable"     Warning "What the reader sent is no card number after conversion."
    CardUnknown       "card.unknown"        Warning "No user has this card. The number is masked, and whole in a fact where events.show-unknown-card-numbers is Y."
    CardMatched       "card.matched"        Info    "The card belongs to this user."
    VerdictGiven      "verdict.given"       Info    "The decision about a card is committed; the reader is told next."
    VerdictLate       "verdict.late"        Warning "The reader's session had ended before the verdict could be told."
    SignInRefused     "sign-in.refused"     Warning "Sign-ins at a queue fail; told at most once a minute for each address, without the names tried."
    DnsSdTrouble      "dns-sd.trouble"      Warning "Print queues are not announced on the network, or not under their name; the message says why."
    PrinterIdentify   "printer.identify"    Info    "A client asked a queue to show which one it is (IPP Identify-Printer)."
    JobRefused        "job.refused"         Warning "A job was not taken; the message says why."
    JobHeld           "job.held"            Info    "A job was received whole and is held."
    JobOnHold         "job.on-hold"         Info    "Somebody put a job on hold, or took it off hold again."
    JobReleasing      "job.releasing"       Info    "A job was chosen for a printer; it is committed, not yet sent."
    JobSending        "job.sending"         Info    "The document is being sent to the printer."
    JobPrinting       "job.printing"        Info    "The printer has taken the whole document."
    JobDelivered      "job.delivered"       Info    "The printer says that the job is done."
    JobOptionsLacking "job.options-lacking" Warning "The printer lacks something that the job asks for; it is printed without that."
    JobReturned       "job.returned"        Warning "A job went back to held; the message says why."
    JobRetried        "job.retried"         Warning "A job that passes straight on could not be delivered yet; it is tried again."
    JobCancelled      "job.cancelled"       Info    "A job was cancelled and its document deleted."
    JobRecovered      "job.recovered"       Warning "A job's row was rebuilt from the spool at start-up."
    PrinterTrouble    "printer.trouble"     Warning "A printer has trouble, or other trouble than before; an error where it keeps it from printing."
    PrinterRecovered  "printer.recovered"   Info    "A printer has no trouble any more."
    SpoolRubbish      "spool.rubbish"       Warning "A file in the spool belongs to no job received whole; it was removed."
    RetentionCleaned  "retention.cleaned"   Info    "Old events and jobs at their end were deleted, as `[retention]` in cardinal.toml says; the counts are in the facts."
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for EventKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|kind| kind.name() == name).copied().ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("no event kind {name:?}{}", crate::nearest::nearest(name, &known))
        })
    }
}

/// What an event says, before the store gives it its place in the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBody {
    /// When it happened.
    pub at: Timestamp,
    /// What ties it to the other events of the same swipe or job.
    pub trace: TraceId,
    /// What it tells of.
    pub kind: EventKind,
    /// How much it matters.
    pub level: Level,
    /// The reader concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<ReaderName>,
    /// The device concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceName>,
    /// The user concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// The job concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// In words.
    pub message: String,
    /// Whatever else is worth knowing, such as the driver's version or the bound crossed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl EventBody {
    /// An event of this kind, now.
    pub fn new(trace: TraceId, kind: EventKind, message: impl Into<String>) -> Self {
        Self {
            at: Timestamp::now(),
            trace,
            kind,
            level: kind.level(),
            reader: None,
            device: None,
            user: None,
            job: None,
            message: message.into(),
            facts: BTreeMap::new(),
        }
    }

    /// With another level than the kind's own.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Of this reader.
    #[must_use]
    pub fn reader(mut self, reader: &ReaderName) -> Self {
        self.reader = Some(reader.clone());
        self
    }

    /// Of this device.
    #[must_use]
    pub fn device(mut self, device: &DeviceName) -> Self {
        self.device = Some(device.clone());
        self
    }

    /// Of this user.
    #[must_use]
    pub fn user(mut self, user: &UserName) -> Self {
        self.user = Some(user.clone());
        self
    }

    /// Of this job.
    #[must_use]
    pub fn job(mut self, job: JobId) -> Self {
        self.job = Some(job);
        self
    }

    /// With one more fact.
    #[must_use]
    pub fn fact(mut self, key: &str, value: impl Into<String>) -> Self {
        self.facts.insert(key.to_owned(), value.into());
        self
    }
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the order in which events were committed; no number is ever used twice.
    pub seq: i64,
    /// What it says.
    #[serde(flatten)]
    pub body: EventBody,
}

/// `docs/events.md`, made from the table.
pub fn documentation() -> String {
    let mut text = String::from(
        "# Events\n\nEvery step of a swipe and of a job is an event. `cardinal event list` and `cardinal event tail` show them, \
         and `trace` ties together all events of one swipe or one job.\n\n\
         This page is made from the table in `host/domain/src/event.rs`; `CARDINAL_BLESS=1 cargo test -p cardinal-domain` writes it anew.\n\n\
         | kind | level | meaning |\n| --- | --- | --- |\n",
    );
    for kind in EventKind::ALL {
        text.push_str(&format!("| `{}` | {} | {} |\n", kind.name(), kind.level(), kind.help()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_table() {
        crate::blessed::check("docs/events.md", &documentation());
    }

    #[test]
    fn json_names_are_the_tables_names() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(kind.name().parse::<EventKind>().unwrap(), *kind);
        }
    }
}
