//! What the release engine is told at its start: two folders, and its bounds.

use std::{path::PathBuf, sync::Arc, time::Duration};

use cardinal_domain::{
    bounds::{BoundsError, in_range},
    bounds_table,
};

use crate::SignIn;

/// Where the release engine keeps things, and its bounds.
#[derive(Debug, Clone)]
pub struct ReleaseOptions {
    /// The folder of the documents. Made if it is not there; nobody else may read it.
    pub spool: PathBuf,
    /// What a relative path in a `folder:` address is relative to.
    pub base: PathBuf,
    /// A PEM file with certificates of authorities that vouch for printers (`ipps://`), besides the system's.
    pub authorities: Option<PathBuf>,
    /// Bounds and times.
    pub limits: ReleaseLimits,
    /// What the queues tell clients of the host around them, and who checks their passwords.
    pub serving: Serving,
}

/// What the release engine knows of the host that serves its router.
#[derive(Debug, Clone, Default)]
pub struct Serving {
    /// Checks names and passwords. None: queues that ask for a sign-in let nobody in.
    pub sign_in: Option<Arc<dyn SignIn>>,
    /// The port of the listener without TLS, to be told to clients that came over TLS. None: it is not for them.
    pub ipp_port: Option<u16>,
    /// The port of the listener with TLS, to be told to all clients. None: there is none.
    pub ipps_port: Option<u16>,
    /// A random number that is this host's for ever: the `printer-uuid` of each queue is made from it and the queue's name.
    pub host_id: [u8; 16],
    /// What this machine calls itself, a name without dots: part of the names under which queues are announced.
    pub machine: String,
}

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;

bounds_table! {
    /// Bounds and times of the release engine: `[release]` in `cardinal.toml`.
    ReleaseLimits,
    /// The table behind [`ReleaseLimits`].
    RELEASE_LIMITS:

    max_document_bytes = 2 * GIB, "bytes", "The largest document taken.";
    max_head_bytes = 256 * KIB, "bytes", "The largest part of an IPP message before the document, from clients and printers alike.";
    max_requests = 256, "requests", "IPP requests served at the same time, at most a quarter of them for one client address; more are told to come back.";
    max_announced = 1_024, "jobs", "Jobs that are announced (Create-Job) and still wait for their document.";
    head_timeout_s = 30, "s", "How long a client may take for the part before the document.";
    stall_timeout_s = 120, "s", "How long a document may make no progress on its way in.";
    send_stall_timeout_s = 3_600, "s", "How long a document may make no progress on its way out: a printer that is out of paper takes nothing until somebody has filled it.";
    multiple_operation_timeout_s = 300, "s", "How long an announced job waits for its document.";
    connect_timeout_s = 10, "s", "How long connecting with a printer may take.";
    answer_timeout_s = 60, "s", "How long a printer may take to answer.";
    poll_first_ms = 250, "ms", "How soon a printer is first asked about a job it took; the pause doubles from there.";
    poll_longest_ms = 2_000, "ms", "The longest pause between such questions in the first minute of a job.";
    poll_slow_ms = 30_000, "ms", "The longest pause between them from then on, so that many long jobs do not keep a small printer busy with answering.";
    silence_timeout_s = 300, "s", "How long a printer that has a job may be unreachable before the job counts as \"may have printed\".";
    printing_timeout_s = 86_400, "s", "How long a printer may take to print a job it has: paper may be out over night.";
    busy_timeout_s = 300, "s", "How long a printer that says it is busy is waited for.";
    retry_first_ms = 1_000, "ms", "For queues that do not hold: the pause before the first retry; it doubles each time.";
    retry_longest_ms = 60_000, "ms", "For queues that do not hold: the longest pause between retries.";
    ready_timeout_s = 120, "s", "How long a released job waits for a printer that is stopped (out of paper, a door open, paused) or takes no jobs, counted from its release; then it is held again, so that it does not come out with nobody there. Queues that do not hold go on trying.";
    turn_timeout_s = 900, "s", "How long a released job waits for its turn behind other jobs at one printer; then it is held again.";
    max_line = 1_000, "jobs", "How many jobs wait in line at one printer in memory; more wait in the store.";
    attributes_fresh_s = 900, "s", "How long what a printer says it can do counts as known, if it does not say itself that it has changed; and how long a printer that tells nothing of itself is not asked again.";
    printer_poll_s = 300, "s", "How often a printer without jobs is looked at, so that its trouble is known before somebody stands there. 3,000 printers are ten questions a second. 0: never; then a printer is looked at only while it has jobs.";
    attended_s = 120, "s", "How long somebody who showed a card counts as standing at the printer: what was released no longer ago, and not sent when the host stopped, goes out at its next start; what is older waits for another card.";
    shutdown_timeout_s = 20, "s", "How long a shutdown waits for transfers to end.";
}

