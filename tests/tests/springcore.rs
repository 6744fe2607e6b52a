//! A SpringCard reader over TCP and over HTTP: a card is shown, and the reader is told what became of it.

use std::net::{Ipv4Addr, SocketAddr};

use cardinal_domain::event::EventKind;
use cardinal_simulators::springcore::{Call, HttpReader, HttpSettings, Record, Tag, TcpReader};
use cardinal_tests::{
    document,
    host::Host,
    ipp_client, program,
    site::{folder_site, of_driver},
    wait::LIMIT,
};

/// A host with the driver, and a reader that it is connected with.
async fn connected(settings: &str) -> (Host, TcpReader) {
    let host = Host::start().await;
    let driver = program::component("cardinal-springcore");
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.ok();
    let reader = TcpReader::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let site = folder_site().replace("4711", "047DAE02C84080");
    let springcore = of_driver("cardinal/springcore", "springcore-tcp", "r", reader.address(), settings);
    host.apply(&(site + &springcore)).await;
    until(&reader, |record| record.host.is_some()).await;
    (host, reader)
}

async fn until(reader: &TcpReader, wish: impl FnMut(&Record) -> bool + Send) -> Record {
    reader.wait_for(LIMIT, wish).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Shows a card and gives what the reader is told next, in words.
async fn shows(reader: &TcpReader, card: &str) -> String {
    let before = reader.record().commands().len();
    reader.tap(&Tag::new(card)).await.unwrap();
    let record = until(reader, |record| record.commands().len() > before).await;
    record.commands().get(before).unwrap().to_string()
}

#[tokio::test]
async fn a_known_card_is_green_and_prints_and_an_unknown_one_is_red() {
    // The light is not put out within this test.
    let (host, reader) = connected("light_ms = 600000").await;
    ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;

    assert_eq!(shows(&reader, "047DAE02C84080").await, "LED green, RGB LED 00FF00, beep 100 ms");
    assert_eq!(document::out(&host.folder().join("delivered"), 1).await, [document::hello()]);
    assert_eq!(shows(&reader, "DEADBEEF").await, "LED red, RGB LED FF0000, beep 500 ms");
    host.api().event(EventKind::CardUnknown).await;
    // Nothing is left to print.
    assert_eq!(shows(&reader, "047DAE02C84080").await, "LED red, RGB LED FF0000, beep 500 ms");

    let (events, log) = (host.cli("event list --json --limit 10000").await.ok(), host.log());
    for number in ["047DAE02C84080", "DEADBEEF"] {
        assert!(!events.contains(number) && !log.contains(number), "{number} stands in the events or the log");
    }
}

#[tokio::test]
async fn the_light_goes_off_and_a_reader_that_lost_power_is_found_again() {
    let (_host, mut reader) = connected("light_ms = 100\nkeepalive_seconds = 1").await;
    shows(&reader, "DEADBEEF").await;
    let record = until(&reader, |record| record.commands().len() == 2).await;
    assert_eq!(record.commands()[1].to_string(), "sequence 5 (lights off)");

    reader.restart().await;
    until(&reader, |record| record.connections() == 2 && record.host.is_some()).await;
    // Rubbish and a cut message before it cost no card.
    reader.send(b"\xff\xfe{\"TagId\":\"04\r\n").await.unwrap();
    assert!(shows(&reader, "DEADBEEF").await.starts_with("LED red"));
}

/// A host that readers call over plain HTTP, and a reader that was told where.
async fn calling() -> (Host, HttpReader) {
    let mut host = Host::init().await;
    host.set("CARDINAL_READERS__PLAIN_LISTEN", "127.0.0.1:0");
    host.serve().await;
    let driver = program::component("cardinal-springcore");
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.ok();
    let site = folder_site().replace("4711", "047DAE02C84080");
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let springcore =
        of_driver("cardinal/springcore", "springcore-http", "r", nobody, "").replace("127.0.0.1:1", "127.0.0.1");
    let plainly = springcore.replace("[reader.link]", "plain = true\n[reader.link]");
    // Without it there is no address for it, and it is told what to do.
    host.apply(&(site.clone() + &springcore)).await;
    let trouble = host.api().event(EventKind::ReaderUnreachable).await.body.message;
    assert!(trouble.contains("needs plain = true"), "{trouble}");
    host.apply(&(site + &plainly)).await;
    host.api().online("r").await;
    let url = host.cli("reader callback r").await.ok();
    let reader = HttpReader::new(HttpSettings::new(url.trim())).unwrap();
    (host, reader)
}

/// What the reader is told in words, which must be an answer.
fn told(call: Call) -> String {
    match call {
        Call::Answered(200, Some(command)) => command.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn over_http_the_answer_to_a_card_is_its_verdict_and_a_repeated_call_has_the_same() {
    let (host, reader) = calling().await;
    ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    let (first, again) = reader.tap_twice_told(&Tag::new("047DAE02C84080")).await;
    assert_eq!(told(first), "LED green, RGB LED 00FF00, beep 100 ms");
    assert_eq!(told(again), "LED green, RGB LED 00FF00, beep 100 ms");
    assert_eq!(document::out(&host.folder().join("delivered"), 1).await, [document::hello()]);
    assert_eq!(host.api().events_of(EventKind::VerdictGiven).await.len(), 1, "one swipe, told twice");
    assert!(told(reader.tap(&Tag::new("DEADBEEF")).await).starts_with("LED red"));

    // With another secret the old address is as good as none.
    host.cli("reader rotate r --overlap 0").await.ok();
    assert!(matches!(reader.tap(&Tag::new("DEADBEEF")).await, Call::Answered(404, None)));
    let url = host.cli("reader callback r").await.ok();
    let reader = HttpReader::new(HttpSettings::new(url.trim())).unwrap();
    let answered = cardinal_tests::wait::until("its session to be back", async || {
        Some(reader.tap(&Tag::new("047DAE02C84080")).await).filter(|call| matches!(call, Call::Answered(200, _)))
    });
    assert!(told(answered.await).starts_with("LED red"), "nothing is left to print");
    let shown = host.cli("reader show r").await.ok();
    assert!(shown.contains("plain HTTP"), "{shown}");

    let (events, log) = (host.cli("event list --json --limit 10000").await.ok(), host.log());
    let secret = url.trim().rsplit('/').next().unwrap();
    for hidden in ["047DAE02C84080", "DEADBEEF", secret] {
        assert!(!events.contains(hidden) && !log.contains(hidden), "{hidden} stands in the events or the log");
    }
}
