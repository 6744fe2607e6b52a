//! Readers' calls: a reader's HTTP request becomes a [`Calling`] at the reader's session, whose answer it receives.
//!
//! The address of a reader holds a secret that lives as long as the process. The listener is on the loopback alone, on a
//! port that is free, and speaks plain HTTP.

use std::{
    collections::HashMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, Query, Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response as Answer},
    routing::any,
};
use cardinal_domain::{
    driver::{Pair, Response},
    names::ReaderName,
    site::Reader,
};
use tokio::{
    net::TcpListener,
    sync::{OnceCell, mpsc, oneshot},
};

use crate::hex;

/// A header of HTTP, its name in lower case.
pub type Header = Pair;

/// The largest body taken of a call, in bytes.
const LARGEST_BODY: usize = 256 << 10;
/// How many calls wait in a place.
const MOST_WAITING: usize = 8;

/// A reader's request that waits for its answer.
pub struct Calling {
    pub method: String,
    /// What follows the callback address.
    pub path: String,
    pub query: Vec<Pair>,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
    /// Dropped: the reader is answered 503.
    pub answer: oneshot::Sender<Response>,
}

// Hand-written: what is in a call may be a card number.
impl fmt::Debug for Calling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Why a reader has no address to call.
#[derive(Debug, thiserror::Error)]
pub enum CallsError {
    #[error("there is no listener for readers' calls: {0}")]
    Listener(std::io::Error),
}

/// The readers' calls.
#[derive(Default)]
pub struct Calls {
    inner: Arc<Inner>,
    listening: OnceCell<SocketAddr>,
}

#[derive(Default)]
struct Inner {
    secrets: Mutex<HashMap<ReaderName, String>>,
    places: Mutex<HashMap<ReaderName, mpsc::Sender<Calling>>>,
}

/// Where one reader's calls come to; dropped, they are answered 503 again.
pub struct Place {
    reader: ReaderName,
    calls: mpsc::Receiver<Calling>,
    ours: mpsc::Sender<Calling>,
    inner: Arc<Inner>,
}

impl Calls {
    /// The address that the reader is to call, without a trailing `/`. It is a secret.
    ///
    /// # Errors
    /// There is no listener for readers.
    pub async fn url(&self, reader: &ReaderName) -> Result<String, CallsError> {
        let address = self.listening.get_or_try_init(|| listen(Arc::clone(&self.inner))).await?;
        let mut secrets = self.inner.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = secrets.entry(reader.clone()).or_insert_with(|| hex::encode(&rand::random::<[u8; 32]>()));
        Ok(format!("http://{address}/r/{secret}"))
    }

    /// From now on this reader's calls come here.
    pub fn take(&self, reader: &Reader) -> Place {
        let (ours, calls) = mpsc::channel(MOST_WAITING);
        let mut places = self.inner.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(reader.name.clone(), ours.clone());
        Place { reader: reader.name.clone(), calls, ours, inner: Arc::clone(&self.inner) }
    }
}

impl Place {
    /// The next call. Nothing is lost when this is dropped half way.
    pub async fn next(&mut self) -> Calling {
        match self.calls.recv().await {
            Some(calling) => calling,
            // Not while this place holds a sender of its own.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.inner.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.get(&self.reader).is_some_and(|place| place.same_channel(&self.ours)) {
            places.remove(&self.reader);
        }
    }
}

async fn listen(inner: Arc<Inner>) -> Result<SocketAddr, CallsError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(CallsError::Listener)?;
    let address = listener.local_addr().map_err(CallsError::Listener)?;
    let router = Router::new().route("/r/{secret}", any(called)).route("/r/{secret}/{*path}", any(called));
    let router = router.with_state(inner);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn called(
    State(inner): State<Arc<Inner>>,
    Path(parts): Path<HashMap<String, String>>,
    Query(query): Query<Vec<Pair>>,
    request: Request,
) -> Answer {
    let secret = parts.get("secret").map(String::as_str).unwrap_or_default();
    let reader = {
        let secrets = inner.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().find(|(_, known)| *known == secret).map(|(reader, _)| reader.clone())
    };
    let Some(reader) = reader else { return StatusCode::NOT_FOUND.into_response() };
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let (answer, answered) = oneshot::channel();
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let calling = Calling {
        method: head.method.to_string(),
        path: parts.get("path").map(|path| format!("/{path}")).unwrap_or_default(),
        query,
        headers: head.headers.iter().map(header).collect(),
        body: body.to_vec(),
        answer,
    };
    let place = inner.places.lock().unwrap_or_else(PoisonError::into_inner).get(&reader).cloned();
    if place.is_none_or(|place| place.try_send(calling).is_err()) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let Ok(response) = answered.await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let mut answer = Answer::new(Body::from(response.body));
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}
