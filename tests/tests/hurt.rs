//! Drivers made to hurt, on one reader each, while people swipe at others: no card of theirs is lost and no connection
//! closed, and what the driver did is told by name. How long the others' swipes take is measured and printed.
//!
//! The driver is the guest `hostile`. What it does first is its setting `connected`, what goes wrong in `open` and `save`
//! the settings of those names.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cardinal_domain::event::{Event, EventKind};
use cardinal_simulators::generic::GenericTerminal;
use cardinal_tests::{
    driver_file::{hostile, install, replaced, write},
    host::Host,
    http_reader::{PORT, free_address},
    program,
    site::{SIGNS, folder_site, of_driver, reader},
    terminal::{Terminal as _, listening},
    wait::LIMIT,
};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

/// The others: how many, and how often each shows a card.
const OTHERS: usize = 4;
const EVERY: Duration = Duration::from_millis(50);
/// How long a driver is looked at that crosses no bound.
const LOOKED_AT: Duration = Duration::from_millis(1_500);
/// Failures until a driver is quarantined: more than by default, so that it hurts for longer.
const FAILURES: usize = 8;
/// What hurting may cost the host in memory for good, in bytes. Generous: what it is, is printed.
const MEMORY: u64 = 200 << 20;

/// How it comes to an end.
#[derive(Clone, Copy)]
enum Ends {
    /// At this bound, again and again, until it is quarantined.
    Bound(&'static str),
    /// With a trap in this export.
    Trap(&'static str),
    /// Not: it keeps within its bounds, and only its own reader has to do with it.
    Never,
}

/// What the driver does, its settings for that, and what comes of it.
const WAYS: [(&str, &str, Ends); 20] = [
    ("nothing", "", Ends::Never),
    ("traps at once", "connected = 'trap'", Ends::Trap("handle")),
    ("loops in handle", "connected = 'loop'", Ends::Bound("call_deadline_ms")),
    ("loops in open", "open = 'loop'", Ends::Bound("open_deadline_ms")),
    ("loops in save", "save = 'loop'", Ends::Bound("call_deadline_ms")),
    ("traps in save", "save = 'trap'", Ends::Trap("save")),
    ("saves 100 KB", "save = 'huge'", Ends::Bound("saved_bytes")),
    ("saves 2 MB", "save = 'enormous'", Ends::Bound("hostcall_fuel")),
    ("takes all memory", "connected = 'memory'", Ends::Bound("memory_bytes")),
    ("recurses", "connected = 'recurse'", Ends::Bound("stack_bytes")),
    ("257 outputs", "connected = 'outputs 257'", Ends::Bound("outputs_per_call")),
    ("256 KiB of output", "connected = 'bytes 262145'", Ends::Bound("output_bytes_per_call")),
    ("201 cards", "connected = 'cards 201'", Ends::Bound("swipes_waiting")),
    ("flood of logs", "connected = 'every 10 logs 5'", Ends::Bound("log_lines_per_minute")),
    ("flood of statuses", "connected = 'every 10 statuses 10'", Ends::Bound("reports_per_minute")),
    ("flood of memories", "connected = 'every 10 memories 10'", Ends::Bound("reports_per_minute")),
    ("17 timers", "connected = 'ticks 17'", Ends::Bound("timers")),
    ("16 timers for ever", "connected = 'ticks 16'", Ends::Never),
    ("64 KB each 10 ms", "connected = 'every 10 bytes 65536'", Ends::Never),
    ("fetches for ever", "connected = 'fetching 4'", Ends::Never),
];

/// People at other readers: how long each of their swipes took since last asked.
struct Others {
    took: Arc<Mutex<Vec<Duration>>>,
    enough: Arc<AtomicBool>,
    showing: JoinSet<(GenericTerminal, usize)>,
}

impl Others {
    fn begin(terminals: Vec<GenericTerminal>) -> Self {
        const ANSWER: &str = "[nothing]";
        let (took, enough, mut showing) = (Arc::default(), Arc::new(AtomicBool::new(false)), JoinSet::new());
        for terminal in terminals {
            let (took, enough): (Arc<Mutex<Vec<Duration>>>, _) = (Arc::clone(&took), Arc::clone(&enough));
            showing.spawn(async move {
                let (mut shown, mut ticks) = (0, interval(EVERY));
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while !enough.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    shown += 1;
                    let begun = Instant::now();
                    terminal.shows("4711").await;
                    let heard = terminal.wait_for(LIMIT, |record| record.received.len() >= shown * ANSWER.len()).await;
                    took.lock().unwrap().push(begun.elapsed());
                    heard.unwrap_or_else(|error| panic!("card {shown} was lost: {error}"));
                }
                (terminal, shown)
            });
        }
        Self { took, enough, showing }
    }

    /// The median and the 99th percentile since last asked, and of how many swipes.
    fn took(&self) -> (Duration, Duration, usize) {
        let mut took = std::mem::take(&mut *self.took.lock().unwrap());
        took.sort_unstable();
        let part = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
        (part(50), part(99), took.len())
    }
}

/// What of the host's memory is in RAM, in bytes.
fn memory(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.process_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1_024
}

/// A reader of the hostile driver. One whose driver fetches is at this other address.
fn hurting(name: &str, settings: &str, address: SocketAddr, web: IpAddr) -> String {
    let spec = of_driver("test/hostile", "any", name, address, settings);
    if !settings.contains("fetching") {
        return spec;
    }
    spec.replace(&format!("address = \"{address}\""), &format!("address = \"{web}\"\ntransport = \"http\""))
}

/// A web server that ends each connection as soon as it is made, and so each fetch: its address, and how often that was.
async fn curt_web_server() -> (IpAddr, Arc<AtomicU64>) {
    let (address, count) = (free_address(), Arc::new(AtomicU64::new(0)));
    let listener = TcpListener::bind((address, PORT)).await.unwrap();
    let counts = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counts.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    (address.into(), count)
}

fn is_of(event: &Event, reader: &str) -> bool {
    event.body.reader.as_ref().is_some_and(|name| name.as_str() == reader)
}

/// Waits until the driver is quarantined on this reader, and checks that what it did was told by name.
async fn is_stopped(host: &Host, name: &str, ends: Ends) {
    let (kind, fact, value) = match ends {
        Ends::Bound(bound) => (EventKind::DriverBound, "bound", bound),
        Ends::Trap(export) => (EventKind::DriverTrapped, "export", export),
        Ends::Never => return sleep(LOOKED_AT).await,
    };
    host.api().event_after(0, EventKind::DriverQuarantined, |event| is_of(event, name)).await;
    let reader = host.api().reader_until(name, "quarantined", |reader| reader.phase == "quarantined").await;
    let why = reader.last_error.unwrap();
    assert!(why.contains("not started again") && why.contains(value), "{name}: {why}");
    let mut told = host.api().events_of(kind).await;
    told.retain(|event| is_of(event, name));
    assert_eq!(told.len(), FAILURES, "{name}");
    assert!(told.iter().all(|event| event.body.facts.get(fact).is_some_and(|it| it == value)), "{name}: {told:?}");
}

#[tokio::test]
async fn whatever_a_driver_does_on_its_reader_the_others_lose_nothing() {
    let mut host = Host::init().await;
    host.set("CARDINAL_DRIVERS__ENGINE__WORKER_THREADS", "2");
    host.set("CARDINAL_SESSIONS__FAILURES", &FAILURES.to_string());
    // Soon asked to save itself.
    host.set("CARDINAL_SESSIONS__SLEEP_AFTER_MS", "50");
    host.set("CARDINAL_READERS__LISTEN", "127.0.0.1:0");
    host.serve().await;
    host.cli_with(&["driver", "install", program::component("guest-hostile").to_str().unwrap()]).await.ok();
    let mut terminals = Vec::new();
    for _ in 0..OTHERS {
        terminals.push(listening().await);
    }
    let others =
        |(number, terminal): (usize, &GenericTerminal)| reader(&format!("r{number}"), terminal.address(), SIGNS);
    let site = folder_site() + &terminals.iter().enumerate().map(others).collect::<String>();
    host.apply(&site).await;
    for terminal in &terminals {
        terminal.is_connected().await;
    }
    let (web, fetches) = curt_web_server().await;
    let others = Others::begin(terminals);
    sleep(LOOKED_AT).await;

    println!("swipes at {OTHERS} readers while the driver of another one does this:");
    println!("{:<20} {:>8} {:>10} {:>10} {:>10}", "", "swipes", "median ms", "p99 ms", "RSS MiB");
    let before = memory(&host);
    let mut most = before;
    for (number, (what, settings, ends)) in WAYS.into_iter().enumerate() {
        let (name, terminal) = (format!("bad{number}"), listening().await);
        others.took();
        let begun = Instant::now();
        host.apply(&(site.clone() + &hurting(&name, settings, terminal.address(), web))).await;
        is_stopped(&host, &name, ends).await;
        let (median, tail, swipes) = others.took();
        let now = memory(&host);
        most = most.max(now);
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        println!("{what:<20} {swipes:>8} {:>10.1} {:>10.1} {:>10}", ms(median), ms(tail), now >> 20);
        if let Ends::Never = ends {
            let reader = host.api().reader(&name).await;
            assert_eq!((reader.phase.as_str(), reader.connects, reader.last_error), ("online", 1, None), "{what}");
        }
        host.cli(&format!("reader remove {name}")).await.ok();
        let most = 4 + begun.elapsed().as_millis() / 10;
        let fetched = fetches.swap(0, Ordering::Relaxed);
        assert!(u128::from(fetched) <= most, "{fetched} fetches in {:?}", begun.elapsed());
    }
    println!("RSS grew by {} MiB at most", (most - before) >> 20);
    assert!(most - before < MEMORY, "{} bytes more", most - before);

    let mut all = 0;
    others.enough.store(true, Ordering::Relaxed);
    // Kept until the end: one that goes is a connection that ends.
    let terminals = others.showing.join_all().await;
    for (terminal, shown) in &terminals {
        assert_eq!((terminal.record().connections(), terminal.heard("[nothing]")), (1, *shown));
        all += shown;
    }
    let mut counted = 0;
    for number in 0..OTHERS {
        let reader = host.api().reader(&format!("r{number}")).await;
        assert_eq!((reader.connects, reader.throttles, reader.last_error), (1, 0, None), "r{number}");
        counted += usize::try_from(reader.cards).unwrap();
    }
    assert_eq!(counted, all, "no card was lost or doubled");
    let ended = host.api().events_of(EventKind::ReaderDisconnected).await;
    assert!(ended.iter().all(|event| event.body.reader.as_ref().unwrap().as_str().starts_with("bad")), "{ended:?}");
    drop(terminals);
}

#[tokio::test]
async fn a_driver_that_loops_when_a_swap_saves_it_is_told_of_and_loses_its_own_session_alone() {
    let (host, bad, good) = tokio::join!(Host::start(), listening(), listening());
    install(&host, &write(&host, "first.wasm", &hostile("1.0.0")), &[]).await.ok();
    let bad_reader = of_driver("test/hostile", "any", "bad", bad.address(), "save = 'loop'");
    host.apply(&(folder_site() + &bad_reader + &reader("good", good.address(), SIGNS))).await;
    bad.is_connected().await;
    good.is_connected().await;
    install(&host, &write(&host, "second.wasm", &hostile("1.1.0")), &[]).await.ok();
    let failed = host.cli("driver swap test/hostile --to 1.1.0").await.refused();
    assert!(failed.contains("call_deadline_ms") && failed.contains("in save"), "{failed}");
    let told = host.api().event(EventKind::DriverBound).await;
    assert_eq!(told.body.facts.get("export").map(String::as_str), Some("save"));
    // Taken back: the version that fails is at least the one that was chosen.
    bad.was_connected(2).await;
    host.api().reader_until("bad", "back", |reader| reader.driver == "test/hostile@1.0.0").await;
    bad.send(b"echo x").await.unwrap();
    bad.hears("x", 1).await;
    good.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(good.record().connections(), 1);
}

#[tokio::test]
async fn a_driver_that_describes_itself_otherwise_than_at_its_installation_is_not_run() {
    let (mut host, terminal) = tokio::join!(Host::start(), listening());
    install(&host, &write(&host, "driver.wasm", &hostile("1.0.0")), &[]).await.ok();
    host.apply(&(folder_site() + &of_driver("test/hostile", "any", "r", terminal.address(), ""))).await;
    terminal.is_connected().await;
    host.terminate().await;
    // A file cannot change its mind: it is asked in a new instance, and has nothing to tell one time from another. So it is
    // what the host wrote down that is made another, as if the same file had said that.
    let store = host.folder().join("data/cardinal.db");
    let said = fs::read(&store).unwrap();
    fs::write(&store, replaced(&said, "Misbehaves on demand", "Misbehaves if asked.")).unwrap();
    host.serve().await;
    let refused = host.api().event_after(0, EventKind::DriverRefused, |_| true).await.body.message;
    assert!(refused.contains("test/hostile@1.0.0") && refused.contains("describes itself otherwise"), "{refused}");
    let reader = host.api().reader_until("r", "misconfigured", |reader| reader.phase == "misconfigured").await;
    assert!(reader.last_error.is_some_and(|why| why.contains("describes itself otherwise")));
    assert_eq!(terminal.record().connections(), 1);
}
