//! What a run of kills came to, in figures.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

use cardinal_domain::{
    event::{Event, EventKind},
    job::JobState,
    names::JobId,
};

use super::history::{History, Life, Told};

/// The figures.
#[derive(Debug)]
pub struct Table {
    begun: Instant,
    took: Duration,
    kills: usize,
    moments: BTreeMap<String, usize>,
    at_kill: BTreeMap<&'static str, usize>,
    /// How each job stood when it was last heard of.
    standing: BTreeMap<JobId, JobState>,
    ended: Vec<(&'static str, usize)>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            took: Duration::ZERO,
            kills: 0,
            moments: BTreeMap::new(),
            at_kill: BTreeMap::new(),
            standing: BTreeMap::new(),
            ended: Vec::new(),
        }
    }
}

impl Table {
    /// One more kill: the moment it was meant for, the life it ended, and how many clients were sending.
    pub(super) fn killed(&mut self, moment: Option<EventKind>, life: &Life, sending: u32) {
        self.kills += 1;
        let moment = moment.map_or_else(|| "at any moment".to_owned(), |kind| format!("right after {kind}"));
        *self.moments.entry(moment).or_default() += 1;
        for event in &life.seen {
            stand(&mut self.standing, event);
        }
        let states = [JobState::Held, JobState::Releasing, JobState::Sending, JobState::Printing];
        for state in states.into_iter().filter(|state| self.standing.values().any(|standing| standing == state)) {
            *self.at_kill.entry(state.as_str()).or_default() += 1;
        }
        if sending > 0 {
            *self.at_kill.entry("arriving").or_default() += 1;
        }
        // What the next start found happened before it, too.
        for event in &life.found {
            stand(&mut self.standing, event);
        }
    }

    /// Says how far it is.
    pub(super) fn tell(&self, count: u32, times: u32) {
        eprintln!("kill {count} of {times} ({:.0} s so far)", self.begun.elapsed().as_secs_f32());
    }

    /// The figures of the whole.
    pub(super) fn ended(&mut self, history: &History, broken_off: usize) {
        self.took = self.begun.elapsed();
        let told = |wish: fn(&Told) -> bool| history.submissions.iter().filter(|one| wish(&one.told)).count();
        let events = |kind| history.stored.iter().filter(|event| event.body.kind == kind).count();
        let in_doubt = history.stored.iter().filter(|event| event.body.message.ends_with("It may have printed."));
        let delivered = history.jobs.iter().filter(|job| job.state == JobState::Delivered).count();
        let documents: BTreeSet<_> =
            history.prints.iter().filter(|print| print.whole).map(|print| &print.sha256).collect();
        let whole = history.prints.iter().filter(|print| print.whole).count();
        let unheard = |job: &&cardinal_domain::job::Job| {
            job.state == JobState::Delivered
                && !history.submissions.iter().any(|one| one.told == Told::Taken(job.number))
        };
        let seen: BTreeSet<i64> = history.lives.iter().flat_map(|life| &life.seen).map(|event| event.seq).collect();
        self.ended = vec![
            ("documents that clients sent", history.submissions.len()),
            ("… and were told: taken", told(|told| matches!(told, Told::Taken(_)))),
            ("… and were told: not taken", told(|told| matches!(told, Told::Refused(_)))),
            ("… and were told nothing (killed)", told(|told| *told == Told::Nothing)),
            ("jobs delivered", delivered),
            (
                "… of which the client had no answer, but the whole document had come",
                history.jobs.iter().filter(unheard).count(),
            ),
            ("documents out of the printers", whole),
            ("… of which a second time, tapped for after \"may have printed\"", whole - documents.len()),
            ("documents cut off on their way to a printer by a kill", broken_off + history.prints.len() - whole),
            ("… of which the printer (ippeveprinter) printed the part that came", history.prints.len() - whole),
            ("jobs held again, nothing printed", events(EventKind::JobReturned) - in_doubt.clone().count()),
            ("jobs held again as \"may have printed\"", in_doubt.count()),
            ("rows rebuilt from the spool", events(EventKind::JobRecovered)),
            ("left-over files removed by a start", events(EventKind::SpoolRubbish)),
            ("cards shown", history.taps.values().sum()),
            ("events stored", history.stored.len()),
            ("… of which were seen before a kill", seen.len()),
        ];
    }

    /// How many kills found a job so: `arriving`, `held`, `releasing`, `sending` or `printing`.
    pub fn kills_while(&self, state: &str) -> usize {
        self.at_kill.get(state).copied().unwrap_or_default()
    }
}

/// How a job stands after this event.
fn stand(standing: &mut BTreeMap<JobId, JobState>, event: &Event) {
    let Some(job) = event.body.job else { return };
    let state = match event.body.kind {
        EventKind::JobHeld | EventKind::JobReturned | EventKind::JobRecovered => JobState::Held,
        EventKind::JobReleasing | EventKind::JobRetried => JobState::Releasing,
        EventKind::JobSending => JobState::Sending,
        EventKind::JobPrinting => JobState::Printing,
        EventKind::JobDelivered => JobState::Delivered,
        EventKind::JobCancelled => JobState::Cancelled,
        _ => return,
    };
    standing.insert(job, state);
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | count |\n| --- | ---: |")?;
        writeln!(f, "| kills (in {:.0} s) | {} |", self.took.as_secs_f32(), self.kills)?;
        for (moment, count) in &self.moments {
            writeln!(f, "| … {moment} | {count} |")?;
        }
        for state in ["arriving", "held", "releasing", "sending", "printing"] {
            writeln!(f, "| kills while at least one job was {state} | {} |", self.kills_while(state))?;
        }
        self.ended.iter().try_for_each(|(what, count)| writeln!(f, "| {what} | {count} |"))
    }
}
