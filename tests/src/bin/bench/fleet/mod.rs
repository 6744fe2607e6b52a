//! Terminals in a process of their own: a process may have so many files open and no more, and the terminals of a large site
//! are as many as the host's connections.
//!
//! The process is this program again, with `--field COUNT`. It is told what to do on its standard input and answers on its
//! standard output, a line of JSON each; it ends with its input.

mod load;
mod served;

use std::{env, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{field, limits::within};

pub(crate) use load::Load;
pub(crate) use served::serve;

/// How long the process may take for what takes it no time.
const USUAL: Duration = Duration::from_secs(30);
/// How long cards that were shown may wait for their verdicts when no more are shown.
const DRAIN: Duration = Duration::from_secs(60);

/// What the process is told.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    /// Wait until so many terminals are connected.
    Connected { count: usize, limit_s: u64 },
    /// Show cards, so many a second, at the first so many terminals in turn, until the end is told.
    Load { rate: u32, terminals: usize },
    /// No more cards; answer what came of them.
    End,
    /// Two cards in a row at so many of the first `of` terminals, one terminal after the other.
    Pairs { count: usize, of: usize },
}

/// What it answers.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    /// The terminals wait at this port to be dialled.
    Listening {
        port: u16,
    },
    Connected,
    Loaded(Load),
    /// Microseconds to the verdict of each first and each second card.
    Paired(Vec<(f64, f64)>),
    Failed(String),
}

/// The number of the card that is shown at a terminal.
pub(crate) fn card(terminal: usize) -> u64 {
    5_235_000_000 + terminal as u64
}

/// The process with its terminals; ends with this value.
pub(crate) struct Fleet {
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    port: u16,
    _process: Child,
}

impl Fleet {
    /// So many terminals, which wait to be dialled.
    pub(crate) async fn start(count: usize) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("--field").arg(count.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().context("the process of the terminals cannot be started")?;
        let to = process.stdin.take().context("its standard input")?;
        let from = BufReader::new(process.stdout.take().context("its standard output")?).lines();
        let mut fleet = Self { to, from, port: 0, _process: process };
        match fleet.answer(USUAL, "the terminals to listen").await? {
            Answer::Listening { port } => fleet.port = port,
            _ => bail!("the process of the terminals answered something else than where they listen"),
        }
        Ok(fleet)
    }

    /// Readers for a site file: the first so many terminals, all at this device.
    pub(crate) fn readers(&self, count: usize, device: &str) -> String {
        field::readers(count, self.port, device)
    }

    /// Waits until so many are connected.
    pub(crate) async fn connected(&mut self, count: usize, limit: Duration) -> Result<()> {
        self.tell(&Order::Connected { count, limit_s: limit.as_secs() }).await?;
        match self.answer(limit + USUAL, &format!("{count} terminals to be connected")).await? {
            Answer::Connected => Ok(()),
            _ => bail!("the process of the terminals answered something else than that they are connected"),
        }
    }

    /// From now on cards are shown, so many a second, at the first so many terminals in turn.
    pub(crate) async fn load(&mut self, rate: u32, terminals: usize) -> Result<()> {
        self.tell(&Order::Load { rate, terminals }).await
    }

    /// No more cards are shown: what came of those that were.
    pub(crate) async fn end(&mut self) -> Result<Load> {
        self.tell(&Order::End).await?;
        match self.answer(DRAIN + USUAL, "the last verdicts, and what the terminals saw").await? {
            Answer::Loaded(load) => Ok(load),
            _ => bail!("the process of the terminals answered something else than what it saw"),
        }
    }

    /// Two cards in a row at so many of the first `of` terminals, spread over them: microseconds to the verdict of each first
    /// and each second one.
    pub(crate) async fn pairs(&mut self, count: usize, of: usize) -> Result<Vec<(f64, f64)>> {
        self.tell(&Order::Pairs { count, of }).await?;
        // A second for each, a hundred times what it takes, and one verdict may fail to come.
        let limit = Duration::from_secs(count as u64) + DRAIN + USUAL;
        match self.answer(limit, &format!("two verdicts at each of {count} terminals")).await? {
            Answer::Paired(pairs) => Ok(pairs),
            _ => bail!("the process of the terminals answered something else than pairs of verdicts"),
        }
    }

    async fn tell(&mut self, order: &Order) -> Result<()> {
        let line = serde_json::to_string(order)? + "\n";
        let told = within(USUAL, "the process of the terminals to listen to us", self.to.write_all(line.as_bytes()));
        told.await?.context("the process of the terminals is gone")
    }

    async fn answer(&mut self, limit: Duration, what: &str) -> Result<Answer> {
        let line = within(limit, what, self.from.next_line()).await?.context("the process of the terminals is gone")?;
        let line = line.with_context(|| format!("the process of the terminals ended before it told of {what}"))?;
        match serde_json::from_str(&line).context("the process of the terminals answered no such JSON")? {
            Answer::Failed(why) => bail!("the terminals: {why}"),
            answer => Ok(answer),
        }
    }
}
