//! Terminals that call us: known by our port and their address.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use cardinal_domain::event::EventKind;
use cardinal_simulators::generic::{GenericTerminal, Record, Settings};
use cardinal_tests::{
    host::Host,
    port,
    site::{SIGNS, folder_site, reader},
    terminal::Terminal as _,
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
    a.is_connected().await;
    b.is_connected().await;
    a.shows_and_hears("4711", "[nothing]").await;
    b.shows_and_hears("12345678", "[unknown]").await;
    let unknown = host.api().event(EventKind::CardUnknown).await;
    assert_eq!(unknown.body.reader.as_ref().map(|name| name.as_str()), Some("b"));

    // It calls again and again; the operator is told once, and how to let it in.
    let stranger = calling(STRANGER, ours);
    stranger.wait_for(LIMIT, |record: &Record| record.connections() >= 5).await.unwrap();
    let refused = host.api().events_of(EventKind::TerminalRefused).await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].body.message.contains("address = \"127.0.0.4\""), "{}", refused[0].body.message);
    assert!(a.record().connections() == 1 && b.record().connections() == 1, "nobody else is disturbed");

    // Given a reader, it works at its next call.
    host.apply(&calls("c", STRANGER, ours)).await;
    host.api().online("c").await;
    stranger.wait_for(LIMIT, |record| record.server.is_some()).await.unwrap();
    stranger.shows_and_hears("4711", "[nothing]").await;
    assert!(a.record().connections() == 1 && b.record().connections() == 1, "nobody else is disturbed");
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
