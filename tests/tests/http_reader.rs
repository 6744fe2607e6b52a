//! Readers that are reached over HTTP: they call the host, and their drivers fetch from them.
//!
//! The driver is the guest `caller`, whose reader says by a call's path what is to happen.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use cardinal_domain::event::{Event, EventKind};
use cardinal_tests::{
    document,
    host::Host,
    http_reader::{HttpReader, free_address},
    ipp_client,
    process::Process,
    program,
    site::{SIGNS, folder_site, of_driver, reader},
    terminal::listening,
    wait,
};
use serde_json::Value;

/// A reader of the guest, which is at this address.
fn spec(name: &str, address: impl std::fmt::Display) -> String {
    let nobody = ([127, 0, 0, 1], 1).into();
    of_driver("test/caller", "http", name, nobody, "").replace("\"127.0.0.1:1\"", &format!("\"{address}\""))
}

/// A host with the guest installed and these variables set.
async fn host(variables: &[(&str, &str)]) -> Host {
    let mut host = Host::init().await;
    host.set("CARDINAL_READERS__LISTEN", "127.0.0.1:0");
    variables.iter().for_each(|(name, value)| host.set(name, value));
    host.serve().await;
    let driver = program::component("guest-caller");
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.ok();
    host
}

/// The same with a reader `r` that was told where to call.
async fn host_and_reader(variables: &[(&str, &str)]) -> (Host, HttpReader) {
    let (host, mut reader) = tokio::join!(host(variables), HttpReader::start());
    host.apply(&(folder_site() + &spec("r", reader.address()))).await;
    reader.callback(1).await;
    host.api().reader_until("r", "configured", |reader| reader.facts.contains_key("firmware")).await;
    (host, reader)
}

/// Waits for a line of the driver's log that begins so, behind this place.
async fn logged(host: &Host, after: i64, begin: &str) -> Event {
    host.api().event_after(after, EventKind::ReaderLog, |event| event.body.message.starts_with(begin)).await
}

#[tokio::test]
async fn a_swipe_is_answered_with_its_verdict() {
    let (host, mut reader) = host_and_reader(&[]).await;
    ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    host.api().event(EventKind::JobHeld).await;

    assert_eq!(reader.calls("/card?card=4711").await, (200, "released".to_owned()));
    document::out(&host.folder().join("delivered"), 1).await;
    assert_eq!(reader.calls("/card?card=4711").await, (200, "nothing-held".to_owned()));
    assert_eq!(reader.calls("/card?card=5235092385").await, (200, "unknown-card".to_owned()));
    // What a call brings and what its answer takes along goes through whole.
    assert_eq!(reader.posts("/now", b"swipe".to_vec()).await, (201, "POST swipe".to_owned()));

    let status = host.api().reader("r").await;
    assert_eq!((status.phase.as_str(), status.connects, status.cards), ("online", 1, 3));
    assert_eq!(status.facts.get("firmware").map(String::as_str), Some("2.05"));
    assert_eq!(status.last_card_masked.as_deref(), Some("***85"));
    assert!(status.last_seen.is_some());
    let callback = reader.callback(1).await;
    assert_eq!(!status.warnings.is_empty(), callback.starts_with("http://"), "{:?}", status.warnings);
    // Said aloud it is starred: an honest driver may repeat what its reader's page shows.
    host.cli("reader command r tell").await.ok();
    logged(&host, 0, "told: ").await;
    host.api().reader_until("r", "told of", |reader| reader.reason.ends_with("/***")).await;
    let shown = host.cli("reader show r").await.ok();
    for word in ["2.05", "***85", "last seen"] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
    host.cli("reader command r fail").await.ok();
    assert!(host.api().event(EventKind::DriverFault).await.body.message.contains("/***"));
    reader.callback(2).await;
    // The address is as good as a password.
    let secret = callback.rsplit('/').next().unwrap().to_owned();
    let told = serde_json::to_string(&host.api().events().await).unwrap();
    for text in [&shown, &told, &host.log()] {
        assert!(!text.contains(&secret) && !text.contains("5235092385"), "{text}");
    }
}