/// No bound here counts more than this, so that no sum of times overflows: a year of milliseconds.
const YEAR_MS: u64 = 366 * 24 * 3_600_000;
const YEAR_S: u64 = YEAR_MS / 1_000;

impl ReleaseLimits {
    /// Whether the engine can work within these. A 0 never means "without a bound"; `printer_poll_s = 0` means never.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), BoundsError> {
        let seconds = |name, value| in_range(name, value, 1, YEAR_S, "");
        let pause = |name, value, least, because| in_range(name, value, least, YEAR_MS, because);
        in_range("max_document_bytes", self.max_document_bytes, 1, 1 << 50, "")?;
        in_range("max_head_bytes", self.max_head_bytes, KIB, 64 * KIB * KIB, "")?;
        in_range("max_requests", self.max_requests, 1, 100_000, "")?;
        in_range("max_announced", self.max_announced, 1, 1_000_000, "")?;
        seconds("head_timeout_s", self.head_timeout_s)?;
        seconds("stall_timeout_s", self.stall_timeout_s)?;
        seconds("send_stall_timeout_s", self.send_stall_timeout_s)?;
        seconds("multiple_operation_timeout_s", self.multiple_operation_timeout_s)?;
        seconds("connect_timeout_s", self.connect_timeout_s)?;
        seconds("answer_timeout_s", self.answer_timeout_s)?;
        pause("poll_first_ms", self.poll_first_ms, SHORTEST_MS, "")?;
        pause("poll_longest_ms", self.poll_longest_ms, self.poll_first_ms, "; poll_first_ms says so")?;
        pause("poll_slow_ms", self.poll_slow_ms, self.poll_longest_ms, "; poll_longest_ms says so")?;
        seconds("silence_timeout_s", self.silence_timeout_s)?;
        seconds("printing_timeout_s", self.printing_timeout_s)?;
        seconds("busy_timeout_s", self.busy_timeout_s)?;
        pause("retry_first_ms", self.retry_first_ms, SHORTEST_MS, "")?;
        pause("retry_longest_ms", self.retry_longest_ms, self.retry_first_ms, "; retry_first_ms says so")?;
        seconds("ready_timeout_s", self.ready_timeout_s)?;
        seconds("turn_timeout_s", self.turn_timeout_s)?;
        in_range("max_line", self.max_line, 1, 1_000_000, "")?;
        seconds("attributes_fresh_s", self.attributes_fresh_s)?;
        in_range("printer_poll_s", self.printer_poll_s, 0, YEAR_S, "")?;
        seconds("attended_s", self.attended_s)?;
        seconds("shutdown_timeout_s", self.shutdown_timeout_s)
    }

    pub(crate) fn head_timeout(&self) -> Duration {
        Duration::from_secs(self.head_timeout_s)
    }

    pub(crate) fn stall_timeout(&self) -> Duration {
        Duration::from_secs(self.stall_timeout_s)
    }

    pub(crate) fn send_stall_timeout(&self) -> Duration {
        Duration::from_secs(self.send_stall_timeout_s)
    }

    pub(crate) fn announced_timeout(&self) -> Duration {
        Duration::from_secs(self.multiple_operation_timeout_s)
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_s)
    }

    pub(crate) fn answer_timeout(&self) -> Duration {
        Duration::from_secs(self.answer_timeout_s)
    }

    pub(crate) fn silence_timeout(&self) -> Duration {
        Duration::from_secs(self.silence_timeout_s)
    }

    pub(crate) fn printing_timeout(&self) -> Duration {
        Duration::from_secs(self.printing_timeout_s)
    }

    pub(crate) fn busy_timeout(&self) -> Duration {
        Duration::from_secs(self.busy_timeout_s)
    }

    pub(crate) fn ready_timeout(&self) -> Duration {
        Duration::from_secs(self.ready_timeout_s)
    }

    pub(crate) fn turn_timeout(&self) -> Duration {
        Duration::from_secs(self.turn_timeout_s)
    }

    pub(crate) fn attributes_fresh(&self) -> Duration {
        Duration::from_secs(self.attributes_fresh_s)
    }

    /// None: printers without jobs are not looked at.
    pub(crate) fn printer_poll(&self) -> Option<Duration> {
        (self.printer_poll_s > 0).then(|| Duration::from_secs(self.printer_poll_s))
    }

    pub(crate) fn attended(&self) -> Duration {
        Duration::from_secs(self.attended_s)
    }

    pub(crate) fn shutdown_timeout(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout_s)
    }

    /// The pauses between questions to a printer.
    pub(crate) fn polling(&self) -> Pauses {
        Pauses::new(self.poll_first_ms, self.poll_longest_ms)
    }

    /// The longest of these in the first minute.
    pub(crate) fn longest_polling(&self) -> Duration {
        Duration::from_millis(self.poll_longest_ms)
    }

    /// The longest of these once a job takes its time.
    pub(crate) fn slow_polling(&self) -> Duration {
        Duration::from_millis(self.poll_slow_ms)
    }

    /// The pauses between looks at a printer that a released job waits for: somebody stands there.
    pub(crate) fn waiting(&self) -> Pauses {
        Pauses::new(self.retry_first_ms, self.retry_longest_ms.min(LONGEST_WAITING_MS))
    }

    /// The pauses between retries.
    pub(crate) fn retrying(&self) -> Pauses {
        Pauses::new(self.retry_first_ms, self.retry_longest_ms)
    }
}

