//! One reader that sends all it can: it is throttled, it is told, and nobody else waits for it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use cardinal_domain::event::EventKind;
use cardinal_simulators::generic::{GenericTerminal, Settings};
use cardinal_tests::{
    host::Host,
    port,
    site::{SIGNS, folder_site, reader},
    terminal::{Terminal as _, listening},
    wait,
};
use tokio::{io::AsyncWriteExt as _, net::TcpSocket};

const ROUNDS: usize = 30;

/// How long a tap takes from the card to the answer, each of several times.
async fn taps(terminal: &GenericTerminal) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        terminal.shows_and_hears("4711", "[nothing]").await;
        took.push(start.elapsed());
    }
    took.sort();
    took
}

#[allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture; none is asserted")]
fn tell(when: &str, took: &[Duration]) {
    let at = |place: usize| took.get(place).copied().unwrap_or_default();
    println!("{when}: median {:.1?}, worst {:.1?}", at(took.len() / 2), at(took.len() - 1));
}

#[tokio::test]
async fn a_flood_is_throttled_and_told_once_and_others_are_served() {
    let (mut host, good, bad) = tokio::join!(Host::init(), listening(), listening());
    host.set("CARDINAL_SESSIONS__CALM_MS", "1000");
    host.serve().await;
    host.apply(&(folder_site() + &reader("good", good.address(), SIGNS) + &reader("bad", bad.address(), SIGNS))).await;
    good.is_connected().await;
    bad.is_connected().await;
    tell("without a flood", &taps(&good).await);

    // Cards at line rate: five thousand lines as fast as they are taken.
    let cards: String = (0..5_000).map(|number| format!("F{number:07}\n")).collect();
    let taken = AtomicBool::new(false);
    let flooding = async {
        bad.send(cards.as_bytes()).await.unwrap();
        bad.hears("[unknown]", 2_000).await;
        taken.store(true, Ordering::Relaxed);
    };
    let serving = async {
        host.api().event(EventKind::ReaderThrottled).await;
        let took = taps(&good).await;
        assert!(!taken.load(Ordering::Relaxed), "the flood goes on while others are served");
        took
    };
    let ((), took) = tokio::join!(flooding, serving);
    tell("with a flood of cards", &took);
    let status = host.api().reader("bad").await;
    assert!(status.throttled.is_some() && status.throttles == 1, "{status:?}");
    let shown = host.cli("reader show bad").await.ok();
    assert!(shown.contains("state         throttled") && shown.contains("read more slowly"), "{shown}");
    assert!(host.cli("reader list").await.ok().contains("throttled"));
    assert!(host.api().reader("good").await.throttled.is_none());

    // Its end is told, too, and everything it showed has its verdict.
    bad.hears("[unknown]", 5_000).await;
    let over = host.api().event(EventKind::ReaderUnthrottled).await;
    assert_eq!(over.body.reader.as_ref().map(|name| name.as_str()), Some("bad"));
    assert_eq!(host.api().events_of(EventKind::ReaderThrottled).await.len(), 1, "told once");
    let status = host.api().reader("bad").await;
    assert!(status.throttled.is_none() && status.throttles == 1, "{status:?}");
}

#[tokio::test]
async fn bytes_without_end_are_read_slowly_and_cost_nobody_else() {
    let (mut host, good, bad) = tokio::join!(Host::init(), listening(), listening());
    host.set("CARDINAL_SESSIONS__BYTES_PER_SECOND", "65536");
    host.serve().await;
    host.apply(&(folder_site() + &reader("good", good.address(), SIGNS) + &reader("bad", bad.address(), SIGNS))).await;
    good.is_connected().await;
    bad.is_connected().await;
    // More than the sockets' buffers hold, without a line end: it takes a minute and more to be read.
    let rubbish = vec![b'7'; 16 << 20];
    let flooding = async {
        bad.send(&rubbish).await.unwrap();
    };
    let serving = async {
        let told = host.api().event(EventKind::ReaderThrottled).await;
        assert_eq!(told.body.facts.get("bound").map(String::as_str), Some("bytes_per_second"));
        taps(&good).await
    };
    tokio::select! {
        () = flooding => panic!("sixteen megabytes were taken at once"),
        took = serving => tell("with a flood of bytes", &took),
    }
    assert!(host.api().reader("bad").await.throttled.is_some());
}

#[tokio::test]
async fn a_reader_that_never_reads_is_taken_for_dead_in_bounded_time() {
    let (host, good) = tokio::join!(Host::start(), listening());
    // A small buffer for what comes, so that the host soon waits.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let listener = socket.listen(1).unwrap();
    let answer = format!("keepalive_seconds = 0\non_unknown_card = '{}'", "x".repeat(1_000));
    let deaf = reader("deaf", listener.local_addr().unwrap(), &answer)
        .replace("retry_longest_ms = 100", "retry_longest_ms = 100\ndead_after_ms = 1000");
    host.apply(&(folder_site() + &reader("good", good.address(), SIGNS) + &deaf)).await;
    good.is_connected().await;
    let (mut deaf, _) = listener.accept().await.unwrap();
    let talking = async {
        let mut number = 0;
        // Ends when the host lets go.
        while deaf.write_all(format!("D{number:07}\n").as_bytes()).await.is_ok() {
            number += 1;
        }
    };
    let gone = host.api().event(EventKind::ReaderDisconnected);
    let ((), gone) = tokio::join!(talking, gone);
    assert_eq!(gone.body.reader.as_ref().map(|name| name.as_str()), Some("deaf"));
    assert!(gone.body.message.contains("took nothing") || gone.body.message.contains("lost"), "{}", gone.body.message);
    good.shows_and_hears("4711", "[nothing]").await;
}

#[tokio::test]
async fn a_terminal_that_calls_again_and_again_is_slowed_down() {
    const CALLS: u64 = 60;
    let host = Host::start().await;
    let ours = port::free();
    let calls = |name: &str, from: Ipv4Addr| {
        let ways = format!("address = \"{from}\"\ntransport = \"listen\"\nlisten = \"{ours}\"");
        reader(name, ours, SIGNS).replace(&format!("address = \"{ours}\""), &ways)
    };
    let (mad, good) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    host.apply(&(folder_site() + &calls("mad", mad) + &calls("good", good))).await;
    let good = GenericTerminal::dial(ours, Settings { from: Some(IpAddr::V4(good)), ..Settings::default() });
    good.is_connected().await;
    let start = Instant::now();
    for _ in 0..CALLS {
        let before = host.api().reader("mad").await.connects;
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((mad, 0))).unwrap();
        drop(socket.connect(ours).await.unwrap());
        if host.api().events_of(EventKind::ReaderThrottled).await.is_empty() {
            // Each is served, until it has called too often.
            let served = async || (host.api().reader("mad").await.connects > before).then_some(());
            let throttled = async || host.api().events_of(EventKind::ReaderThrottled).await.pop().map(drop);
            wait::until("the call to be served", async || served().await.or(throttled().await)).await;
        }
    }
    let told = host.api().event(EventKind::ReaderThrottled).await;
    assert_eq!(told.body.facts.get("bound").map(String::as_str), Some("connections_per_minute"));
    let connects = host.api().reader("mad").await.connects;
    assert!(connects <= 12 + start.elapsed().as_secs(), "{connects} in {:?}", start.elapsed());
    good.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(good.record().connections(), 1);
}
