//! An attempt to deliver a job, made by its printer's worker (`line`).
//!
//! Every step is committed before it is acted on, `sending` before the first byte. Once a printer has a job, a task of its
//! own follows it to its end (`follow`), so the next one can go out. What was under way when the host stopped is looked up
//! first.

use std::{sync::Arc, time::Duration};

use cardinal_domain::{
    job::{Job, JobState},
    job_life::JobInput,
    names::{JobId, PrinterName, TraceId},
    site::{Printer, PrinterUri},
    time::Timestamp,
};

use crate::{
    backends::{
        Failure, Sent, folder,
        ipp::{IppPrinter, Unanswered},
    },
    engine::Engine,
    follow,
    line::{turn_is_over, turn_missed},
    ready::{Ready, ready},
};

/// Why a job whose document is gone was cancelled; should the document come back, so does the job (`scan`).
pub(crate) const DOCUMENT_MISSING: &str = "its document is missing from the spool";

/// A job to be delivered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) trace: TraceId,
    pub(crate) id: JobId,
    /// It was found at the start of the host. Its row may be older than what happened (a power cut can take the last
    /// moments of the store), so its printer is asked about it before anything is sent.
    pub(crate) taken_up: bool,
}

impl Work {
    /// A job that was released just now.
    pub(crate) fn new(trace: TraceId, id: JobId) -> Self {
        Self { trace, id, taken_up: false }
    }

    /// A job that was under way when the host stopped.
    pub(crate) fn taken_up(trace: TraceId, id: JobId) -> Self {
        Self { trace, id, taken_up: true }
    }
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// There is nothing more to do here.
    Over,
    /// Nothing was printed; to be tried again by itself.
    Again,
}

/// A panic ends the attempt alone: the job is in doubt, and the next one goes on.
pub(crate) async fn guarded(engine: &Engine, work: Work, attempt: impl Future<Output = Attempt> + Send) -> Attempt {
    if let Some(attempt) = Engine::without_panic(attempt).await {
        return attempt;
    }
    let reason = "an error inside the host broke it off".to_owned();
    engine.commit_any(work.trace, work.id, JobInput::Failed { reason, maybe_printed: true, retry: false }).await;
    Attempt::Over
}

/// Whether a job is delivered by itself, so that nobody stands at the printer waiting for it.
pub(crate) fn by_itself(engine: &Engine, job: &Job) -> bool {
    job.device.is_none() && engine.passes_on(&job.queue).is_some()
}

/// How long ago a job in `releasing` was released. None: the clock was set back since, so it cannot be told.
pub(crate) fn since_released(job: &Job) -> Option<Duration> {
    let since = Timestamp::now().0.saturating_sub(job.changed.0);
    u64::try_from(since).ok().map(Duration::from_millis)
}

/// Whether whoever released it may still stand at the printer.
fn is_attended(engine: &Engine, job: &Job) -> bool {
    // A clock that was set back does not make an old release new.
    since_released(job).is_some_and(|since| since < engine.limits.attended())
}

pub(crate) async fn waits_in_turn(engine: &Engine, work: Work) -> bool {
    matches!(engine.store.job(work.id).await, Ok(Some(job)) if by_itself(engine, &job))
}

