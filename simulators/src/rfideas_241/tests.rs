//! The reader against plain clients and servers.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Answer, Event, RfIdeas241, Settings, TapError, Trouble};

/// Long enough for a busy machine; a passing test waits for nothing.
const LIMIT: Duration = Duration::from_secs(20);

fn free() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn reader(settings: Settings) -> RfIdeas241 {
    RfIdeas241::listen(free(), settings).await.unwrap()
}

/// Asks as a plain program would, and gives the status and the body.
async fn ask(reader: &RfIdeas241, target: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(reader.address()).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: reader\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The series of the default profile, for a server at this address.
async fn configure(reader: &RfIdeas241, server: SocketAddr) {
    let where_to = format!("/config?scheme=http&host={}&port={}", server.ip(), server.port());
    for target in ["/config?mode=client", &where_to, "/config?path=%2Fr%2Fs%2Fcard&parameter=card", "/config?save=1"] {
        assert_eq!(ask(reader, target, "").await.0, 200, "{target}");
    }
}

/// Answers one call after the other; a call with no answer in the list is left hanging.
async fn answer(listener: TcpListener, answers: &[&str]) -> Vec<(SocketAddr, String)> {
    let mut calls = Vec::new();
    let mut open = Vec::new();
    for answer in answers {
        let (mut stream, from) = tokio::time::timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let line = String::from_utf8(request).unwrap().lines().next().unwrap().to_owned();
        stream.write_all(answer.as_bytes()).await.unwrap();
        calls.push((from, line));
        open.push(stream);
    }
    calls
}

const WELCOME: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nreleased";

#[tokio::test]
async fn a_configuration_holds_once_it_is_saved() {
    let reader = reader(Settings::default()).await;
    let fresh = "mode=server\r\nscheme=\r\nhost=\r\nport=\r\npath=\r\nparameter=\r\n";
    assert_eq!(ask(&reader, "/config?mode=client&host=h", "").await, (200, fresh.to_owned()));
    assert_eq!(ask(&reader, "/config?nonsense=1&save=1", "").await.0, 200);
    assert!(ask(&reader, "/config", "").await.1.starts_with("mode=client\r\nscheme=\r\nhost=h\r\n"));
    assert_eq!(ask(&reader, "/version", "").await.1, "RF IDeas Ethernet 241 (simulated)\r\nFirmware: 2.04\r\n");
    reader.set_firmware("2.10");
    assert!(ask(&reader, "/version", "").await.1.contains("2.10"));
    assert_eq!(ask(&reader, "/other", "").await.0, 404);
    assert_eq!(reader.record().asked("/config", &["mode", "host"]), 1);
    assert!(!reader.record().configured, "no parameter was set");
}

#[tokio::test]
async fn a_card_is_sent_to_the_address_and_from_the_readers_own() {
    let listener = TcpListener::bind(free()).await.unwrap();
    let server = listener.local_addr().unwrap();
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
    let reader = RfIdeas241::listen(own, Settings::default()).await.unwrap();
    assert_eq!(reader.tap("4711").await, Err(TapError::NotConfigured));
    configure(&reader, server).await;
    reader.configured(LIMIT).await.unwrap();
    assert_eq!(reader.configuration().call(), Some((format!("http://{server}/r/s/card"), "card")));
    let (calls, answered) = tokio::join!(answer(listener, &[WELCOME]), reader.tap("47&1 1"));
    assert_eq!(answered, Ok(Answer { status: 200, body: "released".to_owned() }));
    assert_eq!(calls[0].1, "GET /r/s/card?card=47%261+1 HTTP/1.1");
    assert_eq!(calls[0].0.ip(), own.ip());
    let shown: Vec<String> = reader.record().events.iter().map(ToString::to_string).collect();
    assert!(shown.contains(&"answered 47&1 1: 200 released".to_owned()), "{shown:?}");
    assert!(!shown.iter().any(|line| line.contains("/r/s")), "the address is a secret: {shown:?}");
}

#[tokio::test]
async fn a_call_without_an_answer_is_repeated() {
    let listener = TcpListener::bind(free()).await.unwrap();
    let settings = Settings { answer_within: Duration::from_millis(300), retries: 1, ..Settings::default() };
    let reader = reader(settings).await;
    configure(&reader, listener.local_addr().unwrap()).await;
    let hanging = async {
        let calls = answer(listener, &["", WELCOME]).await;
        assert_eq!(calls[0].1, calls[1].1);
    };
    let ((), answered) = tokio::join!(hanging, reader.tap("4711"));
    assert_eq!(answered.unwrap().body, "released");
    let unanswered = |event: &&Event| matches!(event, Event::Unanswered { .. });
    assert_eq!(reader.record().events.iter().filter(unanswered).count(), 1);
    // Nobody is there any more.
    assert_eq!(reader.tap("4711").await, Err(TapError::Unanswered));
}

#[tokio::test]
async fn it_drifts_when_told_and_by_itself() {
    let reader = reader(Settings { drift_after: Some(2), ..Settings::default() }).await;
    configure(&reader, free()).await;
    assert!(ask(&reader, "/config", "").await.1.starts_with("mode=client"));
    assert!(ask(&reader, "/config", "").await.1.starts_with("mode=client"));
    assert!(ask(&reader, "/config", "").await.1.starts_with("mode=server"));
    assert!(!reader.record().configured);
    configure(&reader, free()).await;
    assert!(reader.record().configured);
    reader.drift();
    assert!(!reader.record().configured);
    assert_eq!(reader.tap("4711").await, Err(TapError::NotConfigured));
}

#[tokio::test]
async fn it_wants_a_login() {
    let reader =
        reader(Settings { login: Some(("admin".to_owned(), "geheim".to_owned())), ..Settings::default() }).await;
    assert_eq!(ask(&reader, "/version", "").await.0, 401);
    assert_eq!(ask(&reader, "/config?mode=client&save=1", "authorization: Basic AAAA\r\n").await.0, 401);
    assert_eq!(ask(&reader, "/version", "authorization: Basic YWRtaW46Z2VoZWlt\r\n").await.0, 200);
    assert_eq!(reader.configuration().get("mode"), "server");
}

#[tokio::test]
async fn trouble_is_what_its_name_says() {
    let reader = reader(Settings::default()).await;
    let trouble = |text: &str| reader.misbehave(Some(text.parse().unwrap()));
    trouble("status 500");
    assert_eq!(ask(&reader, "/version", "").await.0, 500);
    trouble("login-page");
    assert!(ask(&reader, "/version", "").await.1.contains("type=\"password\""));
    trouble("redirect http://127.0.0.9/");
    assert_eq!(ask(&reader, "/version", "").await.0, 302);
    reader.misbehave(None);
    assert_eq!(ask(&reader, "/version", "").await.0, 200);

    trouble("endless");
    let mut stream = TcpStream::connect(reader.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: reader\r\n\r\n").await.unwrap();
    let mut megabyte = vec![0; 1 << 20];
    tokio::time::timeout(LIMIT, stream.read_exact(&mut megabyte)).await.unwrap().unwrap();

    trouble("silent");
    let mut stream = TcpStream::connect(reader.address()).await.unwrap();
    stream.write_all(b"GET /silence HTTP/1.1\r\nhost: reader\r\n\r\n").await.unwrap();
    reader.wait_for(LIMIT, |record| record.asked("/silence", &[]) == 1).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await.is_err());

    for wrong in ["", "status", "status 99", "redirect", "silent 5", "flood"] {
        assert!(wrong.parse::<Trouble>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn it_moves_and_takes_its_connections_down() {
    let reader = reader(Settings { trouble: Some(Trouble::Silent), ..Settings::default() }).await;
    let before = reader.address();
    let mut stream = TcpStream::connect(before).await.unwrap();
    stream.write_all(b"GET /silence HTTP/1.1\r\nhost: reader\r\n\r\n").await.unwrap();
    reader.wait_for(LIMIT, |record| record.asked("/silence", &[]) == 1).await.unwrap();
    reader.move_to(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), 0))).await.unwrap();
    let ended = tokio::time::timeout(LIMIT, stream.read_u8()).await.unwrap();
    assert!(ended.is_err(), "the connection is gone");
    reader.misbehave(None);
    assert_eq!(ask(&reader, "/version", "").await.0, 200);
    assert_ne!(reader.address().ip(), before.ip());
}

#[tokio::test]
async fn old_firmware_has_no_client_mode() {
    let reader = reader(Settings { firmware: "2.03".to_owned(), ..Settings::default() }).await;
    assert_eq!(ask(&reader, "/config", "").await.0, 404);
    assert_eq!(ask(&reader, "/config?mode=client&save=1", "").await.0, 404);
    assert_eq!(reader.configuration().get("mode"), "server");
    assert_eq!(reader.record().asked_for("/config"), 2);
    for firmware in ["2.04", "2.04b", "2.10", "3.0"] {
        reader.set_firmware(firmware);
        assert_eq!(ask(&reader, "/config", "").await.0, 200, "{firmware}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_was_given() {
    let listener = TcpListener::bind(free()).await.unwrap();
    let settings = Settings { answer_within: Duration::from_millis(300), retries: 1, ..Settings::default() };
    let reader = reader(settings).await;
    configure(&reader, listener.local_addr().unwrap()).await;
    reader.lose_answers(1);
    // The next call comes by another connection.
    let welcome = WELCOME.replace("content-length", "connection: close\r\ncontent-length");
    let answers = [welcome.as_str(); 2];
    let (calls, answered) = tokio::join!(answer(listener, &answers), reader.tap("4711"));
    assert_eq!(calls[0].1, calls[1].1);
    assert_eq!(answered, Ok(Answer { status: 200, body: "released".to_owned() }));
    assert!(reader.record().events.contains(&Event::AnswerLost));
}

#[tokio::test]
async fn of_a_hundred_packets_some_are_lost() {
    let settings = Settings { drop_percent: 50, answer_within: Duration::from_millis(1), ..Settings::default() };
    let reader = reader(settings).await;
    let mut lost = HashMap::new();
    for _ in 0..200 {
        *lost.entry(reader.shared.loses()).or_insert(0) += 1;
    }
    assert!(lost[&true] > 50 && lost[&false] > 50, "{lost:?}");
    assert!(reader.record().events.contains(&Event::Lost));
}
