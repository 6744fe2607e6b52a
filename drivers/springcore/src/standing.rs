//! What the operator was last told of the reader, so that only changes are told.

use cardinal_sdk::{
    prelude::*,
    state::{Loader, Saver},
};

/// A change is told once it may be.
pub(crate) const REPORT_TIMER: Id = 3;
/// The least time between two reports: hosts take 120 a minute.
const BETWEEN_REPORTS: Millis = 1000;
const FACTS: [&str; 3] = ["serial", "firmware", "product"];
/// What a reader is that speaks HTTP and did not call yet.
const NEVER_CALLED: &str =
    "the reader has not called yet: are its registers 0290 (server) and 0291 (path) set to the address shown for it?";

/// What it is that did call.
const SILENT: &str = "the reader did not call for longer than `silence_seconds`: is it on, and is the keep-alive in its \
                      register 0292 shorter?";

/// How the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    NeverCalled,
    Online,
    Offline,
    Silent,
}

const HEALTHS: [Health; 4] = [Health::NeverCalled, Health::Online, Health::Offline, Health::Silent];

/// The reader's health and facts.
pub(crate) struct Standing {
    health: Health,
    /// In the order of [`FACTS`]; empty: not known.
    facts: [String; 3],
    untold: bool,
    again_at: Millis,
}

impl Default for Standing {
    fn default() -> Self {
        Self { health: Health::NeverCalled, facts: Default::default(), untold: true, again_at: 0 }
    }
}

impl Standing {
    /// The reader is so now.
    pub(crate) fn is(&mut self, health: Health) {
        self.untold |= self.health != health;
        self.health = health;
    }

    /// What the reader told of itself, in the order of serial number, firmware, product.
    pub(crate) fn learn(&mut self, told: [Option<String>; 3]) {
        for (known, told) in self.facts.iter_mut().zip(told) {
            if let Some(told) = told.filter(|told| told != known) {
                *known = told;
                self.untold = true;
            }
        }
    }

    /// Tells what changed; where something was told a moment ago, by [`REPORT_TIMER`]. `unreachable`: why the reader cannot
    /// call at all.
    pub(crate) fn report(&mut self, now: Millis, unreachable: Option<&str>, out: &mut Outputs) {
        if !self.untold {
            return;
        }
        if now < self.again_at {
            return out.set_timer(REPORT_TIMER, self.again_at.saturating_sub(now));
        }
        self.untold = false;
        self.again_at = now.saturating_add(BETWEEN_REPORTS);
        let (health, reason) = match self.health {
            Health::NeverCalled => ("degraded", unreachable.unwrap_or(NEVER_CALLED)),
            Health::Online => ("online", ""),
            Health::Offline => ("degraded", "the reader says that it goes offline"),
            Health::Silent => ("error", unreachable.unwrap_or(SILENT)),
        };
        let facts = FACTS.iter().zip(&self.facts).filter(|(_, value)| !value.is_empty());
        let facts = facts.map(|(key, value)| cardinal_sdk::Pair::new(*key, value.clone())).collect();
        out.push(cardinal_sdk::Output::Status(cardinal_sdk::Status {
            health: health.to_owned(),
            reason: reason.to_owned(),
            facts,
        }));
    }

    pub(crate) fn save(&self, saver: Saver) -> Saver {
        let health = HEALTHS.iter().position(|health| *health == self.health).unwrap_or_default();
        let saver = saver.number(health as u64).flag(self.untold).number(self.again_at);
        self.facts.iter().fold(saver, |saver, fact| saver.text(fact))
    }

    pub(crate) fn load(loader: &mut Loader<'_>) -> Result<Self, Fault> {
        let health = HEALTHS.get(loader.number::<usize>()?).copied();
        let health =
            health.ok_or_else(|| Fault::new("bad-state", "the saved state has a health that does not exist"))?;
        let (untold, again_at) = (loader.flag()?, loader.number()?);
        let mut facts: [String; 3] = Default::default();
        for fact in &mut facts {
            loader.text()?.clone_into(fact);
        }
        Ok(Self { health, facts, untold, again_at })
    }
}
