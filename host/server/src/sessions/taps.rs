//! The cards of one connection on their way through the desk, one after the other in the order in which they were shown.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use cardinal_domain::{
    driver::{CardRead, Id, Verdict, VerdictCode},
    event::{EventBody, EventKind, Level},
    names::{ReaderName, TraceId},
    site::Device,
};
use tokio::task::JoinHandle;

use super::{Services, throttle::Meter};

/// A verdict, and the trace it belongs to.
pub(super) struct Decided {
    pub(super) verdict: Verdict,
    pub(super) trace: TraceId,
}

/// A card that was shown.
struct Shown {
    trace: TraceId,
    /// As it was when the card was shown: what is changed or removed meanwhile does not change what the person did.
    device: Device,
    read: CardRead,
}

/// Cards that wait for their verdict.
pub(super) struct Taps {
    services: Arc<Services>,
    reader: ReaderName,
    device: Device,
    waiting: VecDeque<Shown>,
    /// A task of its own: it goes on, and lets go of the store, while the session is busy with something else.
    current: Option<(Id, TraceId, JoinHandle<Verdict>)>,
    /// How fast they may be decided about; none: as fast as can be.
    pace: Option<Meter>,
}

impl Taps {
    /// Of this reader, which stands at this device.
    pub(super) fn new(services: Arc<Services>, reader: ReaderName, device: Device) -> Self {
        let cards = services.config.sessions.cards_per_second;
        let pace = Some(Meter::new(cards, Duration::from_secs(1), cards));
        Self { services, reader, device, waiting: VecDeque::new(), current: None, pace }
    }

    /// What waits is no longer held back.
    pub(super) fn hurry(&mut self) {
        self.pace = None;
    }

    pub(super) fn push(&mut self, read: CardRead) {
        // One that was just removed stays as it was last.
        if let Some(device) = self.services.store.setup().devices.get(&self.device.name) {
            self.device.clone_from(device);
        }
        self.waiting.push_back(Shown { trace: TraceId::new(), device: self.device.clone(), read });
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.current.is_some())
    }

    /// The next verdict; none where no card waits. Nothing is lost when this is dropped half way.
    pub(super) async fn next(&mut self) -> Option<Decided> {
        if self.current.is_none() {
            if self.waiting.is_empty() {
                return None;
            }
            if let Some(pace) = &mut self.pace {
                if let Some(at) = pace.wait() {
                    tokio::time::sleep_until(at).await;
                }
                pace.take(1);
            }
            let shown = self.waiting.pop_front()?;
            let (swipe, trace) = (shown.read.swipe, shown.trace);
            let deciding = tokio::spawn(decide(Arc::clone(&self.services), self.reader.clone(), shown));
            self.current = Some((swipe, trace, deciding));
        }
        let (swipe, trace, deciding) = self.current.as_mut()?;
        let verdict = deciding.await.unwrap_or_else(|_| failed(*swipe));
        let trace = *trace;
        self.current = None;
        Some(Decided { verdict, trace })
    }
}

async fn decide(services: Arc<Services>, reader: ReaderName, shown: Shown) -> Verdict {
    let Shown { trace, device, read } = shown;
    match services.desk.tap(trace, &reader, &device, &read).await {
        Ok(outcome) => {
            services.release.deliver(trace, outcome.released);
            Verdict { swipe: read.swipe, code: outcome.code, message: outcome.message }
        }
        Err(error) => {
            tracing::error!(%reader, %trace, error = &error as &dyn std::error::Error, "a card could not be decided about");
            // The store may have committed it all the same, and only its answer was lost.
            services.release.look_again(&device.printer);
            // No card goes by without an event, as far as the store still takes one.
            let message = format!("{}: failed (the host could not decide; its log says why)", device.name);
            let event = EventBody::new(trace, EventKind::VerdictGiven, message)
                .level(Level::Error)
                .reader(&reader)
                .device(&device.name)
                .fact("verdict", VerdictCode::Failed.as_str());
            services.tell(event).await;
            failed(read.swipe)
        }
    }
}

fn failed(swipe: Id) -> Verdict {
    Verdict { swipe, code: VerdictCode::Failed, message: "please try again".to_owned() }
}
