//! The site changes while the host runs: what is changed takes effect, and nothing else notices.

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    host::Host,
    site::{SIGNS, folder_site, reader},
    terminal::{Terminal as _, listening},
    wait::LIMIT,
};

#[tokio::test]
async fn readers_come_change_and_go_without_disturbing_each_other() {
    let (host, stays, changes, comes) = tokio::join!(Host::start(), listening(), listening(), listening());
    host.apply(
        &(folder_site() + &reader("stays", stays.address(), SIGNS) + &reader("changes", changes.address(), SIGNS)),
    )
    .await;
    stays.is_connected().await;
    changes.is_connected().await;
    changes.shows_and_hears("4711", "[nothing]").await;

    // One comes.
    host.apply(&reader("comes", comes.address(), SIGNS)).await;
    comes.is_connected().await;
    comes.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(changes.record().connections(), 1);

    // One gets another setting, and with it a new connection.
    host.apply(&reader("changes", changes.address(), &SIGNS.replace("[nothing]", "[empty]"))).await;
    changes.was_connected(2).await;
    changes.shows_and_hears("4711", "[empty]").await;

    // A user gets a card and a printer another address: no reader's business.
    host.cli("user set eve card=55556666").await.ok();
    host.cli("printer set east uri=folder:./elsewhere").await.ok();
    comes.shows_and_hears("55556666", "[nothing]").await;

    // One is taken out of use, one removed.
    host.cli("reader set changes enabled=false").await.ok();
    changes.wait_for(LIMIT, |record| record.server.is_none()).await.unwrap();
    host.cli("reader remove comes").await.ok();
    comes.wait_for(LIMIT, |record| record.server.is_none()).await.unwrap();
    host.cli("reader set changes enabled=true").await.ok();
    changes.was_connected(3).await;

    // The one that nobody touched never noticed.
    stays.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(stays.record().connections(), 1);
    assert_eq!(host.api().reader("stays").await.connects, 1);
}

#[tokio::test]
async fn what_was_shown_at_a_reader_is_decided_although_the_reader_is_removed_at_once() {
    const CARDS: usize = 200;
    let (host, terminal) = tokio::join!(Host::start(), listening());
    host.apply(&(folder_site() + &reader("goes", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    host.api().online("goes").await;
    let burst: String = (0..CARDS).map(|number| format!("{number:04}\n")).collect();
    terminal.send(burst.as_bytes()).await.unwrap();
    terminal.hears("[unknown]", 1).await;
    host.cli("reader remove goes").await.ok();
    terminal.wait_for(LIMIT, |record| record.server.is_none()).await.unwrap();
    terminal.hears("[unknown]", CARDS).await;
    let verdicts = host.api().events_of(EventKind::VerdictGiven).await;
    assert_eq!(verdicts.len(), CARDS);
    assert!(verdicts.iter().all(|event| event.body.message.contains("unknown-card")), "none failed");
}
