//! The calls of one reader that wait for their answer, each until its deadline.

use std::{collections::BTreeMap, time::Duration};

use cardinal_domain::driver::{Id, Response};
use tokio::{sync::oneshot, time::Instant};

pub(super) struct OpenCalls {
    calls: BTreeMap<Id, Open>,
    next: Id,
    patience: Duration,
}

struct Open {
    answer: oneshot::Sender<Response>,
    until: Instant,
}

impl OpenCalls {
    /// None is open yet; each may be for so long.
    pub(super) fn new(patience: Duration) -> Self {
        Self { calls: BTreeMap::new(), next: 1, patience }
    }

    /// Adds a call that waits until then at most, and gives it its id.
    pub(super) fn add(&mut self, answer: oneshot::Sender<Response>, until: Instant) -> Id {
        while self.calls.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = id.wrapping_add(1);
        self.calls.insert(id, Open { answer, until: until.min(Instant::now() + self.patience) });
        id
    }

    /// Answers a call. A reader that hung up meanwhile hears nothing of it.
    pub(super) fn answer(&mut self, id: Id, response: Response) {
        if let Some(open) = self.calls.remove(&id) {
            let _ = open.answer.send(response);
        }
    }

    /// When the next deadline is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.calls.values().map(|open| open.until).min()
    }

    /// Answers 504 to one call whose deadline has passed, which its driver is to be told of.
    pub(super) fn take_overdue(&mut self) -> Option<Id> {
        let now = Instant::now();
        let id = self.calls.iter().find(|(_, open)| open.until <= now).map(|(id, _)| *id)?;
        self.answer(id, Response { status: 504, headers: Vec::new(), body: Vec::new() });
        Some(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_answered_once_by_the_driver_or_at_its_deadline() {
        let mut calls = OpenCalls::new(Duration::from_secs(10));
        let (first, heard_first) = oneshot::channel();
        let (second, heard_second) = oneshot::channel();
        let later = || Instant::now() + Duration::from_secs(60);
        let first = calls.add(first, later());
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = calls.add(second, later());
        assert_ne!(first, second);
        calls.answer(first, Response { status: 200, headers: Vec::new(), body: Vec::new() });
        calls.answer(first, Response { status: 201, headers: Vec::new(), body: Vec::new() });
        assert_eq!(heard_first.await.unwrap().status, 200);
        assert_eq!((calls.take_overdue(), calls.is_empty()), (None, false));
        tokio::time::sleep_until(calls.due().unwrap()).await;
        assert_eq!(calls.take_overdue(), Some(second));
        assert_eq!(heard_second.await.unwrap().status, 504);
        assert!(calls.is_empty() && calls.due().is_none() && calls.take_overdue().is_none());
        // One that has waited before is over when its reader is told so.
        let soon = Instant::now() + Duration::from_secs(3);
        calls.add(oneshot::channel().0, soon);
        assert_eq!(calls.due(), Some(soon));
    }

    #[tokio::test]
    async fn ids_begin_anew_and_pass_over_those_in_use() {
        let mut calls = OpenCalls::new(Duration::from_secs(10));
        let (answer, _heard) = oneshot::channel();
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(calls.add(answer, later), 1);
        calls.next = Id::MAX;
        let ids = [(); 3].map(|()| calls.add(oneshot::channel().0, later));
        assert_eq!(ids, [Id::MAX, 0, 2]);
    }
}
