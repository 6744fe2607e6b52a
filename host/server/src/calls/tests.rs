//! The readers' listeners as readers and others meet them: real sockets, real TLS, and in the sessions' place what a session
//! does with a call.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use cardinal_domain::{event::EventKind, plan::plan, site::Site, strict_toml};
use cardinal_store::{Durability, EventFilter};
use reqwest::{Method, StatusCode, header::HeaderMap};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    http::{Requests, serve},
    memory::Memory,
    tls::{self, Door, Tls},
};

/// What fails is found sooner; a loaded machine is slow.
const LONG: Duration = Duration::from_secs(60);
const OWN: [u8; 4] = [127, 0, 0, 1];
/// Where the reader is that calls over plain HTTP.
const OLD: [u8; 4] = [127, 0, 0, 4];

const SITE: &str = "
    printer = [{ name = 'p', uri = 'folder:x' }]
    device = [{ name = 'd', printer = 'p' }]
    reader = [
        { name = 'r', driver = 'a/b', mode = 'm', transport = 'http', address = '127.0.0.1:80', device = 'd' },
        { name = 's', driver = 'a/b', mode = 'm', transport = 'http', address = '127.0.0.2:80', device = 'd' },
        { name = 'off', driver = 'a/b', mode = 'm', transport = 'http', address = '127.0.0.1', device = 'd', enabled = false },
        { name = 'named', driver = 'a/b', mode = 'm', transport = 'http', address = 'localhost', device = 'd' },
        { name = 'old', driver = 'a/b', mode = 'm', transport = 'http', address = '127.0.0.4', device = 'd', plain = true },
    ]";

/// The listeners of a host, without the rest of it.
struct Here {
    calls: Arc<Calls>,
    store: Store,
    tls: SocketAddr,
    plain: SocketAddr,
    certificate: Vec<u8>,
    folder: tempfile::TempDir,
    stop: CancellationToken,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Here {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        tls::choose_provider();
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { folder: folder.path().to_owned(), ..Config::default() };
        change(&mut config);
        let (tls, about) = Tls::open(&config).unwrap();
        let (tls, certificate) = (Arc::new(tls), std::fs::read(config.data_path("tls/certificate.pem")).unwrap());
        let store = Store::open(&folder.path().join("db"), Durability::Process).await.unwrap();
        let site: Site = strict_toml::parse(SITE).unwrap();
        store.apply(&plan(&Site::default(), &site, false).unwrap().changes, Vec::new()).await.unwrap();
        let over_tls = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (over_tls.local_addr().unwrap(), plain.local_addr().unwrap());
        let bases = Bases::of(&config.readers, Some(addresses.0), Some(addresses.1), &about);
        let key = Memory::open(store.clone(), &folder.path().join("host.key")).unwrap().key_for("calls").unwrap();
        let door = Door::new(tls, &config.callers);
        let calls = Arc::new(Calls::open(store.clone(), key, config, bases).await.unwrap());
        let limits = calls.config.readers.bounds.listener(Calls::expected(&calls));
        let stop = CancellationToken::new();
        for (listener, door, over) in [(over_tls, Some(door), Over::Tls), (plain, None, Over::Plain)] {
            let router = router(Arc::clone(&calls), over);
            tokio::spawn(serve(listener, door, router, Requests::default(), stop.clone(), limits.clone()));
        }
        Self { calls, store, tls: addresses.0, plain: addresses.1, certificate, folder, stop }
    }

