//! An IPP printer: sends a document with Print-Job, and asks about it afterwards.
//!
//! Our job id travels in `job-name`, because a client cannot set `job-uuid`: that is how a job is found again in the
//! printer's list (see [`seen`]). Everything a printer answers is hostile: bounded, typed, and shown only as plain cut text.
//! It can lead us to no other address.

pub(crate) mod attributes;
pub(crate) mod fit;
pub(crate) mod fuzz;
mod progress;
mod seen;
mod transport;

use std::{sync::Arc, time::Instant};

use cardinal_domain::{job::Job, job_life::JobInput, names::TraceId, site::Printer};
use futures_util::{StreamExt as _, stream};
use ipp::{
    attribute::IppAttribute,
    model::{DelimiterTag, Operation, StatusCode},
    value::IppValue,
};
use tokio_util::io::ReaderStream;

use self::{attributes::Described, progress::Progress, seen::remote_name, transport::Posted};
pub(crate) use self::{
    seen::{Seen, Verdict},
    transport::http_url,
};
use super::{Failure, Sent};
use crate::{
    ReleaseLimits,
    engine::Engine,
    message::Message,
    values::{self, as_integer, as_text, attribute},
};

/// How much of a document is read at a time.
const PIECE: usize = 64 << 10;
/// How many jobs of a printer's list are looked through; the newest come first.
const LIST_LENGTH: i32 = 500;
const ASKED_OF_A_JOB: [&str; 7] = [
    "job-id",
    "job-name",
    "job-state",
    "job-state-reasons",
    "job-impressions",
    "job-impressions-completed",
    "job-media-sheets-completed",
];

/// Why a printer could not be asked.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// No connection with it could be made: it may be off.
    Unreachable(String),
    /// It did not answer in time, or not sensibly: it may later.
    Silent(String),
    /// It says that it will not tell.
    Refused(String),
}

/// An IPP printer.
pub(crate) struct IppPrinter<'e> {
    spec: &'e Printer,
    uri: &'e str,
    engine: &'e Engine,
    limits: &'e ReleaseLimits,
}

impl<'e> IppPrinter<'e> {
    /// `uri` is the address in `spec`.
    pub(crate) fn new(engine: &'e Engine, spec: &'e Printer, uri: &'e str) -> Self {
        Self { spec, uri, engine, limits: &engine.limits }
    }

    /// The printer in words. Its address is not told: reasons are shown to those who print.
    pub(crate) fn title(&self) -> String {
        format!("printer {:?}", self.spec.name.as_str())
    }

    /// Sends the job with this template, and waits while the printer says that it is busy.
    pub(crate) async fn print(&self, trace: TraceId, job: &Job, template: &[IppAttribute]) -> Sent {
        let begun = Instant::now();
        let mut pauses = self.limits.retrying();
        let mut told = false;
        loop {
            match self.print_once(job, template).await {
                Err(Busy) => {}
                Ok(sent) => return sent,
            }
            if !std::mem::replace(&mut told, true) {
                let reason = format!("waits: {} is busy", self.title());
                self.engine.commit(trace, job, JobInput::Waits { reason }).await;
            }
            let waited = self.engine.stop.run_until_cancelled(tokio::time::sleep(pauses.next())).await;
            if waited.is_none() || begun.elapsed() >= self.limits.busy_timeout() {
                return Sent::Failed(Failure::again(format!("{} is busy", self.title())));
            }
        }
    }

    async fn print_once(&self, job: &Job, template: &[IppAttribute]) -> Result<Sent, Busy> {
        let document = match self.engine.spool.read(job.id).await {
            Ok(document) => document,
            Err(error) => {
                return Ok(Sent::Failed(Failure::again(format!("its document cannot be read: {error}"))));
            }
        };
        let operation = vec![
            asker(job),
            attribute("job-name", values::name(&remote_name(job))),
            attribute("ipp-attribute-fidelity", IppValue::Boolean(false)),
            attribute("document-format", values::mime(&job.format)),
        ];
        let progress = Arc::new(Progress::default());
        let head = self.head(Operation::PrintJob, operation, template.to_vec());
        let counted = Arc::clone(&progress);
        let pieces = ReaderStream::with_capacity(document, PIECE).inspect(move |_| counted.step());
        let ended = Arc::clone(&progress);
        let end = stream::once(async move { ended.end() }).filter_map(|()| std::future::ready(None));
        let body = stream::once(std::future::ready(Ok(head))).chain(pieces).chain(end);
        let asked = tokio::select! {
            asked = self.post(reqwest::Body::wrap_stream(body)) => asked,
            () = progress.stalled(self.limits) => Err(Posted::Lost("it stopped taking the document".to_owned())),
        };
        match asked {
            Ok(answer) => self.printed(&answer),
            Err(Posted::Unreachable(why)) => {
                Ok(Sent::Failed(Failure::again(format!("{} cannot be reached: {why}", self.title()))))
            }
            Err(Posted::Http(503)) => Err(Busy),
            Err(Posted::Http(status)) if (300..500).contains(&status) => {
                Ok(Sent::Failed(Failure::for_good(format!("{} answered HTTP status {status}", self.title()))))
            }
            Err(Posted::Http(status)) => {
                Ok(Sent::Lost { why: format!("HTTP status {status}"), whole: progress.ended() })
            }
            Err(Posted::Lost(why)) => Ok(Sent::Lost { why, whole: progress.ended() }),
        }
    }

