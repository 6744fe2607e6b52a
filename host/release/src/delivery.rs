//! A worker for each printer: jobs go out in order, and one printer's trouble delays no other.
//!
//! Every step is committed before it is acted on, `sending` before the first byte. Once a printer has a job, a task of its
//! own follows it to its end (`follow`), so the next one can go out. Jobs of queues that do not hold wait here for their
//! next try; released jobs never wait behind them.

use std::{collections::VecDeque, sync::Arc};

use cardinal_domain::{
    job::{Job, JobState},
    job_life::JobInput,
    names::{JobId, PrinterName, TraceId},
    site::PrinterUri,
};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    backends::{Failure, Sent, folder, ipp::IppPrinter},
    engine::Engine,
    follow,
};

/// A job to be delivered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) trace: TraceId,
    pub(crate) id: JobId,
}

/// What came of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    /// There is nothing more to do here.
    Over,
    /// Nothing was printed; to be tried again by itself.
    Again,
}

/// Delivers a printer's jobs until the host stops.
pub(crate) async fn worker(engine: Arc<Engine>, printer: PrinterName, mut jobs: mpsc::UnboundedReceiver<Work>) {
    // Jobs to be tried again, oldest first; while there are any, later ones of their kind queue up behind them.
    let mut again: VecDeque<Work> = VecDeque::new();
    let mut pauses = engine.limits.retrying();
    let mut next_try = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = engine.stop.cancelled() => return,
            work = jobs.recv() => {
                let Some(work) = work else { return };
                if !again.is_empty() && waits_in_turn(&engine, work).await {
                    again.push_back(work);
                } else if attempt(&engine, &printer, work).await == Attempt::Again {
                    again.push_back(work);
                    next_try = Instant::now() + pauses.next();
                }
            }
            () = tokio::time::sleep_until(next_try), if !again.is_empty() => {
                let Some(work) = again.front().copied() else { continue };
                if attempt(&engine, &printer, work).await == Attempt::Again {
                    next_try = Instant::now() + pauses.next();
                } else {
                    again.pop_front();
                    pauses.reset();
                    next_try = Instant::now();
                }
            }
        }
    }
}

/// Whether a job is delivered by itself, so that nobody stands at the printer waiting for it.
fn by_itself(engine: &Engine, job: &Job) -> bool {
    job.device.is_none() && engine.passes_on(&job.queue).is_some()
}

async fn waits_in_turn(engine: &Engine, work: Work) -> bool {
    matches!(engine.store.job(work.id).await, Ok(Some(job)) if by_itself(engine, &job))
}

async fn attempt(engine: &Arc<Engine>, printer: &PrinterName, work: Work) -> Attempt {
    let job = match engine.store.job(work.id).await {
        Ok(Some(job)) => job,
        Ok(None) => return Attempt::Over,
        Err(error) => {
            tracing::error!(job = %work.id, error = &error as &dyn std::error::Error, "a job cannot be read");
            return Attempt::Again;
        }
    };
    match job.state {
        JobState::Releasing => {}
        JobState::Sending | JobState::Printing => {
            follow::spawn(engine, printer, work, job);
            return Attempt::Over;
        }
        _ => return Attempt::Over,
    }
    let Some(target) = engine.store.setup().printers.get(printer).cloned() else {
        let reason = format!("printer {:?} is not configured any more", printer.as_str());
        return failed(engine, work, &job, Failure::for_good(reason)).await;
    };
    let document = match engine.spool.read(job.id).await {
        Ok(document) => document,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = "its document is missing from the spool".to_owned();
            engine.commit(work.trace, job.id, JobInput::Cancel { reason }).await;
            return Attempt::Over;
        }
        Err(error) => {
            return failed(engine, work, &job, Failure::again(format!("its document cannot be read: {error}"))).await;
        }
    };
    let Some(job) = engine.commit(work.trace, job.id, JobInput::Sending).await else { return Attempt::Over };
    let sent = match &target.uri {
        PrinterUri::Folder(path) => folder::deliver(&engine.base.join(path), &job, document).await,
        PrinterUri::Ipp(uri) => IppPrinter::new(engine, printer, uri).print(&job).await,
    };
    match sent {
        Sent::Done => {
            engine.commit(work.trace, job.id, JobInput::Done).await;
        }
        Sent::Taken(remote) => {
            if let Some(job) = engine.commit(work.trace, job.id, JobInput::Accepted { remote }).await {
                follow::spawn(engine, printer, work, job);
            }
        }
        Sent::Lost(why) => {
            tracing::warn!(job = %job.id, printer = printer.as_str(), why, "a transfer was lost; the printer is asked about it");
            follow::spawn(engine, printer, work, job);
        }
        Sent::Failed(failure) => return failed(engine, work, &job, failure).await,
    }
    Attempt::Over
}

/// Nothing was printed: the job is tried again or held again, as its queue says.
async fn failed(engine: &Engine, work: Work, job: &Job, failure: Failure) -> Attempt {
    let retry = failure.again && by_itself(engine, job);
    let input = JobInput::Failed { reason: failure.reason, maybe_printed: false, retry };
    match engine.commit(work.trace, job.id, input).await {
        Some(job) if job.state == JobState::Releasing => Attempt::Again,
        _ => Attempt::Over,
    }
}
