//! Taking a job: Validate-Job, Print-Job, Create-Job, Send-Document, Close-Job.
//!
//! The document streams from the body to the spool and is never wholly in memory. Success is answered only when document
//! and header are on disk. Until then nothing counts: whatever breaks (the client, the disk, a bound) leaves no file behind
//! and a cancelled row that says why.

use std::{io, sync::Arc};

use async_compression::tokio::bufread::GzipDecoder;
use cardinal_domain::{
    bounds::size,
    job::{Job, NewJob},
    job_life::{self, JobInput},
    names::{JobId, TraceId},
};
use ipp::{
    attribute::IppAttribute,
    model::{DelimiterTag, StatusCode},
};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, BufReader};

use super::{
    Document,
    call::{Answer, Call, Refusal},
    capabilities, check_accepting, check_owner, jobs, template,
};
use crate::{
    ReleaseError,
    delivery::Work,
    engine::{Engine, lock},
    spool::{Incoming, SpoolError},
    values::attribute,
};

const UNTITLED: &str = "untitled";
/// How much of a packed document is unpacked at a time, in bytes.
const UNPACKED_PIECE: usize = 64 << 10;

/// Answers Validate-Job.
pub(crate) fn validate(call: &Call) -> Result<Answer, Refusal> {
    let (_, unsupported) = wishes(call)?;
    Ok(Answer { unsupported, groups: Vec::new() })
}

/// Answers Print-Job.
pub(crate) async fn print(engine: &Arc<Engine>, call: &Call, document: &mut Document) -> Result<Answer, Refusal> {
    let (new, unsupported) = wishes(call)?;
    check_accepting(&call.queue)?;
    let document = &mut *unpacked(call, document)?;
    check_not_empty(engine, document).await?;
    let owned = Arc::clone(engine);
    let announced = engine.to_its_end(async move {
        let job = owned.store.announce_job(new).await?;
        Ok::<_, Refusal>(Arrival::of(&owned, job))
    });
    // The guard comes with the commit: where nobody waits for it any more, it is dropped, and so discards the job.
    let arrival = announced.await??;
    let job = receive(engine, arrival, document).await?;
    Ok(Answer { unsupported, groups: vec![jobs::short(call, &job)] })
}

/// Answers Create-Job.
pub(crate) async fn create(engine: &Arc<Engine>, call: &Call) -> Result<Answer, Refusal> {
    let (new, unsupported) = wishes(call)?;
    check_accepting(&call.queue)?;
    if lock(&engine.announced).len() >= size(engine.limits.max_announced) {
        return Err(Refusal::new(StatusCode::ServerErrorBusy, "too many jobs wait for their document"));
    }
    let job = engine.store.announce_job(new).await?;
    let id = job.id;
    lock(&engine.announced).insert(id);
    let waiting = Arc::clone(engine);
    engine.spawn(async move {
        let timeout = tokio::time::sleep(waiting.limits.announced_timeout());
        let passed = waiting.stop.run_until_cancelled(timeout).await.is_some();
        if passed && lock(&waiting.announced).remove(&id) {
            discard(&waiting, TraceId::new(), id, "its document did not come in time").await;
        }
    });
    Ok(Answer { unsupported, groups: vec![jobs::short(call, &job)] })
}

/// Answers Send-Document.
pub(crate) async fn send(engine: &Arc<Engine>, call: &Call, document: &mut Document) -> Result<Answer, Refusal> {
    let job = call.job(engine).await?;
    check_owner(call, &job)?;
    match call.flag("last-document") {
        Some(true) => {}
        Some(false) => {
            let message = "one document a job; send it with last-document true";
            return Err(Refusal::new(StatusCode::ServerErrorMultipleDocumentJobsNotSupported, message));
        }
        None => return Err(Refusal::bad("last-document is missing")),
    }
    let document = &mut *unpacked(call, document)?;
    let format = format(call)?;
    // From here on the job is this request's alone.
    if !lock(&engine.announced).remove(&job.id) {
        return Err(Refusal::new(StatusCode::ClientErrorNotPossible, "this job waits for no document"));
    }
    let mut arrival = Arrival::of(engine, job);
    if let Err(refusal) = check_not_empty(engine, document).await {
        arrival.ends("its document is empty").await;
        return Err(refusal);
    }
    if let Some(format) = format
        && let Err(refusal) = arrival.take_format(format).await
    {
        arrival.ends("the store could not take its format").await;
        return Err(refusal);
    }
    let job = receive(engine, arrival, document).await?;
    Ok(Answer::of(jobs::short(call, &job)))
}

/// Answers Close-Job: a job that is still without its document will never have one.
pub(crate) async fn close(engine: &Arc<Engine>, call: &Call) -> Result<Answer, Refusal> {
    let job = call.job(engine).await?;
    check_owner(call, &job)?;
    if lock(&engine.announced).remove(&job.id) {
        discard(engine, TraceId::new(), job.id, "it was closed without a document").await;
    }
    Ok(Answer::default())
}