#[tokio::test]
async fn a_swipe_that_is_repeated_while_it_waits_has_one_verdict_and_two_at_once_have_two() {
    // One card a second: behind three others there is time to repeat one.
    let (host, reader) = host_and_reader(&[("CARDINAL_SESSIONS__CARDS_PER_SECOND", "1")]).await;
    let before = async {
        let unknown = (200, "unknown-card".to_owned());
        let (first, second, third) =
            tokio::join!(reader.calls("/card?card=1"), reader.calls("/card?card=2"), reader.calls("/card?card=3"));
        assert_eq!([&first, &second, &third], [&unknown; 3]);
    };
    let repeated = async {
        host.api().reader_until("r", "busy", |reader| reader.cards == 3).await;
        tokio::join!(reader.calls("/card?card=4711"), reader.calls("/card?card=4711"), reader.calls("/card?card=4"))
    };
    let ((), (one, again, other)) = tokio::join!(before, repeated);
    let nothing = (200, "nothing-held".to_owned());
    assert_eq!((one, again), (nothing.clone(), nothing));
    assert_eq!(other, (200, "unknown-card".to_owned()));
    assert_eq!(host.api().events_of(EventKind::CardRead).await.len(), 5);
    assert_eq!(host.api().events_of(EventKind::VerdictGiven).await.len(), 5);
}

#[tokio::test]
async fn a_call_that_nobody_answers_is_answered_by_the_host() {
    let (host, reader) = host_and_reader(&[("CARDINAL_SESSIONS__CALL_ANSWER_MS", "1000")]).await;
    assert_eq!(reader.calls("/never").await.0, 504);
    logged(&host, 0, "a call was answered by the host").await;
    // More than may be open and wait: some are turned away at once, and none for ever.
    let calls = std::iter::repeat_with(|| reader.calls("/never")).take(14);
    let statuses: Vec<u16> =
        futures_util::future::join_all(calls).await.into_iter().map(|(status, _)| status).collect();
    assert!(statuses.iter().all(|status| [503, 504].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&503) && statuses.contains(&504), "{statuses:?}");
    assert_eq!(reader.calls("/now").await.0, 201);
    assert_eq!(host.api().reader("r").await.connects, 1);
}

#[tokio::test]
async fn a_call_whose_reader_was_told_that_it_is_over_is_not_given_to_the_driver() {
    let (host, reader) = host_and_reader(&[
        ("CARDINAL_READERS__BOUNDS__ANSWER_MS", "1000"),
        ("CARDINAL_SESSIONS__CALL_ANSWER_MS", "1000"),
        // One card a second, and none is read while one waits: the later ones wait for longer than a second.
        ("CARDINAL_SESSIONS__CARDS_WAITING", "1"),
        ("CARDINAL_SESSIONS__CARDS_PER_SECOND", "1"),
    ])
    .await;
    let cards: Vec<_> = (1..=8).map(|card| format!("/card?card={card}")).collect();
    let answers = futures_util::future::join_all(cards.iter().map(|card| reader.calls(card))).await;
    let late = answers.iter().filter(|(status, _)| *status == 504).count();
    assert!(late >= 2, "{answers:?}");
    assert!(answers.iter().all(|(status, _)| [200, 504].contains(status)), "{answers:?}");
    // The queue is empty again; what was read is known.
    wait::until("an answer", async || (reader.calls("/now").await.0 == 201).then_some(())).await;
    let read = host.api().events_of(EventKind::CardRead).await.len();
    assert!(read < 8, "{read} were read, {answers:?}");
}

#[tokio::test]
async fn whatever_the_reader_answers_to_a_fetch_the_session_goes_on() {
    let (host, reader) = host_and_reader(&[("CARDINAL_FETCHES__WHOLE_MS", "1500")]).await;
    for (path, outcome) in [
        ("/500", "500 with 2 bytes to nowhere"),
        ("/login", "200 with 22 bytes to nowhere"),
        // Handed back, not followed.
        ("/redirect", "307 with 0 bytes to http://127.0.0.1:1/elsewhere"),
        ("/endless", "too-large"),
        ("/dribble", "timeout"),
        ("/silent", "timeout"),
    ] {
        let now = host.api().now().await;
        host.cli(&format!("reader command r probe path={path}")).await.ok();
        let said = logged(&host, now, &format!("probe {path}:")).await.body.message;
        assert!(said.contains(outcome), "{said}");
        assert_eq!(reader.calls("/now").await.0, 201, "after {path}");
    }
    // Nothing listens at the mode's other port.
    let now = host.api().now().await;
    host.cli("reader command r probe path=/x port=18443").await.ok();
    assert!(logged(&host, now, "probe /x:").await.body.message.contains("refused: the reader cannot be reached"));
    // While one is slow, calls are answered all the same.
    host.cli("reader command r probe path=/silent").await.ok();
    assert_eq!(reader.calls("/card?card=4711").await.1, "nothing-held");
    assert_eq!(host.api().reader("r").await.connects, 1);
}

