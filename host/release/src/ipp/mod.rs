//! The IPP server: a printer for each queue, at `/queues/{name}`.
//!
//! Who may print is decided by the HTTP route and the client's address, before anything the client wrote is looked at.
//! `requesting-user-name` is a claim, not a proof: it says whose job it is, and keeps people from cancelling each other's
//! jobs by mistake. What comes out at a printer is decided by cards.

mod call;
pub(crate) mod fuzz;
mod jobs;
mod media;
mod printer;
mod submit;
pub(crate) mod template;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ::ipp::model::{Operation, StatusCode as IppStatus};
use axum::{
    Router,
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use cardinal_domain::{bounds::size, names::QueueName, site::Queue};
use futures_util::TryStreamExt as _;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};
use tokio_util::io::StreamReader;

use crate::{
    engine::Engine,
    message::{self, MessageError},
};
use call::{Answer, Call, Refusal};

const CONTENT_TYPE: &str = "application/ipp";
/// How much of a refused document is still read, in bytes, and for how long: most clients read no answer before they have
/// sent all.
const DRAINED: usize = 8 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// The longest `Host`, in bytes: what a DNS name and a port may have.
const LONGEST_HOST: usize = 260;

/// A request's body, behind its head the document.
type Document = Box<dyn AsyncBufRead + Send + Unpin>;

pub(crate) fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/queues/{queue}", post(serve).get(page))
        // A job's address belongs to its queue; which job is meant stands in the request.
        .route("/queues/{queue}/jobs/{job}", post(serve))
        .with_state(engine)
}

/// For people who follow `printer-more-info`.
async fn page() -> &'static str {
    "This is a Cardinal print queue. Add it as an IPP printer with the address of this page, beginning with ipp://.\n"
}