pub(crate) async fn attempt(engine: &Arc<Engine>, printer: &PrinterName, work: Work) -> Attempt {
    let job = match engine.store.job(work.id).await {
        Ok(Some(job)) => job,
        Ok(None) => return Attempt::Over,
        Err(error) => {
            tracing::error!(job = %work.id, error = &error as &dyn std::error::Error, "a job cannot be read");
            return Attempt::Again;
        }
    };
    if job.printer.as_ref() != Some(printer) {
        tracing::warn!(job = %job.id, printer = printer.as_str(), "a job goes to another printer by now");
        return Attempt::Over;
    }
    match job.state {
        JobState::Releasing => {}
        // Whoever sent it follows it.
        JobState::Sending | JobState::Printing if !work.taken_up => return Attempt::Over,
        JobState::Sending | JobState::Printing => {
            let whole = job.state == JobState::Printing;
            follow::spawn(engine, printer, work, job, whole);
            return Attempt::Over;
        }
        _ => return Attempt::Over,
    }
    if !work.taken_up && !by_itself(engine, &job) && turn_is_over(engine, &job) {
        engine.commit(work.trace, &job, turn_missed(printer)).await;
        return Attempt::Over;
    }
    let Some(target) = engine.store.setup().printers.get(printer).cloned() else {
        let reason = format!("printer {:?} is not configured any more", printer.as_str());
        let input = JobInput::Failed { reason, maybe_printed: work.taken_up, retry: false };
        engine.commit(work.trace, &job, input).await;
        return Attempt::Over;
    };
    if work.taken_up {
        let known = look_up(engine, &target, &job).await;
        if let Some(attempt) = taken_up(engine, printer, work, &job, known).await {
            return attempt;
        }
    }
    // From here on it is as if it had been released now.
    let work = Work::new(work.trace, work.id);
    let template = match &target.uri {
        PrinterUri::Folder(_) => Vec::new(),
        PrinterUri::Ipp(_) => match ready(engine, &target, work, &job).await {
            Ready::Go(template) => template,
            Ready::Failed(failure) => {
                if !failure.again {
                    engine.printers.doubt(&target);
                }
                return failed(engine, work, &job, failure).await;
            }
            Ready::Over => return Attempt::Over,
        },
    };
    let document = match engine.spool.read(job.id).await {
        Ok(document) => document,
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound && engine.spool.is_marked().is_ok_and(|marked| marked) =>
        {
            let reason = DOCUMENT_MISSING.to_owned();
            engine.commit(work.trace, &job, JobInput::Cancel { reason }).await;
            return Attempt::Over;
        }
        Err(error) => {
            return failed(engine, work, &job, Failure::again(format!("its document cannot be read: {error}"))).await;
        }
    };
    let Some(job) = engine.commit(work.trace, &job, JobInput::Sending).await else { return Attempt::Over };
    let sent = match &target.uri {
        PrinterUri::Folder(path) => folder::deliver(printer, &engine.base.join(path), &job, document).await,
        PrinterUri::Ipp(uri) => IppPrinter::new(engine, &target, uri).print(work.trace, &job, &template).await,
    };
    match sent {
        Sent::Done => {
            engine.commit(work.trace, &job, JobInput::Done).await;
        }
        Sent::Taken(remote) => {
            if let Some(job) = engine.commit(work.trace, &job, JobInput::Accepted { remote }).await {
                follow::spawn(engine, printer, work, job, true);
            }
        }
        Sent::Lost { why, whole } => {
            tracing::warn!(job = %job.id, printer = printer.as_str(), why, "a transfer was lost; the printer is asked about it");
            follow::spawn(engine, printer, work, job, whole);
        }
        Sent::Failed(failure) => {
            if !failure.again {
                engine.printers.doubt(&target);
            }
            return failed(engine, work, &job, failure).await;
        }
    }
    Attempt::Over
}

/// What is known of a job that was chosen for a printer before the host stopped.
enum Known {
    /// The printer has it, or had it.
    Sent,
    /// The printer says that it never came.
    NotSent,
    /// It cannot be told.
    Unknown(Failure),
}

async fn look_up(engine: &Engine, printer: &Printer, job: &Job) -> Known {
    match &printer.uri {
        PrinterUri::Folder(path) if folder::is_there(&engine.base.join(path), job).await => Known::Sent,
        PrinterUri::Folder(_) => Known::NotSent,
        PrinterUri::Ipp(uri) => {
            let printer = IppPrinter::new(engine, printer, uri);
            let failure = |again, why| {
                let reason = format!("the host restarted, and {} cannot be asked about it: {why}", printer.title());
                Known::Unknown(Failure { reason, again })
            };
            match printer.look(job, None, false).await {
                Ok(Some(_)) => Known::Sent,
                Ok(None) => Known::NotSent,
                Err(Unanswered::Refused(why)) => failure(false, why),
                Err(Unanswered::Unreachable(why) | Unanswered::Silent(why)) => failure(true, why),
            }
        }
    }
}

