//! What is settled with a printer before a document is sent to it: that it would take it now, that it has the format, and
//! what it can make of the job's wishes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cardinal_domain::{
    event::{EventBody, EventKind},
    job::{Job, JobState},
    site::Printer,
};
use ipp::attribute::IppAttribute;

use crate::{
    backends::{Failure, ipp::fit::Fit},
    delivery::{Work, by_itself, since_released},
    engine::Engine,
    ipp::template,
    printers::{JUST_NOW, Look, Readiness},
};

/// What came of it.
pub(crate) enum Ready {
    /// The job is to be sent with this template.
    Go(Vec<IppAttribute>),
    /// It cannot be sent; nothing was.
    Failed(Failure),
    /// There is nothing more to do here: the job is not to be printed any more, or the host stops.
    Over,
}

/// Asks the printer, and waits while it stands still: a released job as long as its owner may stand there
/// (`ready_timeout_s`). A job of a queue that passes on is not waited for here, but tried again later.
pub(crate) async fn ready(engine: &Arc<Engine>, printer: &Printer, work: Work, job: &Job) -> Ready {
    let title = format!("printer {:?}", printer.name.as_str());
    let (begun, before) = (Instant::now(), since_released(job).unwrap_or(Duration::ZERO));
    let mut pauses = engine.limits.waiting();
    let look = loop {
        // A look from before the release does not serve: somebody may just have switched the printer on.
        let look = engine.look(printer, JUST_NOW.min(pauses.shortest()).min(before + begun.elapsed())).await;
        match look.status.readiness() {
            Readiness::Ready => break look,
            Readiness::Unreachable(why) => {
                return Ready::Failed(Failure::again(format!("{title} cannot be reached: {why}")));
            }
            Readiness::NotYet(words) if by_itself(engine, job) => {
                return Ready::Failed(Failure::again(format!("{title} {words}")));
            }
            Readiness::NotYet(words) if begun.elapsed() + before >= engine.limits.ready_timeout() => {
                return Ready::Failed(Failure::again(format!("{title} {words}; show the card again once it is ready")));
            }
            Readiness::NotYet(_) => {}
        }
        if engine.stop.run_until_cancelled(tokio::time::sleep(pauses.next())).await.is_none() {
            return Ready::Over;
        }
        // It may have been cancelled or put on hold, or released to another printer.
        match engine.store.job(work.id).await {
            Ok(Some(now)) if now.state == JobState::Releasing && now.attempt == job.attempt => {}
            Ok(_) => return Ready::Over,
            Err(error) => {
                tracing::warn!(job = %job.id, error = &error as &dyn std::error::Error, "a job cannot be read")
            }
        }
    };
    settle(engine, printer, work, job, look).await
}

async fn settle(engine: &Engine, printer: &Printer, work: Work, job: &Job, mut look: Look) -> Ready {
    let refused = |look: &Look| look.abilities.as_ref().and_then(|(abilities, _)| abilities.refuses(job));
    if refused(&look).is_some() && look.abilities.as_ref().is_some_and(|(_, age)| *age > JUST_NOW) {
        // It may have learned it since it was asked. What it does not tell now stays as it was.
        engine.printers.doubt(printer);
        let again = engine.look(printer, JUST_NOW).await;
        if again.abilities.is_some() {
            look = again;
        }
    }
    if let Some(words) = refused(&look) {
        return Ready::Failed(Failure::for_good(format!("printer {:?} {words}", printer.name.as_str())));
    }
    let Some((abilities, _)) = look.abilities else { return Ready::Go(template::for_printer(&job.options)) };
    let Fit { template, lacking } = abilities.fit(&job.options);
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        let message =
            format!("printer {} lacks what job {} asks for; it prints without {lacking}", printer.name, job.number);
        let mut event = EventBody::new(work.trace, EventKind::JobOptionsLacking, message).job(job.id);
        event.user.clone_from(&job.user);
        event.device.clone_from(&job.device);
        engine.record(vec![event.fact("printer", printer.name.to_string()).fact("lacking", lacking)]).await;
    }
    Ready::Go(template)
}
