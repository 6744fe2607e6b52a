//! Following a job that a printer has, or may have, to its end.
//!
//! The same for a job just taken, one whose transfer was lost, and one that was under way when the host died: the printer's
//! own job list says what became of it. Where the list cannot say, the job is held again as "may have printed", and only a
//! person sends it again.

use std::{sync::Arc, time::Instant};

use cardinal_domain::{
    job::{Job, JobState},
    job_life::JobInput,
    names::PrinterName,
    site::PrinterUri,
};

use crate::{
    backends::{
        folder,
        ipp::{IppPrinter, Unanswered, Verdict},
    },
    delivery::Work,
    engine::Engine,
};

/// Follows the job in a task of its own.
pub(crate) fn spawn(engine: &Arc<Engine>, printer: &PrinterName, work: Work, job: Job) {
    let (engine_, printer) = (Arc::clone(engine), printer.clone());
    engine.spawn(async move {
        let engine = engine_;
        let stop = engine.stop.clone();
        // Stopped half-way the job stays as it is; the next start goes on from there.
        if let Some(input) = stop.run_until_cancelled(ending(&engine, &printer, work, &job)).await {
            engine.commit(work.trace, job.id, input).await;
        }
    });
}

/// How the job ended.
async fn ending(engine: &Engine, printer: &PrinterName, work: Work, job: &Job) -> JobInput {
    match engine.store.setup().printers.get(printer).map(|printer| printer.uri.clone()) {
        None => doubtful(format!("printer {:?} is not configured any more", printer.as_str())),
        // A file has its final name only once it is whole.
        Some(PrinterUri::Folder(path)) if folder::is_there(&engine.base.join(&path), job).await => JobInput::Done,
        Some(PrinterUri::Folder(path)) => {
            doubtful(format!("the host stopped while it was sent, and folder {path} does not have it"))
        }
        Some(PrinterUri::Ipp(uri)) => {
            let printer = IppPrinter::new(engine, printer, &uri);
            watch(engine, &printer, work, job).await
        }
    }
}

fn doubtful(reason: String) -> JobInput {
    JobInput::Failed { reason, maybe_printed: true, retry: false }
}

async fn watch(engine: &Engine, printer: &IppPrinter<'_>, work: Work, job: &Job) -> JobInput {
    let begun = Instant::now();
    let mut heard = begun;
    let mut pauses = engine.limits.polling();
    let mut remote = job.remote;
    let mut taken = job.state == JobState::Printing;
    loop {
        match printer.look(job.id, remote).await {
            Ok(Some(seen)) => {
                heard = Instant::now();
                remote = seen.id.or(remote);
                if !taken {
                    engine.commit(work.trace, job.id, JobInput::Accepted { remote }).await;
                    taken = true;
                }
                match seen.verdict() {
                    Verdict::Going => {}
                    Verdict::Done => return JobInput::Done,
                    Verdict::Failed { reason, maybe_printed } => {
                        let reason = format!("{} {reason}", printer.title());
                        return JobInput::Failed { reason, maybe_printed, retry: false };
                    }
                }
            }
            Ok(None) => return doubtful(format!("{} knows nothing of it", printer.title())),
            Err(Unanswered::Refused(why)) => {
                return doubtful(format!("{} does not tell of its jobs: {why}", printer.title()));
            }
            Err(Unanswered::Unreachable(why)) if heard.elapsed() >= engine.limits.silence_timeout() => {
                return doubtful(format!("{} cannot be asked about it: {why}", printer.title()));
            }
            Err(Unanswered::Unreachable(why)) => tracing::debug!(job = %job.id, why, "a printer does not answer"),
        }
        if begun.elapsed() >= engine.limits.printing_timeout() {
            return doubtful(format!("{} has not finished it in time", printer.title()));
        }
        tokio::time::sleep(pauses.next()).await;
    }
}
