//! A session's clock and what is due on it: timers and the keepalive.

use std::{collections::BTreeMap, time::Duration};

use cardinal_domain::driver::{Id, Keepalive, Millis};
use tokio::time::Instant;

/// The clock of one session, with everything that waits for a time.
pub(super) struct Clock {
    start: Instant,
    timers: BTreeMap<Id, Instant>,
    keepalive: Option<(Keepalive, Instant)>,
}

/// A timer of nothing, set again each time it fires, would keep a session from everything else.
const SHORTEST_TIMER_MS: Millis = 10;

/// What fell due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Timer(Id),
    Keepalive(Vec<u8>),
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), timers: BTreeMap::new(), keepalive: None }
    }

    /// The reading that drivers are given.
    pub(super) fn now(&self) -> Millis {
        Millis::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// A timer that is due `after` the reading `now` at which the driver asked for it, however long that took since.
    pub(super) fn set(&mut self, id: Id, now: Millis, after: Millis) {
        let due = Duration::from_millis(now.saturating_add(after.max(SHORTEST_TIMER_MS)));
        match self.start.checked_add(due) {
            Some(at) => drop(self.timers.insert(id, at)),
            // A far future that the clock cannot hold is as good as never.
            None => drop(self.timers.remove(&id)),
        }
    }

    pub(super) fn cancel(&mut self, id: Id) {
        self.timers.remove(&id);
    }

    pub(super) fn keep_alive(&mut self, keepalive: Option<Keepalive>) {
        self.keepalive = keepalive.and_then(|keepalive| {
            let at = Instant::now().checked_add(Duration::from_millis(keepalive.every))?;
            Some((keepalive, at))
        });
    }

    /// When something falls due next.
    pub(super) fn next(&self) -> Option<Instant> {
        let keepalive = self.keepalive.as_ref().map(|(_, at)| *at);
        self.timers.values().copied().chain(keepalive).min()
    }

    /// Takes one thing that is due now.
    pub(super) fn take_due(&mut self) -> Option<Due> {
        let now = Instant::now();
        if let Some((&id, _)) = self.timers.iter().filter(|(_, at)| **at <= now).min_by_key(|(_, at)| **at) {
            self.timers.remove(&id);
            return Some(Due::Timer(id));
        }
        match &mut self.keepalive {
            Some((keepalive, at)) if *at <= now => {
                // From now on, not from when it was due: after a stall there is one, not a burst.
                *at = now + Duration::from_millis(keepalive.every);
                Some(Due::Keepalive(keepalive.bytes.clone()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn timers_fire_in_order_and_the_keepalive_goes_on() {
        let mut clock = Clock::new();
        clock.set(1, 0, 500);
        clock.set(2, 0, 200);
        clock.set(3, 0, 300);
        clock.cancel(3);
        clock.keep_alive(Some(Keepalive { every: 1_000, bytes: b"\r".to_vec() }));
        clock.set(9, 1, Millis::MAX);
        let mut seen = Vec::new();
        for _ in 0..4 {
            tokio::time::sleep_until(clock.next().unwrap()).await;
            seen.push((clock.now(), clock.take_due().unwrap()));
            assert_eq!(clock.take_due(), None);
        }
        let alive = || Due::Keepalive(b"\r".to_vec());
        clock.set(4, 2_000, 0);
        assert_eq!(clock.take_due(), None, "a timer of nothing has its floor");
        assert_eq!(seen, [(200, Due::Timer(2)), (500, Due::Timer(1)), (1_000, alive()), (2_000, alive())]);
    }
}
