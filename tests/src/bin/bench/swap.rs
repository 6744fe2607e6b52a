//! The driver of 10,000 live readers swapped for another version and back, while they show 1,000 cards a second.
//!
//! Each card is accounted for twice: by the verdicts that the terminals heard, and by the events that the host stored.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use cardinal_domain::{event::EventKind, time::Timestamp};
use cardinal_tests::{host::Host, program, versions::altered};
use serde::Deserialize;

use crate::{
    fleet::{Fleet, Load, card},
    limits::{apply, open_many, within},
    memory::{mappings, open_files},
    stored,
    table::percentile,
};

/// Readers that are connected, each with a live instance.
const READERS: usize = 10_000;
/// Cards a second, over all of them.
const RATE: u32 = 1_000;
/// Instances that the host may have: more than readers, or it would let some sleep early.
const LIVE: &str = "12000";
/// Every reader shows a card, so that it is live, before anything counts.
const WARM_UP: Duration = Duration::from_secs(15);
/// How long it is measured before the swap, between the two, and behind the way back.
const CALM: Duration = Duration::from_secs(20);
const BETWEEN: Duration = Duration::from_secs(5);
/// How long a swap may take, the site may be applied, and all may take to connect.
const LONGEST: Duration = Duration::from_secs(300);
/// How often it is asked how a swap is.
const LOOK: Duration = Duration::from_millis(200);
/// The files that are open besides the terminals' connections.
const SPARE: usize = 500;

/// The version of the Generic driver that comes with the host, and one that is as long and later.
const OURS: &str = env!("CARGO_PKG_VERSION");
const NEXT: &str = "9.9.9";
const DRIVER: &str = "cardinal/generic";

/// How a swap was, as the host tells it.
#[derive(Deserialize)]
struct Swapped {
    to: String,
    stage: String,
    why: Option<String>,
    began: Timestamp,
    ended: Option<Timestamp>,
    moved: usize,
    next_time: usize,
    staying: usize,
}

pub(crate) async fn run() -> Result<()> {
    let files = open_many();
    ensure!(
        files >= READERS + SPARE,
        "{READERS} readers need {} open files; a process may have {files}",
        READERS + SPARE
    );
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "warn");
    host.set("CARDINAL_DRIVERS__UNSIGNED", "allow");
    host.set("CARDINAL_DRIVERS__ENGINE__LIVE_SESSIONS", LIVE);
    // All stay live, as readers in use are.
    host.set("CARDINAL_SESSIONS__SLEEP_AFTER_MS", "3600000");
    host.serve().await;
    let mut fleet = Fleet::start(READERS).await?;
    let mut site = place();
    site.push_str(&people(READERS));
    site.push_str(&fleet.readers(READERS, "lobby"));
    let applied = apply(&host, &site, LONGEST).await?;
    fleet.connected(READERS, LONGEST).await?;
    println!("{READERS} readers, applied in {applied:.1?}; a card's verdict: nothing is held");
    let file = host.folder().join("next.wasm");
    fs::write(&file, altered(&fs::read(program::component("cardinal-generic"))?, &[(OURS, NEXT)]))?;
    host.cli_with(&["driver", "install", &file.to_string_lossy()]).await.ok();

    let before = stored::newest(&host).await?;
    fleet.load(RATE, READERS).await?;
    tokio::time::sleep(WARM_UP).await;
    let warm = Timestamp::now();
    tokio::time::sleep(CALM).await;
    let process = host.process_id().to_string();
    println!("the host has {} memory mappings and {} files open", mappings(&process), open_files(&process));
    let there = swap(&host, NEXT).await?;
    tokio::time::sleep(BETWEEN).await;
    let back = swap(&host, OURS).await?;
    tokio::time::sleep(CALM).await;
    let load = fleet.end().await?;
    println!("{}", load.kept(RATE));
    accounts(&host, before, &load).await?;
    latencies(&load, warm, &[there, back]);
    Ok(())
}

/// A printer, a queue and the device `lobby` for a site file.
pub(crate) fn place() -> String {
    "[[printer]]\nname = \"east\"\nuri = \"folder:./delivered\"\n[[queue]]\nname = \"find-me\"\n\
     [[device]]\nname = \"lobby\"\nprinter = \"east\"\n"
        .to_owned()
}

