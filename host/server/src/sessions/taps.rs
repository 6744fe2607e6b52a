//! The cards of one connection on their way through the desk, one after the other in the order in which they were shown.

use std::{collections::VecDeque, sync::Arc};

use cardinal_domain::{
    driver::{CardRead, Id, Verdict, VerdictCode},
    names::{ReaderName, TraceId},
};

use tokio::task::JoinHandle;

use super::Services;

/// A verdict, and the trace it belongs to.
pub(super) struct Decided {
    pub(super) verdict: Verdict,
    pub(super) trace: TraceId,
}

/// Cards that wait for their verdict.
pub(super) struct Taps {
    services: Arc<Services>,
    reader: ReaderName,
    waiting: VecDeque<CardRead>,
    /// A task of its own: it goes on, and lets go of the store, while the session is busy with something else.
    current: Option<(Id, TraceId, JoinHandle<Verdict>)>,
}

impl Taps {
    pub(super) fn new(services: Arc<Services>, reader: ReaderName) -> Self {
        Self { services, reader, waiting: VecDeque::new(), current: None }
    }

    pub(super) fn push(&mut self, read: CardRead) {
        self.waiting.push_back(read);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.current.is_some())
    }

    /// The next verdict; none where no card waits. Nothing is lost when this is dropped half way.
    pub(super) async fn next(&mut self) -> Option<Decided> {
        if self.current.is_none() {
            let read = self.waiting.pop_front()?;
            let (swipe, trace) = (read.swipe, TraceId::new());
            let deciding = tokio::spawn(decide(Arc::clone(&self.services), self.reader.clone(), trace, read));
            self.current = Some((swipe, trace, deciding));
        }
        let (swipe, trace, deciding) = self.current.as_mut()?;
        let decided = deciding.await.unwrap_or_else(|_| failed(*swipe));
        let trace = *trace;
        self.current = None;
        Some(Decided { verdict: decided, trace })
    }
}

async fn decide(services: Arc<Services>, reader: ReaderName, trace: TraceId, read: CardRead) -> Verdict {
    match services.desk.tap(trace, &reader, &read).await {
        Ok(outcome) => {
            services.release.deliver(trace, outcome.released);
            Verdict { swipe: read.swipe, code: outcome.code, message: outcome.message }
        }
        Err(error) => {
            tracing::error!(%reader, %trace, error = &error as &dyn std::error::Error, "a card could not be decided about");
            failed(read.swipe)
        }
    }
}

fn failed(swipe: Id) -> Verdict {
    Verdict { swipe, code: VerdictCode::Failed, message: "please try again".to_owned() }
}