    /// A client that trusts the host's certificate and nobody else's, at this address of the loopback.
    fn client(&self, from: [u8; 4]) -> reqwest::Client {
        let certificate = reqwest::Certificate::from_pem(&self.certificate).unwrap();
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]);
        builder.local_address(IpAddr::from(from)).timeout(LONG).build().unwrap()
    }

    fn reader(&self, name: &str) -> Arc<Reader> {
        Arc::clone(&self.store.setup().readers[&ReaderName::new(name).unwrap()])
    }

    /// A connection of the reader `old` to the plain listener.
    async fn connect_old(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((OLD, 0))).unwrap();
        socket.connect(self.plain).await.unwrap()
    }

    async fn url(&self, reader: &str) -> String {
        self.calls.url(&self.reader(reader)).await.unwrap()
    }

    /// A session that answers each call with what it says.
    fn echo(&self, reader: &str) -> JoinHandle<()> {
        let mut place = self.calls.take(&self.reader(reader));
        tokio::spawn(async move {
            loop {
                let calling = place.next().await;
                let said = format!("{} {} {:?}", calling.method, calling.path, calling.query);
                let headers = vec![("X-Bytes".to_owned(), calling.body.len().to_string())];
                let _ = calling.answer.send(Response { status: 202, headers, body: said.into_bytes() });
            }
        })
    }

    /// The first event of this kind, once there is one.
    async fn event(&self, kind: EventKind) -> EventBody {
        self.events(kind, 1).await.swap_remove(0)
    }

    /// So many events of this kind, the oldest first, once they are there.
    async fn events(&self, kind: EventKind, many: usize) -> Vec<EventBody> {
        let filter = EventFilter { kind: Some(kind), limit: 10, ..EventFilter::default() };
        let waiting = async {
            loop {
                let events = self.store.events(&filter).await.unwrap();
                if events.len() >= many {
                    return events.into_iter().map(|event| event.body).collect();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONG, waiting).await.unwrap()
    }
}

/// All of an answer that does not change by itself from second to second.
async fn whole(response: reqwest::Response) -> (StatusCode, HeaderMap, String) {
    let (status, mut headers) = (response.status(), response.headers().clone());
    headers.remove("date").unwrap();
    (status, headers, response.text().await.unwrap())
}

#[tokio::test]
async fn a_call_reaches_its_session_and_the_answer_its_reader() {
    let here = Here::new().await;
    let _sessions = [here.echo("r"), here.echo("s")];
    let url = here.url("r").await;
    assert_eq!(url.len(), format!("https://{}/r/", here.tls).len() + 32, "without its secret");
    assert!(url.starts_with(&format!("https://{}/r/", here.tls)));
    let client = here.client(OWN);
    let response = client.get(format!("{url}/swipe?card=0%34+7&card=%ff&empty")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["x-bytes"]), (202, &"0".parse().unwrap()));
    let said = "GET /swipe [(\"card\", \"04 7\"), (\"card\", \"\u{fffd}\"), (\"empty\", \"\")]";
    assert_eq!(response.text().await.unwrap(), said);
    // Nothing behind the address, any method, a body as long as it may be; and the other reader has its own.
    let body = vec![b'x'; 256 << 10];
    let response = client.request(Method::from_bytes(b"SWIPE").unwrap(), &url).body(body).send().await.unwrap();
    assert_eq!(response.headers()["x-bytes"], "262144");
    assert_eq!(response.text().await.unwrap(), "SWIPE  []");
    let head = client.head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (202, ""));
    let other = here.client([127, 0, 0, 2]).post(here.url("s").await).send().await.unwrap();
    assert_eq!(other.status().as_u16(), 202);
    // A card number of 10 kB is the driver's to refuse.
    let long = client.get(format!("{url}?card={}", "7".repeat(10_000))).send().await.unwrap();
    assert!(long.text().await.unwrap().len() > 10_000);
}

