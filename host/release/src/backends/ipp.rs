//! An IPP printer: sends a document with Print-Job, and asks about it afterwards.
//!
//! Our job id travels in `job-name`, because a client cannot set `job-uuid`: that is how a job is found again in the
//! printer's list (see [`seen`]). Everything a printer answers is hostile: bounded, typed, and shown only as plain cut text.
//! It can lead us to no other address.

pub(crate) mod fuzz;
mod seen;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cardinal_domain::{bounds::size, job::Job, names::PrinterName};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ipp::{
    attribute::IppAttribute,
    model::{DelimiterTag, IppVersion, Operation, StatusCode},
    value::IppValue,
};
use tokio_util::io::{ReaderStream, StreamReader};

use self::seen::remote_name;
pub(crate) use self::seen::{Seen, Verdict};
use super::{Failure, Sent};
use crate::{
    ReleaseLimits,
    engine::Engine,
    ipp::template,
    message::{self, Message},
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
    /// It did not answer, or not sensibly: it may later.
    Unreachable(String),
    /// It says that it will not tell.
    Refused(String),
}

/// An IPP printer.
pub(crate) struct IppPrinter<'e> {
    name: &'e PrinterName,
    uri: &'e str,
    engine: &'e Engine,
    limits: &'e ReleaseLimits,
}

impl<'e> IppPrinter<'e> {
    pub(crate) fn new(engine: &'e Engine, name: &'e PrinterName, uri: &'e str) -> Self {
        Self { name, uri, engine, limits: &engine.limits }
    }

    /// The printer in words. Its address is not told: reasons are shown to those who print.
    pub(crate) fn title(&self) -> String {
        format!("printer {:?}", self.name.as_str())
    }

    /// Sends the job, and waits while the printer says that it is busy.
    pub(crate) async fn print(&self, job: &Job) -> Sent {
        let begun = Instant::now();
        let mut pauses = self.limits.retrying();
        loop {
            match self.print_once(job).await {
                Err(Busy) => {}
                Ok(sent) => return sent,
            }
            let waited = self.engine.stop.run_until_cancelled(tokio::time::sleep(pauses.next())).await;
            if waited.is_none() || begun.elapsed() >= self.limits.busy_timeout() {
                return Sent::Failed(Failure::again(format!("{} is busy", self.title())));
            }
        }
    }

    async fn print_once(&self, job: &Job) -> Result<Sent, Busy> {
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
        let template = template::for_printer(&job.options);
        let progress = Arc::new(Progress::default());
        let head = self.head(Operation::PrintJob, operation, template);
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
            Err(Posted::Http(status)) => Ok(Sent::Lost(format!("HTTP status {status}"))),
            Err(Posted::Lost(why)) => Ok(Sent::Lost(why)),
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
            _ => Ok(Sent::Lost(words(answer))),
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
                | StatusCode::ServerErrorTemporaryError => return Err(Unanswered::Unreachable(words(&answer))),
                _ => return Err(Unanswered::Refused(words(&answer))),
            }
            let seen = answer.attributes.groups_of(DelimiterTag::JobAttributes).map(Seen::of).find(|seen| seen.is(job));
            if seen.is_some() {
                return Ok(seen);
            }
        }
        Ok(None)
    }

    /// How long the printer has been up. None: it does not tell.
    pub(crate) async fn up_seconds(&self, job: &Job) -> Option<u64> {
        let asked = vec![asker(job), attribute("requested-attributes", values::keyword("printer-up-time"))];
        let answer = self.ask(Operation::GetPrinterAttributes, asked).await.ok()?;
        let up = answer.get(DelimiterTag::PrinterAttributes, "printer-up-time").and_then(as_integer)?;
        u64::try_from(up).ok()
    }

    async fn ask(&self, operation: Operation, asked: Vec<IppAttribute>) -> Result<Message, Unanswered> {
        let body = reqwest::Body::from(self.head(operation, asked, Vec::new()));
        let _permit = self.engine.may_ask(self.name).await;
        match tokio::time::timeout(self.limits.answer_timeout(), self.post(body)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Posted::Unreachable(why) | Posted::Lost(why))) => Err(Unanswered::Unreachable(why)),
            Ok(Err(Posted::Http(status))) if (300..500).contains(&status) => {
                Err(Unanswered::Refused(format!("HTTP status {status}")))
            }
            Ok(Err(Posted::Http(status))) => Err(Unanswered::Unreachable(format!("HTTP status {status}"))),
            Err(_) => Err(Unanswered::Unreachable("it did not answer in time".to_owned())),
        }
    }

    /// An encoded request up to its document.
    fn head(&self, operation: Operation, asked: Vec<IppAttribute>, template: Vec<IppAttribute>) -> bytes::Bytes {
        let mut attributes = ipp::attribute::IppAttributes::new();
        let fixed = [
            attribute("attributes-charset", values::charset("utf-8")),
            attribute("attributes-natural-language", values::language("en")),
            attribute("printer-uri", values::uri(self.uri)),
        ];
        for one in fixed.into_iter().chain(asked) {
            attributes.add(DelimiterTag::OperationAttributes, one);
        }
        for one in template {
            attributes.add(DelimiterTag::JobAttributes, one);
        }
        // Every printer since 1999 knows 1.1, and nothing here needs more.
        let header = ipp::IppHeader::new(IppVersion::v1_1(), operation as i16, 1);
        [header.to_bytes(), attributes.to_bytes()].concat().into()
    }

    async fn post(&self, body: reqwest::Body) -> Result<Message, Posted> {
        let url = http_url(self.uri);
        let sent = self.engine.client.post(url).header("content-type", "application/ipp").body(body).send().await;
        let response = sent.map_err(|error| {
            let error = error.without_url();
            let why = root_cause(&error);
            if error.is_connect() || error.is_builder() { Posted::Unreachable(why) } else { Posted::Lost(why) }
        })?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(Posted::Http(response.status().as_u16()));
        }
        let mut body = StreamReader::new(response.bytes_stream().map_err(std::io::Error::other));
        let read = message::read(&mut body, size(self.limits.max_head_bytes));
        match tokio::time::timeout(self.limits.answer_timeout(), read).await {
            Ok(answer) => answer.map_err(|error| Posted::Lost(format!("its answer cannot be read: {error}"))),
            Err(_) => Err(Posted::Lost("its answer broke off".to_owned())),
        }
    }
}

