//! Connections with readers that are dialled: made again for ever, watched, and ended in order.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    document,
    host::Host,
    ipp_client,
    network::Cable,
    port,
    process::Process,
    program,
    site::{SIGNS, folder_site, reader},
    terminal::{self, Terminal as _, listening},
    wait,
};

#[tokio::test]
async fn a_reader_is_dialled_for_ever_and_again_after_it_was_away() {
    let host = Host::start().await;
    let address = port::free();
    host.apply(&(folder_site() + &reader("r", address, SIGNS))).await;
    host.api().event(EventKind::ReaderUnreachable).await;
    let waiting = host.api().reader("r").await;
    assert_eq!((waiting.phase.as_str(), waiting.connects), ("connecting", 0));
    assert!(waiting.last_error.is_some_and(|error| error.contains(&address.to_string())));

    for round in 1..=3 {
        // Switched on, shown a card, switched off: three times.
        let terminal = terminal::at(address).await;
        terminal.is_connected().await;
        assert_eq!(host.api().online("r").await.connects, round);
        terminal.shows_and_hears("4711", "[nothing]").await;
        let now = host.api().now().await;
        drop(terminal);
        host.api().event_after(now, EventKind::ReaderDisconnected, |_| true).await;
    }
    // Each outage is told once, however often it was tried meanwhile.
    let told = host.api().events_of(EventKind::ReaderUnreachable).await.len();
    assert!((1..=4).contains(&told), "told {told} times");
}

/// The far end of a cable: the simulator as a program of its own, because a namespace belongs to a process.
fn far_terminal(cable: &Cable, host: &Host) -> Process {
    let simulator = program::ours("cardinal-simulator", "cardinal-simulators");
    let mut command: Command = cable.command(&simulator);
    command.args(["generic", "--listen", &format!("{}:7778", cable.far)]);
    let log = host.folder().join("terminal.log");
    let output = std::fs::File::create(&log).unwrap();
    Process::start_with("the terminal", &mut command, &log, output.into(), Stdio::piped())
}

#[tokio::test]
async fn a_pulled_cable_is_noticed_although_nothing_is_said() {
    let Some(cable) = Cable::lay() else { return };
    let (host, near) = tokio::join!(Host::start(), listening());
    let mut far = far_terminal(&cable, &host);
    let address = format!("{}:7778", cable.far).parse().unwrap();
    // Four seconds are the least that the kernel can be told: it counts in whole ones.
    let link = "[reader.link]\ndead_after_ms = 4000\nconnect_timeout_ms = 500\n";
    let readers =
        reader("far", address, SIGNS).replace("[reader.link]\n", link) + &reader("near", near.address(), SIGNS);
    host.apply(&(folder_site() + &readers)).await;
    host.api().online("far").await;
    host.api().online("near").await;

    cable.pull();
    let noticed = host.api().event(EventKind::ReaderDisconnected).await;
    assert_eq!(noticed.body.reader.as_ref().map(|name| name.as_str()), Some("far"));
    assert_eq!(host.api().reader("far").await.phase, "connecting");
    // The other one does not mind.
    near.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(host.api().online("near").await.connects, 1);

    // With the cable back, the terminal is found by itself, and works. It still holds the dead connection until it
    // notices as well; it is restarted, as people do.
    cable.plug();
    drop(far);
    far = far_terminal(&cable, &host);
    host.api().reader_until("far", "connected again", |reader| reader.connects >= 2 && reader.phase == "online").await;
    far.input().write_all(b"4711\n").unwrap();
    wait::until("the verdict at the far end", async || far.said().contains("[nothing]").then_some(())).await;
}

#[tokio::test]
async fn a_host_that_is_told_to_end_tells_every_verdict_first() {
    const CARDS: usize = 60;
    let mut host = Host::start().await;
    let terminal = listening().await;
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;

    // Many cards at once, so that some are on their way whenever the end comes.
    let cards: String = (0..CARDS).map(|number| format!("CARD{number:04}\n")).collect();
    terminal.send(cards.as_bytes()).await.unwrap();
    terminal.hears("[unknown]", 1).await;
    let status = host.terminate().await;
    assert!(status.success(), "{status}");
    terminal.wait_for(wait::LIMIT, |record| record.server.is_none()).await.unwrap();
    let told = terminal.heard("[unknown]");

    // What was decided is stored, and what is stored was told.
    host.serve().await;
    let decided = host.api().events_of(EventKind::VerdictGiven).await.len();
    assert!((1..=CARDS).contains(&decided));
    assert_eq!(decided, told);
    assert_eq!(host.api().events_of(EventKind::VerdictLate).await.len(), 0);
    assert_eq!(host.api().events_of(EventKind::HostStopped).await.len(), 1);
}

#[tokio::test]
async fn a_swipe_in_flight_is_finished_before_the_host_ends() {
    let mut host = Host::start().await;
    let terminal = listening().await;
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    for seed in 0..20 {
        ipp_client::print(&host.queue("find-me"), "ada", &document::arbitrary(10_000, seed)).await;
    }
    terminal.shows_and_hears("4711", "[released]").await;
    let status = host.terminate().await;
    assert!(status.success(), "{status}");

    // Whatever was not out by then comes out after the next start, and nothing twice.
    host.serve().await;
    document::out(&host.folder().join("delivered"), 20).await;
    wait::until("all jobs to be delivered", async || {
        host.api().jobs().await.iter().all(|job| job.state.is_final()).then_some(())
    })
    .await;
    document::out(&host.folder().join("delivered"), 20).await;
}

#[tokio::test]
async fn a_host_that_is_told_to_end_as_soon_as_it_is_up_ends_in_order() {
    let mut host = Host::start().await;
    assert!(host.terminate().await.success(), "{}", host.log());
}
