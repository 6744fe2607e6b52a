//! One swap from its first reader to its last, or back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use cardinal_domain::{
    event::{EventBody, EventKind},
    names::{ReaderName, TraceId},
    time::Timestamp,
};
use cardinal_runtime::Driver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Stage, SwapView, Tally, check_all, followers,
    judge::worse,
    lock, names,
    roll::{Rolled, roll},
};
use crate::{
    drivers::DriverError,
    host::Host,
    readers::{self, Prepared, Way},
};

/// How often the readers that try it are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Why it goes back where an operator wants that.
const CALLED_OFF: &str = "it was called off";
/// How many readers that stay are named.
const STAYING_TOLD: usize = 20;

pub(super) struct Run {
    pub(super) host: Arc<Host>,
    /// None: the chosen version may not run.
    pub(super) from: Option<Driver>,
    pub(super) to: Driver,
    pub(super) canaries: Vec<ReaderName>,
    pub(super) tries: Duration,
    pub(super) view: Arc<Mutex<SwapView>>,
    /// Called off, or the host stops.
    pub(super) call_off: CancellationToken,
}

impl Run {
    /// Runs the swap to its end, whatever that is.
    pub(super) async fn go(self) {
        let trace = TraceId::new();
        let to = self.to.label();
        let is_same = self.from.is_some() && self.way_back().is_none();
        let from = if is_same { "another file".to_owned() } else { self.from() };
        let (readers, tries) = (lock(&self.view).readers, self.canaries.len());
        let message = match &self.from {
            Some(_) => format!("{to} is tried on {tries} of {readers} readers that run {from}"),
            None => format!("{readers} readers are to run {to}, because {from} is not run"),
        };
        self.tell(trace, EventKind::DriverSwap, message).await;
        let outcome = match self.try_it().await {
            Ok(()) => self.roll_out(trace).await,
            Err(why) => Err(why),
        };
        for canary in &self.canaries {
            self.host.services.drivers.canaries.set(canary, None);
        }
        // The host stops; every session ends anyway.
        if self.host.stopping.is_cancelled() {
            return;
        }
        let outcome = match outcome {
            Ok(()) => {
                let staying = lock(&self.view).staying;
                let stay =
                    if staying > 0 { format!("; {staying} take it with their next connection") } else { String::new() };
                let message = format!("readers run {to} instead of {from}{stay}");
                self.tell(trace, EventKind::DriverSwap, message).await;
                self.done()
            }
            Err(why) => Err(why),
        };
        if let Err(why) = outcome {
            self.take_back(trace, why).await;
        }
    }

    /// It is over, unless it was called off until now.
    fn done(&self) -> Result<(), String> {
        let mut view = lock(&self.view);
        if self.call_off.is_cancelled() && !self.host.stopping.is_cancelled() {
            return Err(CALLED_OFF.to_owned());
        }
        view.ended = Some(Timestamp::now());
        view.stage = Stage::Done;
        Ok(())
    }

    async fn take_back(&self, trace: TraceId, why: String) {
        lock(&self.view).why = Some(why.clone());
        self.stage(Stage::RollingBack);
        let (to, from) = (self.to.label(), self.from());
        let message = match self.way_back() {
            // Who could not go on keeps the file before until its next connection.
            None => {
                format!("not all readers run {to}; the others take it with their next connection: {why}")
            }
            Some(before) => match self.roll_back(before).await {
                Ok(()) => format!("{to} was taken back, readers run {from} again: {why}"),
                Err(error) => {
                    let id = before.manifest().id();
                    let why = format!(
                        "{why}. And {from} could not be chosen again: {error}. `cardinal driver swap {id} --to VERSION` \
                         chooses one"
                    );
                    lock(&self.view).why = Some(why.clone());
                    format!("{to} was to be taken back: {why}")
                }
            },
        };
        self.tell(trace, EventKind::DriverSwapBack, message).await;
        lock(&self.view).ended = Some(Timestamp::now());
        self.stage(Stage::RolledBack);
    }

