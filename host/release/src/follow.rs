//! Following a job that a printer has, or may have, to its end.
//!
//! The same for a job just taken, one whose transfer was lost, and one that was under way when the host died: the printer's
//! own job list says what became of it. Where the list cannot say, the job is held again as "may have printed", and only a
//! person sends it again.
//!
//! Some printers keep no list of what they have done. A job that such a printer was seen at work on, and that is then gone
//! from its lists without having been seen to fail, is taken to be done, provided that the printer says that it has run
//! without a break since (`printer-up-time`): one that was switched off in the middle forgets its jobs, too. A job that was
//! never seen at work, or whose printer had stopped (`processing-stopped`), is in doubt.
//!
//! So is one that the host was still sending when it stopped: printers (`ippeveprinter`, for one) take a document that broke
//! off for a whole one, print what came, and list the job as completed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cardinal_domain::{
    job::{Job, JobState},
    job_life::JobInput,
    names::PrinterName,
    site::{Printer, PrinterUri},
};

use crate::{
    backends::{
        folder,
        ipp::{IppPrinter, Unanswered, Verdict},
    },
    delivery::Work,
    engine::Engine,
};

/// A job that takes no longer than this is asked about often: somebody stands there.
const SOON: Duration = Duration::from_secs(60);

/// An "up time" of ten years is none, in seconds: some printers tell the time of day there, which goes on while they are off.
const NO_UP_TIME: u64 = 10 * 365 * 86_400;

/// Follows the job in a task of its own. Where it is not certain that the `whole` document went out, a printer that says it
/// is done may have printed a part of it: some print what came before the connection broke.
pub(crate) fn spawn(engine: &Arc<Engine>, printer: &PrinterName, work: Work, job: Job, whole: bool) {
    let (engine_, printer) = (Arc::clone(engine), printer.clone());
    engine.spawn(async move {
        let engine = engine_;
        let stop = engine.stop.clone();
        // Stopped half-way the job stays as it is; the next start goes on from there.
        let ending = Engine::without_panic(ending(&engine, &printer, work, &job, whole));
        if let Some(input) = stop.run_until_cancelled(ending).await {
            let input = input.unwrap_or_else(|| doubtful("an error inside the host broke it off".to_owned()));
            engine.commit(work.trace, &job, input).await;
        }
    });
}

/// How the job ended.
async fn ending(engine: &Engine, printer: &PrinterName, work: Work, job: &Job, whole: bool) -> JobInput {
    let Some(spec) = engine.store.setup().printers.get(printer).cloned() else {
        return doubtful(format!("printer {:?} is not configured any more", printer.as_str()));
    };
    match &spec.uri {
        // A file has its final name only once it is whole.
        PrinterUri::Folder(path) if folder::is_there(&engine.base.join(path), job).await => JobInput::Done,
        PrinterUri::Folder(path) => {
            tracing::warn!(job = %job.id, path, "the folder does not have it");
            doubtful(format!("the host stopped while it was sent, and printer {:?} does not have it", printer.as_str()))
        }
        PrinterUri::Ipp(uri) => {
            let ending = watch(engine, &spec, &IppPrinter::new(engine, &spec, uri), work, job, whole).await;
            engine.printers.soon(&spec);
            ending
        }
    }
}

fn doubtful(reason: String) -> JobInput {
    JobInput::Failed { reason, maybe_printed: true, retry: false }
}

async fn watch(
    engine: &Engine,
    spec: &Printer,
    printer: &IppPrinter<'_>,
    work: Work,
    job: &Job,
    whole: bool,
) -> JobInput {
    let begun = Instant::now();
    let mut heard = begun;
    let mut pauses = engine.limits.polling();
    let mut remote = job.remote;
    let mut taken = job.state == JobState::Printing;
    // Nobody knows how much of it came. It stays `sending` until it is in doubt, or the next start would know less still.
    let cut = !whole;
    let mut last_at_work = None;
    let mut told = false;
    loop {
        match printer.look(job, remote, !work.taken_up).await {
            Ok(Some(seen)) => {
                heard = Instant::now();
                remote = seen.id.or(remote);
                if !taken && !cut {
                    engine.commit(work.trace, job, JobInput::Accepted { remote }).await;
                    taken = true;
                }
                match seen.verdict() {
                    Verdict::Going => last_at_work = seen.is_at_work().then(Instant::now),
                    Verdict::Done if cut => {
                        let printer = printer.title();
                        let why = if work.taken_up { "the host stopped" } else { "the connection broke" };
                        return doubtful(format!("{why} while it was sent; {printer} may not have all of it"));
                    }
                    Verdict::Done => return JobInput::Done,
                    Verdict::Failed { reason, maybe_printed } => {
                        let reason = format!("{} {reason}", printer.title());
                        return JobInput::Failed { reason, maybe_printed, retry: false };
                    }
                }
            }
            Ok(None) if !cut && went_on_since(printer, job, last_at_work).await => return JobInput::Done,
            Ok(None) => return doubtful(format!("{} knows nothing of it", printer.title())),
            Err(Unanswered::Refused(why)) => {
                return doubtful(format!("{} does not tell of its jobs: {why}", printer.title()));
            }
            Err(Unanswered::Unreachable(why) | Unanswered::Silent(why))
                if heard.elapsed() >= engine.limits.silence_timeout() =>
            {
                return doubtful(format!("{} cannot be asked about it: {why}", printer.title()));
            }
            Err(Unanswered::Unreachable(why) | Unanswered::Silent(why)) => {
                tracing::debug!(job = %job.id, why, "a printer does not answer")
            }
        }
        if begun.elapsed() >= engine.limits.printing_timeout() {
            return doubtful(format!("{} has not finished it in time", printer.title()));
        }
        if begun.elapsed() >= SOON {
            pauses.grow_to(engine.limits.slow_polling());
        }
        // How the printer is tells the job's owner why nothing comes out.
        engine.look(spec, engine.limits.longest_polling()).await;
        if !std::mem::replace(&mut told, true)
            && let Some(reason) = engine.printers.waiting(&spec.name)
        {
            engine.tell_waiting(job.id, &reason).await;
        }
        tokio::time::sleep(pauses.next()).await;
    }
}

/// Whether the printer was last seen at work on the job, and has not been switched off since.
async fn went_on_since(printer: &IppPrinter<'_>, job: &Job, last_at_work: Option<Instant>) -> bool {
    match (last_at_work, printer.up_seconds(job).await) {
        (Some(at_work), Some(up)) => up < NO_UP_TIME && up > at_work.elapsed().as_secs(),
        _ => false,
    }
}