/// Pauses that double up to a longest one, each with up to a quarter more so that hosts do not knock in step.
#[derive(Debug, Clone)]
pub(crate) struct Pauses {
    first: Duration,
    next: Duration,
    longest: Duration,
}

/// Nobody stands at a printer that has paper again for longer than this before it prints.
const LONGEST_WAITING_MS: u64 = 5_000;

/// No pause is shorter than this: a pause of nothing would be a busy loop.
const SHORTEST_MS: u64 = 10;

impl Pauses {
    fn new(first_ms: u64, longest_ms: u64) -> Self {
        let first = Duration::from_millis(first_ms.max(SHORTEST_MS));
        Self { first, next: first, longest: Duration::from_millis(longest_ms).max(first) }
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause.mul_f64(1.0 + rand::random::<f64>() / 4.0)
    }

    /// The first of them.
    pub(crate) fn shortest(&self) -> Duration {
        self.first
    }

    /// They may grow to this from now on.
    pub(crate) fn grow_to(&mut self, longest: Duration) {
        self.longest = self.longest.max(longest);
    }

    /// From the beginning again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_checked_and_nothing_is_unlimited() {
        assert_eq!(ReleaseLimits::default().check(), Ok(()));
        for info in RELEASE_LIMITS {
            for wrong in [0, u64::MAX] {
                if (info.name, wrong) == ("printer_poll_s", 0) {
                    continue;
                }
                let mut limits = ReleaseLimits::default();
                *limits.get_mut(info.name).unwrap() = wrong;
                let error = limits.check().unwrap_err();
                // A first pause may be named by the longest one that it is above.
                assert!(error.name == info.name || error.because.contains(info.name), "{error}");
            }
        }
        let limits = ReleaseLimits { poll_slow_ms: 1_000, ..ReleaseLimits::default() };
        assert_eq!(
            limits.check().unwrap_err().to_string(),
            "poll_slow_ms = 1000 is out of range: it may be 2000 to 31622400000; poll_longest_ms says so"
        );
    }

    #[test]
    fn pauses_grow_to_their_longest() {
        let mut pauses = Pauses::new(0, 40);
        let seen: Vec<_> = (0..5).map(|_| pauses.next()).collect();
        for (pause, least) in seen.iter().zip([10, 20, 40, 40, 40]) {
            assert!((least..=least * 5 / 4).contains(&u64::try_from(pause.as_millis()).unwrap()), "{seen:?}");
        }
        pauses.grow_to(Duration::from_millis(100));
        let grown: Vec<_> = (0..3).map(|_| pauses.next()).collect();
        for (pause, least) in grown.iter().zip([40, 80, 100]) {
            assert!((least..=least * 5 / 4).contains(&u64::try_from(pause.as_millis()).unwrap()), "{grown:?}");
        }
        pauses.reset();
        assert!(pauses.next() < Duration::from_millis(20));
    }
}