#[tokio::test]
async fn a_fetch_goes_to_the_ports_of_the_mode_alone() {
    let (host, mut reader) = host_and_reader(&[]).await;
    let api = host.api().address.port();
    host.cli(&format!("reader command r probe path=/api/v1/site port={api}")).await.ok();
    let fault = host.api().event(EventKind::DriverFault).await.body.message;
    assert!(fault.contains(&format!("port {api}, which its mode does not name")), "{fault}");
    // The session begins anew.
    reader.callback(2).await;
    wait::until("an answer", async || (reader.calls("/now").await.0 == 201).then_some(())).await;
}

#[tokio::test]
async fn after_a_trap_open_calls_are_turned_away_and_the_next_session_answers() {
    let (host, mut reader) = host_and_reader(&[]).await;
    let open = async {
        let answer = reader.calls("/bye").await;
        (answer, ())
    };
    let trap = async {
        logged(&host, 0, "a call waits for the end").await;
        reader.calls("/trap").await.0
    };
    let ((open, ()), trapped) = tokio::join!(open, trap);
    assert_eq!((open.0, trapped), (503, 503));
    host.api().event(EventKind::DriverTrapped).await;
    reader.callback(2).await;
    host.api().reader_until("r", "online again", |reader| reader.phase == "online" && reader.connects == 2).await;
    wait::until("a verdict", async || (reader.calls("/card?card=4711").await.1 == "nothing-held").then_some(())).await;
}

#[tokio::test]
async fn a_session_that_is_stopped_answers_its_open_calls_first() {
    let (host, reader) = host_and_reader(&[]).await;
    let stop = async {
        logged(&host, 0, "a call waits for the end").await;
        host.cli("reader set r enabled=false").await.ok();
    };
    let (answer, ()) = tokio::join!(reader.calls("/bye"), stop);
    assert_eq!(answer, (200, "bye".to_owned()));
    host.api().event(EventKind::ReaderDisconnected).await;
    assert_ne!(reader.calls("/now").await.0, 201, "nobody is there");
}

#[tokio::test]
async fn a_session_that_is_stopped_gives_every_verdict_first() {
    // One card a second: most of them still wait when the session is stopped.
    let (host, reader) = host_and_reader(&[("CARDINAL_SESSIONS__CARDS_PER_SECOND", "1")]).await;
    let cards = ["1", "2", "3", "4", "5"].map(|card| format!("/card?card={card}"));
    let swipes = futures_util::future::join_all(cards.iter().map(|card| reader.calls(card)));
    let stop = async {
        host.api().reader_until("r", "busy", |reader| reader.cards == 5).await;
        host.cli("reader set r enabled=false").await.ok();
    };
    let (answers, ()) = tokio::join!(swipes, stop);
    assert_eq!(answers, vec![(200, "unknown-card".to_owned()); 5]);
    assert_eq!(host.api().events_of(EventKind::VerdictLate).await.len(), 0);
}

#[tokio::test]
async fn a_reader_that_calls_on_while_its_session_begins_anew_gets_an_answer_to_every_call() {
    let (host, mut reader) = host_and_reader(&[("CARDINAL_READERS__BOUNDS__CALLS_PER_SECOND", "100000")]).await;
    let callback = reader.callback(1).await;
    let over = std::cell::Cell::new(false);
    let restarts = async {
        for retry in 1..=6 {
            host.cli("reader rotate r").await.ok();
            host.cli(&format!("reader set r link.retry_longest_ms=100{retry}")).await.ok();
        }
        over.set(true);
    };
    let calling = async {
        let mut all = Vec::new();
        while !over.get() {
            // At the old address, which is good for minutes yet.
            let (now, card) =
                tokio::join!(reader.calls_at(&callback, "/now"), reader.calls_at(&callback, "/card?card=4711"));
            all.extend([now.0, card.0]);
        }
        all
    };
    let ((), all) = tokio::join!(restarts, calling);
    assert!(all.len() > 6, "{all:?}");
    assert!(all.iter().all(|status| [200, 201].contains(status)), "{all:?}");
}

