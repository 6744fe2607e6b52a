//! What one reader may take of the host, and when a reader that wants more counts as a flood.

use std::time::Duration;

use tokio::time::Instant;

/// An allowance that fills up evenly: some at once, then so much a second.
pub struct Meter {
    /// What one unit costs.
    each: Duration,
    /// How far it may run ahead.
    burst: Duration,
    /// When everything taken so far is paid for.
    paid: Instant,
}

impl Meter {
    /// `amount` in each `period`; `burst` at once.
    pub fn new(amount: u64, period: Duration, burst: u64) -> Self {
        let each = period.div_f64(f64::from(u32::try_from(amount.max(1)).unwrap_or(u32::MAX)));
        let burst = each.saturating_mul(u32::try_from(burst).unwrap_or(u32::MAX));
        Self { each, burst, paid: Instant::now() }
    }

    /// Takes so much, whether or not it is allowed yet.
    pub fn take(&mut self, amount: u64) {
        let cost = self.each.saturating_mul(u32::try_from(amount).unwrap_or(u32::MAX));
        let from = self.paid.max(Instant::now());
        self.paid = from.checked_add(cost).unwrap_or(from);
    }

    /// When more may be taken; none: now.
    pub fn wait(&self) -> Option<Instant> {
        let ahead = self.paid.saturating_duration_since(Instant::now());
        if ahead.is_zero() || ahead < self.burst { None } else { self.paid.checked_sub(self.burst).or(Some(self.paid)) }
    }
}

/// A flood from its first crossing of a bound until the reader has been calm for a while.
pub struct Flood {
    calm: Duration,
    /// When it began, and when a bound was crossed last.
    since: Option<(Instant, Instant)>,
}

impl Flood {
    pub fn new(calm_ms: u64) -> Self {
        Self { calm: Duration::from_millis(calm_ms), since: None }
    }

    /// A bound was crossed. True: a flood begins.
    pub fn crossed(&mut self) -> bool {
        let now = Instant::now();
        let begins = self.since.is_none();
        self.since = Some((self.since.map_or(now, |(began, _)| began), now));
        begins
    }

    /// When to look whether it is over; none while there is no flood.
    pub fn over_at(&self) -> Option<Instant> {
        self.since.map(|(_, last)| last + self.calm)
    }

    /// How long it lasted, if it is over now.
    pub fn over(&mut self) -> Option<Duration> {
        let (began, last) = self.since?;
        if last.elapsed() < self.calm {
            return None;
        }
        self.since = None;
        Some(last - began)
    }

    /// How long it lasted, if there is one: nothing more is taken of the reader.
    pub fn end(&mut self) -> Option<Duration> {
        self.since.take().map(|(began, last)| last - began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_at_once_and_then_so_much_a_second() {
        let mut meter = Meter::new(100, Duration::from_secs(1), 200);
        let start = Instant::now();
        let mut taken = 0;
        while meter.wait().is_none() {
            meter.take(1);
            taken += 1;
        }
        assert_eq!(taken, 200);
        for _ in 0..300 {
            if let Some(at) = meter.wait() {
                tokio::time::sleep_until(at + Duration::from_millis(1)).await;
            }
            meter.take(1);
        }
        let took = start.elapsed();
        assert!((2_900..=3_400).contains(&took.as_millis()), "{took:?}");
        // Idle time is not saved up beyond the burst.
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let mut taken = 0;
        while meter.wait().is_none() {
            meter.take(1);
            taken += 1;
        }
        assert_eq!(taken, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_once_and_is_over_when_it_was_calm_for_a_while() {
        let mut flood = Flood::new(1_000);
        assert_eq!((flood.over_at(), flood.over()), (None, None));
        assert!(flood.crossed());
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert!(!flood.crossed(), "the same one");
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(flood.over(), None);
        tokio::time::sleep_until(flood.over_at().unwrap()).await;
        assert_eq!(flood.over().map(|lasted| lasted.as_millis()), Some(900));
        assert!(flood.crossed());
        assert!(flood.end().is_some() && flood.end().is_none());
    }
}