#[tokio::test]
async fn over_plain_http_calls_who_is_configured_so_and_nobody_else() {
    let here = Here::new().await;
    let _sessions = [here.echo("r"), here.echo("old")];
    let other = |url: &str| {
        let (https, http) = (format!("https://{}", here.tls), format!("http://{}", here.plain));
        if url.starts_with(&https) { url.replace(&https, &http) } else { url.replace(&http, &https) }
    };
    let old = here.client(OLD);
    let url = here.url("old").await;
    assert!(url.starts_with(&format!("http://{}/r/", here.plain)), "without its secret");
    assert_eq!(old.get(&url).send().await.unwrap().status().as_u16(), 202);
    // Nobody learns anything of a call over TLS.
    assert_eq!(old.get(other(&url)).send().await.unwrap().status().as_u16(), 202);

    // A mistake of configuration: the secret of one that speaks TLS, in clear. It is answered as one that shows nothing.
    let url = here.url("r").await;
    assert!(url.starts_with(&format!("https://{}/r/", here.tls)), "without its secret");
    let client = here.client(OWN);
    let wrong = format!("http://{}/r/{}", here.plain, "A".repeat(32));
    let got = whole(client.get(other(&url)).send().await.unwrap()).await;
    let told = here.event(EventKind::CallRefused).await;
    assert_eq!(got, whole(client.get(&wrong).send().await.unwrap()).await);
    assert_eq!((told.reader.unwrap().as_str(), told.facts["address"].as_str()), ("r", "127.0.0.1"));
    assert!(told.message.starts_with("r called over plain HTTP, which it is not to do"), "{}", told.message);
    assert!(told.message.contains("cardinal reader rotate r --overlap 0"), "{}", told.message);
    assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 202);
}

#[tokio::test]
async fn whoever_shows_nothing_is_answered_alike() {
    let here = Here::new().await;
    let _sessions = [here.echo("r"), here.echo("s"), here.echo("off")];
    let old = here.url("r").await;
    here.calls.rotate(&here.reader("r"), Duration::ZERO).await.unwrap();
    let new = here.url("r").await;
    let wrong = format!("https://{}/r/{}", here.tls, "A".repeat(32));
    let cases = [
        ("wrong", wrong.clone()),
        ("old", old.clone()),
        ("another's, from here", here.url("s").await),
        ("of a reader that is not in use", here.url("off").await),
        ("cut", new[..new.len() - 1].to_owned()),
        ("longer", format!("{new}A")),
        ("other letters", new.to_uppercase()),
        ("none", format!("https://{}/r//x", here.tls)),
        ("nothing at all", format!("https://{}/", here.tls)),
    ];
    let client = here.client(OWN);
    let expected = whole(client.get(&wrong).send().await.unwrap()).await;
    assert_eq!((expected.0.as_u16(), expected.2.as_str()), (404, "not found\n"));
    for (name, url) in &cases {
        let got = whole(client.get(format!("{url}/swipe?card=4711")).send().await.unwrap()).await;
        assert_eq!(got, expected, "GET, {name}");
        let got = whole(client.post(url).body("card=4711").send().await.unwrap()).await;
        assert_eq!(got, expected, "POST, {name}");
    }
    assert_eq!(client.get(&new).send().await.unwrap().status().as_u16(), 202);
    assert_eq!(here.client([127, 0, 0, 9]).get(&new).send().await.unwrap().status().as_u16(), 404);

    // Told, once for an address, and without what was shown.
    let told = here.events(EventKind::CallRefused, 2).await;
    let words = |nth: usize| (told[nth].facts["address"].as_str(), told[nth].message.as_str());
    assert_eq!(words(0), ("127.0.0.1", "127.0.0.1 called with no reader's secret; was it rotated?"));
    assert_eq!(words(1), ("127.0.0.9", "127.0.0.9 called with the secret of r, whose address is 127.0.0.1:80"));
    assert_eq!((told.len(), told[1].reader.as_ref().unwrap().as_str()), (2, "r"));
    // No secret is anywhere on the disk.
    here.store.close().await;
    for file in std::fs::read_dir(here.folder.path()).unwrap().map(|file| file.unwrap().path()) {
        if file.is_file() {
            let bytes = std::fs::read(&file).unwrap();
            for url in [&old, &new] {
                let secret = url.rsplit('/').next().unwrap().as_bytes();
                assert!(!bytes.windows(secret.len()).any(|part| part == secret), "a secret is in {}", file.display());
            }
        }
    }
}

