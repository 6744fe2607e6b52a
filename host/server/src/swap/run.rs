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
    Stage, SwapView, Tally,
    judge::worse,
    lock,
    roll::{Rolled, roll},
};
use crate::host::Host;

/// How often the readers that try it are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How many readers that stay are named.
const STAYING_TOLD: usize = 20;

pub(super) struct Run {
    pub(super) host: Arc<Host>,
    pub(super) from: Driver,
    pub(super) to: Driver,
    pub(super) readers: Vec<ReaderName>,
    pub(super) canaries: Vec<ReaderName>,
    pub(super) tries: Duration,
    pub(super) view: Arc<Mutex<SwapView>>,
    pub(super) call_off: CancellationToken,
}

impl Run {
    /// Runs the swap to its end, whatever that is.
    pub(super) async fn go(self) {
        let trace = TraceId::new();
        let to = self.to.label();
        let from = if self.is_same_version() { "another file".to_owned() } else { self.from.label() };
        let message =
            format!("{to} is tried on {} of {} readers that run {from}", self.canaries.len(), self.readers.len());
        self.tell(trace, EventKind::DriverSwap, message).await;
        let outcome = match self.try_it().await {
            Ok(()) => self.roll_out(trace).await,
            Err(why) => Err(why),
        };
        for canary in &self.canaries {
            self.host.services.drivers.canaries.set(canary, None);
        }
        let stage = match outcome {
            // The host stops; every session ends anyway.
            _ if self.host.stopping.is_cancelled() => return,
            Ok(()) => {
                let staying = lock(&self.view).staying;
                let stay =
                    if staying > 0 { format!("; {staying} take it with their next connection") } else { String::new() };
                let message = format!("readers run {to} instead of {from}{stay}");
                self.tell(trace, EventKind::DriverSwap, message).await;
                Stage::Done
            }
            Err(why) => {
                lock(&self.view).why = Some(why.clone());
                self.stage(Stage::RollingBack);
                self.roll_back().await;
                let message = if self.is_same_version() {
                    format!(
                        "not all readers run the new file of {to}; the others take it with their next connection: {why}"
                    )
                } else {
                    format!("{to} was taken back, readers run {from} again: {why}")
                };
                self.tell(trace, EventKind::DriverSwapBack, message).await;
                Stage::RolledBack
            }
        };
        lock(&self.view).ended = Some(Timestamp::now());
        self.stage(stage);
    }

    /// The first readers go on in it and are watched.
    async fn try_it(&self) -> Result<(), String> {
        let host = &self.host;
        let tallies = |readers: &[ReaderName]| -> BTreeMap<ReaderName, Tally> {
            let tally = |name: &ReaderName| Some((name.clone(), Tally::of(&host.sessions.status(name)?)));
            readers.iter().filter_map(tally).collect()
        };
        let before = tallies(&self.canaries);
        for canary in &self.canaries {
            host.services.drivers.canaries.set(canary, Some(self.to.clone()));
        }
        let rolled = roll(host, &self.canaries, &self.to, 0, &self.stop(), |rolled| self.show(rolled, 0)).await;
        self.show(&rolled, 0);
        if rolled.failed > 0 {
            let stayed = rolled.stay.first().map(|stayed| format!("{}: {}", stayed.reader, stayed.why));
            return Err(stayed.unwrap_or_default());
        }
        let begun = Instant::now();
        let ends =
            Timestamp(Timestamp::now().0.saturating_add(i64::try_from(self.tries.as_millis()).unwrap_or(i64::MAX)));
        lock(&self.view).canary_until = Some(ends);
        let mut sum = Tally::default();
        before.values().for_each(|tally| sum += *tally);
        loop {
            let mut tried = Tally::default();
            for (name, now) in tallies(&self.canaries) {
                tried += now.since(before.get(&name).copied().unwrap_or_default());
            }
            lock(&self.view).tried = tried;
            if let Some(why) = worse(sum, host.started.elapsed(), tried, begun.elapsed()) {
                return Err(why);
            }
            if self.stop().is_cancelled() {
                return Err("it was called off".to_owned());
            }
            if !host.services.drivers.may_run(&self.to) {
                return Err("it may not run any more: it was removed, or its publisher is trusted no longer".to_owned());
            }
            let left = self.tries.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(());
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
        let (id, version) = (self.to.manifest().id(), &self.to.manifest().version);
        let message = format!("{} is the chosen version from now on", self.to.label());
        let event = self.event(trace, EventKind::DriverSwap, message);
        let chosen = self.host.services.drivers.choose(&id, version, vec![event]).await;
        chosen.map_err(|error| format!("the choice could not be stored: {error}"))?;
        let already = lock(&self.view).moved;
        // A few odd readers do not speak against a version; one in twenty does.
        let most_failures = (self.readers.len() / 20).max(3);
        let stop = self.stop();
        let rolled =
            roll(&self.host, &self.readers, &self.to, most_failures, &stop, |rolled| self.show(rolled, already)).await;
        if rolled.failed > most_failures {
            let first = rolled.stay.first().map(|stayed| format!("{}: {}", stayed.reader, stayed.why));
            return Err(format!(
                "{} readers could not go on in it, such as {}",
                rolled.failed,
                first.unwrap_or_default()
            ));
        }
        if stop.is_cancelled() {
            return Err("it was called off".to_owned());
        }
        Ok(())
    }

    /// The same move backwards; who cannot begins anew.
    async fn roll_back(&self) {
        if self.is_same_version() {
            // Who could not go on keeps the file before until its next connection.
            return;
        }
        let (id, version) = (self.from.manifest().id(), &self.from.manifest().version);
        let drivers = &self.host.services.drivers;
        if drivers.chosen(&id).as_ref() != Some(version)
            && let Err(error) = drivers.choose(&id, version, Vec::new()).await
        {
            tracing::error!(%error, "the version before could not be chosen again; `cardinal driver swap` does it");
        }
        let all = usize::MAX;
        let rolled = roll(&self.host, &self.readers, &self.from, all, &self.host.stopping, |_| {}).await;
        for stayed in &rolled.stay {
            self.host.sessions.restart(&stayed.reader).await;
        }
        self.show(&Rolled::default(), 0);
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

    /// Whether a file took the place of another of its version: the one before is gone, and nobody can go back.
    fn is_same_version(&self) -> bool {
        self.from.digest() == self.to.digest()
    }

    /// Called off, or the host stops.
    fn stop(&self) -> CancellationToken {
        let stop = self.call_off.clone();
        if self.host.stopping.is_cancelled() {
            stop.cancel();
        }
        stop
    }

    async fn tell(&self, trace: TraceId, kind: EventKind, message: String) {
        self.host.services.tell(self.event(trace, kind, message)).await;
    }

    fn event(&self, trace: TraceId, kind: EventKind, message: String) -> EventBody {
        let event = EventBody::new(trace, kind, message).fact("driver", self.to.label());
        event.fact("from", self.from.label())
    }
}
