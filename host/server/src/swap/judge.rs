//! Whether readers that try a version of their driver do worse with it than before. Pure: counts in, a reason out.

use std::{ops, time::Duration};

use serde::{Deserialize, Serialize};

use crate::sessions::ReaderStatus;

/// What readers did over some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Cards they showed.
    pub cards: u64,
    /// Cards among them that nobody has, or that could not be decided about.
    pub rejected: u64,
    /// Failures of their driver.
    pub faults: u64,
}

/// So many cards must have been rejected before that says anything: people show wrong cards, too.
const LEAST_REJECTED: u64 = 3;

impl Tally {
    /// What one reader did since it is counted.
    pub fn of(status: &ReaderStatus) -> Self {
        Self { cards: status.cards, rejected: status.rejected, faults: status.faults }
    }

    /// What was added since.
    pub fn since(self, before: Self) -> Self {
        Self {
            cards: self.cards.saturating_sub(before.cards),
            rejected: self.rejected.saturating_sub(before.rejected),
            faults: self.faults.saturating_sub(before.faults),
        }
    }

    fn rejected_share(self) -> f64 {
        if self.cards == 0 { 0.0 } else { self.rejected as f64 / self.cards as f64 }
    }
}

impl ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.cards += other.cards;
        self.rejected += other.rejected;
        self.faults += other.faults;
    }
}

/// Why the version is not to be kept; none: so far it does no worse. `before` is what these readers did in the time `over`
/// before it (on average, where they are counted for times of their own), `now` what they did in the time `lasted` with it.
///
/// A failure of the driver counts unless there were as many before in as much time; rejected cards count where there are
/// three at least, and their share is above twice the one before and ten in a hundred.
pub fn worse(before: Tally, over: Duration, now: Tally, lasted: Duration) -> Option<String> {
    let usual = before.faults as f64 * (lasted.as_secs_f64() / over.as_secs_f64().max(0.001)).min(1.0);
    if now.faults as f64 > 2.0 * usual {
        return Some(format!("its driver failed {} times on the readers that try it", now.faults));
    }
    let (share, was) = (now.rejected_share(), before.rejected_share());
    if now.rejected >= LEAST_REJECTED && share > 2.0 * was + 0.1 {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        return Some(format!(
            "{} of {} cards were rejected on the readers that try it ({}, before it {})",
            now.rejected,
            now.cards,
            percent(share),
            percent(was)
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const MINUTE: Duration = Duration::from_secs(60);

    fn tally(cards: u64, rejected: u64, faults: u64) -> Tally {
        Tally { cards, rejected, faults }
    }

    #[test]
    fn a_version_is_worse_where_it_fails_more_often_or_rejects_more() {
        let judged = |before, now| worse(before, HOUR, now, MINUTE).is_some();
        let good = tally(1_000, 20, 0);
        assert!(!judged(good, tally(0, 0, 0)), "nothing happened");
        assert!(!judged(good, tally(100, 2, 0)));
        assert!(judged(good, tally(100, 2, 1)), "it never failed before");
        // One a minute before: one in a minute now is no news, three are.
        assert!(!judged(tally(1_000, 20, 60), tally(100, 2, 1)));
        assert!(judged(tally(1_000, 20, 60), tally(100, 2, 3)));
        // Two strangers prove nothing, however few cards there were.
        assert!(!judged(good, tally(2, 2, 0)));
        assert!(judged(good, tally(3, 3, 0)));
        assert!(!judged(good, tally(100, 13, 0)));
        assert!(judged(good, tally(100, 15, 0)));
        // Where half of the cards were strangers' all along, half of them are now.
        assert!(!judged(tally(1_000, 500, 0), tally(10, 6, 0)));
        assert!(worse(Tally::default(), Duration::ZERO, tally(10, 0, 0), MINUTE).is_none());
    }
}