type Served = Result<Vec<u8>, (StatusCode, &'static str)>;

async fn serve(
    State(engine): State<Arc<Engine>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(path): Path<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let queue = path.get("queue").and_then(|name| QueueName::new(name).ok());
    match Box::pin(serve_ipp(engine, client.ip(), queue, request)).await {
        Ok(body) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response(),
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

async fn serve_ipp(engine: Arc<Engine>, client: IpAddr, queue: Option<QueueName>, request: Request) -> Served {
    let name = queue;
    let queue = name.as_ref().and_then(|name| engine.store.setup().queues.get(name).cloned());
    // Only this machine may learn which queues there are without being let in.
    if !queue.as_ref().map_or(client.to_canonical().is_loopback(), |queue| queue.allows(client)) {
        if let Some(name) = &name {
            engine.tell_refused(client, name, queue.is_some()).await;
        }
        return Err((StatusCode::FORBIDDEN, "jobs are not taken from this address"));
    }
    let _permit = engine
        .requests
        .take(client.to_canonical())
        .filter(|_| !engine.stop.is_cancelled())
        .ok_or((StatusCode::SERVICE_UNAVAILABLE, "too busy; come back later"))?;
    let host = check_headers(request.headers())?;
    let stream = request.into_body().into_data_stream().map_err(std::io::Error::other);
    let mut document: Document = Box::new(StreamReader::new(stream));
    let read = message::read(&mut document, size(engine.limits.max_head_bytes));
    let message = match tokio::time::timeout(engine.limits.head_timeout(), read).await {
        Ok(Ok(message)) => message,
        Ok(Err(MessageError::TooLarge { .. })) => return Err((StatusCode::PAYLOAD_TOO_LARGE, "too many attributes")),
        Ok(Err(error)) => {
            tracing::debug!(%client, error = &error as &dyn std::error::Error, "no IPP");
            return Err((StatusCode::BAD_REQUEST, "this is no IPP request"));
        }
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the request came too slowly")),
    };
    let asked = message.header;
    let answer = match (Call::check(&message), queue) {
        (Err(refusal), _) => Err(refusal),
        (_, None) => Err(Refusal::new(IppStatus::ClientErrorNotFound, "there is no such queue")),
        (Ok(()), Some(queue)) => dispatch(&engine, Call { queue, host, message }, &mut document).await,
    };
    if answer.is_err() {
        drain(&mut document).await;
    }
    Ok(call::encode(&asked, answer))
}

async fn dispatch(engine: &Arc<Engine>, call: Call, document: &mut Document) -> Result<Answer, Refusal> {
    let operation = call.message.header.operation_or_status;
    // What changes something without a document runs to its end, whether or not the client waits for the answer.
    macro_rules! to_its_end {
        ($serve:path) => {{
            let owned = Arc::clone(engine);
            engine.to_its_end(async move { $serve(&owned, &call).await }).await?
        }};
    }
    let is = |known: Operation| known as i16 == operation;
    // The paths on which nothing is awaited for long are small; those with a document are kept out of this one's state.
    if is(Operation::GetPrinterAttributes) {
        printer::attributes(engine, &call).await
    } else if is(Operation::ValidateJob) {
        submit::validate(&call)
    } else if is(Operation::PrintJob) {
        Box::pin(submit::print(engine, &call, document)).await
    } else if is(Operation::CreateJob) {
        to_its_end!(submit::create)
    } else if is(Operation::SendDocument) {
        Box::pin(submit::send(engine, &call, document)).await
    } else if is(Operation::CloseJob) {
        to_its_end!(submit::close)
    } else if is(Operation::GetJobs) {
        jobs::list(engine, &call).await
    } else if is(Operation::GetJobAttributes) {
        jobs::attributes(engine, &call).await
    } else if is(Operation::CancelJob) {
        to_its_end!(jobs::cancel)
    } else if is(Operation::CancelMyJobs) {
        to_its_end!(jobs::cancel_mine)
    } else {
        let message = format!("operation 0x{operation:04x} is not supported");
        Err(Refusal::new(IppStatus::ServerErrorOperationNotSupported, message))
    }
}

/// What HTTP must bring: IPP, not sent by a web page, and a sound `Host`, which goes into the addresses we answer.
fn check_headers(headers: &HeaderMap) -> Result<String, (StatusCode, &'static str)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let mime = text(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next()).map(str::trim);
    if !mime.is_some_and(|mime| mime.eq_ignore_ascii_case(CONTENT_TYPE)) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/ipp"));
    }
    if headers.contains_key(header::ORIGIN) {
        return Err((StatusCode::FORBIDDEN, "web pages may not print here"));
    }
    let host = text(header::HOST).filter(|host| is_host(host));
    host.map(str::to_owned).ok_or((StatusCode::BAD_REQUEST, "the Host header is missing or malformed"))
}

fn is_host(host: &str) -> bool {
    host.len() <= LONGEST_HOST
        && !host.is_empty()
        && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c))
}

/// Reads on for a while, so that the answer is heard.
async fn drain(document: &mut Document) {
    let _ = tokio::time::timeout(DRAIN_TIME, async {
        let mut left = DRAINED;
        while let Ok(piece) = document.fill_buf().await {
            let length = piece.len();
            if length == 0 || length > left {
                return;
            }
            left -= length;
            document.consume(length);
        }
    })
    .await;
}

/// Whether a job may be touched by this request: it names the one who sent it.
fn check_owner(call: &Call, owner: &str) -> Result<(), Refusal> {
    if call.user() == owner {
        return Ok(());
    }
    Err(Refusal::new(IppStatus::ClientErrorNotAuthorized, "this is somebody else's job"))
}

/// Whether jobs can be taken here at all: a queue that passes on needs somewhere to pass them to.
fn check_accepting(queue: &Queue) -> Result<(), Refusal> {
    if queue.hold || queue.printer.is_some() {
        return Ok(());
    }
    let message = format!("queue {} passes jobs on, but names no printer", queue.name);
    Err(Refusal::new(IppStatus::ServerErrorNotAcceptingJobs, message))
}
