//! Terminals that call us: known by our port and their address.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use cardinal_domain::event::EventKind;
use cardinal_simulators::generic::{GenericTerminal, Record, Settings, Tls};
use cardinal_tests::{
    host::Host,
    port, program,
    site::{SIGNS, folder_site, reader},
    terminal::Terminal as _,
    wait,
    wait::LIMIT,
};

/// A reader that calls from this address.
fn calls(name: &str, from: Ipv4Addr, ours: SocketAddr) -> String {
    let ways = format!("address = \"{from}\"\ntransport = \"listen\"\nlisten = \"{ours}\"");
    reader(name, ours, SIGNS).replace(&format!("address = \"{ours}\""), &ways)
}

fn calling(from: Ipv4Addr, ours: SocketAddr) -> GenericTerminal {
    let settings = Settings { from: Some(IpAddr::V4(from)), retry: Duration::from_millis(20), ..Settings::default() };
    GenericTerminal::dial(ours, settings)
}

const KNOWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const ALSO_KNOWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);

#[tokio::test]
async fn a_terminal_that_calls_is_known_by_its_address_and_a_stranger_is_refused() {
    let host = Host::start().await;
    let ours = port::free();
    // Two readers share our port.
    host.apply(&(folder_site() + &calls("a", KNOWN, ours) + &calls("b", ALSO_KNOWN, ours))).await;
    let (a, b) = (calling(KNOWN, ours), calling(ALSO_KNOWN, ours));
    // Taken by their readers: one that calls before its reader is up is turned away once.
    host.api().online("a").await;
    host.api().online("b").await;
    a.is_connected().await;
    b.is_connected().await;
    let (calls_a, calls_b) = (a.record().connections(), b.record().connections());
    a.shows_and_hears("4711", "[nothing]").await;
    b.shows_and_hears("12345678", "[unknown]").await;
    let unknown = host.api().event(EventKind::CardUnknown).await;
    assert_eq!(unknown.body.reader.as_ref().map(|name| name.as_str()), Some("b"));

    // It calls again and again; the operator is told once, and how to let it in.
    let stranger = calling(STRANGER, ours);
    stranger.wait_for(LIMIT, |record: &Record| record.connections() >= 5).await.unwrap();
    let refused = host.api().events_of(EventKind::TerminalRefused).await;
    let refused: Vec<_> = refused.iter().filter(|event| event.body.message.contains("127.0.0.4")).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].body.message.contains("address = \"127.0.0.4\""), "{}", refused[0].body.message);
    assert_eq!((a.record().connections(), b.record().connections()), (calls_a, calls_b), "nobody else is disturbed");

    // Given a reader, it works at its next call.
    host.apply(&calls("c", STRANGER, ours)).await;
    host.api().online("c").await;
    stranger.wait_for(LIMIT, |record| record.server.is_some()).await.unwrap();
    stranger.shows_and_hears("4711", "[nothing]").await;
    assert_eq!((a.record().connections(), b.record().connections()), (calls_a, calls_b), "nobody else is disturbed");
}

#[tokio::test]
async fn a_newer_connection_of_a_terminal_replaces_the_older() {
    let host = Host::start().await;
    let ours = port::free();
    host.apply(&(folder_site() + &calls("a", KNOWN, ours))).await;
    // It sent half a card, and then restarted without a word: its old connection is a corpse.
    let patient = Settings { from: Some(IpAddr::V4(KNOWN)), retry: Duration::from_secs(600), ..Settings::default() };
    let older = GenericTerminal::dial(ours, patient);
    older.is_connected().await;
    older.send(b"47").await.unwrap();
    host.api().online("a").await;
    let newer = calling(KNOWN, ours);
    newer.is_connected().await;
    // Never glued to the half that came before.
    newer.shows_and_hears("11", "[unknown]").await;
    older.wait_for(LIMIT, |record| record.server.is_none()).await.unwrap();
    let reader = host.api().reader("a").await;
    assert_eq!((reader.connects, reader.cards), (2, 1), "{reader:?}");
}

#[tokio::test]
async fn cards_that_had_arrived_count_although_the_terminal_calls_again_at_once() {
    const CARDS: usize = 100;
    let host = Host::start().await;
    let ours = port::free();
    host.apply(&(folder_site() + &calls("a", KNOWN, ours))).await;
    let patient = Settings { from: Some(IpAddr::V4(KNOWN)), retry: Duration::from_secs(600), ..Settings::default() };
    let older = GenericTerminal::dial(ours, patient);
    older.is_connected().await;
    host.api().online("a").await;
    // More than are decided about before the newer connection stands.
    let burst: String = (0..CARDS).map(|number| format!("{number:04}\n")).collect();
    older.send(burst.as_bytes()).await.unwrap();
    let newer = calling(KNOWN, ours);
    newer.is_connected().await;
    newer.shows_and_hears("12345678", "[unknown]").await;
    assert_eq!(host.api().events_of(EventKind::VerdictGiven).await.len(), CARDS + 1);
}

/// The same reader with these further lines.
fn with(reader: &str, lines: &str) -> String {
    reader.replace("transport = \"listen\"", &format!("transport = \"listen\"\n{lines}"))
}

