//! 100,000 readers on one host, of which most sleep: what each costs in memory, what waking one costs, and 1,000 cards a
//! second from those that have a connection.
//!
//! A process may have so many files open and no more, so most readers are such that have no connection: they call over HTTP.
//! The terminals are in a process of their own.

mod callers;
mod step;

use std::time::Duration;

use anyhow::{Result, ensure};
use cardinal_tests::{host::Host, program};

use self::step::{AtWork, Step};
use crate::{
    fleet::Fleet,
    limits::{apply, open_many},
    memory::{Memory, mappings, open_files},
    swap::{people, place},
    table::percentile,
};

/// Readers in all, at each step.
const STEPS: [usize; 3] = [1_000, 10_000, ALL];
const ALL: usize = 100_000;
/// Of all readers, those with a connection, where a process may have that many.
const SOCKETS: usize = 19_000;
/// Files that the host has open besides: the store, listeners, the spool, callers over HTTP.
const SPARE: usize = 1_000;
/// Cards a second in the end, over all terminals, and for how long.
const RATE: u32 = 1_000;
const LOADED: Duration = Duration::from_secs(60);
/// How long the site may take to be applied, and until all readers are at work.
const LONGEST: Duration = Duration::from_secs(1_200);
const MIB: f64 = 1024.0 * 1024.0;

pub(crate) async fn run() -> Result<()> {
    let files = open_many();
    let most = SOCKETS.min(files.saturating_sub(SPARE));
    ensure!(
        most >= 1_000,
        "a process may have {files} files open, too few for any number of readers; raise `ulimit -n`"
    );
    println!(
        "a process may have {files} files open: {most} of {ALL} readers have a connection, the others call over HTTPS"
    );
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "warn");
    host.set("CARDINAL_DRIVERS__UNSIGNED", "allow");
    host.set("CARDINAL_READERS__LISTEN", "127.0.0.1:0");
    host.serve().await;
    let springcore = program::component("cardinal-springcore");
    host.cli_with(&["driver", "install", &springcore.to_string_lossy()]).await.ok();
    let mut fleet = Fleet::start(most).await?;
    let mut rest = place();
    rest.push_str(&people(most));
    apply(&host, &rest, LONGEST).await?;
    again(&mut host).await;

    let (empty, mut smaller) = (Memory::of(&host.process_id().to_string()), None);
    println!(
        "the host with {most} people and no reader: {:.1} MiB of its own, {:.1} MiB RSS",
        empty.own / MIB,
        empty.resident / MIB
    );
    let mut at_work = AtWork::from_now(&host).await?;
    for readers in STEPS {
        let step = Step { readers, sockets: most * readers / ALL };
        println!();
        step.apply(&host, &rest, &mut fleet, &mut at_work).await?;
        let memory = step.restart(&mut host, &mut fleet, &mut at_work).await?;
        let process = host.process_id().to_string();
        let (from, fewer) = smaller.as_ref().map_or((&empty, 0), |(memory, readers)| (memory, *readers));
        let each = |now: f64, before: f64| (now - before) / (readers - fewer) as f64 / 1024.0;
        println!(
            "asleep: {:.1} MiB of its own, {:.1} MiB RSS; each further reader {:.2} KiB of its own, {:.2} KiB RSS",
            memory.own / MIB,
            memory.resident / MIB,
            each(memory.own, from.own),
            each(memory.resident, from.resident)
        );
        println!("the host has {} memory mappings and {} files open", mappings(&process), open_files(&process));
        step.told(&host).await?;
        step.waking(&host, &mut fleet).await?;
        smaller = Some((memory, readers));
    }
    println!();
    let process = host.process_id().to_string();
    fleet.load(RATE, most).await?;
    tokio::time::sleep(LOADED).await;
    let live = mappings(&process);
    let load = fleet.end().await?;
    println!("cards at all {most} terminals in turn: {}", load.kept(RATE));
    println!(
        "{} verdicts, {} lost, {} doubled, {} of another kind; {} connections closed; {live} memory mappings meanwhile",
        load.verdicts.len(),
        load.lost(),
        load.doubled,
        load.strange,
        load.closed
    );
    let micros: Vec<_> = load.verdicts.iter().map(|verdict| verdict.micros).collect();
    for (what, part) in [("median", 0.5), ("99th percentile", 0.99), ("slowest", 1.0)] {
        println!("{what:28} {:>10.0}  µs", percentile(&micros, part).unwrap_or_default());
    }
    Ok(())
}

/// Kills the host and starts it: ending in an orderly way tells each of its readers first.
async fn again(host: &mut Host) {
    host.kill().await;
    host.serve_within(LONGEST).await;
}
