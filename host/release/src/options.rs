//! What the release engine is told at its start: two folders, and its bounds.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

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

/// Bounds and times of the release engine: `[release]` in `cardinal.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReleaseLimits {
    /// The largest document taken, in bytes.
    pub max_document_bytes: u64,
    /// The largest part of an IPP message before the document, in bytes; clients' and printers' alike.
    pub max_head_bytes: usize,
    /// How many IPP requests are served at the same time; more are told to come back.
    pub max_requests: usize,
    /// How many jobs may be announced (Create-Job) and still wait for their document.
    pub max_announced: usize,
    /// How long a client may take for the part before the document, in seconds.
    pub head_timeout_s: u64,
    /// How long a document may make no progress, on its way in or out, in seconds.
    pub stall_timeout_s: u64,
    /// How long an announced job waits for its document, in seconds.
    pub multiple_operation_timeout_s: u64,
    /// How long connecting with a printer may take, in seconds.
    pub connect_timeout_s: u64,
    /// How long a printer may take to answer, in seconds.
    pub answer_timeout_s: u64,
    /// How soon a printer is first asked about a job it took, in milliseconds; the pause grows from there.
    pub poll_first_ms: u64,
    /// The longest pause between such questions, in milliseconds.
    pub poll_longest_ms: u64,
    /// How long a printer that has a job may be unreachable before the job counts as "may have printed", in seconds.
    pub silence_timeout_s: u64,
    /// How long a printer may take to print a job it has, in seconds.
    pub printing_timeout_s: u64,
    /// How long a printer that says it is busy is waited for, in seconds.
    pub busy_timeout_s: u64,
    /// For queues that do not hold: the pause before the first retry, in milliseconds; it doubles each time.
    pub retry_first_ms: u64,
    /// For queues that do not hold: the longest pause between retries, in milliseconds.
    pub retry_longest_ms: u64,
    /// How long a shutdown waits for transfers to end, in seconds.
    pub shutdown_timeout_s: u64,
}

impl Default for ReleaseLimits {
    fn default() -> Self {
        Self {
            max_document_bytes: 2 << 30,
            max_head_bytes: 256 << 10,
            max_requests: 256,
            max_announced: 1024,
            head_timeout_s: 30,
            stall_timeout_s: 120,
            multiple_operation_timeout_s: 300,
            connect_timeout_s: 10,
            answer_timeout_s: 60,
            poll_first_ms: 250,
            poll_longest_ms: 2_000,
            silence_timeout_s: 300,
            printing_timeout_s: 24 * 60 * 60,
            busy_timeout_s: 300,
            retry_first_ms: 1_000,
            retry_longest_ms: 60_000,
            shutdown_timeout_s: 20,
        }
    }
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
