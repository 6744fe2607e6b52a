//! The flight recorder: what happens at a reader is captured on purpose, fetched, and run again on a desk.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use cardinal_domain::{
    driver::Health,
    event::{Event, EventKind, Level},
    trace::Trace,
};
use cardinal_simulators::{
    generic::{GenericTerminal, Tls},
    rfideas_241::{RfIdeas241, Settings},
};
use cardinal_tests::{
    cli::{self, Answer},
    disk::Disks,
    host::Host,
    http_reader::free_address,
    program,
    site::{SIGNS, folder_site, of_driver, reader},
    terminal::{Terminal as _, listening},
    wait::{self, LIMIT},
};
use serde_json::Value;

/// `cardinal driver …` with paths, without a host.
async fn driver(verb: &str, what: &Path, component: &Path, more: &[&str]) -> Answer {
    let (what, component) = (what.to_str().unwrap(), component.to_str().unwrap());
    cli::cardinal(&[&["driver", verb, what, "--driver", component], more].concat()).await
}

fn rights(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Opens a capture and gives its id.
async fn record(host: &Host, reader: &str) -> String {
    let opened: Value = host.cli(&format!("reader record {reader} --for 5m --json")).await.json();
    opened.get("id").and_then(Value::as_str).unwrap().to_owned()
}

/// Ends it, and gives the event once all is written.
async fn stop(host: &Host, reader: &str) -> Event {
    let now = host.api().now().await;
    host.cli(&format!("reader record {reader} --stop")).await.ok();
    host.api().event_after(now, EventKind::CaptureEnded, |_| true).await
}

/// Sends a card's line in three pieces, and waits for the answer.
async fn shows_in_pieces(terminal: &GenericTerminal, line: &str, answer: &str) {
    let before = terminal.heard(answer);
    terminal.send_in_pieces(line.as_bytes(), line.len().div_ceil(3), Duration::from_millis(3)).await.unwrap();
    terminal.hears(answer, before + 1).await;
}

#[tokio::test]
async fn a_capture_of_a_session_under_way_is_answered_the_same_on_a_desk() {
    let (host, terminal) = tokio::join!(Host::start(), listening());
    let settings = format!("card_pattern = '^(\\w+)$'\n{SIGNS}");
    host.apply(&(folder_site() + &reader("r", terminal.address(), &settings))).await;
    terminal.is_connected().await;
    // Half a card before the capture: it is in what the driver saved.
    terminal.shows_and_hears("4711", "[nothing]").await;
    terminal.send(b"EMP").await.unwrap();
    host.api().reader_until("r", "heard of", |reader| reader.last_seen.is_some()).await;
    wait::until("the half card", async || {
        let told = host.cli("reader trace r").await.ok();
        told.lines().last().is_some_and(|line| line.ends_with("received 3 bytes")).then_some(())
    })
    .await;
    let id = record(&host, "r").await;
    assert!(host.cli("reader record r").await.refused().contains("--stop"), "one at a time");
    terminal.send(b"123\r\n").await.unwrap();
    terminal.hears("[nothing]", 2).await;
    shows_in_pieces(&terminal, "5235092385\r\n", "[unknown]").await;
    shows_in_pieces(&terminal, "not a card\r\n4711\r\n", "[nothing]").await;
    let ended = stop(&host, "r").await;
    assert_eq!((ended.body.level, ended.body.message.contains("owner ended it")), (Level::Info, true));

    let started = host.api().event(EventKind::CaptureStarted).await;
    assert_eq!(started.body.trace, ended.body.trace);
    assert_eq!(started.body.facts.get("by").map(String::as_str), Some("owner"));
    let kept = host.folder().join("data/captures");
    assert_eq!((rights(&kept), rights(&kept.join(format!("{id}.1.trace")))), (0o700, 0o600));
    let trace = host.folder().join("fetched.trace");
    host.cli_with(&["capture", "fetch", &id, "--out", trace.to_str().unwrap()]).await.ok();
    assert_eq!(rights(&trace), 0o600);
    let text = fs::read_to_string(&trace).unwrap();
    assert!(text.starts_with("# WARNING: this holds card numbers"), "{text}");
    for line in ["saved ", "  > anything", "number=\"EMP123\"", "number=\"5235092385\"", "> log warn"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }

    let component = program::component("cardinal-generic");
    let same = driver("replay", &trace, &component, &[]).await.ok();
    assert!(same.contains("same outputs"), "{same}");
    // A driver that says it in other words: the first difference is named.
    let (ours, theirs) = (b"dropped a line that `card", b"skipped a line that `card");
    let mut changed = fs::read(&component).unwrap();
    let at = changed.windows(ours.len()).position(|window| window == ours).unwrap();
    changed[at..at + ours.len()].copy_from_slice(theirs);
    let other = host.folder().join("other.wasm");
    fs::write(&other, changed).unwrap();
    let differs = driver("replay", &trace, &other, &[]).await;
    assert_eq!(differs.code, Some(1), "{differs:?}");
    assert!(differs.stdout.contains("dropped a line") && differs.stdout.contains("skipped a line"), "{differs:?}");
    assert!(differs.stdout.lines().skip(1).all(|line| line.chars().count() <= 110), "{}", differs.stdout);
    assert!(differs.stderr.contains("answers something else"), "{differs:?}");
    let told = driver("replay", &trace, &other, &["--json"]).await;
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let line = usize::try_from(told["difference"]["line"].as_u64().unwrap()).unwrap();
    assert!(text.lines().nth(line - 1).unwrap().contains("> log warn"), "{told}");

    // From a capture to a regression test, and to a deliberate change of it.
    let traces = host.folder().join("traces");
    fs::create_dir(&traces).unwrap();
    fs::rename(&trace, traces.join("lost-card.trace")).unwrap();
    driver("test", &traces, &component, &[]).await.ok();
    let failed = driver("test", &traces, &other, &[]).await;
    assert!(failed.stdout.contains("failed   ") && failed.stderr.contains("--bless"), "{failed:?}");
    driver("test", &traces, &other, &["--bless"]).await.ok();
    assert!(fs::read_to_string(traces.join("lost-card.trace")).unwrap().contains("skipped a line"));
    driver("test", &traces, &component, &[]).await.refused();

    let removed = host.cli(&format!("capture remove {id}")).await.ok();
    assert!(removed.contains(&id) && fs::read_dir(&kept).unwrap().count() == 0);
    host.api().event(EventKind::CaptureRemoved).await;
}

#[tokio::test]
async fn each_connection_is_a_file_and_the_end_of_the_host_is_told() {
    let (mut host, terminal) = tokio::join!(Host::start(), listening());
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    let id = record(&host, "r").await;
    assert!(host.cli(&format!("capture remove {id}")).await.refused().contains("is open"));
    terminal.shows_and_hears("4711", "[nothing]").await;
    terminal.drop_connection();
    terminal.was_connected(2).await;
    terminal.shows_and_hears("4711", "[nothing]").await;
    host.terminate().await;
    host.serve().await;
    let ended = host.api().event(EventKind::CaptureEnded).await;
    assert!(ended.body.message.contains("the host was stopped"), "{}", ended.body.message);

    let out = host.folder().join("out");
    fs::create_dir(&out).unwrap();
    let one = out.join("one.trace");
    let refused = host.cli_with(&["capture", "fetch", &id, "--out", one.to_str().unwrap()]).await.refused();
    assert!(refused.contains("2 sessions") && refused.contains("--session"), "{refused}");
    host.cli_with(&["capture", "fetch", &id, "--out", out.to_str().unwrap()]).await.ok();
    let second = fs::read_to_string(out.join(format!("{id}.2.trace"))).unwrap();
    assert!(second.contains("@0 connected ") && second.contains("disconnected shutdown"), "{second}");
    driver("test", &out, &program::component("cardinal-generic"), &[]).await.ok();
    // A host that is killed tells of it when it is back, and what was written is whole.
    terminal.was_connected(3).await;
    let killed = record(&host, "r").await;
    terminal.shows_and_hears("4711", "[nothing]").await;
    let written = host.folder().join(format!("data/captures/{killed}.1.trace"));
    let has_verdict = async || fs::read_to_string(&written).ok().filter(|text| text.contains("verdict")).map(drop);
    wait::until("the swipe in the file", has_verdict).await;
    host.kill().await;
    host.serve().await;
    let without_a_word = |event: &Event| event.body.message.contains("without a word");
    host.api().event_after(ended.seq, EventKind::CaptureEnded, without_a_word).await;
    driver("replay", &written, &program::component("cardinal-generic"), &[]).await.ok();

    let listed: Value = host.cli("capture list --json").await.json();
    assert_eq!((listed[0]["sessions"].as_u64(), listed[0]["by"].as_str()), (Some(2), Some("owner")));
}

#[tokio::test]
async fn the_ring_tells_what_happened_without_a_card_number() {
    let (host, terminal) = tokio::join!(Host::start(), listening());
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    terminal.shows_and_hears("4711", "[nothing]").await;
    terminal.shows_and_hears("5235092385", "[unknown]").await;
    terminal.drop_connection();
    terminal.was_connected(2).await;
    let shown = host.cli("reader trace r").await.ok();
    for line in
        ["connected", "> card 2: 10 characters", "verdict 1 nothing-held", "verdict 2 unknown-card", "> send 9 bytes"]
    {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    assert_eq!(shown.matches("disconnected").count(), 1, "it outlives a connection: {shown}");
    for text in [&shown, &host.cli("reader trace r --json").await.ok()] {
        assert!(!text.contains("4711") && !text.contains("5235"), "{text}");
    }
    assert!(host.cli("reader trace nobody").await.refused().contains("there is no reader"));
}

#[tokio::test]
async fn a_disk_that_is_full_ends_the_capture_and_no_swipe() {
    let mut host = Host::init().await;
    let Some(disks) = Disks::new(host.folder()).await else { return };
    let captures = host.folder().join("data/captures");
    fs::create_dir_all(&captures).unwrap();
    disks.mount(&captures, 64);
    host.run_by(&disks.command(&program::ours("cardinal", "cardinal-server")));
    let terminal = listening().await;
    host.serve().await;
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    let id = record(&host, "r").await;
    terminal.shows_and_hears("4711", "[nothing]").await;
    disks.fill(&captures);
    // What the last page of the file has room for is still written.
    wait::until("the end of the capture", async || {
        terminal.shows_and_hears("4711", "[nothing]").await;
        host.api().events_of(EventKind::CaptureEnded).await.pop()
    })
    .await;
    let ended = host.api().event(EventKind::CaptureEnded).await;
    assert_eq!(ended.body.level, Level::Error, "{ended:?}");
    assert!(ended.body.message.contains("cannot be written"), "{ended:?}");
    terminal.shows_and_hears("4711", "[nothing]").await;
    assert!(host.cli("reader record r").await.refused().contains("is the disk full?"));

    // What was written before is whole.
    let trace = host.folder().join("a.trace");
    host.cli_with(&["capture", "fetch", &id, "--out", trace.to_str().unwrap()]).await.ok();
    driver("replay", &trace, &program::component("cardinal-generic"), &[]).await.ok();
    disks.make_room(&captures);
    let again = record(&host, "r").await;
    terminal.shows_and_hears("4711", "[nothing]").await;
    stop(&host, "r").await;
    assert_ne!(again, id);
}

#[tokio::test]
async fn secrets_stand_in_no_capture_and_a_replay_does_without() {
    let mut host = Host::init().await;
    host.set("CARDINAL_READERS__LISTEN", "127.0.0.1:0");
    host.serve().await;
    let component = program::component("cardinal-rfideas-241");
    host.cli_with(&["driver", "install", component.to_str().unwrap()]).await.ok();
    let certificate = fs::read(host.certificate()).unwrap();
    let login = Some(("admin".to_owned(), "p%s wort".to_owned()));
    let settings = Settings { tls: Some(Tls::trusting(&certificate).unwrap()), login, ..Settings::default() };
    let address = SocketAddr::new(free_address().into(), 80);
    let device = match RfIdeas241::listen(address, settings).await {
        Ok(device) => device,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return eprintln!("SKIPPED: {error}; it takes root, or net.ipv4.ip_unprivileged_port_start=80");
        }
        Err(error) => panic!("{error}"),
    };
    let settings = "check_seconds = 5\nretry_seconds = 1\nuser = 'admin'\npassword = 'p%s wort'";
    let spec = of_driver("cardinal/rfideas-241", "rfideas-241-client", "r", address, settings);
    host.apply(&(folder_site() + &spec.replace(":80\"", "\""))).await;
    device.configured(LIMIT).await.unwrap();
    host.api().reader_until("r", "online", |reader| reader.health == Some(Health::Online)).await;
    let secret = async || {
        let callback: Value = host.cli("reader callback r --json").await.json();
        callback["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    let before = secret().await;

    // The reader is configured anew in the middle: both addresses, before and after, are seen.
    let id = record(&host, "r").await;
    assert_eq!(device.tap("99").await.unwrap().status, 403);
    let told = device.configuration();
    host.cli("reader rotate r --overlap 1h").await.ok();
    wait::until("the new address", async || (device.configuration() != told).then_some(())).await;
    device.configured(LIMIT).await.unwrap();
    assert_eq!(device.tap("4711").await.unwrap().status, 200);
    let now = secret().await;
    assert_ne!(before, now);
    let ring = host.cli("reader trace r").await.ok();
    stop(&host, "r").await;

    let out = host.folder().join("out");
    fs::create_dir(&out).unwrap();
    host.cli_with(&["capture", "fetch", &id, "--out", out.to_str().unwrap()]).await.ok();
    let texts: Vec<String> =
        fs::read_dir(&out).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(texts.len(), 2);
    let all = texts.concat();
    assert!(all.contains("> fetch") && all.contains("Basic ") && all.contains("4711"), "{all}");
    // The same in Base64, as HTTP's Basic authentication has it.
    for secret in [&*before, &*now, "p%s wort", "YWRtaW46cCVzIHdvcnQ", "p%25s"] {
        assert!(!all.contains(secret) && !ring.contains(secret), "{secret} stands in {all}\n{ring}");
    }
    assert!(texts.iter().any(|text| Trace::parse(text).unwrap().saved.is_some()), "one was under way");
    driver("test", &out, &component, &[]).await.ok();
}

#[tokio::test]
async fn a_driver_without_an_end_ends_in_a_replay_at_a_bound_with_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("loop.trace");
    fs::write(&trace, "mode any\ntransport dial\n@0 connected\n@1 received \"loop\"\n").unwrap();
    let component = program::component("guest-hostile");
    let first = driver("replay", &trace, &component, &[]).await;
    assert_eq!(first.code, Some(1));
    // In columns words are folded; in JSON they are not.
    let told = driver("replay", &trace, &component, &["--json"]).await.stdout;
    assert!(told.contains("crossed the bound replay_fuel (250000000) in handle"), "{told}");
    assert_eq!(told, driver("replay", &trace, &component, &["--json"]).await.stdout, "the same each time");
    let unfit = driver("replay", &trace, &program::component("cardinal-generic"), &[]).await.refused();
    assert!(unfit.contains("there is no mode \"any\""), "{unfit}");
    let none = driver("test", &folder.path().join("none"), &component, &[]).await.refused();
    assert!(none.contains("none"), "{none}");
}

#[tokio::test]
async fn a_capture_ends_by_its_time_and_at_its_bounds() {
    let (mut host, terminal) = (Host::init().await, listening().await);
    host.set("CARDINAL_RECORDER__CAPTURE_SESSIONS", "1");
    host.set("CARDINAL_RECORDER__CAPTURE_LONGEST_S", "3600");
    host.serve().await;
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    host.cli("reader record r --for 1s").await.ok();
    let first = host.api().event(EventKind::CaptureEnded).await;
    assert!(first.body.message.ends_with("its time was over"), "{}", first.body.message);

    record(&host, "r").await;
    terminal.shows_and_hears("4711", "[nothing]").await;
    terminal.drop_connection();
    let second = host.api().event_after(first.seq, EventKind::CaptureEnded, |_| true).await;
    assert!(second.body.message.contains("capture_sessions"), "{}", second.body.message);
    terminal.was_connected(2).await;
    terminal.shows_and_hears("4711", "[nothing]").await;

    let longer = host.cli("reader record r --for 2h").await.refused();
    assert!(longer.contains("capture_longest_s"), "{longer}");
    assert!(host.cli("reader record r --stop").await.refused().contains("not being captured"));
}
