//! What happened to a host that was killed again and again, and whether all of it may be so.
//!
//! Pure: a history goes in, what is wrong with it comes out. It knows what the clients were told, who showed a card, what
//! came out of the printers, and what the host said of itself; it does not know how the host works.

use std::collections::{BTreeMap, BTreeSet};

use cardinal_domain::{
    event::{Event, EventKind},
    job::{Job, JobState},
    names::JobId,
};

/// All that happened.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What clients tried to print, each with a title of its own.
    pub submissions: Vec<Submission>,
    /// How often each user showed a card.
    pub taps: BTreeMap<String, usize>,
    /// The host's lives, each ended by a kill.
    pub lives: Vec<Life>,
    /// What came out of the printers, whole or not.
    pub prints: Vec<Print>,
    /// The events of the store in the end, in their order.
    pub stored: Vec<Event>,
    /// The jobs in the end.
    pub jobs: Vec<Job>,
    /// The files of the spool in the end, without the one that marks it.
    pub spool: Vec<String>,
}

/// What a client tried to print.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its title, which no other has.
    pub title: String,
    /// Whose it is.
    pub user: String,
    /// SHA-256 of the document.
    pub sha256: String,
    /// The document is [`arbitrary`](crate::document::arbitrary) of this size and seed.
    pub document: (usize, u32),
    /// What the client was told.
    pub told: Told,
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The job was taken, under this number.
    Taken(i32),
    /// It was not taken, in these words.
    Refused(String),
    /// Nothing: the host was killed before it answered.
    Nothing,
}

/// From a start of the host to its end, and what the next start found.
#[derive(Debug, Clone, Default)]
pub struct Life {
    /// The events that were seen on the stream.
    pub seen: Vec<Event>,
    /// The numbers of all jobs that clients had been told are taken by the end of it.
    pub taken: BTreeSet<i32>,
    /// The events that the next start had from the first of `seen` on.
    pub found: Vec<Event>,
    /// How each job stood after the next start.
    pub after: BTreeMap<i32, JobState>,
}

/// A document that came out of a printer.
#[derive(Debug, Clone)]
pub struct Print {
    /// The printer.
    pub printer: String,
    /// What it was called there, where the printer tells: `[job id.attempt] title`.
    pub name: Option<String>,
    /// SHA-256 of the document, as it was printed.
    pub sha256: String,
    /// Whether all of it came out. Real printers print what came where a document was cut off.
    pub whole: bool,
}

/// Everything that is wrong, in words; empty: nothing is.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    numbers(history, &mut wrong);
    taken(history, &mut wrong);
    whole(history, &mut wrong);
    prints(history, &mut wrong);
    taps(history, &mut wrong);
    events(history, &mut wrong);
    spool(history, &mut wrong);
    wrong
}

/// No job number is used twice, and none is given to two clients.
fn numbers(history: &History, wrong: &mut Vec<String>) {
    let mut told = BTreeMap::new();
    for submission in &history.submissions {
        if let Told::Taken(number) = submission.told
            && let Some(other) = told.insert(number, &submission.title)
        {
            wrong.push(format!("number {number} was given to {:?} and to {other:?}", submission.title));
        }
    }
    let mut known = BTreeMap::new();
    for job in &history.jobs {
        if let Some(other) = known.insert(job.number, job.id) {
            wrong.push(format!("jobs {} and {other} both have the number {}", job.id, job.number));
        }
    }
    // A number in use after one life is still there after the next.
    for (number, life) in history.lives.iter().flat_map(|life| life.after.keys().map(move |number| (number, life))) {
        if !known.contains_key(number) {
            wrong.push(format!("job {number} stood as {:?} once and is gone", life.after.get(number)));
        }
    }
}