/// The people whose cards the first so many terminals show.
pub(crate) fn people(count: usize) -> String {
    let mut site = String::new();
    for terminal in 0..count {
        let _ = write!(site, "[[user]]\nname = \"u{terminal}\"\ncard = \"{}\"\n", card(terminal));
    }
    site
}

/// Swaps to a version, and tells how that was.
async fn swap(host: &Host, to: &str) -> Result<Swapped> {
    let begun = Instant::now();
    host.cli_with(&["driver", "swap", DRIVER, "--to", to, "--no-wait"]).await.ok();
    let over = async {
        loop {
            let view: Swapped = host.api().get(&format!("driver/{DRIVER}/swap")).await;
            if matches!(view.stage.as_str(), "done" | "rolled-back") {
                return view;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let view = within(LONGEST, &format!("the swap to {to} to be over"), over).await?;
    ensure!(view.stage == "done" && view.to == to, "the swap to {to} was taken back: {}", view.why.unwrap_or_default());
    let took = view.ended.map_or(0, |ended| ended.0 - view.began.0);
    println!(
        "swapped to {to} in {took} ms as the host tells it ({:.1?} from the command): {} sessions went on in it, {} had none, {} \
         stay until their next connection",
        begun.elapsed(),
        view.moved,
        view.next_time,
        view.staying
    );
    Ok(view)
}

/// Every card, in what the terminals heard and in what the host stored.
async fn accounts(host: &Host, after: i64, load: &Load) -> Result<()> {
    let cards = load.cards();
    println!(
        "{cards} cards shown: {} verdicts, {} lost, {} doubled, {} of another kind; {} connections closed",
        load.verdicts.len(),
        load.lost(),
        load.doubled,
        load.strange,
        load.closed
    );
    let mut by_reader: HashMap<String, usize> = HashMap::new();
    stored::each(host, EventKind::CardRead, after, |event| {
        let reader = event.body.reader.map(|reader| reader.to_string()).unwrap_or_default();
        *by_reader.entry(reader).or_default() += 1;
    })
    .await?;
    let (mut lost, mut doubled) = (0, 0);
    for (terminal, shown) in load.shown.iter().enumerate() {
        let (shown, stored) = (*shown as usize, by_reader.get(&format!("r{terminal}")).copied().unwrap_or_default());
        lost += shown.saturating_sub(stored);
        doubled += stored.saturating_sub(shown);
    }
    let stored: usize = by_reader.values().sum();
    println!("the same as events `card.read`, reader by reader: {stored} stored, {lost} lost, {doubled} doubled");
    Ok(())
}

/// How long verdicts took before the swap, while one was under way, and at other times since.
fn latencies(load: &Load, warm: Timestamp, swaps: &[Swapped]) {
    let (mut before, mut during, mut after) = (Vec::new(), Vec::new(), Vec::new());
    let began = swaps.first().map_or(i64::MAX, |first| first.began.0);
    for verdict in load.verdicts.iter().filter(|verdict| verdict.at_ms >= warm.0) {
        let in_one = |swap: &Swapped| {
            let ended = swap.ended.map_or(i64::MAX, |ended| ended.0);
            verdict.at_ms <= ended && verdict.came_ms() >= swap.began.0
        };
        let list = if swaps.iter().any(in_one) {
            &mut during
        } else if verdict.at_ms < began {
            &mut before
        } else {
            &mut after
        };
        list.push(verdict.micros);
    }
    println!("{:28} {:>10} {:>10} {:>10}", "from card to verdict", "before", "during", "after");
    println!("{:28} {:>10} {:>10} {:>10}", "cards", before.len(), during.len(), after.len());
    let at = |part| [&before, &during, &after].map(|micros| percentile(micros, part));
    let shown = |micros: Option<f64>| micros.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.0}"));
    for (what, part) in [("median", 0.5), ("99th percentile", 0.99), ("slowest", 1.0)] {
        let [before, during, after] = at(part).map(shown);
        println!("{what:28} {before:>10} {during:>10} {after:>10}  µs");
    }
    if let [Some(before), Some(during), _] = at(1.0) {
        println!("{:28} {:>10} {:>10}", "worst added", "", format!("{:.0}", (during - before).max(0.0)));
    }
}
