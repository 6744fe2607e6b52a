//! Whose call it is: from a secret to its reader, and from a reader to the session that takes its calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use cardinal_domain::{names::ReaderName, time::Timestamp};
use tokio::sync::{Semaphore, mpsc, watch};

use super::{Calling, pace::Pace, secret::Digest};

/// The table of a host.
#[derive(Default)]
pub(super) struct Routes {
    secrets: HashMap<Digest, Known>,
    /// Those of each reader: a hundred thousand of them learn theirs one after the other.
    of: HashMap<ReaderName, Vec<Digest>>,
    seats: HashMap<ReaderName, Arc<Seat>>,
    /// Those whose calls wait for somebody to take them.
    coming: HashMap<ReaderName, Coming>,
}

/// A seat that is not there yet.
type Coming = watch::Sender<Option<Arc<Seat>>>;

struct Known {
    reader: ReaderName,
    ends: Option<Timestamp>,
}

/// Where a session takes its reader's calls.
pub(super) struct Seat {
    pub(super) calls: mpsc::Sender<Calling>,
    /// One for each call that may wait for its answer.
    pub(super) open: Arc<Semaphore>,
    /// The largest body.
    pub(super) body_bytes: usize,
    pub(super) pace: Arc<Mutex<Pace>>,
}

impl Routes {
    /// From now on these are the reader's secrets, each until its end, and no others.
    pub(super) fn learn(&mut self, reader: &ReaderName, secrets: Vec<(Digest, Option<Timestamp>)>) {
        let digests = secrets.iter().map(|(digest, _)| *digest).collect();
        for forgotten in self.of.insert(reader.clone(), digests).unwrap_or_default() {
            self.secrets.remove(&forgotten);
        }
        let known = secrets.into_iter().map(|(digest, ends)| (digest, Known { reader: reader.clone(), ends }));
        self.secrets.extend(known);
    }

    /// Whose secret it is, if it is good now.
    pub(super) fn reader(&self, digest: &Digest, now: Timestamp) -> Option<&ReaderName> {
        let known = self.secrets.get(digest)?;
        known.ends.is_none_or(|ends| now < ends).then_some(&known.reader)
    }

    /// Where its calls go; none: nobody takes them.
    pub(super) fn seat(&self, reader: &ReaderName) -> Option<Arc<Seat>> {
        self.seats.get(reader).map(Arc::clone)
    }

    /// A newer seat takes the older one's place.
    pub(super) fn sit(&mut self, reader: &ReaderName, seat: &Arc<Seat>) {
        self.seats.insert(reader.clone(), Arc::clone(seat));
        if let Some(coming) = self.coming.remove(reader) {
            coming.send_replace(Some(Arc::clone(seat)));
        }
    }

    /// To wait for the next seat, where there is none. None: as many wait already as may.
    pub(super) fn wait(&mut self, reader: &ReaderName, most: usize) -> Option<watch::Receiver<Option<Arc<Seat>>>> {
        let coming = self.coming.entry(reader.clone()).or_default();
        (coming.receiver_count() < most).then(|| coming.subscribe())
    }

    /// How many calls wait for a seat.
    #[cfg(test)]
    pub(super) fn waiting(&self, reader: &ReaderName) -> usize {
        self.coming.get(reader).map_or(0, Coming::receiver_count)
    }

    /// Gives up a seat, unless a newer one is in its place.
    pub(super) fn rise(&mut self, reader: &ReaderName, seat: &Arc<Seat>) {
        if self.seats.get(reader).is_some_and(|there| Arc::ptr_eq(there, seat)) {
            self.seats.remove(reader);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ReaderName {
        ReaderName::new(name).unwrap()
    }

    #[test]
    fn an_old_secret_is_good_until_its_overlap_ends() {
        let mut routes = Routes::default();
        routes.learn(&name("s"), vec![([9; 32], None)]);
        routes.learn(&name("r"), vec![([1; 32], None)]);
        let whose =
            |routes: &Routes, digest, now| routes.reader(&[digest; 32], Timestamp(now)).map(ToString::to_string);
        assert_eq!(whose(&routes, 1, 0).as_deref(), Some("r"));
        routes.learn(&name("r"), vec![([1; 32], Some(Timestamp(100))), ([2; 32], None)]);
        for (digest, now, expected) in [
            (1, 99, Some("r")),
            (1, 100, None),
            (2, 99, Some("r")),
            (2, 1_000, Some("r")),
            (9, 1_000, Some("s")),
            (3, 0, None),
        ] {
            assert_eq!(whose(&routes, digest, now).as_deref(), expected, "{digest} at {now}");
        }
        routes.learn(&name("r"), vec![([4; 32], None)]);
        assert_eq!((whose(&routes, 1, 0), whose(&routes, 2, 0)), (None, None), "nothing is kept of them");
        assert_eq!(routes.secrets.len(), 2);
    }

    #[test]
    fn a_seat_that_is_given_up_late_leaves_the_newer_one_in_its_place() {
        let seat = || {
            Arc::new(Seat {
                calls: mpsc::channel(1).0,
                open: Arc::new(Semaphore::new(1)),
                body_bytes: 1,
                pace: Arc::new(Mutex::new(Pace::new(1, 1))),
            })
        };
        let (mut routes, older, newer) = (Routes::default(), seat(), seat());
        assert!(routes.seat(&name("r")).is_none());
        routes.sit(&name("r"), &older);
        routes.sit(&name("r"), &newer);
        routes.rise(&name("r"), &older);
        assert!(Arc::ptr_eq(&routes.seat(&name("r")).unwrap(), &newer));
        routes.rise(&name("r"), &newer);
        assert!(routes.seat(&name("r")).is_none());
    }
}