    /// The first readers go on in it and are watched.
    async fn try_it(&self) -> Result<(), String> {
        if self.canaries.is_empty() {
            return Ok(());
        }
        let (host, to) = (&self.host, self.to.digest());
        let tallies = || -> BTreeMap<ReaderName, (Timestamp, Tally)> {
            let tally = |name: &ReaderName| {
                let status = host.sessions.status(name)?;
                Some((name.clone(), (status.since, Tally::of(&status))))
            };
            self.canaries.iter().filter_map(tally).collect()
        };
        let before = tallies();
        let (mut sum, mut over) = (Tally::default(), Duration::ZERO);
        for (since, tally) in before.values() {
            sum += *tally;
            over +=
                Duration::from_millis(u64::try_from(Timestamp::now().0.saturating_sub(since.0)).unwrap_or_default());
        }
        over /= u32::try_from(before.len()).unwrap_or(u32::MAX).max(1);
        for canary in &self.canaries {
            host.services.drivers.canaries.set(canary, Some(self.to.clone()));
        }
        let mut rolled = roll(host, &self.canaries, &self.to, 0, &self.call_off, |rolled| self.show(rolled, 0)).await;
        if rolled.failed > 0 {
            self.show(&rolled, 0);
            let stayed = rolled.stay.first().map(|stayed| format!("{}: {}", stayed.reader, stayed.why));
            return Err(stayed.unwrap_or_default());
        }
        if !self.tries.is_zero() {
            // They are to try it, and do so in a session that begins anew.
            for stayed in std::mem::take(&mut rolled.stay) {
                host.sessions.restart(&stayed.reader).await;
            }
        }
        self.show(&rolled, 0);
        let begun = Instant::now();
        let ends =
            Timestamp(Timestamp::now().0.saturating_add(i64::try_from(self.tries.as_millis()).unwrap_or(i64::MAX)));
        lock(&self.view).canary_until = Some(ends);
        loop {
            let mut tried = Tally::default();
            for (name, (since, now)) in tallies() {
                // One that began anew meanwhile counts from there.
                let before = before.get(&name).filter(|before| before.0 == since);
                tried += now.since(before.map(|before| before.1).unwrap_or_default());
            }
            lock(&self.view).tried = tried;
            if let Some(why) = worse(sum, over, tried, begun.elapsed()) {
                return Err(why);
            }
            if self.call_off.is_cancelled() {
                return Err(CALLED_OFF.to_owned());
            }
            if !host.services.drivers.may_run(to) {
                return Err("it may not run any more: it was removed, or its publisher is trusted no longer".to_owned());
            }
            let left = self.tries.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let runs_it = |reader| host.sessions.runs(reader).is_some_and(|digest| digest == to);
                if self.tries.is_zero() || self.canaries.iter().any(runs_it) {
                    return Ok(());
                }
                return Err("none of the readers that were to try it runs it".to_owned());
            }
            tokio::select! {
                () = tokio::time::sleep(left.min(LOOK)) => {}
                () = self.call_off.cancelled() => {}
            }
        }
    }

    /// It becomes the chosen version, and the rest follow.
    async fn roll_out(&self, trace: TraceId) -> Result<(), String> {
        self.stage(Stage::Rolling);
        let message = format!("{} is the chosen version from now on", self.to.label());
        let event = self.event(trace, EventKind::DriverSwap, message);
        let (id, version) = (self.to.manifest().id(), &self.to.manifest().version);
        let readers = {
            // Readers that are added or changed from now on are so with this version chosen; until now they were not.
            let _applying = self.host.applying.lock().await;
            let readers = followers(&self.host, &id);
            // Takes its time where there are a hundred thousand.
            tokio::task::block_in_place(|| check_all(&self.host, &self.to, &readers))?;
            let chosen = self.host.services.drivers.choose(&id, version, vec![event]).await;
            chosen.map_err(|error| format!("the choice could not be stored: {error}"))?;
            names(&readers)
        };
        // Those that could not run as configured begin, if they can now.
        self.host.sessions.reconcile().await;
        lock(&self.view).readers = readers.len();
        let already = lock(&self.view).moved;
        // A few odd readers do not speak against a version; one in twenty does. Without a way back none does.
        let most_failures = if self.way_back().is_some() { (readers.len() / 20).max(3) } else { usize::MAX };
        let show = |rolled: &Rolled| self.show(rolled, already);
        let mut rolled = roll(&self.host, &readers, &self.to, most_failures, &self.call_off, show).await;
        if rolled.failed > most_failures {
            let first = rolled.stay.first().map(|stayed| format!("{}: {}", stayed.reader, stayed.why));
            return Err(format!(
                "{} readers could not go on in it, such as {}",
                rolled.failed,
                first.unwrap_or_default()
            ));
        }
        if self.call_off.is_cancelled() {
            return Err(CALLED_OFF.to_owned());
        }
        // A session over HTTP has no connection that would end some day.
        let (over_http, stay): (Vec<_>, _) =
            rolled.stay.into_iter().partition(|stayed| self.is_over_http(&stayed.reader));
        for stayed in &over_http {
            self.host.sessions.restart(&stayed.reader).await;
        }
        rolled.stay = stay;
        rolled.next_time += over_http.len();
        self.show(&rolled, already);
        Ok(())
    }

    /// The same move backwards; who cannot begins anew. Err: why the version before is not the chosen one.
    async fn roll_back(&self, from: &Driver) -> Result<(), DriverError> {
        let (host, id, version) = (&self.host, from.manifest().id(), &from.manifest().version);
        let drivers = &host.services.drivers;
        let is_chosen = drivers.chosen(&id).as_ref() == Some(version) && drivers.may_run(from.digest());
        let chosen = if is_chosen { Ok(()) } else { drivers.choose(&id, version, Vec::new()).await };
        host.sessions.reconcile().await;
        // Also those that were added meanwhile.
        let readers = names(&followers(host, &id));
        let rolled = roll(host, &readers, from, usize::MAX, &host.stopping, |_| {}).await;
        for stayed in &rolled.stay {
            host.sessions.restart(&stayed.reader).await;
        }
        self.show(&Rolled::default(), 0);
        chosen
    }

    fn is_over_http(&self, reader: &ReaderName) -> bool {
        let (services, from) = (&self.host.services, self.from.as_ref().unwrap_or(&self.to));
        let setup = services.store.setup();
        let prepared = setup.readers.get(reader).map(|spec| readers::prepare(from.clone(), &services.config, spec));
        matches!(prepared, Some(Ok(Prepared { way: Way::Http(_), .. })))
    }

    fn show(&self, rolled: &Rolled, already: usize) {
        let mut view = lock(&self.view);
        view.moved = already + rolled.moved;
        view.next_time = rolled.next_time;
        view.staying = rolled.stay.len();
        view.stay = rolled.stay.iter().take(STAYING_TOLD).cloned().collect();
    }

    fn stage(&self, stage: Stage) {
        lock(&self.view).stage = stage;
    }

    /// The version to go back to. None: it may not run; or a file took the place of another of its version, and is gone.
    fn way_back(&self) -> Option<&Driver> {
        self.from.as_ref().filter(|from| from.digest() != self.to.digest())
    }

    /// The version before, in words.
    fn from(&self) -> String {
        format!("{}@{}", self.to.manifest().id(), lock(&self.view).from)
    }

    async fn tell(&self, trace: TraceId, kind: EventKind, message: String) {
        self.host.services.tell(self.event(trace, kind, message)).await;
    }

    fn event(&self, trace: TraceId, kind: EventKind, message: String) -> EventBody {
        let event = EventBody::new(trace, kind, message).fact("driver", self.to.label());
        event.fact("from", self.from())
    }
}