#[tokio::test]
async fn a_host_that_is_told_to_end_answers_every_call_that_is_open() {
    let (mut host, reader) = host_and_reader(&[]).await;
    let stop = async {
        logged(&host, 0, "a call waits for the end").await;
        logged(&host, 0, "a call is not answered").await;
        host.terminate().await
    };
    let (answered, forgotten, stopped) = tokio::join!(reader.calls("/bye"), reader.calls("/never"), stop);
    assert_eq!(answered, (200, "bye".to_owned()));
    assert_eq!(forgotten.0, 503, "its driver had nothing to say, and nobody hangs");
    assert!(stopped.success(), "{stopped}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_the_session_goes_on() {
    let (host, reader) = host_and_reader(&[]).await;
    // Not one that is answered with itself: an answer is bounded, too.
    let body = |length: usize| reader.posts("/card?card=4", vec![b'x'; length]);
    assert_eq!(body(256 << 10).await, (200, "unknown-card".to_owned()));
    for too_large in [(256 << 10) + 1, 1 << 20] {
        assert_eq!(body(too_large).await, (413, String::new()));
    }
    assert_eq!(reader.posts("/now", b"swipe".to_vec()).await, (201, "POST swipe".to_owned()));
    assert_eq!(host.api().reader("r").await.connects, 1);
}

/// A key and a certificate for it, made and signed by itself, in the host's folder.
fn certificate(host: &Host) -> (String, String) {
    let [key, certificate] =
        ["reader.key", "reader.pem"].map(|name| host.folder().join(name).to_str().unwrap().to_owned());
    let mut command = Command::new(program::theirs("openssl"));
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "20", "-subj", "/CN=reader"]);
    let output = command.args(["-keyout", &key, "-out", &certificate]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (key, certificate)
}

#[tokio::test]
async fn over_tls_a_fetch_goes_to_the_reader_that_has_the_pinned_certificate_and_to_no_other() {
    let (host, reader) = host_and_reader(&[]).await;
    let (key, certificate) = certificate(&host);
    let at = format!("{}:18443", reader.address());
    let mut command = Command::new(program::theirs("openssl"));
    command.args(["s_server", "-www", "-quiet", "-accept", &at, "-key", &key, "-cert", &certificate]);
    let _server = Process::start("openssl", &mut command, &host.folder().join("s_server.log"));
    wait::until("its pages", async || tokio::net::TcpStream::connect(&at).await.ok()).await;
    let probe = async |words: &str| {
        let now = host.api().now().await;
        host.cli("reader command r probe path=/ tls=true port=18443").await.ok();
        let said = logged(&host, now, "probe /:").await.body.message;
        assert!(said.contains(words), "{said}");
        said
    };
    // What the error says to do is what helps.
    let said = probe("tls: ").await;
    let pin = said.split_once("certificate=").unwrap().1.trim_end_matches('`').to_owned();
    // Its driver tells it in clear where to call: with a pin that is over.
    let in_clear = async || {
        host.api().reader_until("r", "not asked in clear", |reader| reader.reason.starts_with("tls: ")).await;
    };
    host.cli(&format!("reader set r certificate={pin}")).await.ok();
    in_clear().await;
    probe("probe /: 200 with ").await;
    host.cli(&format!("reader set r certificate=sha256:{}", "0".repeat(64))).await.ok();
    in_clear().await;
    probe("not the pinned one").await;
}