/// None is answered before its time. How alike they are is printed, not asserted: no test depends on a time being short.
#[tokio::test]
async fn refusals_take_their_time_alike() {
    let here = Here::new().await;
    let _sessions = [here.echo("r"), here.echo("s")];
    let old = here.url("r").await;
    here.calls.rotate(&here.reader("r"), Duration::ZERO).await.unwrap();
    let plain = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    let shown = [("wrong", "A".repeat(32)), ("old", plain(&old)), ("another's", plain(&here.url("s").await))];
    let client = here.client(OWN);
    let mut times = [(); 3].map(|()| Vec::new());
    for _ in 0..100 {
        for ((_, secret), times) in shown.iter().zip(&mut times) {
            let start = Instant::now();
            let response =
                client.get(format!("http://{}/r/{secret}/swipe?card=4711", here.plain)).send().await.unwrap();
            assert_eq!(response.status().as_u16(), 404);
            times.push(start.elapsed());
        }
    }
    for ((name, _), times) in shown.iter().zip(&mut times) {
        times.sort();
        assert!(times[0] >= endpoint::REFUSED_AFTER, "{name} after {:?}", times[0]);
        println!("{name:10} median {:?}, a tenth below {:?}, a tenth above {:?}", times[50], times[10], times[90]);
    }
}

#[tokio::test]
async fn a_rotated_secret_is_good_until_the_overlap_ends_and_survives_a_restart() {
    let here = Here::new().await;
    let _session = here.echo("r");
    let client = here.client(OWN);
    let code = async |url: &str| client.get(url).send().await.unwrap().status().as_u16();
    let first = here.url("r").await;
    assert_eq!(here.url("r").await, first, "asking changes nothing");
    let ends = here.calls.rotate(&here.reader("r"), LONG).await.unwrap();
    let second = here.url("r").await;
    assert_ne!(first, second);
    assert_eq!((code(&first).await, code(&second).await), (202, 202));
    let told = here.event(EventKind::ReaderRotated).await;
    assert_eq!((told.reader.unwrap().as_str(), &told.facts["overlap_ends"]), ("r", &ends.to_string()));
    // As after a restart: from the same store, with the same key.
    let key = Memory::open(here.store.clone(), &here.folder.path().join("host.key")).unwrap().key_for("calls").unwrap();
    let again =
        Calls::open(here.store.clone(), key, here.calls.config.clone(), here.calls.bases.clone()).await.unwrap();
    let local = IpAddr::from(OWN);
    for url in [&first, &second] {
        assert!(again.admit(url.rsplit('/').next().unwrap(), local, Over::Tls).is_ok());
    }
    assert_eq!(again.url(&here.reader("r")).await.unwrap(), second);
    // Somebody has seen it: nothing of before is good any more.
    here.calls.rotate(&here.reader("r"), Duration::ZERO).await.unwrap();
    let third = here.url("r").await;
    assert_eq!((code(&first).await, code(&second).await, code(&third).await), (404, 404, 202));
    // A reader that is removed and added again is another one.
    let site: Site = strict_toml::parse(SITE).unwrap();
    let without = Site { reader: Vec::new(), ..site.clone() };
    here.store.apply(&plan(&site, &without, true).unwrap().changes, Vec::new()).await.unwrap();
    assert_eq!(code(&third).await, 404);
    here.store.apply(&plan(&without, &site, false).unwrap().changes, Vec::new()).await.unwrap();
    let fourth = here.url("r").await;
    assert_eq!((code(&third).await, code(&fourth).await), (404, 202));
}

