//! A permit for each IPP request being served, bounded in all and for each client, so that one client leaves room for
//! the others.

use std::{collections::HashMap, net::IpAddr, sync::Mutex};

use crate::engine::lock;

/// One client may have this part of all permits.
const SHARE: usize = 4;

/// The permits.
#[derive(Debug)]
pub(crate) struct Permits {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

impl Permits {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: Mutex::default() }
    }

    /// One for this client; given back when it is dropped. None: there are none left, or this client has its share.
    pub(crate) fn take(&self, client: IpAddr) -> Option<Permit<'_>> {
        let mut taken = lock(&self.taken);
        let share = self.most.div_ceil(SHARE);
        if taken.all >= self.most || taken.by_client.get(&client).is_some_and(|count| *count >= share) {
            return None;
        }
        taken.all += 1;
        *taken.by_client.entry(client).or_default() += 1;
        Some(Permit { permits: self, client })
    }
}

/// A request is being served while this lives.
#[derive(Debug)]
pub(crate) struct Permit<'p> {
    permits: &'p Permits,
    client: IpAddr,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut taken = lock(&self.permits.taken);
        taken.all -= 1;
        if let Some(count) = taken.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_takes_its_share_and_no_more() {
        let permits = Permits::new(5);
        let client = |last| IpAddr::from([10, 0, 0, last]);
        let mut mine: Vec<_> = (0..2).map(|_| permits.take(client(1)).unwrap()).collect();
        assert!(permits.take(client(1)).is_none());
        mine.pop();
        mine.push(permits.take(client(1)).unwrap());
        let theirs: Vec<_> = (2..5).map(|last| permits.take(client(last)).unwrap()).collect();
        assert!(permits.take(client(9)).is_none(), "all are taken");
        drop((mine, theirs));
        let taken = lock(&permits.taken);
        assert_eq!((taken.all, taken.by_client.len()), (0, 0));
    }
}
