//! A driver that fails on a reader again and again is no longer started there, until somebody has looked at it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cardinal_domain::{bounds::size, names::ReaderName};
use tokio::{sync::Notify, time::Instant};

use crate::config::SessionLimits;

/// The failures of drivers on their readers, and where there were too many. It forgets with the process: a restart is one
/// more try.
#[derive(Default)]
pub struct Quarantine {
    readers: Mutex<BTreeMap<ReaderName, Record>>,
    freed: Notify,
}

/// One driver file on one reader.
struct Record {
    digest: String,
    failures: VecDeque<Instant>,
    /// Why it is not started; none: it is.
    held: Option<String>,
}

impl Quarantine {
    /// The driver with this digest failed on a reader. Some: that was once too often, in these words.
    pub(super) fn failed(
        &self,
        reader: &ReaderName,
        digest: &str,
        why: &str,
        limits: &SessionLimits,
    ) -> Option<String> {
        let (most, within) = (limits.failures, Duration::from_millis(limits.failures_within_ms));
        let now = Instant::now();
        let mut readers = self.lock();
        let record = readers.entry(reader.clone()).or_insert_with(|| Record::of(digest));
        if record.digest != digest {
            *record = Record::of(digest);
        }
        record.failures.retain(|failure| now.duration_since(*failure) < within);
        record.failures.push_back(now);
        if record.failures.len() < size(most) {
            return None;
        }
        let words =
            format!("its driver failed {most} times within {within:?} and is not started again; the last time: {why}");
        record.held = Some(words.clone());
        Some(words)
    }

    /// Why the driver with this digest is not started on a reader; none: it is.
    pub(super) fn held(&self, reader: &ReaderName, digest: &str) -> Option<String> {
        self.lock().get(reader).filter(|record| record.digest == digest)?.held.clone()
    }

    /// Its driver is started again. False: it was not held.
    pub fn free(&self, reader: &ReaderName) -> bool {
        let was_held = self.lock().remove(reader).is_some_and(|record| record.held.is_some());
        self.freed.notify_waiters();
        was_held
    }

    /// Waits until some reader is freed.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ReaderName, Record>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn of(digest: &str) -> Self {
        Self { digest: digest.to_owned(), failures: VecDeque::new(), held: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn too_many_failures_within_the_window_hold_that_file_on_that_reader() {
        let limits = SessionLimits { failures: 3, failures_within_ms: 60_000, ..SessionLimits::default() };
        let quarantine = Quarantine::default();
        let [a, b] = ["a", "b"].map(|name| ReaderName::new(name).unwrap());
        let failed = |reader: &ReaderName, digest| quarantine.failed(reader, digest, "a trap", &limits).is_some();
        assert!(!failed(&a, "1") && !failed(&a, "1"));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(!failed(&a, "1") && !failed(&b, "1") && !failed(&a, "1"), "the first two are too long ago");
        assert_eq!(quarantine.held(&a, "1"), None);
        assert!(failed(&a, "1"));
        assert!(
            quarantine.held(&a, "1").is_some_and(|why| why.contains("3 times within 60s") && why.contains("a trap"))
        );
        assert_eq!((quarantine.held(&a, "2"), quarantine.held(&b, "1")), (None, None), "a new version is tried");
        assert!(quarantine.free(&a) && !quarantine.free(&a) && !quarantine.free(&b));
        assert_eq!(quarantine.held(&a, "1"), None);
        assert!(!failed(&a, "1") && !failed(&a, "1") && !failed(&a, "2"), "another file begins anew");
    }
}