/// A job that the store has as released, with nothing sent, at the start of the host:
/// - Its printer has it: it is followed to its end.
/// - Somebody released it a moment ago (`attended_s`), and the printer says that it never came: it is sent.
/// - Somebody released it long ago: it does not come out with nobody there, but is held again. It is in doubt only where
///   the printer cannot tell.
/// - It passes straight on: it is sent where the printer says that it never came, tried again while the printer does not
///   answer, and held in doubt where the printer does not tell.
///
/// None: it is to be sent now.
async fn taken_up(engine: &Arc<Engine>, printer: &PrinterName, work: Work, job: &Job, known: Known) -> Option<Attempt> {
    let input = match known {
        Known::Sent => {
            if let Some(job) = engine.commit(work.trace, job, JobInput::Sending).await {
                follow::spawn(engine, printer, work, job, false);
            }
            return Some(Attempt::Over);
        }
        Known::NotSent if by_itself(engine, job) || is_attended(engine, job) => return None,
        Known::NotSent => {
            let reason = "the host restarted before it was sent; show the card again".to_owned();
            JobInput::Failed { reason, maybe_printed: false, retry: false }
        }
        Known::Unknown(failure) if failure.again && by_itself(engine, job) => {
            return Some(failed(engine, work, job, failure).await);
        }
        Known::Unknown(failure) => JobInput::Failed { reason: failure.reason, maybe_printed: true, retry: false },
    };
    engine.commit(work.trace, job, input).await;
    Some(Attempt::Over)
}

/// Nothing was printed: the job is tried again or held again, as its queue says.
async fn failed(engine: &Engine, work: Work, job: &Job, failure: Failure) -> Attempt {
    let retry = failure.again && by_itself(engine, job);
    let input = JobInput::Failed { reason: failure.reason, maybe_printed: false, retry };
    match engine.commit(work.trace, job, input).await {
        Some(job) if job.state == JobState::Releasing => Attempt::Again,
        _ => Attempt::Over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::an_engine;

    async fn released(engine: &Engine, job: &Job) -> Work {
        let work = Work::new(TraceId::new(), job.id);
        let input = JobInput::Release { printer: "west".parse().unwrap(), device: None };
        engine.change(work.trace, work.id, input).await.unwrap();
        work
    }

    #[tokio::test]
    async fn a_panic_leaves_its_job_in_doubt_and_the_worker_alive() {
        let (_folder, engine, job) = an_engine().await;
        let work = released(&engine, &job).await;
        assert_eq!(guarded(&engine, work, async { panic!("a mistake of ours") }).await, Attempt::Over);
        let job = engine.store.job(job.id).await.unwrap().unwrap();
        assert_eq!((job.state, job.doubtful), (JobState::Held, true), "{}", job.reason);
    }

    #[tokio::test]
    async fn a_job_goes_to_no_printer_but_its_own() {
        let (_folder, engine, job) = an_engine().await;
        let work = released(&engine, &job).await;
        let east = "east".parse().unwrap();
        assert_eq!(attempt(&engine, &east, work).await, Attempt::Over);
        assert_eq!(engine.store.job(job.id).await.unwrap().unwrap().state, JobState::Releasing);
    }

    /// Put on hold and released anew, it is somebody else's to send, follow and fail.
    #[tokio::test]
    async fn what_happens_to_an_earlier_attempt_changes_nothing() {
        let (_folder, engine, job) = an_engine().await;
        let work = released(&engine, &job).await;
        let first = engine.store.job(job.id).await.unwrap().unwrap();
        engine.change(work.trace, job.id, JobInput::Hold { by: "ada".to_owned() }).await.unwrap();
        released(&engine, &job).await;
        for input in [JobInput::Sending, turn_missed(&"west".parse().unwrap())] {
            assert!(engine.commit(work.trace, &first, input).await.is_none());
        }
        let second = engine.store.job(job.id).await.unwrap().unwrap();
        assert_eq!((second.state, second.attempt), (JobState::Releasing, 2));
        assert!(engine.commit(work.trace, &second, JobInput::Sending).await.is_some());
        // Sent already: whoever sent it follows it.
        assert_eq!(attempt(&engine, &"west".parse().unwrap(), work).await, Attempt::Over);
        assert!(engine.commit(work.trace, &second, JobInput::Accepted { remote: None }).await.is_some());
    }
}
