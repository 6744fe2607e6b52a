//! What is known of each printer: what it can do, how it is, and what of that was told.
//!
//! A printer is looked at before each job that goes to it, again and again while it has jobs, and else every so often
//! (`watch`). All looks go through [`Engine::look`], one at a time for a printer, and a look that was just taken serves
//! everybody. What it can do is asked seldom: it is asked again when it is old, when the printer says that it changed, when
//! the printer was switched off, and when it refused a job. Trouble is told once for each change, never for each look.

mod status;
mod trouble;
mod watch;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use cardinal_domain::{
    event::{EventBody, EventKind, Level},
    job::JobState,
    job_life::JobInput,
    names::{JobId, PrinterName, TraceId},
    site::{Printer, PrinterUri},
    time::Timestamp,
};
use cardinal_store::JobFilter;

pub(crate) use self::{status::Readiness, watch::watch};
pub use self::{
    status::{PrinterState, PrinterStatus, Trouble},
    watch::SeenCertificate,
};
use crate::{
    backends::ipp::{
        IppPrinter, Unanswered,
        attributes::{Abilities, Described},
    },
    engine::{Engine, lock},
};

/// A look this old serves for sending a job.
pub(crate) const JUST_NOW: Duration = Duration::from_secs(2);
/// One printer's trouble is told at most once in so long: a printer that says something else at each look fills no store.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// The beginning of the reason of a job that waits for its printer.
const WAITS: &str = "waits: ";
/// How many jobs of a printer are told what they wait for.
const MOST_TOLD: i64 = 1_000;

/// What is known of all printers.
#[derive(Default)]
pub(crate) struct Printers {
    known: Mutex<HashMap<PrinterName, Arc<Known>>>,
}

/// What is known of one printer, as it is configured now.
struct Known {
    spec: Printer,
    /// Held while it is asked.
    asking: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    status: PrinterStatus,
    abilities: Option<(Arc<Abilities>, Instant)>,
    /// What it said last of its clock and its configuration.
    up: Option<i32>,
    config_change: Option<i32>,
    looked: Option<Instant>,
    /// When it is looked at next, jobs or not. None: not planned yet.
    next: Option<Instant>,
    /// The trouble that was told of, and when.
    told: Vec<(String, Level)>,
    told_at: Option<Instant>,
    /// What its jobs are told to wait for.
    waiting: Option<String>,
}

/// A printer as it was at a look.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) status: PrinterStatus,
    /// What it can do, and how old that is. None: it does not tell.
    pub(crate) abilities: Option<(Arc<Abilities>, Duration)>,
}

impl Printers {
    /// What is known of this printer; nothing yet if it is new or configured otherwise than before.
    fn of(&self, spec: &Printer) -> Arc<Known> {
        let mut all = lock(&self.known);
        match all.get(&spec.name) {
            Some(known) if known.spec == *spec => Arc::clone(known),
            _ => {
                let (asking, inner) = (tokio::sync::Mutex::default(), Mutex::default());
                let known = Arc::new(Known { spec: spec.clone(), asking, inner });
                all.insert(spec.name.clone(), Arc::clone(&known));
                known
            }
        }
    }

    /// How it was when it was last looked at.
    pub(crate) fn status(&self, spec: &Printer) -> PrinterStatus {
        match spec.uri {
            PrinterUri::Folder(_) => PrinterStatus { state: PrinterState::Folder, ..PrinterStatus::default() },
            PrinterUri::Ipp(_) => lock(&self.of(spec).inner).status.clone(),
        }
    }

    /// It refused something: what it can do is asked anew before the next job.
    pub(crate) fn doubt(&self, spec: &Printer) {
        let known = self.of(spec);
        let mut inner = lock(&known.inner);
        (inner.abilities, inner.looked) = (None, None);
    }

    /// It is looked at soon, for example because a job has just left it.
    pub(crate) fn soon(&self, spec: &Printer) {
        lock(&self.of(spec).inner).next = Some(Instant::now() + JUST_NOW);
    }

    /// What a job at this printer waits for, if it is known to wait.
    pub(crate) fn waiting(&self, printer: &PrinterName) -> Option<String> {
        let known = lock(&self.known).get(printer).cloned()?;
        let inner = lock(&known.inner);
        inner.waiting.clone()
    }

    /// Forgets printers that are not configured any more.
    fn keep(&self, configured: impl Fn(&PrinterName) -> bool) {
        lock(&self.known).retain(|name, _| configured(name));
    }
}

impl Known {
    fn look(&self) -> Look {
        let inner = lock(&self.inner);
        let abilities = inner.abilities.as_ref().map(|(abilities, since)| (Arc::clone(abilities), since.elapsed()));
        Look { status: inner.status.clone(), abilities }
    }

    /// Whether the last look serves. A printer that tells nothing is not made to time out again and again.
    fn serves(&self, age: Duration, silent: Duration) -> bool {
        let inner = lock(&self.inner);
        let age = if inner.status.state == PrinterState::Silent { age.max(silent) } else { age };
        inner.looked.is_some_and(|looked| looked.elapsed() < age)
    }

    /// Whether what it can do is still to be asked.
    fn wants_abilities(&self, oldest: Duration) -> bool {
        lock(&self.inner).abilities.as_ref().is_none_or(|(_, since)| since.elapsed() >= oldest)
    }

