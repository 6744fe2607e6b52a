//! Fetches from real sockets that answer as bad devices do.

use std::{net::SocketAddr, time::Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::*;

/// Answers each connection with these bytes, again and again if asked to, and tells what it was sent.
async fn device(answer: &'static [u8], endless: bool) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 8_192];
                let length = stream.read(&mut buffer).await.unwrap_or_default();
                let _ = tell.send(String::from_utf8_lossy(&buffer[..length]).into_owned());
                let _ = stream.write_all(answer).await;
                while endless && stream.write_all(&[b'x'; 8_192]).await.is_ok() {}
            });
        }
    });
    (address, told)
}

fn target(body_bytes: u64) -> Target {
    Target { host: "127.0.0.1".to_owned(), certificate: None, body_bytes }
}

fn get(path: &str) -> Fetch {
    Fetch {
        id: 1,
        port: None,
        tls: false,
        method: "GET".to_owned(),
        path: path.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

fn fetcher(whole_ms: u64) -> Fetcher {
    Fetcher::new(FetchLimits { whole_ms, ..FetchLimits::default() }).unwrap()
}

async fn code(answer: &'static [u8], endless: bool, whole_ms: u64) -> String {
    let (address, _told) = device(answer, endless).await;
    match fetcher(whole_ms).fetch(&target(1_000), address.port(), get("/")).await {
        Ok(answer) => answer.status.to_string(),
        Err(fault) => fault.code,
    }
}

#[tokio::test]
async fn whatever_a_reader_answers_the_driver_is_told_what_became_of_it() {
    assert_eq!(code(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", false, 15_000).await, "500");
    assert_eq!(
        code(b"HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", false, 15_000).await,
        "302"
    );
    assert_eq!(code(b"HTTP/1.0 200 OK\r\n\r\n", true, 15_000).await, "too-large");
    assert_eq!(code(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false, 15_000).await, "lost");
    assert_eq!(code(b"rubbish\r\n\r\n", false, 15_000).await, "lost");
    assert_eq!(code(b"", false, 15_000).await, "lost");
    let many = "a: b\r\n".repeat(65);
    let many = format!("HTTP/1.1 200 OK\r\n{many}\r\n").leak();
    assert_eq!(code(many.as_bytes(), false, 15_000).await, "lost");
    let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(20_000)).leak();
    assert_eq!(code(long.as_bytes(), false, 15_000).await, "too-large");
}

#[tokio::test]
async fn one_that_says_nothing_or_is_not_there_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let started = Instant::now();
    let fault = fetcher(300).fetch(&target(1_000), port, get("/")).await.unwrap_err();
    assert_eq!(fault.code, "timeout", "{fault}");
    assert!(started.elapsed() >= Duration::from_millis(300));
    drop(silent);
    let fault = fetcher(15_000).fetch(&target(1_000), port, get("/")).await.unwrap_err();
    assert_eq!(fault.code, "refused", "{fault}");
    // A name that leads to this machine is none of a reader, although something listens there.
    let (address, _told) = device(b"HTTP/1.1 200 OK\r\n\r\n", false).await;
    let ours = Target { host: "localhost".to_owned(), ..target(1_000) };
    let fault = fetcher(15_000).fetch(&ours, address.port(), get("/")).await.unwrap_err();
    assert!(fault.code == "refused" && fault.message.contains("write the address itself"), "{fault}");
}

/// Names that lead where they are said to lead now.
struct Leads(Mutex<SocketAddr>);

impl reqwest::dns::Resolve for Leads {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let address = *self.0.lock().unwrap();
        Box::pin(async move { Ok(Box::new([address].into_iter()) as reqwest::dns::Addrs) })
    }
}

#[tokio::test]
async fn a_reader_whose_name_leads_elsewhere_now_is_found_there() {
    let (first, _told) = device(b"HTTP/1.1 201 A\r\ncontent-length: 0\r\n\r\n", false).await;
    // The same port of another address, as a reader has it that was given a new one.
    let second = TcpListener::bind(SocketAddr::from(([127, 0, 0, 2], first.port()))).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = second.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(b"HTTP/1.1 202 B\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let leads = Arc::new(Leads(Mutex::new(first)));
    let names: Arc<dyn reqwest::dns::Resolve> = Arc::<Leads>::clone(&leads);
    let fetcher = Fetcher { names, clients: Mutex::default(), ..fetcher(15_000) };
    let target = Target { host: "reader.example.org".to_owned(), ..target(1_000) };
    let ask = async || fetcher.fetch(&target, first.port(), get("/")).await.unwrap().status;
    assert_eq!(ask().await, 201);
    *leads.0.lock().unwrap() = SocketAddr::from(([127, 0, 0, 2], first.port()));
    assert_eq!(ask().await, 202, "at the next fetch already");
}

#[tokio::test]
async fn a_request_is_as_the_driver_wrote_it_and_the_connection_is_ours() {
    let (address, mut told) = device(b"HTTP/1.1 200 OK\r\nX-Seen: 1\r\ncontent-length: 2\r\n\r\nok", false).await;
    let mut fetch = get("//evil.example/a b?c");
    fetch.query = vec![("q".to_owned(), "a b+c&d".to_owned())];
    fetch.headers = vec![("Host".to_owned(), "evil.example".to_owned()), ("X-Own".to_owned(), "1".to_owned())];
    let answer = fetcher(15_000).fetch(&target(1_000), address.port(), fetch).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
    assert!(answer.headers.contains(&("x-seen".to_owned(), "1".to_owned())));
    let request = told.recv().await.unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get //evil.example/a%20b%3fc?q=a%20b%2bc%26d http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {address}\r\n")) && request.contains("x-own: 1\r\n"), "{request}");
    assert!(!request.contains("host: evil"), "{request}");
}

#[tokio::test]
async fn more_than_so_many_wait_for_their_turn() {
    let (address, mut told) = device(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
    let limits = FetchLimits { at_once: 1, ..FetchLimits::default() };
    let fetcher = Fetcher::new(limits).unwrap();
    let turn = fetcher.at_once.acquire().await.unwrap();
    let target = target(1_000);
    let waiting = fetcher.fetch(&target, address.port(), get("/"));
    tokio::pin!(waiting);
    assert!(futures_util::future::poll_immediate(waiting.as_mut()).await.is_none());
    assert!(told.try_recv().is_err());
    drop(turn);
    assert_eq!(waiting.await.unwrap().status, 200);
}

#[tokio::test]
async fn those_that_were_silent_do_not_hold_up_the_others() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let limits = FetchLimits { at_once: 2, whole_ms: 600_000, ..FetchLimits::default() };
    let fetcher = Fetcher::new(limits).unwrap();
    // As a fetch has left it that ended in a timeout.
    let at = |port: u16| ("127.0.0.1".to_owned(), port);
    fetcher.silent().insert(at(port));
    let target = target(1_000);
    let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(fetcher.fetch(&target, port, get("/")))).collect();
    for fetch in &mut waiting {
        assert!(futures_util::future::poll_immediate(fetch).await.is_none());
    }
    assert_eq!(fetcher.at_once.available_permits(), 1);
    let live = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let live_port = live.local_addr().unwrap().port();
    let answering = async {
        let (mut stream, _) = live.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4_096]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let other = Target { host: "127.0.0.2".to_owned(), ..target.clone() };
    let (answer, _stream) = tokio::join!(fetcher.fetch(&other, live_port, get("/")), answering);
    assert_eq!(answer.unwrap().status, 200);
    drop(waiting);
    // One that answers again has its turn as the others.
    let (address, _told) = device(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
    fetcher.silent().insert(at(address.port()));
    assert_eq!(fetcher.fetch(&target, address.port(), get("/")).await.unwrap().status, 200);
    assert!(!fetcher.silent().contains(&at(address.port())));
    fetcher.silent().clear();
    drop(silent);
    assert_eq!(fetcher.fetch(&target, port, get("/")).await.unwrap_err().code, "refused");
    assert!(fetcher.silent().contains(&at(port)));
}

#[tokio::test]
async fn over_tls_a_reader_has_the_pinned_certificate_or_is_not_talked_to() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["reader".to_owned()]).unwrap();
    let seen = Fingerprint::new(
        sha2::Digest::finalize(sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), cert.der())).into(),
    );
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    let fetcher = fetcher(15_000);
    let ask = async |certificate| {
        let target = Target { certificate, ..target(1_000) };
        fetcher.fetch(&target, port, Fetch { tls: true, ..get("/") }).await
    };
    let unpinned = ask(None).await.unwrap_err();
    assert_eq!(unpinned.code, "tls");
    assert!(unpinned.message.contains(&seen.to_string()) && unpinned.message.contains("none is pinned"), "{unpinned}");
    let other = ask(Some(Fingerprint::new([1; 32]))).await.unwrap_err();
    assert!(other.code == "tls" && other.message.contains("not the pinned one"), "{other}");
    assert_eq!(ask(Some(seen)).await.unwrap().status, 200);
    // One with a certificate is not asked over plain HTTP, where it could not show it.
    let pinned = Target { certificate: Some(seen), ..target(1_000) };
    let (address, mut told) = device(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false).await;
    let plain = fetcher.fetch(&pinned, address.port(), get("/")).await.unwrap_err();
    assert!(plain.code == "tls" && plain.message.contains("over TLS alone"), "{plain}");
    assert!(told.try_recv().is_err());
}

proptest::proptest! {
    #[test]
    fn whatever_a_driver_asks_for_it_asks_its_own_reader(
        path in "/[^\\p{Cc}]{0,40}",
        query in proptest::collection::vec(("[^\\p{Cc}]{0,10}", "\\PC{0,10}"), 0..4),
        tls in proptest::bool::ANY,
        port in 1_u16..,
    ) {
        for host in ["10.0.0.21", "[fe80::1]", "reader.example.org"] {
            let target = Target { host: host.to_owned(), ..target(1) };
            let fetch = Fetch { query: query.clone(), tls, ..get(&path) };
            let url = url(&target, port, &fetch).unwrap();
            assert_eq!((url.host_str(), url.port_or_known_default()), (Some(host), Some(port)));
            assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
            let asked: Vec<_> = url.query_pairs().into_owned().collect();
            assert_eq!(asked, query);
        }
    }
}