/// What a client was told is taken is there after each kill, and delivered in the end.
fn taken(history: &History, wrong: &mut Vec<String>) {
    for (count, life) in history.lives.iter().enumerate() {
        for number in &life.taken {
            match life.after.get(number) {
                Some(JobState::Cancelled | JobState::Receiving) | None => {
                    wrong
                        .push(format!("job {number} was taken and is {:?} after kill {count}", life.after.get(number)));
                }
                Some(_) => {}
            }
        }
    }
    for submission in &history.submissions {
        let Told::Taken(number) = submission.told else { continue };
        let Some(job) = history.jobs.iter().find(|job| job.number == number) else {
            wrong.push(format!("job {number} was taken and is gone in the end"));
            continue;
        };
        if job.name != submission.title || job.sha256 != submission.sha256 {
            wrong
                .push(format!("job {number} is {:?}, not what the client printed as {:?}", job.name, submission.title));
        }
        if job.state != JobState::Delivered {
            wrong.push(format!("job {number} was taken and is {} in the end: {}", job.state, job.reason));
        }
        if !history.prints.iter().any(|print| print.whole && print.sha256 == submission.sha256) {
            wrong.push(format!("job {number} was taken and came out of no printer"));
        }
    }
}

/// Whatever can be released arrived whole, and no client was told that it could not be.
fn whole(history: &History, wrong: &mut Vec<String>) {
    let by_title: BTreeMap<&str, &Submission> =
        history.submissions.iter().map(|submission| (submission.title.as_str(), submission)).collect();
    let mut seen = BTreeSet::new();
    for job in history.jobs.iter().filter(|job| !matches!(job.state, JobState::Cancelled | JobState::Receiving)) {
        let Some(submission) = by_title.get(job.name.as_str()) else {
            wrong.push(format!("job {} ({:?}) was printed by nobody", job.number, job.name));
            continue;
        };
        if job.sha256 != submission.sha256 {
            wrong.push(format!("job {} ({:?}) is {} and did not arrive whole", job.number, job.name, job.state));
        }
        if let Told::Refused(why) = &submission.told {
            wrong.push(format!("job {} is {}, but its client was told {why:?}", job.number, job.state));
        }
        if !seen.insert(&job.name) {
            wrong.push(format!("{:?} was printed once and is two jobs", job.name));
        }
    }
}

/// What came out is what was printed, byte for byte, and once; again only for a person who tapped after the job had been
/// marked as "may have printed".
fn prints(history: &History, wrong: &mut Vec<String>) {
    let jobs: BTreeMap<&str, &Job> = history.jobs.iter().map(|job| (job.sha256.as_str(), job)).collect();
    let mut by_job: BTreeMap<JobId, usize> = BTreeMap::new();
    let mut attempts = BTreeSet::new();
    for print in &history.prints {
        let Some(job) = jobs.get(print.sha256.as_str()) else {
            wrong.push(format!("{} printed something that nobody printed ({:?})", print.printer, print.name));
            continue;
        };
        if !print.whole {
            if !history.stored.iter().any(|event| event.body.job == Some(job.id) && is_in_doubt(event)) {
                wrong.push(format!("a part of job {} came out, and nobody was told", job.number));
            }
            continue;
        }
        *by_job.entry(job.id).or_default() += 1;
        let Some(tag) = print.name.as_deref().and_then(|name| name.split_once(' ')).map(|(tag, _)| tag) else {
            continue;
        };
        if !tag.starts_with(&format!("[{}.", job.id)) {
            wrong.push(format!("job {} came out under the name {tag}", job.number));
        }
        if !attempts.insert(tag) {
            wrong.push(format!("job {} came out twice in one attempt, {tag}", job.number));
        }
    }
    for (id, count) in by_job {
        let may = 1 + releases_in_doubt(&history.stored, id);
        if count > may {
            wrong.push(format!("job {id} came out {count} times, but only {may} may be"));
        }
    }
}

/// How often the job was released by a person after it had been marked as "may have printed".
fn releases_in_doubt(events: &[Event], id: JobId) -> usize {
    let mut in_doubt = false;
    let mut count = 0;
    for event in events.iter().filter(|event| event.body.job == Some(id)) {
        match event.body.kind {
            EventKind::JobReturned | EventKind::JobRecovered => in_doubt |= is_in_doubt(event),
            EventKind::JobReleasing => count += usize::from(std::mem::take(&mut in_doubt)),
            _ => {}
        }
    }
    count
}

/// Whether it says that the job may have printed.
fn is_in_doubt(event: &Event) -> bool {
    match event.body.kind {
        EventKind::JobReturned => event.body.message.ends_with("It may have printed."),
        EventKind::JobRecovered => true,
        _ => false,
    }
}

