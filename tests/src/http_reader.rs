//! A reader that speaks HTTP, as the guest `caller` wants one: its web server, and the calls that it makes.
//!
//! Each has a loopback address of its own, because the ports are the driver's. What its pages answer is said by their path.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::get,
};
use futures_util::stream;
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

use crate::wait::LIMIT;

/// The port of its web server, which is the first that the guest's mode names.
pub const PORT: u16 = 18_080;

/// A reader that is switched on.
pub struct HttpReader {
    address: Ipv4Addr,
    /// Where the host told it to call, and how often it was told.
    told: watch::Receiver<(String, usize)>,
    client: reqwest::Client,
    server: AbortHandle,
}

impl Drop for HttpReader {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An address that nobody else in this test has.
pub fn free_address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let [_, _, process, part] = std::process::id().to_be_bytes();
    // The process keeps apart what runs side by side on one machine.
    Ipv4Addr::new(127, 64 | (process & 0x3f), part, 1 + (low.wrapping_add(high) % 254))
}

impl HttpReader {
    /// A reader at an address of its own.
    pub async fn start() -> Self {
        Self::at(free_address()).await
    }

    /// A reader at this address.
    pub async fn at(address: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((address, PORT)).await.expect("a reader can listen");
        let (tell, told) = watch::channel((String::new(), 0));
        let router = Router::new()
            .route("/configure", get(configure))
            .route("/500", get(async || (StatusCode::INTERNAL_SERVER_ERROR, "oh")))
            .route("/login", get(async || Html("<form>Password?</form>")))
            .route("/redirect", get(async || Redirect::temporary("http://127.0.0.1:1/elsewhere")))
            .route("/endless", get(async || endless(Duration::ZERO)))
            .route("/dribble", get(async || endless(Duration::from_millis(20))))
            .route("/silent", get(std::future::pending::<Response>))
            .with_state(tell);
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        // What the host's certificate is, is not this one's business.
        let client = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true).timeout(LIMIT);
        let client = client.local_address(std::net::IpAddr::from(address));
        Self { address, told, client: client.build().expect("an HTTP client"), server }
    }

    /// Its address, without a port.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Where it was told to call; waits until it was told so often.
    pub async fn callback(&mut self, times: usize) -> String {
        let told = tokio::time::timeout(LIMIT, self.told.wait_for(|(_, count)| *count >= times)).await;
        told.expect("it is configured in time").expect("it is on").0.clone()
    }

    /// Calls the host at this path, and gives the status and the body that it hears.
    pub async fn calls(&self, path: &str) -> (u16, String) {
        let callback = self.told.borrow().0.clone();
        self.calls_at(&callback, path).await
    }

    /// The same at an address that it was told before.
    pub async fn calls_at(&self, callback: &str, path: &str) -> (u16, String) {
        let url = format!("{callback}{path}");
        let answer = self.client.get(url).send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }

    /// The same with a body.
    pub async fn posts(&self, path: &str, body: Vec<u8>) -> (u16, String) {
        let url = format!("{}{path}", self.told.borrow().0);
        let answer = self.client.post(url).body(body).send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }
}

async fn configure(
    State(tell): State<watch::Sender<(String, usize)>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    let Some((_, url)) = query.into_iter().find(|(key, _)| key == "url") else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    tell.send_modify(|told| *told = (url, told.1 + 1));
    "2.05".into_response()
}

/// A body without an end, a piece every so often.
fn endless(pause: Duration) -> Body {
    let size = if pause.is_zero() { 65_536 } else { 1 };
    Body::from_stream(stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some((Ok::<_, Infallible>(Bytes::from(vec![b'x'; size])), ()))
    }))
}