/// What the client wants, as far as it can be had, and what cannot.
fn wishes(call: &Call) -> Result<(NewJob, Vec<IppAttribute>), Refusal> {
    call.check_printer_uri()?;
    is_packed(call)?;
    let format = format(call)?;
    let (options, unsupported) =
        template::taken(call.message.attributes.first_of(DelimiterTag::JobAttributes), &call.message.torn);
    if call.flag("ipp-attribute-fidelity") == Some(true) && !unsupported.is_empty() {
        let message = "not everything that was asked for can be had";
        let status = StatusCode::ClientErrorAttributesOrValuesNotSupported;
        return Err(Refusal { unsupported, ..Refusal::new(status, message) });
    }
    let name = call.text("job-name").or_else(|| call.text("document-name")).unwrap_or_else(|| UNTITLED.to_owned());
    let format = format.unwrap_or_else(|| capabilities::FORMATS.first().copied().unwrap_or_default().to_owned());
    let queue = call.queue.name.clone();
    Ok((NewJob { queue, owner: call.claimed(), signed_in: call.signed_in.clone(), name, format, options }, unsupported))
}

/// A document to be read, unpacked.
type Source<'d> = dyn AsyncBufRead + Send + Unpin + 'd;

/// Whether the document comes packed by gzip.
fn is_packed(call: &Call) -> Result<bool, Refusal> {
    match call.text("compression").as_deref() {
        None | Some("none") => Ok(false),
        Some("gzip") => Ok(true),
        Some(compression) => {
            let message = format!("compression {compression} is not supported");
            let mut refusal = Refusal::new(StatusCode::ClientErrorCompressionNotSupported, message);
            refusal.unsupported.push(attribute("compression", crate::values::any_keyword(compression)));
            Err(refusal)
        }
    }
}

/// The document as it is kept: what came packed is unpacked on its way to the spool, so that all bounds are those of the
/// document itself, and any printer can take it.
fn unpacked<'d>(call: &Call, document: &'d mut Document) -> Result<Box<Source<'d>>, Refusal> {
    if !is_packed(call)? {
        return Ok(Box::new(document));
    }
    let mut decoder = GzipDecoder::new(document);
    // RFC 1952 §2.2: members simply follow one another.
    decoder.multiple_members(true);
    Ok(Box::new(BufReader::with_capacity(UNPACKED_PIECE, decoder)))
}

fn format(call: &Call) -> Result<Option<String>, Refusal> {
    let Some(format) = call.text("document-format") else { return Ok(None) };
    let format = format.to_ascii_lowercase();
    if capabilities::FORMATS.contains(&format.as_str()) {
        return Ok(Some(format));
    }
    let message = format!("document format {format} is not supported");
    let mut refusal = Refusal::new(StatusCode::ClientErrorDocumentFormatNotSupported, message);
    refusal.unsupported.push(attribute("document-format", crate::values::mime(&format)));
    Err(refusal)
}

async fn check_not_empty(engine: &Engine, document: &mut Source<'_>) -> Result<(), Refusal> {
    match next(engine, document).await {
        Ok([]) => Err(Refusal::bad("the document is empty")),
        Ok(_) => Ok(()),
        Err(broken) => Err(broken.refusal()),
    }
}