/// The printer says that it is busy: it printed nothing.
struct Busy;

/// Why a request has no answer.
enum Posted {
    /// There was no connection: not one byte was sent.
    Unreachable(String),
    /// The connection was lost, or what came over it is no answer.
    Lost(String),
    /// An HTTP status that is no success.
    Http(u16),
}

/// How far a document has come.
#[derive(Default)]
struct Progress {
    steps: AtomicU64,
    ended: AtomicBool,
}

impl Progress {
    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.step();
    }

    /// Returns when nothing has moved for too long: the document, or once it is out, the answer.
    async fn stalled(&self, limits: &ReleaseLimits) {
        let mut seen = self.steps.load(Ordering::Relaxed);
        let mut since = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let steps = self.steps.load(Ordering::Relaxed);
            if steps != seen {
                (seen, since) = (steps, Instant::now());
            }
            // A printer may print the document before it answers: both times together.
            let ended = self.ended.load(Ordering::Relaxed);
            let answer = if ended { limits.answer_timeout() } else { Duration::ZERO };
            // Connecting has its own bound, and counts as no progress here.
            if since.elapsed() >= limits.send_stall_timeout() + limits.connect_timeout() + answer {
                return;
            }
        }
    }
}

/// Whose job it is: printers tell some things to a job's owner alone.
fn asker(job: &Job) -> IppAttribute {
    attribute("requesting-user-name", values::name(&job.owner))
}

/// The address for HTTP; port 631 where none is named.
fn http_url(uri: &str) -> String {
    let rest = uri.strip_prefix("ipp://").unwrap_or(uri);
    let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, "/"), |at| rest.split_at(at));
    let port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    format!("http://{authority}{}{path}", if port { "" } else { ":631" })
}

/// What a printer says about its refusal.
fn words(answer: &Message) -> String {
    let status = answer.header.status_code();
    match answer.get(DelimiterTag::OperationAttributes, "status-message").and_then(as_text) {
        Some(text) if !text.is_empty() => format!("{status} ({text})"),
        _ => format!("{status} (IPP status 0x{:04x})", answer.header.operation_or_status),
    }
}

/// The last error of a chain is the one that says what happened ("Connection refused").
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    values::clean(&last.to_string())
}

#[cfg(test)]
mod tests {
    use super::http_url;

    #[test]
    fn addresses() {
        for (uri, url) in [
            ("ipp://p/ipp/print", "http://p:631/ipp/print"),
            ("ipp://p:80/ipp/print", "http://p:80/ipp/print"),
            ("ipp://[::1]/x", "http://[::1]:631/x"),
            ("ipp://[::1]:8631", "http://[::1]:8631/"),
            ("ipp://p", "http://p:631/"),
        ] {
            assert_eq!(http_url(uri), url);
        }
    }
}
