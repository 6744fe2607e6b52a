//! A driver that traps or loops: its reader's connection is made anew, and no other reader notices.
//!
//! The driver is the guest `hostile`, which does what the bytes it receives say: `trap`, `loop`, or `card`, which reads a
//! card 4711. It takes each piece that the host hands it for a whole word.

use cardinal_domain::event::EventKind;
use cardinal_simulators::generic::GenericTerminal;
use cardinal_tests::{
    host::Host,
    program,
    site::{SIGNS, folder_site, of_driver, reader},
    terminal::{Terminal as _, listening},
};

/// A host with a reader `bad` of the hostile driver and a reader `good` of the Generic one, both connected.
async fn good_and_bad(bounds: &str) -> (Host, GenericTerminal, GenericTerminal) {
    let (mut host, good, bad) = tokio::join!(Host::init(), listening(), listening());
    host.configure(&format!("[drivers.of.\"test/hostile\"]\n{bounds}"));
    // A driver that loops has a thread to itself until its deadline; the others need one, too.
    host.set("CARDINAL_DRIVERS__ENGINE__WORKER_THREADS", "2");
    host.serve().await;
    let driver = program::component("guest-hostile");
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.ok();
    let bad_reader = of_driver("test/hostile", "any", "bad", bad.address(), "");
    host.apply(&(folder_site() + &reader("good", good.address(), SIGNS) + &bad_reader)).await;
    good.is_connected().await;
    bad.is_connected().await;
    (host, good, bad)
}

#[tokio::test]
async fn after_a_trap_inside_a_number_its_tail_is_never_a_card() {
    // Pieces of four bytes: the driver traps at the first one, and the second one would be a card to whoever went on.
    let (host, good, bad) = good_and_bad("input_bytes = 4").await;
    bad.send(b"trapcardcard").await.unwrap();

    let trapped = host.api().event(EventKind::DriverTrapped).await;
    assert_eq!(trapped.body.reader.as_ref().map(|name| name.as_str()), Some("bad"));
    assert_eq!(trapped.body.facts.get("driver").map(String::as_str), Some("test/hostile@1.0.0"));
    assert_eq!(trapped.body.facts.get("export").map(String::as_str), Some("handle"));

    // The connection is made anew, by itself.
    bad.was_connected(2).await;
    assert_eq!(host.api().online("bad").await.connects, 2);
    // A card on the new connection is read, and it is the first one ever: the tail of the old one was none.
    bad.send(b"card").await.unwrap();
    host.api().event(EventKind::CardRead).await;
    good.shows_and_hears("4711", "[nothing]").await;
    let readers: Vec<_> =
        host.api().events_of(EventKind::CardRead).await.into_iter().map(|event| event.body.reader.unwrap()).collect();
    assert_eq!(readers.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["bad", "good"]);
    assert_eq!(host.api().reader("bad").await.cards, 1);

    // The other reader never noticed.
    assert_eq!(good.record().connections(), 1);
}

#[tokio::test]
async fn an_endless_loop_ends_at_its_bound_and_delays_no_other_reader() {
    // Long enough that what happens meanwhile surely happens meanwhile.
    let (host, good, bad) = good_and_bad("call_deadline_ms = 3000").await;
    bad.send(b"loop").await.unwrap();
    for _ in 0..5 {
        good.shows_and_hears("4711", "[nothing]").await;
    }
    let bound = host.api().event(EventKind::DriverBound).await;
    assert_eq!(bound.body.facts.get("bound").map(String::as_str), Some("call_deadline_ms"));
    assert_eq!(bound.body.facts.get("limit").map(String::as_str), Some("3000"));
    assert!(bound.body.message.contains("call_deadline_ms"), "{}", bound.body.message);
    let verdicts = host.api().events_of(EventKind::VerdictGiven).await;
    assert_eq!(verdicts.len(), 5);
    assert!(verdicts.iter().all(|verdict| verdict.seq < bound.seq), "the good reader waited for the bad one");

    bad.was_connected(2).await;
    bad.send(b"card").await.unwrap();
    host.api().event_after(bound.seq, EventKind::CardRead, |_| true).await;
    assert_eq!(good.record().connections(), 1);
}

#[tokio::test]
async fn a_driver_that_fails_again_and_again_is_tried_more_and_more_slowly() {
    let (host, good, bad) = good_and_bad("").await;
    host.cli("reader set bad settings.open=trap").await.ok();
    // Each connection fails at once. The terminal is called again with growing pauses: no busy loop.
    let last = host.api().event_after(0, EventKind::DriverTrapped, |_| true).await;
    let next = host.api().event_after(last.seq, EventKind::DriverTrapped, |_| true).await;
    host.api().event_after(next.seq, EventKind::DriverTrapped, |_| true).await;
    good.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(good.record().connections(), 1);
    // Mended by the operator, it works again.
    host.cli("reader set bad settings.open=nothing").await.ok();
    let now = host.api().now().await;
    let connections = bad.record().connections();
    bad.was_connected(connections).await;
    host.api().online("bad").await;
    bad.send(b"card").await.unwrap();
    host.api().event_after(now, EventKind::CardRead, |_| true).await;
}

#[tokio::test]
async fn a_driver_that_fails_too_often_is_quarantined_on_that_reader_until_it_is_freed() {
    let (host, good, bad) = good_and_bad("").await;
    for deed in ["trap", "lie", "trap", "lie"] {
        let connections = bad.record().connections();
        bad.send(deed.as_bytes()).await.unwrap();
        bad.was_connected(connections + 1).await;
    }
    assert_eq!(host.api().events_of(EventKind::DriverQuarantined).await.len(), 0);
    bad.send(b"trap").await.unwrap();
    let told = host.api().event(EventKind::DriverQuarantined).await.body.message;
    assert!(told.contains("test/hostile@1.0.0 is quarantined on bad") && told.contains("5 times"), "{told}");
    let reader = host.api().reader_until("bad", "quarantined", |reader| reader.phase == "quarantined").await;
    assert!(reader.last_error.is_some_and(|why| why.contains("not started again")));
    let device = host.cli("device show floor-2-east").await.ok();
    assert!(device.contains("not started again"), "a device shows its readers' trouble: {device}");
    good.shows_and_hears("4711", "[nothing]").await;

    let connections = bad.record().connections();
    host.cli("reader free bad").await.ok();
    bad.was_connected(connections + 1).await;
    host.api().online("bad").await;
    bad.send(b"card").await.unwrap();
    host.api().reader_until("bad", "a card", |reader| reader.cards == 1).await;
    let free = host.cli("reader free bad").await.refused();
    assert!(free.contains("no driver is quarantined"), "{free}");
    assert_eq!(good.record().connections(), 1);
}

#[tokio::test]
async fn a_driver_that_fails_when_it_is_told_of_the_end_is_quarantined_like_any_other() {
    let (host, _good, bad) = good_and_bad("").await;
    for times in 1..=5 {
        bad.was_connected(times).await;
        host.api().reader_until("bad", "connected", |reader| reader.connects >= times as u64).await;
        bad.send(b"last trap").await.unwrap();
        bad.drop_connection();
        host.api()
            .reader_until("bad", "over", |reader| reader.phase != "online" || reader.connects > times as u64)
            .await;
    }
    host.api().event(EventKind::DriverQuarantined).await;
    assert_eq!(host.api().events_of(EventKind::DriverTrapped).await.len(), 5, "each is told once");
}