#[tokio::test]
async fn a_call_that_nobody_answers_is_answered_all_the_same() {
    let here = Here::with(|config| config.readers.bounds.answer_ms = 300).await;
    let (url, client) = (here.url("r").await, here.client(OWN));
    let get = || client.get(&url).send();
    let response = get().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"5".parse().unwrap()),
        "nobody came"
    );
    let mut place = here.calls.take(&here.reader("r"));
    let (response, ()) = tokio::join!(get(), async { drop(place.next().await) });
    assert_eq!(response.unwrap().status().as_u16(), 503, "the session dropped it");
    let (response, _kept) = tokio::join!(get(), place.next());
    assert_eq!(response.unwrap().status().as_u16(), 504, "the session forgot it");
    let (response, ()) = tokio::join!(get(), async {
        let calling = place.next().await;
        // Nothing else runs on this thread: the session is first to see that the time is over.
        while tokio::time::Instant::now() < calling.until {}
    });
    assert_eq!(response.unwrap().status().as_u16(), 504, "the session dropped it because its time was over");
    // A newer place takes the older one's calls; where none follows, what waited is told so.
    let newer = here.calls.take(&here.reader("r"));
    drop(place);
    let waiting = tokio::spawn(get());
    waits(&newer, 1).await;
    drop(newer);
    let response = waiting.await.unwrap().unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"5".parse().unwrap()));
}