/// Why a document did not arrive.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the client went away before its document was whole")]
    Client(#[source] io::Error),
    #[error("the client stopped sending its document")]
    Stalled,
    #[error("the document is not what gzip makes, or breaks off")]
    Packed(#[source] io::Error),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl Broken {
    /// What the connection says is passed on as it is, of kind `Other`; everything else comes from unpacking.
    fn reading(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::Other { Self::Client(error) } else { Self::Packed(error) }
    }

    fn refusal(&self) -> Refusal {
        let status = match self {
            Self::Client(_) => StatusCode::ClientErrorDocumentAccessError,
            Self::Stalled => StatusCode::ClientErrorTimeout,
            Self::Packed(_) => StatusCode::ClientErrorCompressionError,
            Self::Spool(SpoolError::TooLarge { .. }) => StatusCode::ClientErrorRequestEntityTooLong,
            Self::Spool(SpoolError::Full) => StatusCode::ServerErrorTemporaryError,
            Self::Spool(error @ SpoolError::Io(_)) => return Refusal::internal(error),
        };
        Refusal::new(status, self.to_string())
    }
}

/// The next piece of the document; empty at its end.
async fn next<'d>(engine: &Engine, document: &'d mut Source<'_>) -> Result<&'d [u8], Broken> {
    match tokio::time::timeout(engine.limits.stall_timeout(), document.fill_buf()).await {
        Ok(piece) => piece.map_err(Broken::reading),
        Err(_) => Err(Broken::Stalled),
    }
}

/// A job whose document is on its way. Dropped before it is let go, as when the connection goes, it is discarded.
struct Arrival {
    engine: Arc<Engine>,
    trace: TraceId,
    job: Option<Job>,
}

impl Arrival {
    fn of(engine: &Arc<Engine>, job: Job) -> Self {
        Self { engine: Arc::clone(engine), trace: TraceId::new(), job: Some(job) }
    }

    /// The format is known only with the document where it came in two operations.
    async fn take_format(&mut self, format: String) -> Result<(), Refusal> {
        let Some(job) = self.job.as_mut().filter(|job| job.format != format) else { return Ok(()) };
        let changed = self.engine.change_by(job.id, |job| {
            job.format = format;
            Ok(Vec::new())
        });
        *job = changed.await.map_err(|error| Refusal::internal(&error))?;
        Ok(())
    }

    /// The job comes to nothing, and why.
    async fn ends(mut self, reason: &'static str) {
        let Some(job) = self.job.take() else { return };
        let (engine, trace) = (Arc::clone(&self.engine), self.trace);
        let discarded = self.engine.to_its_end(async move { discard(&engine, trace, job.id, reason).await });
        if let Err(error) = discarded.await {
            tracing::error!(%error, "a job that did not arrive is not cancelled");
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        // Without a runtime the host is gone; the next start does the same.
        if let (Some(job), Ok(_)) = (self.job.take(), tokio::runtime::Handle::try_current()) {
            let (engine, trace) = (Arc::clone(&self.engine), self.trace);
            self.engine.spawn(async move {
                discard(&engine, trace, job.id, "the client went away before its document was whole").await;
            });
        }
    }
}

/// Takes the document in. This part ends with the connection, so that a broken one is never taken for a whole document;
/// what follows the last byte runs to its end by itself.
async fn receive(engine: &Arc<Engine>, mut arrival: Arrival, document: &mut Source<'_>) -> Result<Job, Refusal> {
    let trace = arrival.trace;
    let Some(id) = arrival.job.as_ref().map(|job| job.id) else { return Err(Refusal::bad("no job")) };
    let copied = copy(engine, id, document).await;
    let Some(job) = arrival.job.take() else { return Err(Refusal::bad("no job")) };
    let owned = Arc::clone(engine);
    let finished = engine.to_its_end(async move {
        let kept = match copied {
            Ok(incoming) => keep(&owned, trace, &job, incoming).await,
            Err(broken) => Err(broken),
        };
        match kept {
            Ok((bytes, sha256)) => held(&owned, trace, id, bytes, sha256).await,
            Err(broken) => {
                discard(&owned, trace, id, &broken.to_string()).await;
                Err(broken.refusal())
            }
        }
    });
    finished.await?
}

async fn copy(engine: &Engine, id: JobId, document: &mut Source<'_>) -> Result<Incoming, Broken> {
    let mut incoming = engine.spool.begin(id, engine.limits.max_document_bytes).await?;
    loop {
        let piece = next(engine, document).await?;
        if piece.is_empty() {
            return Ok(incoming);
        }
        incoming.write(piece).await?;
        let length = piece.len();
        document.consume(length);
    }
}

/// Document and header are on disk when this returns.
async fn keep(engine: &Engine, trace: TraceId, job: &Job, incoming: Incoming) -> Result<(u64, String), Broken> {
    let (bytes, sha256) = incoming.finish().await?;
    let mut kept = job.clone();
    let arrived = JobInput::Arrived { bytes, sha256: sha256.clone() };
    job_life::step(&mut kept, trace, arrived).map_err(|error| SpoolError::Io(io::Error::other(error)))?;
    engine.spool.write_header(&kept).await?;
    Ok((bytes, sha256))
}

async fn held(engine: &Arc<Engine>, trace: TraceId, id: JobId, bytes: u64, sha256: String) -> Result<Job, Refusal> {
    match engine.arrived(Work::new(trace, id), bytes, sha256).await {
        Ok(job) => Ok(job),
        Err(ReleaseError::Refused(_)) => {
            engine.remove_files(id).await;
            Err(Refusal::new(StatusCode::ServerErrorJobCanceled, "the job was cancelled meanwhile"))
        }
        Err(error) => {
            discard(engine, trace, id, "the store could not take it").await;
            Err(Refusal::internal(&error))
        }
    }
}

/// Nothing remains of it but a cancelled row. Where that cannot be written now, it is written as soon as it can be, by the
/// next start at the latest.
async fn discard(engine: &Arc<Engine>, trace: TraceId, id: JobId, reason: &str) {
    let input = JobInput::Cancel { reason: reason.to_owned() };
    let Err(error) = engine.change(trace, id, input.clone()).await else { return };
    tracing::warn!(job = %id, error = &error as &dyn std::error::Error, "a job that did not arrive is not cancelled yet");
    engine.remove_files(id).await;
    if let ReleaseError::Store(_) = error {
        let owned = Arc::clone(engine);
        engine.spawn(async move {
            owned.commit_any(trace, id, input).await;
        });
    }
}
