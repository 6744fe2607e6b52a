//! How many callers are let in at one time before it is known who they are: so many in all, so many from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use cardinal_domain::bounds::size;

use crate::config::CallerLimits;

/// Those at the door of one listener.
pub struct Crowd {
    most: usize,
    most_of_one: usize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One of them, while this lives.
pub struct Entered {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    pub fn new(limits: &CallerLimits) -> Self {
        Self::of(size(limits.at_once), size(limits.at_once_per_address))
    }

    /// So many in all, so many from one address.
    pub fn of(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, inside: Mutex::default() }
    }

    /// A place for one more from this address; none where all, or all of this address, are taken.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Entered> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.all >= self.most || inside.by_address.get(&address).is_some_and(|count| *count >= self.most_of_one) {
            return None;
        }
        inside.all += 1;
        *inside.by_address.entry(address).or_default() += 1;
        Some(Entered { crowd: Arc::clone(self), address })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all = inside.all.saturating_sub(1);
        if let Some(count) = inside.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                inside.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_the_others_and_nothing_is_kept_of_those_who_left() {
        let limits = CallerLimits { at_once: 5, at_once_per_address: 2, ..CallerLimits::default() };
        let crowd = Arc::new(Crowd::new(&limits));
        let address = |last| IpAddr::from([10, 0, 0, last]);
        let mut mine: Vec<_> = (0..2).map(|_| crowd.enter(address(1)).unwrap()).collect();
        assert!(crowd.enter(address(1)).is_none());
        mine.pop();
        mine.push(crowd.enter(address(1)).unwrap());
        let theirs: Vec<_> = (2..5).map(|last| crowd.enter(address(last)).unwrap()).collect();
        assert!(crowd.enter(address(9)).is_none(), "all are taken");
        drop((mine, theirs));
        let inside = crowd.inside.lock().unwrap();
        assert_eq!((inside.all, inside.by_address.len()), (0, 0));
    }
}
