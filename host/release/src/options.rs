//! What the release engine is told at its start: two folders, and its bounds.

use std::{path::PathBuf, time::Duration};

use cardinal_domain::bounds_table;

/// Where the release engine keeps things, and its bounds.
#[derive(Debug, Clone)]
pub struct ReleaseOptions {
    /// The folder of the documents. Made if it is not there; nobody else may read it.
    pub spool: PathBuf,
    /// What a relative path in a `folder:` address is relative to.
    pub base: PathBuf,
    /// Bounds and times.
    pub limits: ReleaseLimits,
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
    max_requests = 256, "requests", "IPP requests served at the same time; more are told to come back.";
    max_announced = 1_024, "jobs", "Jobs that are announced (Create-Job) and still wait for their document.";
    head_timeout_s = 30, "s", "How long a client may take for the part before the document.";
    stall_timeout_s = 120, "s", "How long a document may make no progress, on its way in or out.";
    multiple_operation_timeout_s = 300, "s", "How long an announced job waits for its document.";
    connect_timeout_s = 10, "s", "How long connecting with a printer may take.";
    answer_timeout_s = 60, "s", "How long a printer may take to answer.";
    poll_first_ms = 250, "ms", "How soon a printer is first asked about a job it took; the pause doubles from there.";
    poll_longest_ms = 2_000, "ms", "The longest pause between such questions.";
    silence_timeout_s = 300, "s", "How long a printer that has a job may be unreachable before the job counts as \"may have printed\".";
    printing_timeout_s = 86_400, "s", "How long a printer may take to print a job it has: paper may be out over night.";
    busy_timeout_s = 300, "s", "How long a printer that says it is busy is waited for.";
    retry_first_ms = 1_000, "ms", "For queues that do not hold: the pause before the first retry; it doubles each time.";
    retry_longest_ms = 60_000, "ms", "For queues that do not hold: the longest pause between retries.";
    shutdown_timeout_s = 20, "s", "How long a shutdown waits for transfers to end.";
}

impl ReleaseLimits {
    pub(crate) fn head_timeout(&self) -> Duration {
        Duration::from_secs(self.head_timeout_s)
    }

    pub(crate) fn stall_timeout(&self) -> Duration {
        Duration::from_secs(self.stall_timeout_s)
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

    pub(crate) fn shutdown_timeout(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout_s)
    }

    /// The pauses between questions to a printer.
    pub(crate) fn polling(&self) -> Pauses {
        Pauses::new(self.poll_first_ms, self.poll_longest_ms)
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

impl Pauses {
    /// No pause is shorter than this, whatever the settings say: a pause of nothing would be a busy loop.
    const SHORTEST_MS: u64 = 10;

    fn new(first_ms: u64, longest_ms: u64) -> Self {
        let first = Duration::from_millis(first_ms.max(Self::SHORTEST_MS));
        Self { first, next: first, longest: Duration::from_millis(longest_ms).max(first) }
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause.mul_f64(1.0 + rand::random::<f64>() / 4.0)
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
    fn pauses_grow_to_their_longest() {
        let mut pauses = Pauses::new(0, 40);
        let seen: Vec<_> = (0..5).map(|_| pauses.next()).collect();
        for (pause, least) in seen.iter().zip([10, 20, 40, 40, 40]) {
            assert!((least..=least * 5 / 4).contains(&u64::try_from(pause.as_millis()).unwrap()), "{seen:?}");
        }
        pauses.reset();
        assert!(pauses.next() < Duration::from_millis(20));
    }
}