#[tokio::test]
async fn a_new_certificate_of_the_host_leaves_the_connections_of_readers_alone() {
    let (host, mut reader) = host_and_reader(&[]).await;
    let callback = reader.callback(1).await;
    let (server, path) = callback.strip_prefix("https://").unwrap().split_once('/').unwrap();
    let from = format!("{}:0", reader.address());
    let shown = || {
        let mut command = Command::new(program::theirs("openssl"));
        let output = command.args(["s_client", "-connect", server]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let (_, certificate) = said.split_once("-----BEGIN CERTIFICATE-----").unwrap();
        certificate.split_once("-----END").unwrap().0.to_owned()
    };
    let before = shown();
    let log = host.folder().join("standing.log");
    let mut command = Command::new(program::theirs("openssl"));
    command.args(["s_client", "-quiet", "-no_ign_eof", "-connect", server, "-bind", &from]);
    let output = std::fs::File::create(&log).unwrap();
    let mut standing = Process::start_with("openssl", &mut command, &log, output.into(), Stdio::piped());
    let mut ask = async |times: usize| {
        standing.input().write_all(format!("GET /{path}/now HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
        wait::until("an answer", async || (standing.said().matches("HTTP/1.1 201").count() == times).then_some(()))
            .await;
    };
    ask(1).await;
    host.cli("tls renew").await.ok();
    host.api().event(EventKind::TlsReloaded).await;
    assert_ne!(shown(), before);
    ask(2).await;
}

#[tokio::test]
async fn bytes_have_no_way_over_http_and_that_is_told_once() {
    let (host, reader) = host_and_reader(&[]).await;
    for _ in 0..2 {
        host.cli("reader command r send").await.ok();
    }
    logged(&host, 0, "the driver of r sends bytes").await;
    assert_eq!(reader.calls("/now").await.0, 201);
    let told = host.api().events_of(EventKind::ReaderLog).await;
    assert_eq!(told.iter().filter(|event| event.body.message.contains("sends bytes")).count(), 1);
}

#[tokio::test]
async fn a_device_shows_the_trouble_of_its_reader() {
    let host = host(&[]).await;
    let address = free_address();
    host.apply(&(folder_site() + &spec("r", address))).await;
    let trouble = async || {
        let device: Value = host.cli("device show floor-2-east --json").await.json();
        device["trouble"].as_array().unwrap().clone()
    };
    host.api().reader_until("r", "in trouble", |reader| reader.reason.starts_with("refused")).await;
    let shown = trouble().await;
    assert_eq!(shown[0]["reader"], "r");
    assert!(shown[0]["reason"].as_str().unwrap().contains("cannot be reached"), "{shown:?}");
    assert!(host.cli("device list").await.ok().contains("reader r: refused"));
    assert!(host.cli("device show floor-2-east").await.ok().contains("trouble       reader r: refused"));
    // Switched on, it is configured by itself, and the trouble is over.
    let mut reader = HttpReader::at(address).await;
    reader.callback(1).await;
    wait::until("no trouble", async || trouble().await.is_empty().then_some(())).await;
    assert_eq!(reader.calls("/card?card=4711").await.1, "nothing-held");
}

#[tokio::test]
async fn what_does_not_fit_a_reader_over_http_is_refused() {
    let (host, terminal) = tokio::join!(host(&[]), listening());
    let refused = async |readers: String| host.apply_with(&(folder_site() + &readers), &[]).await.refused();
    let error = refused(spec("r", "10.0.0.21:0")).await;
    assert!(error.contains("it may be 1 to 65535"), "{error}");
    let error = refused(spec("a", "10.0.0.21") + &spec("b", "10.0.0.21")).await;
    assert!(error.contains("have the same address 10.0.0.21"), "{error}");
    let error = refused(spec("a", "10.0.0.21") + &spec("b", "10.0.0.21:18443")).await;
    assert!(error.contains("have the same address 10.0.0.21, and port 18443 both"), "{error}");
    let error =
        refused(reader("r", terminal.address(), SIGNS).replace("[reader.link]", "plain = true\n[reader.link]")).await;
    assert!(error.contains("plain = true is for readers that call us over HTTP"), "{error}");
    let error = refused(spec("r", "10.0.0.21").replace("[reader.link]", "tls = true\n[reader.link]")).await;
    assert!(error.contains("tls = true says something only"), "{error}");
    let pin = format!("certificate = \"sha256:{}\"\n[reader.link]", "0".repeat(64));
    let error = refused(reader("r", terminal.address(), SIGNS).replace("[reader.link]", &pin)).await;
    assert!(error.contains("certificate says something only"), "{error}");
    host.apply(&(folder_site() + &spec("r", "10.0.0.21").replace("[reader.link]", &pin))).await;
    assert!(host.cli("export").await.ok().contains("certificate = \"sha256:00"));
}