/// Waits until so many calls wait at this place.
async fn waits(place: &Place, many: usize) {
    while place.seat.calls.max_capacity() - place.seat.calls.capacity() < many {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn calls_that_a_session_has_not_taken_wait_for_the_next_one_and_so_do_those_that_come_between() {
    let here = Here::new().await;
    let (url, client) = (here.url("r").await, here.client(OWN));
    let call = || tokio::spawn(client.post(&url).body("card=4711").send());
    for _ in 0..20 {
        let older = here.calls.take(&here.reader("r"));
        let (left, other) = (call(), call());
        waits(&older, 2).await;
        drop(older);
        let between = call();
        while here.calls.routes().waiting(&here.reader("r").name) < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let session = here.echo("r");
        for answer in [left, other, between] {
            let answer = answer.await.unwrap().unwrap();
            assert_eq!((answer.status().as_u16(), &answer.headers()["x-bytes"]), (202, &"9".parse().unwrap()));
        }
        session.abort();
        let _ = session.await;
    }
    // As many wait as may be open, and the others are turned away at once.
    let open = size(here.calls.config.drivers.bounds.open_calls);
    let waiting: Vec<_> = (0..open).map(|_| call()).collect();
    while here.calls.routes().waiting(&here.reader("r").name) < open {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(call().await.unwrap().unwrap().status().as_u16(), 503);
    let _session = here.echo("r");
    for answer in waiting {
        assert_eq!(answer.await.unwrap().unwrap().status().as_u16(), 202);
    }
}

#[tokio::test]
async fn a_reader_known_by_name_is_not_accused_before_its_name_was_looked_up() {
    let here = Here::new().await;
    let (url, client) = (here.url("named").await, here.client(OWN));
    let response = client.get(&url).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    let _session = here.echo("named");
    let answered = async {
        while client.get(&url).send().await.unwrap().status().as_u16() != 202 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, answered).await.unwrap();
    assert_eq!(here.client([127, 0, 0, 9]).get(&url).send().await.unwrap().status().as_u16(), 404);
    let told = here.events(EventKind::CallRefused, 1).await;
    assert_eq!((told.len(), told[0].facts["address"].as_str()), (1, "127.0.0.9"));
}

#[tokio::test]
async fn all_secrets_that_are_good_are_told_to_be_hidden() {
    let here = Here::new().await;
    let reader = here.reader("r");
    let secret = |url: String| url.rsplit('/').next().unwrap().to_owned();
    let first = secret(here.url("r").await);
    here.calls.rotate(&reader, LONG).await.unwrap();
    let second = secret(here.url("r").await);
    let mut both = [first, second.clone()];
    both.sort();
    let mut secrets = here.calls.callback(&reader).await.unwrap().secrets;
    secrets.sort();
    assert_eq!(secrets, both);
    here.calls.rotate(&reader, Duration::ZERO).await.unwrap();
    let third = secret(here.url("r").await);
    assert_eq!(here.calls.callback(&reader).await.unwrap().secrets, [third]);
}

#[tokio::test]
async fn so_many_calls_wait_and_one_that_hangs_up_is_noticed() {
    let here = Here::new().await;
    let (url, client) = (here.url("r").await, here.client(OWN));
    let mut place = here.calls.take(&here.reader("r"));
    let open = size(here.calls.config.drivers.bounds.open_calls);
    let waiting: Vec<_> = (0..open).map(|_| tokio::spawn(client.get(&url).send())).collect();
    let mut callings = Vec::new();
    for _ in 0..open {
        callings.push(tokio::time::timeout(LONG, place.next()).await.unwrap());
    }
    let refused = client.get(&url).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    for waiting in waiting {
        waiting.abort();
    }
    for calling in &mut callings {
        tokio::time::timeout(LONG, calling.answer.closed()).await.unwrap();
    }
    let answering = async {
        let answer = place.next().await.answer;
        answer.send(Response { status: 200, headers: Vec::new(), body: Vec::new() }).unwrap();
    };
    let (response, ()) = tokio::join!(client.get(&url).send(), answering);
    assert_eq!(response.unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn what_is_too_large_or_too_slow_is_refused() {
    let here = Here::with(|config| config.readers.bounds.request_ms = 1_000).await;
    let _session = here.echo("r");
    let (url, client) = (here.url("r").await, here.client(OWN));
    let body = |length: usize| client.post(&url).body(vec![b'x'; length]).send();
    assert_eq!(body(256 << 10).await.unwrap().status().as_u16(), 202);
    assert_eq!(body((256 << 10) + 1).await.unwrap().status().as_u16(), 413);
    assert_eq!(body(1 << 20).await.unwrap().status().as_u16(), 413);
    let pieces = futures_util::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100 << 10])));
    let response = client.post(&url).body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 413, "a length that was not said");
    let long = client.get(format!("{url}?card={}", "7".repeat(60_000))).send().await.unwrap();
    assert_eq!(long.status().as_u16(), 431);
    let many = (0..100).fold(client.get(&url), |request, n| request.header(format!("x-{n}"), "1"));
    assert_eq!(many.send().await.unwrap().status().as_u16(), 431);

    // What hyper refuses by itself, and a body that never comes.
    let _old = here.echo("old");
    let url = here.url("old").await;
    let path = url.rsplit_once("/r/").unwrap().1;
    for (said, code) in [
        (format!("GET /r/{path}\r\n\r\n"), "400"),
        ("\0\x01\x02\x03\r\n\r\n".to_owned(), "400"),
        (format!("POST /r/{path} HTTP/1.1\r\nhost: h\r\ncontent-length: x\r\n\r\n"), "400"),
        (format!("POST /r/{path} HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999999\r\n\r\n"), "413"),
        (format!("POST /r/{path} HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nx"), "408"),
        (format!("POST /r/{path} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), "400"),
    ] {
        let mut stream = here.connect_old().await;
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{said:?}: {answer:?}");
    }
}

/// Callers from eight addresses of no reader that begin to say something, on the plain listener and over TLS, and never end.
async fn slow_senders(here: &Here, many: u16) -> Vec<TcpStream> {
    let mut slow = Vec::new();
    for n in 0..many {
        let (to, said) = if n % 2 == 0 { (here.plain, &b"GET /r/AAAA"[..]) } else { (here.tls, &b"\x16\x03\x01"[..]) };
        let socket = TcpSocket::new_v4().unwrap();
        let last = u8::try_from(n / 2 % 8).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 3, last], 0))).unwrap();
        let mut stream = socket.connect(to).await.unwrap();
        // Those beyond the bound may be closed already.
        let _ = stream.write_all(said).await;
        slow.push(stream);
    }
    slow
}