/// Nothing is released but by a tap: each release belongs to one, and nobody has more of them than taps.
fn taps(history: &History, wrong: &mut Vec<String>) {
    let mut traces: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for event in history.stored.iter().filter(|event| event.body.kind == EventKind::JobReleasing) {
        match &event.body.user {
            Some(user) => drop(traces.entry(user.as_str()).or_default().insert(event.body.trace.to_string())),
            None => wrong.push(format!("event {}: a job was released for nobody", event.seq)),
        }
    }
    for (user, released) in traces {
        let tapped = history.taps.get(user).copied().unwrap_or_default();
        if released.len() > tapped {
            wrong.push(format!("{user} tapped {tapped} times, and jobs were released {} times", released.len()));
        }
    }
}

/// What was once seen is stored, the same and at the same place, for ever; no place is used twice.
fn events(history: &History, wrong: &mut Vec<String>) {
    let mut stored: BTreeMap<i64, &Event> = BTreeMap::new();
    for event in &history.stored {
        if stored.insert(event.seq, event).is_some() {
            wrong.push(format!("two events have the place {}", event.seq));
        }
    }
    for (count, life) in history.lives.iter().enumerate() {
        let found: BTreeMap<i64, &Event> = life.found.iter().map(|event| (event.seq, event)).collect();
        for event in &life.seen {
            if found.get(&event.seq) != Some(&event) {
                wrong.push(format!(
                    "event {} ({}) was seen before kill {count} and is not the same after it",
                    event.seq, event.body.kind
                ));
            }
        }
        for event in &life.found {
            if stored.get(&event.seq) != Some(&event) {
                wrong.push(format!("event {} was stored after kill {count} and is not the same in the end", event.seq));
            }
        }
    }
}

/// Every job is at its end, so nothing is left of any.
fn spool(history: &History, wrong: &mut Vec<String>) {
    wrong.extend(history.spool.iter().map(|name| format!("{name} is left in the spool")));
    for job in history.jobs.iter().filter(|job| !job.state.is_final()) {
        wrong.push(format!("job {} is {} in the end", job.number, job.state));
    }
}

#[cfg(test)]
mod tests {
    use cardinal_domain::{event::EventBody, job::NewJob, names::TraceId};

    use super::*;

    fn job(number: i32, title: &str) -> Job {
        let new = NewJob {
            queue: "find-me".parse().unwrap(),
            owner: "ada".to_owned(),
            signed_in: None,
            name: title.to_owned(),
            format: "application/pdf".to_owned(),
            options: BTreeMap::new(),
        };
        let user = Some("ada".parse().unwrap());
        Job { state: JobState::Delivered, sha256: format!("sha of {title}"), ..new.announced(number, user) }
    }

    fn event(seq: i64, kind: EventKind, job: &Job, message: &str) -> Event {
        let user = "ada".parse().unwrap();
        Event { seq, body: EventBody::new(TraceId::new(), kind, message).job(job.id).user(&user) }
    }

    fn print(job: &Job, attempt: u32) -> Print {
        let name = Some(format!("[{}.{attempt}] {}", job.id, job.name));
        Print { printer: "west".to_owned(), name, sha256: job.sha256.clone(), whole: true }
    }

    fn submission(job: &Job, told: Told) -> Submission {
        let sha256 = job.sha256.clone();
        Submission { title: job.name.clone(), user: "ada".to_owned(), sha256, document: (10, 1), told }
    }

    /// One job that was taken, held over a kill, in doubt after another, and came out twice because Ada tapped again; one
    /// whose client heard nothing and which came out; one that was refused.
    fn good() -> History {
        let (first, second) = (job(1, "a"), job(2, "b"));
        let refused = Job { state: JobState::Cancelled, ..job(3, "c") };
        let stored = vec![
            event(1, EventKind::JobHeld, &first, "held"),
            event(2, EventKind::JobReleasing, &first, "goes"),
            event(3, EventKind::JobReturned, &first, "job 1 is held again: silence. It may have printed."),
            event(4, EventKind::JobReleasing, &first, "goes"),
            event(5, EventKind::JobReleasing, &second, "goes"),
        ];
        let states = |state| BTreeMap::from([(1, state), (2, JobState::Held)]);
        History {
            submissions: vec![
                submission(&first, Told::Taken(1)),
                submission(&second, Told::Nothing),
                submission(&refused, Told::Refused("the disk is full".to_owned())),
            ],
            taps: BTreeMap::from([("ada".to_owned(), 3)]),
            lives: vec![
                Life {
                    seen: stored[..1].to_vec(),
                    taken: BTreeSet::from([1]),
                    found: stored[..2].to_vec(),
                    after: states(JobState::Releasing),
                },
                Life { seen: vec![], taken: BTreeSet::from([1]), found: vec![], after: states(JobState::Held) },
            ],
            prints: vec![
                print(&first, 1),
                print(&first, 2),
                print(&second, 1),
                Print { whole: false, ..print(&first, 1) },
            ],
            stored,
            jobs: vec![first, second, refused],
            spool: vec![],
        }
    }

