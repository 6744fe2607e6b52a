//! Terminals that send what no terminal should: every one of them still works afterwards, and so does everybody else.

use std::{collections::BTreeMap, time::Duration};

use cardinal_domain::event::EventKind;
use cardinal_simulators::generic::{Fault, GenericTerminal};
use cardinal_tests::{
    host::Host,
    site::{SIGNS, folder_site, reader},
    terminal::{Terminal as _, listening},
};

/// A host with a reader `r` whose terminal is connected.
async fn host_and_terminal() -> (Host, GenericTerminal) {
    let (host, terminal) = tokio::join!(Host::start(), listening());
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    (host, terminal)
}

#[tokio::test]
async fn after_binary_rubbish_a_card_is_a_card() {
    let (host, terminal) = host_and_terminal().await;
    terminal.misbehave(Fault::Rubbish, "4711").await.unwrap();
    terminal.send(b"\n").await.unwrap();
    terminal.shows("4711").await;
    // Whatever was taken for a card in the rubbish is nobody's; the real one is Ada's.
    terminal.hears("[nothing]", 1).await;
    assert_eq!(host.api().events_of(EventKind::CardMatched).await.len(), 1);
    assert_eq!(terminal.record().connections(), 1, "rubbish is no reason to hang up");
}

#[tokio::test]
async fn after_a_megabyte_without_a_line_end_a_card_is_a_card() {
    let (host, terminal) = host_and_terminal().await;
    terminal.misbehave(Fault::Megabyte, "4711").await.unwrap();
    terminal.send(b"\n").await.unwrap();
    terminal.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(terminal.record().connections(), 1);
    assert_eq!(host.api().events_of(EventKind::CardRead).await.len(), 1, "the megabyte was no card");
    // The operator is told what to look at, in one line.
    let told = host.api().events_of(EventKind::ReaderLog).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].body.message.contains("line_length"), "{}", told[0].body.message);
}

#[tokio::test]
async fn of_a_card_per_millisecond_none_is_lost_and_none_answered_twice() {
    const CARDS: usize = 1_000;
    let (host, terminal) = host_and_terminal().await;
    terminal.flood(u32::try_from(CARDS).unwrap(), Duration::from_millis(1)).await.unwrap();
    terminal.hears("[unknown]", CARDS).await;
    // One behind the flood is answered once, too, so nothing more comes for the others.
    terminal.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(terminal.heard("[unknown]"), CARDS);
    let mut kinds = BTreeMap::new();
    for event in host.api().events().await {
        *kinds.entry(event.body.kind.name()).or_insert(0_usize) += 1;
    }
    assert_eq!((kinds["card.read"], kinds["verdict.given"]), (CARDS + 1, CARDS + 1));
    assert_eq!(terminal.record().connections(), 1);
}

#[tokio::test]
async fn a_burst_is_read_no_faster_than_it_is_decided_and_nothing_is_lost() {
    const CARDS: usize = 2_000;
    let (host, terminal) = host_and_terminal().await;
    // All at once: faster than any desk, so the reader must be slowed down, and the operator is told so once.
    let burst: String = (0..CARDS).map(|number| format!("{number}\n")).collect();
    terminal.send(burst.as_bytes()).await.unwrap();
    terminal.hears("[unknown]", CARDS).await;
    terminal.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(terminal.heard("[unknown]"), CARDS);
    assert_eq!(host.api().events_of(EventKind::VerdictGiven).await.len(), CARDS + 1);
    assert_eq!(host.api().events_of(EventKind::ReaderThrottled).await.len(), 1);
}

#[tokio::test]
async fn half_a_line_and_silence_keep_nobody_waiting_and_are_no_card() {
    let (host, terminal) = host_and_terminal().await;
    let other = listening().await;
    host.apply(&reader("other", other.address(), SIGNS)).await;
    terminal.misbehave(Fault::HalfLine, "4711").await.unwrap();
    other.is_connected().await;
    other.shows_and_hears("4711", "[nothing]").await;
    // The rest comes late, and the card is whole.
    terminal.wake();
    terminal.send(b"11\n").await.unwrap();
    terminal.hears("[nothing]", 1).await;
    // Or it never comes: what was begun is not glued to what the next connection brings.
    terminal.send(b"47").await.unwrap();
    terminal.reset_connection();
    terminal.was_connected(2).await;
    terminal.shows_and_hears("11", "[unknown]").await;
}

#[tokio::test]
async fn a_card_in_pieces_is_one_card() {
    let (host, terminal) = host_and_terminal().await;
    terminal.misbehave(Fault::Pieces, "EMP123").await.unwrap();
    terminal.hears("[nothing]", 1).await;
    assert_eq!(host.api().events_of(EventKind::CardRead).await.len(), 1);
}