    /// Takes over what it said. True: what it can do has changed since that was asked.
    fn take(&self, told: Described, everything: bool) -> bool {
        let mut inner = lock(&self.inner);
        let restarted = matches!((inner.up, told.up), (Some(before), Some(now)) if now < before);
        let changed = restarted || inner.config_change != told.config_change;
        (inner.up, inner.config_change) = (told.up, told.config_change);
        inner.looked = Some(Instant::now());
        inner.status.take(&told);
        if everything {
            inner.status.take_abilities(&told.abilities);
            inner.abilities = Some((Arc::new(told.abilities), Instant::now()));
        }
        let unknown = changed && !everything;
        if unknown {
            // Should it not be told now either, nothing is left out of a job by what is out of date.
            inner.abilities = None;
        }
        unknown
    }

    fn fails(&self, unanswered: Unanswered) {
        let mut inner = lock(&self.inner);
        inner.looked = Some(Instant::now());
        match unanswered {
            Unanswered::Unreachable(why) => inner.status.fails(PrinterState::Unreachable, why),
            Unanswered::Silent(why) | Unanswered::Refused(why) => inner.status.fails(PrinterState::Silent, why),
        }
    }

    /// The event that tells of a change, if it is time to tell one. What cannot be told yet is told after another look.
    fn to_tell(&self) -> Option<EventBody> {
        let mut inner = lock(&self.inner);
        let trouble: Vec<_> = inner.status.told().map(|one| (one.reason.clone(), one.level)).collect();
        if trouble == inner.told {
            return None;
        }
        if let Some(next) = inner.told_at.map(|at| at + TELL_EVERY).filter(|next| *next > Instant::now()) {
            inner.next = Some(next);
            return None;
        }
        inner.told_at = Some(Instant::now());
        inner.told = trouble;
        inner.status.since = Some(Timestamp::now());
        let name = &self.spec.name;
        let event = match inner.status.told().map(|one| one.level).max() {
            None => {
                EventBody::new(TraceId::new(), EventKind::PrinterRecovered, format!("printer {name} is ready again"))
            }
            Some(level) => {
                let words: Vec<_> = inner.status.told().map(|one| one.words.as_str()).collect();
                let message = format!("printer {name} {}", words.join(", "));
                EventBody::new(TraceId::new(), EventKind::PrinterTrouble, message).level(level)
            }
        };
        Some(event.fact("printer", name.to_string()).fact("state", inner.status.state.as_str()))
    }

    /// What its jobs wait for, if that has changed.
    fn changed_wait(&self) -> Option<Option<String>> {
        let mut inner = lock(&self.inner);
        let title = format!("printer {:?}", self.spec.name.as_str());
        let waiting = inner.status.holds_up().map(|words| format!("{WAITS}{title} {words}"));
        (inner.waiting != waiting).then(|| {
            inner.waiting.clone_from(&waiting);
            waiting
        })
    }
}

impl Engine {
    /// How the printer is: asked now, unless that was done less than `age` ago. Trouble that is new is told.
    pub(crate) async fn look(&self, spec: &Printer, age: Duration) -> Look {
        self.look_unless(spec, age, self.limits.attributes_fresh()).await
    }

    /// The same; a printer that told nothing of itself is not asked again for so long.
    async fn look_unless(&self, spec: &Printer, age: Duration, silent: Duration) -> Look {
        let PrinterUri::Ipp(uri) = &spec.uri else {
            return Look { status: self.printers.status(spec), abilities: None };
        };
        let known = self.printers.of(spec);
        let _turn = known.asking.lock().await;
        let oldest = self.limits.attributes_fresh();
        if known.serves(age, silent) {
            return known.look();
        }
        let printer = IppPrinter::new(self, spec, uri);
        let everything = known.wants_abilities(oldest);
        match printer.describe(everything).await {
            Ok(told) => {
                if known.take(told, everything)
                    && let Ok(told) = printer.describe(true).await
                {
                    known.take(told, true);
                }
            }
            Err(unanswered) => known.fails(unanswered),
        }
        if let Some(event) = known.to_tell() {
            self.record(vec![event]).await;
        }
        if let Some(waiting) = known.changed_wait() {
            self.tell_jobs(&spec.name, waiting.as_deref()).await;
        }
        known.look()
    }

    /// Says in the jobs of this printer what they wait for, or that they wait no more.
    async fn tell_jobs(&self, printer: &PrinterName, waiting: Option<&str>) {
        for state in [JobState::Releasing, JobState::Sending, JobState::Printing] {
            let filter = JobFilter { state: Some(state), limit: MOST_TOLD, ..JobFilter::default() };
            let jobs = match self.store.jobs(&filter).await {
                Ok(jobs) => jobs,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "jobs cannot be told what they wait for");
                    return;
                }
            };
            for job in jobs.iter().filter(|job| job.printer.as_ref() == Some(printer)) {
                let reason = waiting.unwrap_or_default();
                // A reason of another kind stands there for a reason.
                if job.reason != reason && (job.reason.is_empty() || job.reason.starts_with(WAITS)) {
                    self.tell_waiting(job.id, reason).await;
                }
            }
        }
    }

    /// Says in a job what it waits for. It may have moved on: then there is nothing to say.
    pub(crate) async fn tell_waiting(&self, id: JobId, reason: &str) {
        let input = JobInput::Waits { reason: reason.to_owned() };
        if let Err(error) = self.change(TraceId::new(), id, input).await {
            tracing::debug!(job = %id, %error, "a job is not told what it waits for");
        }
    }
}
