//! How far a document has come on its way out, and when it counts as stuck.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::ReleaseLimits;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How far a document has come.
#[derive(Default)]
pub(super) struct Progress {
    steps: AtomicU64,
    ended: AtomicBool,
}

impl Progress {
    pub(super) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.step();
    }

    /// Whether all of it was handed over. The last of it may still be on its way.
    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Returns when nothing has moved for too long: the document, or once it is out, the answer.
    pub(super) async fn stalled(&self, limits: &ReleaseLimits) {
        let mut seen = self.steps.load(Ordering::Relaxed);
        let mut since = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            let steps = self.steps.load(Ordering::Relaxed);
            if steps != seen {
                (seen, since) = (steps, Instant::now());
            }
            // A printer may print the document before it answers: both times together.
            let ended = self.ended();
            let answer = if ended { limits.answer_timeout() } else { Duration::ZERO };
            // Connecting has its own bound, and counts as no progress here.
            if since.elapsed() >= limits.send_stall_timeout() + limits.connect_timeout() + answer {
                return;
            }
        }
    }
}
