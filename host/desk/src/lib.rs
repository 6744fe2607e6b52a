//! A card comes in, a verdict goes out.
//!
//! [`decision`] holds every rule as a state machine without I/O; [`Desk`] only carries out what it asks for: it looks up
//! in the store, commits, and hands back the verdict with the jobs that are now to be delivered. It knows neither readers'
//! sockets nor printers.

mod conversions;
mod decision;

use cardinal_domain::{
    config_keys,
    convert::Rules,
    driver::{CardRead, VerdictCode},
    event::EventBody,
    job::Job,
    job_life::{self, JobInput},
    names::{ReaderName, TraceId},
    site::Device,
};
use cardinal_store::{Store, StoreError};

use crate::{
    conversions::Conversions,
    decision::{Effect, Tap},
};

/// Decides about cards.
pub struct Desk {
    store: Store,
    conversions: Conversions,
}

/// What became of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict's code.
    pub code: VerdictCode,
    /// For a display.
    pub message: String,
    /// The jobs that were committed as `releasing`, to be delivered in this order.
    pub released: Vec<Job>,
}

impl Desk {
    /// A desk over this store.
    pub fn new(store: Store) -> Self {
        Self { store, conversions: Conversions::default() }
    }

    /// Decides about a card shown at a reader of this device. When this returns, the events are stored and the jobs are
    /// committed as `releasing`: the verdict may be told, and the jobs may be delivered.
    ///
    /// # Errors
    /// The store failed; then nothing was committed and the verdict is `failed`.
    pub async fn tap(
        &self,
        trace: TraceId,
        reader: &ReaderName,
        device: &Device,
        read: &CardRead,
    ) -> Result<Outcome, StoreError> {
        let setup = self.store.setup();
        let card = self
            .conversions
            .of(Rules::of(&setup.config, Some(device)))
            .and_then(|conversion| conversion.convert(read.number.as_deref(), read.bits.as_ref()));
        let show_unknown = config_keys::is_on(&setup.config, config_keys::SHOW_UNKNOWN_CARDS);
        let (mut tap, mut effect) = Tap::begin(trace, reader, device, read, card, show_unknown);
        loop {
            effect = match effect {
                Effect::FindHolder(card) => tap.found(self.store.holder(&card).await?),
                Effect::FindMember(user, groups) => tap.checked(self.store.is_member(&user, &groups).await?),
                Effect::Commit { jobs, printer } => {
                    let rule = |job: &mut Job| {
                        let release = JobInput::Release { printer: printer.clone(), device: Some(device.name.clone()) };
                        job_life::step(job, trace, release)
                    };
                    let mut concluded = None;
                    let conclude = |released: &[Job]| -> Vec<EventBody> {
                        let (code, message, events) = tap.conclude(released);
                        concluded = Some((code, message));
                        events
                    };
                    let released = self.store.change_jobs(&jobs, rule, conclude).await?;
                    let (code, message) = concluded.unwrap_or((VerdictCode::Failed, String::new()));
                    return Ok(Outcome { code, message, released });
                }
            };
        }
    }
}
