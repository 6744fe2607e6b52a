//! The listeners: a bounded number of connections, a bounded time for the head of a request, an orderly end.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{Router, body::Body, extract::connect_info::ConnectInfo, http::Request};
use cardinal_release::OverTls;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::tls::{Crowd, Door};

/// How many connections one listener serves at a time; a further one waits in the kernel's queue.
const MOST_CONNECTIONS: usize = 1024;
/// How long a client may take for the head of a request: a slow one gives its place back.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// As long as the process.
const FOR_EVER: Duration = Duration::MAX;
/// How long to wait after a failed accept (no file descriptors left, as a rule).
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// What one listener takes of its clients.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Connections at one time; a further one waits in the kernel's queue.
    pub connections: usize,
    /// Of these, from one address; a further one is closed.
    pub connections_per_address: usize,
    /// Time for the head of a request, and to be idle.
    pub head: Duration,
    /// None: as hyper has it.
    pub head_bytes: Option<usize>,
    /// None: as hyper has it.
    pub headers: Option<usize>,
    /// How long a connection is kept.
    pub connection: Duration,
    /// How long the request that is under way at its end may take.
    pub last_request: Duration,
    /// Who is expected here. None: anybody, and nobody is a stranger.
    pub expected: Option<Expected>,
}

/// Tells whether an address is one that connections are expected from. All others are strangers: together they have half of
/// the places at most, and those of one IPv6 network (/64) count as one address, because whoever has one address of it has
/// them all.
#[derive(Clone)]
pub struct Expected(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Expected {
    /// Asked for each connection, with an address that is IPv4 where it can be.
    pub fn new(is_expected: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_expected))
    }
}

impl fmt::Debug for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expected")
    }
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: MOST_CONNECTIONS,
            connections_per_address: MOST_CONNECTIONS,
            head: HEAD_TIMEOUT,
            head_bytes: None,
            headers: None,
            connection: FOR_EVER,
            last_request: FOR_EVER,
            expected: None,
        }
    }
}

/// The connections being served, to be waited for at the end.
#[derive(Clone, Default)]
pub struct Requests(TaskTracker);

impl Requests {
    /// Waits until all are done, but not longer than this.
    pub async fn finished(&self, longest: Duration) {
        self.0.close();
        if tokio::time::timeout(longest, self.0.wait()).await.is_err() {
            tracing::warn!(open = self.0.len(), "stopping although requests are still open");
        }
    }
}

/// Opens a listener; `key` is the configuration key to be named if that fails.
///
/// # Errors
/// The address is not this machine's, or the port is taken.
pub async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: is the port free? Change {key} in cardinal.toml"))
}

/// Serves until stopped; then no connection is taken any more, and those that stand finish their request. With a door it
/// speaks TLS, and requests carry [`cardinal_release::OverTls`].
pub async fn serve(
    listener: TcpListener,
    door: Option<Door>,
    router: Router,
    requests: Requests,
    stop: CancellationToken,
    limits: ListenerLimits,
) {
    let places = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let crowd = Arc::new(Crowd::of(limits.connections, limits.connections_per_address));
    let strangers = Arc::new(Crowd::of(limits.connections / 2, limits.connections_per_address));
    let limits = Arc::new(limits);
    loop {
        // Here too: a listener that is full may be so for long.
        let place = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let Ok(place) = place else { return };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                let entered = match &limits.expected {
                    Some(Expected(is_expected)) if !is_expected(address) => strangers.enter(network(address)),
                    _ => crowd.enter(address),
                };
                let Some(entered) = entered else {
                    tracing::debug!(%peer, "a connection was closed: its address has too many, or strangers have");
                    continue;
                };
                let limits = Arc::clone(&limits);
                let (door, router, stop) = (door.clone(), router.clone(), stop.clone());
                requests.0.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    match door {
                        None => connection(stream, peer, false, router, stop, &limits).await,
                        // A handshake takes its time, and holds up nobody else: this is the connection's own task.
                        Some(door) => {
                            let entered = tokio::select! {
                                () = stop.cancelled() => None,
                                entered = door.enter(stream, peer.ip()) => entered,
                            };
                            if let Some(stream) = entered {
                                connection(stream, peer, true, router, stop, &limits).await;
                            }
                        }
                    }
                    drop((place, entered));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// What a stranger has of his own: one IPv4 address, or a network of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

async fn connection<S>(
    stream: S,
    peer: SocketAddr,
    over_tls: bool,
    router: Router,
    stop: CancellationToken,
    limits: &ListenerLimits,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        if over_tls {
            request.extensions_mut().insert(OverTls);
        }
        request
    });
    // HTTP/1 alone: with a choice, the time for the head begins only after the first bytes told which it is.
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(limits.head);
    if let Some(bytes) = limits.head_bytes {
        http1.max_buf_size(bytes);
    }
    if let Some(headers) = limits.headers {
        http1.max_headers(headers);
    }
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(serving);
    let outcome: Result<(), _> = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = tokio::time::sleep(limits.connection) => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(limits.last_request, serving).await {
                Ok(outcome) => outcome,
                Err(_) => return tracing::debug!(%peer, "a connection was cut: its last request took too long"),
            }
        }
    };
    // A client that goes away half way is nothing to tell of.
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Notify};

    use super::*;

    #[tokio::test]
    async fn a_full_listener_that_is_stopped_takes_no_more_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Notify::new());
        let tell = Arc::clone(&asked);
        // Its only place is taken by a request that is never answered.
        let router = Router::new().fallback(async move || {
            tell.notify_one();
            std::future::pending::<()>().await;
        });
        let limits = ListenerLimits { connections: 1, ..ListenerLimits::default() };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, None, router, Requests::default(), stop.clone(), limits));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        asked.notified().await;
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(60), serving).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens there any more");
    }

    #[test]
    fn a_stranger_has_one_address_or_one_network() {
        for (address, counted) in [
            ("10.0.0.5", "10.0.0.5"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), counted.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