#[tokio::test]
async fn slow_senders_by_the_hundred_hold_up_nobody_else() {
    let here = Here::with(|config| {
        let bounds = &mut config.readers.bounds;
        (bounds.connections, bounds.connections_per_address) = (64, 16);
        // Longer than this test waits: what helps is that they leave room.
        (bounds.request_ms, config.callers.greeting_ms) = (600_000, 600_000);
    })
    .await;
    let _sessions = [here.echo("r"), here.echo("old")];
    let (url, plain) = (here.url("r").await, here.url("old").await);
    let slow = slow_senders(&here, 300).await;
    for _ in 0..3 {
        for (from, url) in [(OWN, &url), (OLD, &plain)] {
            // A connection each.
            assert_eq!(here.client(from).get(url).send().await.unwrap().status().as_u16(), 202);
        }
    }
    drop(slow);
}

#[tokio::test]
async fn slow_senders_give_their_places_back() {
    let here = Here::with(|config| (config.readers.bounds.request_ms, config.callers.greeting_ms) = (500, 500)).await;
    for mut stream in slow_senders(&here, 20).await {
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_is_not_kept_for_ever() {
    let here = Here::with(|config| config.readers.bounds.connection_ms = 300).await;
    let _session = here.echo("old");
    let url = here.url("old").await;
    let path = url.rsplit_once("/r/").unwrap().1;
    let mut stream = here.connect_old().await;
    stream.write_all(format!("GET /r/{path} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Well before the time for the next head.
    let start = Instant::now();
    tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 202"));
    assert!(start.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn a_reader_that_calls_too_often_is_told_so_and_shown_once() {
    let here = Here::with(|config| {
        config.readers.bounds.calls_per_second = 1;
        config.sessions.calm_ms = 500;
    })
    .await;
    let _sessions = [here.echo("r"), here.echo("s")];
    let (url, client) = (here.url("r").await, here.client(OWN));
    let mut codes = Vec::new();
    for _ in 0..20 {
        codes.push(client.get(&url).send().await.unwrap().status().as_u16());
    }
    assert_eq!(codes[0], 202);
    assert!(codes.iter().filter(|code| **code == 429).count() >= 10, "{codes:?}");
    assert_eq!(here.client([127, 0, 0, 2]).get(here.url("s").await).send().await.unwrap().status().as_u16(), 202);
    let began = here.event(EventKind::ReaderThrottled).await;
    assert_eq!((began.reader.unwrap().as_str(), began.facts["bound"].as_str()), ("r", "calls_per_second"));
    let over = here.event(EventKind::ReaderUnthrottled).await;
    assert!(over.message.contains("the flood of r is over; it lasted"), "{}", over.message);
    let filter = EventFilter { kind: Some(EventKind::ReaderThrottled), limit: 10, ..EventFilter::default() };
    assert_eq!(here.store.events(&filter).await.unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_listener_the_key_to_set_is_named() {
    let here = Here::new().await;
    let (at, unknown) = (Base::At("x://elsewhere".to_owned()), Base::Unknown("its certificate is for *.x".to_owned()));
    // Where there is a listener of the other kind alone, there is none.
    for (reader, tls, plain, words) in [
        ("r", Base::None, at.clone(), "set listen in [readers] of cardinal.toml"),
        ("r", unknown.clone(), at.clone(), "(its certificate is for *.x): set url in [readers]"),
        ("old", at.clone(), Base::None, "set plain_listen in [readers] of cardinal.toml"),
        ("old", at, unknown, "(its certificate is for *.x): set plain_url in [readers]"),
    ] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        let bases = Bases { tls, plain };
        let calls = Calls::open(here.store.clone(), key, here.calls.config.clone(), bases).await.unwrap();
        let error = calls.url(&here.reader(reader)).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