    /// What the answer to Print-Job means.
    fn printed(&self, answer: &Message) -> Result<Sent, Busy> {
        let status = answer.header.status_code();
        let refused = || format!("{} refused it: {}", self.title(), words(answer));
        match status {
            _ if status.is_success() => {
                let remote = answer.get(DelimiterTag::JobAttributes, "job-id").and_then(as_integer);
                Ok(Sent::Taken(remote.filter(|id| *id > 0)))
            }
            StatusCode::ServerErrorBusy => Err(Busy),
            StatusCode::ServerErrorNotAcceptingJobs
            | StatusCode::ServerErrorServiceUnavailable
            | StatusCode::ServerErrorTemporaryError => Ok(Sent::Failed(Failure::again(refused()))),
            StatusCode::ServerErrorOperationNotSupported | StatusCode::ServerErrorVersionNotSupported => {
                Ok(Sent::Failed(Failure::for_good(refused())))
            }
            _ if (0x0400..0x0500).contains(&answer.header.operation_or_status) => {
                Ok(Sent::Failed(Failure::for_good(refused())))
            }
            // An error inside the printer: it may have begun.
            _ => Ok(Sent::Lost { why: words(answer), whole: true }),
        }
    }

    /// What the printer's list says of our job. None: the list does not have it. `live`: the printer gave it this number
    /// while we ran.
    pub(crate) async fn look(&self, job: &Job, remote: Option<i32>, live: bool) -> Result<Option<Seen>, Unanswered> {
        if let Some(remote) = remote {
            let asked = vec![
                attribute("job-id", IppValue::Integer(remote)),
                asker(job),
                attribute("requested-attributes", values::keywords(&ASKED_OF_A_JOB)),
            ];
            let answer = self.ask(Operation::GetJobAttributes, asked).await?;
            if answer.header.status_code().is_success() {
                let seen = answer.attributes.first_of(DelimiterTag::JobAttributes).map(Seen::of).unwrap_or_default();
                if seen.fits(job, live) {
                    return Ok(Some(seen));
                }
            }
        }
        for which in ["not-completed", "completed"] {
            let asked = vec![
                asker(job),
                attribute("which-jobs", values::keyword(which)),
                attribute("limit", IppValue::Integer(LIST_LENGTH)),
                attribute("requested-attributes", values::keywords(&ASKED_OF_A_JOB)),
            ];
            let answer = self.ask(Operation::GetJobs, asked).await?;
            match answer.header.status_code() {
                status if status.is_success() => {}
                StatusCode::ClientErrorNotFound => continue,
                StatusCode::ServerErrorBusy
                | StatusCode::ServerErrorServiceUnavailable
                | StatusCode::ServerErrorTemporaryError => return Err(Unanswered::Silent(words(&answer))),
                _ => return Err(Unanswered::Refused(words(&answer))),
            }
            let seen = answer.attributes.groups_of(DelimiterTag::JobAttributes).map(Seen::of).find(|seen| seen.is(job));
            if seen.is_some() {
                return Ok(seen);
            }
        }
        Ok(None)
    }

    /// What the printer says of itself: how it is, and with `everything` also what it can do.
    pub(crate) async fn describe(&self, everything: bool) -> Result<Described, Unanswered> {
        let asked = vec![
            attribute("requesting-user-name", values::name("cardinal")),
            attribute("requested-attributes", attributes::asked(everything)),
        ];
        let answer = self.ask(Operation::GetPrinterAttributes, asked).await?;
        if !answer.header.status_code().is_success() {
            return Err(Unanswered::Refused(words(&answer)));
        }
        let told = answer.attributes.first_of(DelimiterTag::PrinterAttributes).and_then(Described::of);
        told.ok_or_else(|| Unanswered::Refused("it tells nothing of itself".to_owned()))
    }

    /// How long the printer has been up. None: it does not tell.
    pub(crate) async fn up_seconds(&self, job: &Job) -> Option<u64> {
        let asked = vec![asker(job), attribute("requested-attributes", values::keyword("printer-up-time"))];
        let answer = self.ask(Operation::GetPrinterAttributes, asked).await.ok()?;
        let up = answer.get(DelimiterTag::PrinterAttributes, "printer-up-time").and_then(as_integer)?;
        u64::try_from(up).ok()
    }
}

/// The printer says that it is busy: it printed nothing.
struct Busy;

/// Whose job it is: printers tell some things to a job's owner alone.
fn asker(job: &Job) -> IppAttribute {
    attribute("requesting-user-name", values::name(&job.owner))
}

/// What a printer says about its refusal.
fn words(answer: &Message) -> String {
    let status = answer.header.status_code();
    match answer.get(DelimiterTag::OperationAttributes, "status-message").and_then(as_text) {
        Some(text) if !text.is_empty() => format!("{status} ({text})"),
        _ => format!("{status} (IPP status 0x{:04x})", answer.header.operation_or_status),
    }
}
