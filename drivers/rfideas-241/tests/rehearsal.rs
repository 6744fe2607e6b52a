//! The driver and the simulated reader, which share no code, over real sockets: their default profiles are the same.
//!
//! The host here is the least that carries requests and calls; the real one is tried in `tests/`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use cardinal_domain::driver::{Call, Context, Fetch, Health, Input, Output, Response, Verdict, VerdictCode};
use cardinal_rfideas_241::RfIdeas241 as Driver;
use cardinal_simulators::rfideas_241::{Answer, RfIdeas241 as Reader, Settings};
use cardinal_testkit::{Native, Session, Subject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Long enough for a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

struct Host {
    session: Box<dyn Session>,
    listener: TcpListener,
    now: u64,
}

impl Host {
    async fn start(login: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mode = Native::<Driver>::new().manifest().unwrap().modes.remove(0);
        let given = |key: &str| match (key, login) {
            ("user", Some((user, _))) => Some(user.to_owned()),
            ("password", Some((_, password))) => Some(password.to_owned()),
            _ => None,
        };
        let setting = |one: cardinal_domain::driver::Setting| Some((given(&one.key).or(one.default)?, one.key));
        let settings = mode.settings.into_iter().filter_map(setting).map(|(value, key)| (key, value)).collect();
        let context = Context {
            mode: mode.id,
            transport: "http".to_owned(),
            settings,
            callback: Some(format!("http://{}/r/a-secret", listener.local_addr().unwrap())),
            ..Context::default()
        };
        Self { session: Native::<Driver>::new().open(context).unwrap(), listener, now: 0 }
    }

    fn give(&mut self, input: Input) -> Vec<Output> {
        self.now += 10;
        self.session.handle(self.now, input).unwrap()
    }

    /// Gives an input, carries out the requests that follow from it, and gives the status that was told last.
    async fn round(&mut self, input: Input, reader: SocketAddr) -> Option<(Health, String, Vec<(String, String)>)> {
        let mut outputs = self.give(input);
        let mut told = None;
        while !outputs.is_empty() {
            let mut next = Vec::new();
            for output in outputs {
                match output {
                    Output::Fetch(fetch) => {
                        let answer = fetched(&fetch, reader).await;
                        next = self.give(Input::Fetched(fetch.id, Ok(answer)));
                    }
                    Output::Status(status) => told = Some((status.health, status.reason, status.facts)),
                    _ => {}
                }
            }
            outputs = next;
        }
        told
    }

    /// Takes one call, decides it so, and answers as the driver says.
    async fn decide(&mut self, verdict: VerdictCode) -> String {
        let (mut stream, _) = tokio::time::timeout(LIMIT, self.listener.accept()).await.unwrap().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().strip_prefix("/r/a-secret").unwrap();
        let (path, query) = target.split_once('?').unwrap();
        let query = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let (query, path) = (query.collect(), path.to_owned());
        let call = Call { id: 1, method: "GET".to_owned(), path, query, headers: Vec::new(), body: Vec::new() };
        let outputs = self.give(Input::Called(call));
        let [Output::Card(card)] = outputs.as_slice() else { panic!("{outputs:?}") };
        let verdict = Verdict { swipe: card.swipe, code: verdict, message: String::new() };
        let outputs = self.give(Input::Verdict(verdict));
        let Some(Output::Answer(1, answer)) = outputs.first() else { panic!("{outputs:?}") };
        let body = String::from_utf8(answer.body.clone()).unwrap();
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {} OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}", answer.status);
        stream.write_all(answer.as_bytes()).await.unwrap();
        card.number.clone().unwrap()
    }
}

/// The request as a host makes it.
async fn fetched(fetch: &Fetch, reader: SocketAddr) -> Response {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let query: Vec<_> = fetch.query.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let headers: String = fetch.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let target = format!("{}{mark}{}", fetch.path, query.join("&"));
    let mut stream = TcpStream::connect(reader).await.unwrap();
    let request = format!("{} {target} HTTP/1.1\r\nhost: reader\r\n{headers}\r\n", fetch.method);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, headers: Vec::new(), body: body.into() }
}

async fn reader(settings: Settings) -> Reader {
    Reader::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), settings).await.unwrap()
}

#[tokio::test]
async fn a_fresh_reader_is_configured_calls_and_is_repaired() {
    let reader = reader(Settings::default()).await;
    let mut host = Host::start(None).await;
    let (health, reason, facts) = host.round(Input::Connected(vec![0; 32]), reader.address()).await.unwrap();
    assert_eq!((health, reason.as_str()), (Health::Online, ""));
    let facts: Vec<_> = facts.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(facts, [("firmware", "2.04"), ("configured-over", "HTTP, in clear")]);
    assert!(reader.record().configured);

    for (card, verdict, status, body) in
        [("4711", VerdictCode::Released, 200, "released"), ("0815", VerdictCode::UnknownCard, 403, "unknown-card")]
    {
        let (number, answer) = tokio::join!(host.decide(verdict), reader.tap(card));
        assert_eq!(number, card);
        assert_eq!(answer, Ok(Answer { status, body: body.to_owned() }));
    }

    reader.drift();
    let (health, reason, _) = host.round(Input::Timer(1), reader.address()).await.unwrap();
    assert_eq!(health, Health::Degraded);
    assert!(reason.contains("repaired"), "{reason}");
    assert!(reader.record().configured);
    assert_eq!(host.round(Input::Timer(1), reader.address()).await.unwrap().0, Health::Online);
}

#[tokio::test]
async fn each_trouble_of_a_reader_is_told_and_passes() {
    let reader = reader(Settings { firmware: "2.03".to_owned(), ..Settings::default() }).await;
    let mut host = Host::start(None).await;
    let (health, reason, _) = host.round(Input::Connected(vec![0; 32]), reader.address()).await.unwrap();
    assert_eq!(health, Health::Error);
    assert!(reason.contains("firmware 2.03 is too old"), "{reason}");
    assert_eq!(reader.record().asked_for("/config"), 0);
    reader.set_firmware("2.10");
    for (trouble, told) in
        [("login-page", "login page"), ("status 500", "HTTP 500"), ("redirect http://x/", "HTTP 302")]
    {
        reader.misbehave(Some(trouble.parse().unwrap()));
        let (health, reason, _) = host.round(Input::Timer(1), reader.address()).await.unwrap();
        assert_eq!(health, Health::Error);
        assert!(reason.contains(told), "{trouble}: {reason}");
    }
    assert!(!reader.record().configured);
    reader.misbehave(None);
    assert_eq!(host.round(Input::Timer(1), reader.address()).await.unwrap().0, Health::Online);
    assert!(reader.record().configured);
}

#[tokio::test]
async fn a_login_is_sent() {
    let reader =
        reader(Settings { login: Some(("admin".to_owned(), "geheim".to_owned())), ..Settings::default() }).await;
    let told = Host::start(None).await.round(Input::Connected(vec![0; 32]), reader.address()).await.unwrap();
    assert!(told.1.contains("wants a login"), "{told:?}");
    let login = Some(("admin", "geheim"));
    let told = Host::start(login).await.round(Input::Connected(vec![0; 32]), reader.address()).await.unwrap();
    assert_eq!(told.0, Health::Online);
}
