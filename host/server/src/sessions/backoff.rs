//! How long to wait before the next try: doubling, with jitter, up to a limit, for ever.

use std::time::Duration;

use cardinal_domain::site::Link;
use rand::RngExt as _;

/// A connection that stood this long shows that the reader is well: the next try starts from the first pause again.
const STOOD: Duration = Duration::from_secs(10);

pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(link: &Link) -> Self {
        let first = Duration::from_millis(link.retry_first_ms.max(10));
        let longest = Duration::from_millis(link.retry_longest_ms).max(first);
        Self { first, longest, next: first }
    }

    /// The pause before the next try: between half and the whole of a time that doubles.
    pub(super) fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// A connection ended after standing for this long.
    pub(super) fn ended_after(&mut self, stood: Duration) {
        if stood >= STOOD {
            self.next = self.first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_again_after_a_connection_that_stood() {
        let link = Link { retry_first_ms: 1_000, retry_longest_ms: 60_000, ..Link::default() };
        let mut backoff = Backoff::new(&link);
        for whole in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            let pause = backoff.pause();
            assert!(pause >= Duration::from_millis(whole / 2) && pause <= Duration::from_millis(whole), "{pause:?}");
        }
        backoff.ended_after(Duration::from_secs(1));
        assert!(backoff.pause() > Duration::from_secs(20));
        backoff.ended_after(Duration::from_secs(11));
        assert!(backoff.pause() <= Duration::from_secs(1));
    }
}
