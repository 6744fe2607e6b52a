//! What is told of callers that were turned away: each address at most once a minute, in bounded memory.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How often one address is told of.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The addresses told of lately.
pub struct Refused {
    most: usize,
    told: HashMap<IpAddr, Told>,
    /// Refusals that no event told of, of addresses that are not listed.
    unlisted: u64,
    /// When the unlisted were told of.
    unlisted_told: Option<Instant>,
}

struct Told {
    at: Instant,
    /// Refusals since.
    since: u64,
}

/// What to tell.
#[derive(Debug, PartialEq, Eq)]
pub enum Tell {
    /// Of this caller, and of so many of the same address that were not told of before.
    This { before: u64 },
    /// Of so many callers from other addresses than those told of.
    Others(u64),
}

impl Refused {
    /// Lists this many addresses at most.
    pub fn new(most: usize) -> Self {
        Self { most, told: HashMap::new(), unlisted: 0, unlisted_told: None }
    }

    /// A caller from this address was refused. None: nothing is to be told now.
    pub fn caller(&mut self, address: IpAddr, now: Instant) -> Option<Tell> {
        let is_recent = |at: Instant| now.duration_since(at) < TELL_EVERY;
        if let Some(told) = self.told.get_mut(&address) {
            if is_recent(told.at) {
                told.since += 1;
                return None;
            }
            let before = std::mem::take(&mut told.since);
            told.at = now;
            return Some(Tell::This { before });
        }
        if self.told.len() >= self.most {
            let unlisted = &mut self.unlisted;
            self.told.retain(|_, told| {
                if !is_recent(told.at) {
                    *unlisted += told.since;
                }
                is_recent(told.at)
            });
        }
        if self.told.len() < self.most {
            self.told.insert(address, Told { at: now, since: 0 });
            return Some(Tell::This { before: 0 });
        }
        self.unlisted += 1;
        if self.unlisted_told.is_some_and(is_recent) {
            return None;
        }
        self.unlisted_told = Some(now);
        Some(Tell::Others(std::mem::take(&mut self.unlisted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_is_told_once_a_minute_with_how_many_there_were() {
        let mut refused = Refused::new(8);
        let start = Instant::now();
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(refused.caller(a, start), Some(Tell::This { before: 0 }));
        for second in 1..60 {
            assert_eq!(refused.caller(a, start + Duration::from_secs(second)), None);
        }
        assert_eq!(refused.caller(b, start + Duration::from_secs(30)), Some(Tell::This { before: 0 }));
        assert_eq!(refused.caller(a, start + Duration::from_secs(60)), Some(Tell::This { before: 59 }));
        assert_eq!(refused.caller(b, start + Duration::from_secs(61)), None);
    }

    #[test]
    fn ten_thousand_addresses_take_bounded_memory_and_none_is_forgotten() {
        let mut refused = Refused::new(256);
        let start = Instant::now();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        let (mut listed, mut others) = (0_u64, 0_u64);
        for round in 0..3_u64 {
            for number in 0..10_000 {
                match refused.caller(address(number), start + Duration::from_secs(round * 61)) {
                    Some(Tell::This { before }) => listed += 1 + before,
                    Some(Tell::Others(count)) => others += count,
                    None => {}
                }
            }
            assert!(refused.told.len() <= 256);
        }
        let waiting = refused.unlisted + refused.told.values().map(|told| told.since).sum::<u64>();
        assert_eq!(listed + others + waiting, 30_000);
        assert!(listed >= 3 * 256 && others > 0, "{listed} {others}");
    }
}