#[tokio::test]
async fn terminals_behind_one_address_are_told_apart_by_their_token_over_tls() {
    const TOKENS: [&str; 2] = ["token-of-the-first", "token-of-the-second"];
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "debug");
    host.serve().await;
    let ours = port::free();
    let site = |name: &str, token: &str| with(&calls(name, KNOWN, ours), &format!("tls = true\ntoken = \"{token}\""));
    host.apply(&(folder_site() + &site("a", TOKENS[0]) + &site("b", TOKENS[1]))).await;
    let tls = Tls::trusting(&std::fs::read(host.certificate()).unwrap()).unwrap();
    let about: serde_json::Value = host.cli("tls show --json").await.json();
    let pinned = Tls::pinned(about["fingerprint"].as_str().unwrap()).unwrap();
    let calling = |token: Option<&str>, ending: &str, tls: Option<&Tls>| {
        let settings = Settings {
            from: Some(IpAddr::V4(KNOWN)),
            retry: Duration::from_millis(50),
            token: token.map(str::to_owned),
            ending: ending.to_owned(),
            tls: tls.cloned(),
            ..Settings::default()
        };
        GenericTerminal::dial(ours, settings)
    };
    let a = calling(Some(TOKENS[0]), "\n", Some(&tls));
    let b = calling(Some(TOKENS[1]), "\r\n", Some(&pinned));
    host.api().online("a").await;
    host.api().online("b").await;
    a.shows_and_hears("4711", "[nothing]").await;
    b.shows_and_hears("12345678", "[unknown]").await;
    let unknown = host.api().event(EventKind::CardUnknown).await;
    assert_eq!(unknown.body.reader.as_ref().map(|name| name.as_str()), Some("b"));
    assert_eq!(host.api().events_of(EventKind::CardRead).await.len(), 2, "the token is no card");
    // On a busy machine a terminal may have called before its session listened.
    let connections = || (a.record().connections(), b.record().connections());
    let before = connections();

    // A wrong token and none, again and again: turned away, told once, and the others are not disturbed.
    let wrong = calling(Some("token-of-a-stranger"), "\n", Some(&tls));
    let plain = calling(Some(TOKENS[0]), "\n", None);
    wrong.wait_for(LIMIT, |record| record.connections() >= 3).await.unwrap();
    plain.wait_for(LIMIT, |record| record.connections() >= 3).await.unwrap();
    drop((wrong, plain));
    let refused = host.api().events_of(EventKind::TerminalRefused).await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(connections(), before, "the others are not disturbed");

    // Restarted without a word: the newer connection with the same token is the terminal.
    let newer = calling(Some(TOKENS[0]), "\n", Some(&tls));
    host.api().reader_until("a", "called again", |reader| reader.connects >= 2).await;
    drop(a);
    host.api().online("a").await;
    newer.wait_for(LIMIT, |record| record.server.is_some()).await.unwrap();
    newer.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(b.record().connections(), before.1);

    // Nobody is shown a token but whoever exports the site.
    let places = [
        ("show", host.cli("reader show a").await.ok()),
        ("list", host.cli("reader list --json").await.ok()),
        ("events", host.cli("event list --json --limit 10000").await.ok()),
        ("log", host.log()),
    ];
    for token in TOKENS.iter().chain(&["token-of-a-stranger"]) {
        for (place, text) in &places {
            assert!(!text.contains(token), "{token} stands in {place}");
        }
    }
    assert!(host.cli("export").await.ok().contains(TOKENS[0]));
}

#[tokio::test]
async fn readers_of_one_listen_address_must_agree() {
    let host = Host::start().await;
    let ours = port::free();
    host.apply(&(folder_site() + &calls("a", KNOWN, ours))).await;
    for (second, why) in [
        (with(&calls("b", ALSO_KNOWN, ours), "tls = true"), "one with tls and one without"),
        (with(&calls("b", KNOWN, ours), "token = \"0123456789\""), "unless every reader of the address has a token"),
        (calls("b", KNOWN, ours), "a terminal belongs to one reader"),
        (with(&calls("b", ALSO_KNOWN, ours), "token = \"short\""), "a token is 8 to 128 visible ASCII characters"),
        (reader("b", ours, "").replace("mode =", "tls = true\nmode ="), "terminals that call us"),
        (reader("b", ours, "").replace("mode =", "token = \"0123456789\"\nmode ="), "only with transport = \"listen\""),
    ] {
        let refused = host.apply_with(&second, &[]).await.refused();
        assert!(refused.contains(why), "{refused}");
        assert!(!refused.contains("0123456789"), "{refused}");
    }
    let one = with(&calls("c", ALSO_KNOWN, ours), "token = \"0123456789\"");
    let same = with(&calls("d", ALSO_KNOWN, ours), "token = \"0123456789\"");
    let refused = host.apply_with(&(one.clone() + &same), &[]).await.refused();
    assert!(refused.contains("have the same token"), "{refused}");
    // Changed together, they agree again, and the listener is another.
    let site = with(&calls("a", KNOWN, ours), "tls = true") + &with(&one, "tls = true");
    host.apply(&site).await;
    let tls = Tls::trusting(&std::fs::read(host.certificate()).unwrap()).unwrap();
    let settings = Settings { from: Some(IpAddr::V4(KNOWN)), tls: Some(tls), ..Settings::default() };
    let a = GenericTerminal::dial(ours, settings);
    a.is_connected().await;
    host.api().online("a").await;
    a.shows_and_hears("4711", "[nothing]").await;
}

