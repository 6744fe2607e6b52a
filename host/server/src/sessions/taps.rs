//! The cards of one connection on their way through the desk, one after the other in the order in which they were shown.

use std::{collections::VecDeque, future::Future, pin::Pin, sync::Arc};

use cardinal_domain::{
    driver::{CardRead, Id, Verdict, VerdictCode},
    names::{ReaderName, TraceId},
};

use super::Services;

/// A verdict, and the trace it belongs to.
pub(super) struct Decided {
    pub(super) verdict: Verdict,
    pub(super) trace: TraceId,
}

type Deciding = Pin<Box<dyn Future<Output = Decided> + Send>>;

/// Cards that wait for their verdict.
pub(super) struct Taps {
    services: Arc<Services>,
    reader: ReaderName,
    waiting: VecDeque<CardRead>,
    current: Option<Deciding>,
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
            self.current = Some(Box::pin(decide(Arc::clone(&self.services), self.reader.clone(), read)));
        }
        let decided = self.current.as_mut()?.await;
        self.current = None;
        Some(decided)
    }
}

async fn decide(services: Arc<Services>, reader: ReaderName, read: CardRead) -> Decided {
    let trace = TraceId::new();
    let swipe: Id = read.swipe;
    let verdict = match services.desk.tap(trace, &reader, &read).await {
        Ok(outcome) => {
            services.release.deliver(trace, outcome.released);
            Verdict { swipe, code: outcome.code, message: outcome.message }
        }
        Err(error) => {
            tracing::error!(%reader, %trace, error = &error as &dyn std::error::Error, "a card could not be decided about");
            Verdict { swipe, code: VerdictCode::Failed, message: "please try again".to_owned() }
        }
    };
    Decided { verdict, trace }
}
