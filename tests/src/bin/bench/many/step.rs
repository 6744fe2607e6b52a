//! So many readers on the host: applied, there again behind a start, asleep, and woken.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use cardinal_domain::event::EventKind;
use cardinal_tests::host::Host;
use serde::Deserialize;

use super::{LONGEST, MIB, again, callers};
use crate::{
    fleet::Fleet,
    limits::{apply, within},
    memory::Memory,
    stored,
    table::{Table, percentile},
};

/// Terminals, and callers over HTTP, at which a first card wakes the driver and a second finds it awake.
const PAIRS: usize = 1_000;
const HTTP_PAIRS: usize = 100;
/// Readers of each kind that are asked whether they sleep, spread over all.
const ASKED: usize = 200;
/// Whatever was opened last sleeps ten seconds later.
const SETTLED: Duration = Duration::from_secs(12);
/// How long it may take until all sleep: they do ten seconds after the last thing happened.
const SLEEPING: Duration = Duration::from_secs(180);
/// How often the host is asked.
const LOOK: Duration = Duration::from_millis(500);

/// Readers that were at work once, as the host's events tell.
pub(super) struct AtWork {
    /// The place of the last event that was looked at.
    after: i64,
    readers: HashSet<String>,
}

impl AtWork {
    /// None yet.
    pub(super) async fn from_now(host: &Host) -> Result<Self> {
        Ok(Self { after: stored::newest(host).await?, readers: HashSet::new() })
    }

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
pub(super) struct Step {
    pub(super) readers: usize,
    /// Of these, with a connection.
    pub(super) sockets: usize,
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
    /// Applies the site, and waits until all its readers sleep.
    pub(super) async fn apply(&self, host: &Host, rest: &str, fleet: &mut Fleet, at_work: &mut AtWork) -> Result<()> {
        let (readers, sockets) = (self.readers, self.sockets);
        let site = [rest, &fleet.readers(sockets, "lobby"), &callers::site(readers - sockets, "lobby")].concat();
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
        let memory = Memory::of(&host.process_id().to_string());
        println!(
            "asleep, with what is left of applying: {:.1} MiB of its own, {:.1} MiB RSS",
            memory.own / MIB,
            memory.resident / MIB
        );
        Ok(())
    }

    /// Starts the host again, which then has nothing in memory but its readers, and waits until they sleep: its memory then.
    pub(super) async fn restart(&self, host: &mut Host, fleet: &mut Fleet, at_work: &mut AtWork) -> Result<Memory> {
        *at_work = AtWork::from_now(host).await?;
        let begun = Instant::now();
        again(host).await;
        let ready = begun.elapsed();
        at_work.until(host, self.readers).await?;
        fleet.connected(self.sockets, LONGEST).await?;
        println!("killed and started again: ready after {ready:.1?}, all at work after {:.1?}", begun.elapsed());
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
        tokio::time::sleep(SETTLED).await;
        Ok(())
    }

    /// How all of them are.
    pub(super) async fn told(&self, host: &Host) -> Result<()> {
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
    pub(super) async fn waking(&self, host: &Host, fleet: &mut Fleet) -> Result<()> {
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
