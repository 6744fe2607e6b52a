//! 100,000 readers on one host, of which most sleep: what each costs in memory, what waking one costs, and 1,000 cards a
//! second from those that have a connection.
//!
//! A process may have so many files open and no more, so most readers are such that have no connection: they call over HTTP.
//! The terminals are in a process of their own.

mod callers;

use std::{
    collections::HashSet,
    fmt::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use cardinal_domain::event::EventKind;
use cardinal_tests::{host::Host, program};
use serde::Deserialize;

use crate::{
    fleet::Fleet,
    limits::{apply, open_many, within},
    memory::{Memory, mappings, open_files},
    stored,
    swap::{people, place},
    table::{Table, percentile},
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
/// Terminals, and callers over HTTP, at which a first card wakes the driver and a second finds it awake.
const PAIRS: usize = 1_000;
const HTTP_PAIRS: usize = 100;
/// Readers of each kind that are asked whether they sleep, spread over all.
const ASKED: usize = 50;
/// How long the site may take to be applied, and until all readers are at work.
const LONGEST: Duration = Duration::from_secs(1_200);
/// How long it may take until all sleep: they do ten seconds after the last thing happened.
const SLEEPING: Duration = Duration::from_secs(180);
/// How often the host is asked.
const LOOK: Duration = Duration::from_millis(500);
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

    let process = host.process_id().to_string();
    let (empty, mut smaller) = (Memory::of(&process), None);
    println!(
        "the host with {most} people and no reader: {:.1} MiB of its own, {:.1} MiB RSS",
        empty.own / MIB,
        empty.resident / MIB
    );
    let mut at_work = AtWork { after: stored::newest(&host).await?, readers: HashSet::new() };
    for readers in STEPS {
        let step = Step { readers, sockets: most * readers / ALL };
        println!();
        let memory = step.run(&host, &rest, &mut fleet, &mut at_work).await?;
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

/// Readers that were at work once, as the host's events tell.
struct AtWork {
    /// The place of the last event that was looked at.
    after: i64,
    readers: HashSet<String>,
}

impl AtWork {
    /// Waits until so many are.
    async fn until(&mut self, host: &Host, readers: usize) -> Result<()> {
        let begun = Instant::now();
        loop {
            let known = &mut self.readers;
            self.after = stored::each(host, EventKind::ReaderConnected, self.after, |event| {
                known.extend(event.body.reader.map(|reader| reader.to_string()));
            })
            .await?;
            if known.len() >= readers {
                return Ok(());
            }
            if begun.elapsed() >= LONGEST {
                bail!("waited {LONGEST:?} in vain for {readers} readers to be at work: {} are", known.len());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// So many readers on the host.
struct Step {
    readers: usize,
    /// Of these, with a connection.
    sockets: usize,
}

/// A reader as the host tells of it.
#[derive(Deserialize)]
struct Told {
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    phase: String,
    asleep: bool,
}

impl Step {
    /// Applies the site, and waits until all its readers sleep: the host's memory then.
    async fn run(&self, host: &Host, rest: &str, fleet: &mut Fleet, at_work: &mut AtWork) -> Result<Memory> {
        let (readers, sockets) = (self.readers, self.sockets);
        let mut site = rest.to_owned();
        site.push_str(&fleet.readers(sockets, "lobby"));
        let _ = write!(site, "{}", callers::site(readers - sockets, "lobby"));
        let begun = Instant::now();
        let applied = apply(host, &site, LONGEST).await?;
        fleet.connected(sockets, LONGEST).await?;
        let connected = begun.elapsed();
        at_work.until(host, readers).await?;
        println!(
            "{readers} readers ({sockets} with a connection) in a site of {:.1} MiB: applied in {applied:.1?}, terminals \
             connected after {connected:.1?}, all at work after {:.1?}",
            site.len() as f64 / MIB,
            begun.elapsed()
        );
        self.asleep(host).await?;
        Ok(Memory::of(&host.process_id().to_string()))
    }

    /// Waits until those sleep that are asked; a list of all would leave its memory in the host.
    async fn asleep(&self, host: &Host) -> Result<()> {
        let begun = Instant::now();
        let asked = |kind, count: usize| (0..ASKED).map(move |at| format!("{kind}{}", at * count / ASKED));
        for name in asked("r", self.sockets).chain(asked("h", self.readers - self.sockets)) {
            while !within(LOOK * 60, "an answer about a reader", host.api().reader(&name)).await?.asleep {
                if begun.elapsed() >= SLEEPING {
                    bail!("waited {SLEEPING:?} in vain for reader {name} to sleep");
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// How all of them are.
    async fn told(&self, host: &Host) -> Result<()> {
        let begun = Instant::now();
        let all: Vec<Told> = within(LONGEST, "the list of all readers", host.api().get("reader")).await?;
        let took = begun.elapsed();
        let count =
            |wish: fn(&Status) -> bool| all.iter().filter(|told| told.status.as_ref().is_some_and(wish)).count();
        println!(
            "{} of {} readers sleep, {} are online; their list took {took:.1?}",
            count(|status| status.asleep),
            all.len(),
            count(|status| status.phase == "online")
        );
        Ok(())
    }

    /// The same card at a reader that sleeps, and at once again: the driver of the second is awake.
    async fn waking(&self, host: &Host, fleet: &mut Fleet) -> Result<()> {
        let mut table = Table::new("awake", "asleep");
        let pairs = fleet.pairs(PAIRS.min(self.sockets), self.sockets).await?;
        let over_http = callers::pairs(host, HTTP_PAIRS, self.readers - self.sockets).await.context("over HTTPS")?;
        for (pairs, names) in [
            (&pairs, ["card to verdict, median", "card to verdict, 99th percentile"]),
            (&over_http, ["new HTTPS call to answer, median", "new HTTPS call to answer, 99th percentile"]),
        ] {
            let (asleep, awake): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
            for (what, part) in names.into_iter().zip([0.5, 0.99]) {
                table.add(what, "µs", percentile(&awake, part), percentile(&asleep, part).unwrap_or_default());
            }
        }
        table.print();
        Ok(())
    }
}