#[tokio::test]
async fn who_never_says_who_it_is_is_let_go_in_time_and_holds_up_nobody() {
    let mut host = Host::init().await;
    host.set("CARDINAL_CALLERS__GREETING_MS", "2000");
    host.set("CARDINAL_CALLERS__AT_ONCE", "8");
    host.set("CARDINAL_CALLERS__AT_ONCE_PER_ADDRESS", "4");
    host.serve().await;
    let ours = port::free();
    let (first, second) = ("token = \"0123456789\"", "token = \"abcdefghij\"");
    host.apply(
        &(folder_site() + &with(&calls("a", KNOWN, ours), first) + &with(&calls("b", ALSO_KNOWN, ours), second)),
    )
    .await;
    let silent = |from: Ipv4Addr| async move {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((from, 0))).unwrap();
        socket.connect(ours).await.unwrap()
    };
    // More of them than one address may have, and one with half a token.
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(silent(KNOWN).await);
    }
    tokio::io::AsyncWriteExt::write_all(&mut held[0], b"01234").await.unwrap();
    // The other address gets in meanwhile.
    let settings = Settings {
        from: Some(IpAddr::V4(ALSO_KNOWN)),
        token: Some("abcdefghij".to_owned()),
        retry: Duration::from_millis(50),
        ..Settings::default()
    };
    let b = GenericTerminal::dial(ours, settings);
    host.api().online("b").await;
    b.shows_and_hears("4711", "[nothing]").await;
    // Every one of them is let go.
    for mut stream in held {
        let mut said = Vec::new();
        let reading = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said);
        let _ = tokio::time::timeout(LIMIT, reading).await.expect("let go");
        assert!(said.is_empty());
    }
    let refused = host.api().events_of(EventKind::TerminalRefused).await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    // A line that is too long is no token either.
    let mut talker = silent(KNOWN).await;
    tokio::io::AsyncWriteExt::write_all(&mut talker, &[b'x'; 200]).await.unwrap();
    let mut said = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut talker, &mut said);
    let _ = tokio::time::timeout(LIMIT, reading).await.expect("let go");
}

#[tokio::test]
async fn the_simulator_program_speaks_tls_and_says_its_token() {
    let host = Host::start().await;
    let ours = port::free();
    let lines = "tls = true\ntoken = \"token-for-the-simulator\"";
    host.apply(&(folder_site() + &with(&calls("a", Ipv4Addr::LOCALHOST, ours), lines))).await;
    let mut command = std::process::Command::new(program::ours("cardinal-simulator", "cardinal-simulators"));
    command.args(["generic", "--dial", &ours.to_string(), "--tls", "--ca"]).arg(host.certificate());
    command.args(["--token", "token-for-the-simulator", "--card", "4711"]);
    let log = host.folder().join("simulator.log");
    let simulator = cardinal_tests::process::Process::start("the simulator", &mut command, &log);
    host.api().event(EventKind::VerdictGiven).await;
    assert!(simulator.said().contains("tapped 4711"), "{}", simulator.said());
}

#[tokio::test]
async fn cards_that_wait_to_be_read_are_not_lost_when_their_reader_is_changed() {
    // Ten connections are taken at once; the others wait for a minute each.
    const CARDS: usize = 13;
    let mut host = Host::init().await;
    host.set("CARDINAL_SESSIONS__CONNECTIONS_PER_MINUTE", "1");
    host.serve().await;
    let ours = port::free();
    let site = calls("a", KNOWN, ours);
    host.apply(&(folder_site() + &site)).await;
    let call = async || {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((KNOWN, 0))).unwrap();
        socket.connect(ours).await.ok()
    };
    let read = async |cards: usize| {
        let what = format!("{cards} cards to be read");
        let all = async || (host.api().events_of(EventKind::CardRead).await.len() == cards).then_some(());
        wait::until(&what, all).await;
    };
    // A connection a card, as some terminals have it.
    for number in 0..CARDS {
        let mut stream = wait::until("the listener to be open", call).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, format!("{number:04}\n").as_bytes()).await.unwrap();
        drop(stream);
        if number < 10 {
            read(number + 1).await;
        }
    }
    host.api().event(EventKind::ReaderThrottled).await;
    assert_eq!(host.api().events_of(EventKind::CardRead).await.len(), 10);
    // Its session is another from here on, and the listener the same.
    host.apply(&site.replace("retry_first_ms = 20", "retry_first_ms = 30")).await;
    read(CARDS).await;
    assert!(host.api().events_of(EventKind::TerminalRefused).await.is_empty());
    // The place does not outlive its reader.
    host.cli("reader remove a").await.ok();
    wait::until("the listener to be closed", async || call().await.is_none().then_some(())).await;
}
