//! The IPP server: a printer for each queue, at `/queues/{name}`.
//!
//! Who may print is decided by the HTTP route and the client's address, before anything the client wrote is looked at.
//! `requesting-user-name` is a claim, not a proof: it says whose job it is, and keeps people from cancelling each other's
//! jobs by mistake. Where a queue asks for a sign-in, who signed in counts instead. What comes out at a printer is decided
//! by cards.

mod announcement;
mod call;
mod capabilities;
mod changes;
pub(crate) mod fuzz;
mod hold;
mod jobs;
mod media;
mod pages;
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
    routing::{get, post},
};
use cardinal_domain::{
    bounds::size,
    job::Job,
    names::{QueueName, UserName},
    site::Queue,
};
use futures_util::TryStreamExt as _;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};
use tokio_util::io::StreamReader;

use crate::{
    engine::Engine,
    message::{self, MessageError},
    sign_in::{self, SignedIn},
};
pub use announcement::Announcement;
use call::{Answer, Call, Refusal};
pub(crate) use changes::Changes;

const CONTENT_TYPE: &str = "application/ipp";
/// How much of a refused document is still read, in bytes, and for how long: most clients read no answer before they have
/// sent all.
const DRAINED: usize = 8 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// The longest `Host`, in bytes: what a DNS name and a port may have.
const LONGEST_HOST: usize = 260;
/// What a client is asked for that must sign in (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"Cardinal\", charset=\"UTF-8\"";

/// Says, as an extension of an HTTP request, that it came over TLS. Whoever serves the router over TLS puts it there.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;

/// A request's body, behind its head the document.
type Document = Box<dyn AsyncBufRead + Send + Unpin>;

pub(crate) fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/queues/{queue}", post(serve).get(pages::page))
        .route("/queues/{queue}/icon/{size}", get(pages::icon))
        // A job's address belongs to its queue; which job is meant stands in the request.
        .route("/queues/{queue}/jobs/{job}", post(serve))
        .with_state(engine)
}

/// An IPP answer, or what HTTP says instead.
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
        Err((status @ StatusCode::UNAUTHORIZED, why)) => {
            (status, [(header::WWW_AUTHENTICATE, CHALLENGE)], format!("{why}\n")).into_response()
        }
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
    let over_tls = request.extensions().get::<OverTls>().is_some();
    let signed_in = match &queue {
        Some(queue) if queue.sign_in => signed_in(&engine, client, queue, over_tls, request.headers()).await?,
        _ => None,
    };
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
    // Who adds a queue looks at it before they have a name to give: what it can do is no secret.
    if queue.as_ref().is_some_and(|queue| queue.sign_in)
        && signed_in.is_none()
        && asked.operation_or_status != Operation::GetPrinterAttributes as i16
    {
        drain(&mut document).await;
        return Err((StatusCode::UNAUTHORIZED, "sign in with your name and password"));
    }
    let answer = match (Call::check(&message), queue) {
        (Err(refusal), _) => Err(refusal),
        (_, None) => Err(Refusal::new(IppStatus::ClientErrorNotFound, "there is no such queue")),
        (Ok(()), Some(queue)) => {
            dispatch(&engine, Call { queue, host, over_tls, signed_in, message }, &mut document).await
        }
    };
    if answer.is_err() {
        drain(&mut document).await;
    }
    Ok(call::encode(&asked, answer))
}

/// Who signs in at a queue that asks for it, before anything the client wrote is looked at. None: nobody tried to.
async fn signed_in(
    engine: &Engine,
    client: IpAddr,
    queue: &Queue,
    over_tls: bool,
    headers: &HeaderMap,
) -> Result<Option<UserName>, (StatusCode, &'static str)> {
    // No 401 here: the client would send its password in clear.
    if !over_tls {
        let why =
            "this queue asks for a sign-in, which is taken over TLS alone: use its address that begins with ipps://";
        return Err((StatusCode::FORBIDDEN, why));
    }
    let shown = sign_in::credentials(headers)
        .map_err(|()| (StatusCode::BAD_REQUEST, "the Authorization header cannot be read"))?;
    let Some(shown) = shown else { return Ok(None) };
    match sign_in::check(engine, client, &queue.name, &shown).await {
        SignedIn::As(user) if queue.groups.is_empty() => Ok(Some(user)),
        SignedIn::As(user) => match engine.store.is_member(&user, &queue.groups).await {
            Ok(true) => Ok(Some(user)),
            Ok(false) => {
                Err((StatusCode::FORBIDDEN, "you may not print here: this queue is for members of other groups"))
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a user's groups cannot be read");
                Err((StatusCode::SERVICE_UNAVAILABLE, "sign-ins cannot be checked now; come back later"))
            }
        },
        SignedIn::No => Err((StatusCode::UNAUTHORIZED, "this name and password do not fit")),
        SignedIn::Busy => Err((StatusCode::TOO_MANY_REQUESTS, "too many sign-ins from this address; come back later")),
        SignedIn::Broken => Err((StatusCode::SERVICE_UNAVAILABLE, "sign-ins cannot be checked now; come back later")),
    }
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
    } else if is(Operation::HoldJob) {
        to_its_end!(hold::hold)
    } else if is(Operation::ReleaseJob) {
        to_its_end!(hold::release)
    } else if is(Operation::IdentifyPrinter) {
        to_its_end!(printer::identify)
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
fn check_owner(call: &Call, job: &Job) -> Result<(), Refusal> {
    if call.owns(job) {
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