    #[test]
    fn what_may_be_is_not_complained_of() {
        assert_eq!(check(&good()), Vec::<String>::new());
    }

    /// Each makes one thing wrong, and only the complaint about it may come.
    #[test]
    fn every_wrong_is_found() {
        type Wrong = fn(&mut History);
        let cases: &[(&str, Wrong)] = &[
            ("number 1 was given to", |h| h.submissions[1].told = Told::Taken(1)),
            ("both have the number 2", |h| h.jobs[2].number = 2),
            ("stood as", |h| {
                h.lives[0].after.insert(9, JobState::Held);
            }),
            ("job 1 was taken and is None after kill 0", |h| {
                h.lives[0].after.remove(&1);
            }),
            ("is Some(Cancelled) after kill 1", |h| {
                h.lives[1].after.insert(1, JobState::Cancelled);
            }),
            ("is Some(Receiving) after kill 1", |h| {
                h.lives[1].after.insert(1, JobState::Receiving);
            }),
            ("not what the client printed", |h| h.jobs[0].name = "b".to_owned()),
            ("job 1 was taken and is held in the end", |h| h.jobs[0].state = JobState::Held),
            ("came out of no printer", |h| h.prints.iter_mut().for_each(|print| print.whole = false)),
            ("a part of job 2 came out, and nobody was told", |h| h.prints[2].whole = false),
            ("came out of no printer", |h| drop(h.prints.drain(..2))),
            ("was printed by nobody", |h| h.jobs[1].name = "z".to_owned()),
            ("did not arrive whole", |h| h.jobs[1].sha256 = "half".to_owned()),
            ("was told \"the disk is full\"", |h| h.jobs[2].state = JobState::Delivered),
            ("is two jobs", |h| h.jobs.push(Job { number: 4, ..job(4, "b") })),
            ("printed something that nobody printed", |h| h.prints[2].sha256 = "half".to_owned()),
            ("came out twice in one attempt", |h| h.prints[1].name = h.prints[0].name.clone()),
            ("came out under the name", |h| h.prints[2].name = Some("[other.1] b".to_owned())),
            ("came out 3 times, but only 2 may be", |h| h.prints.push(print(&h.jobs[0].clone(), 3))),
            ("came out 2 times, but only 1 may be", |h| {
                h.stored[2].body.message = "job 1 is held again: it is off.".to_owned();
            }),
            // In doubt, but nobody tapped.
            ("came out 2 times, but only 1 may be", |h| {
                h.stored.remove(3);
            }),
            // A printer that tells no names.
            ("came out 2 times, but only 1 may be", |h| {
                let unnamed = Print { name: None, ..h.prints[2].clone() };
                h.prints.push(unnamed);
            }),
            ("ada tapped 2 times, and jobs were released 3 times", |h| {
                h.taps.insert("ada".to_owned(), 2);
            }),
            ("a job was released for nobody", |h| h.stored[4].body.user = None),
            ("two events have the place 2", |h| h.stored[2].seq = 2),
            ("seen before kill 0 and is not the same", |h| h.lives[0].found[0].body.message = "other".to_owned()),
            ("seen before kill 0 and is not the same", |h| {
                h.lives[0].found.remove(0);
            }),
            ("stored after kill 0 and is not the same in the end", |h| h.stored[1].body.message = "other".to_owned()),
            ("x.doc is left in the spool", |h| h.spool.push("x.doc".to_owned())),
            ("job 2 is printing in the end", |h| h.jobs[1].state = JobState::Printing),
        ];
        for (complaint, make_wrong) in cases {
            let mut history = good();
            make_wrong(&mut history);
            let wrong = check(&history);
            assert!(wrong.iter().any(|wrong| wrong.contains(complaint)), "no {complaint:?} in {wrong:#?}");
        }
    }
}
