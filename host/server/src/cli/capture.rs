//! `cardinal capture`, and the commands of `cardinal reader` that record.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;

use super::{
    client::Client,
    duration::seconds,
    output::{self, say},
};
use crate::{
    files::write_private,
    http::CaptureBody,
    recorder::{Capture, Shown},
};

pub(super) const EXAMPLES: &str = "\
A capture holds card numbers in clear: keep its file as you keep those, and remove it when it has served.

Examples:
  cardinal reader record floor-2-east --for 10m --note 'every third card is lost'
  cardinal capture list
  cardinal capture fetch floor-2-east-20261122-224501000 --out lost-card.trace
  cardinal driver replay lost-card.trace --driver acme-tcp.wasm
  cardinal capture remove floor-2-east-20261122-224501000";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// All captures, the oldest first
    List,
    /// Write a capture to a file, which only you can read: it holds card numbers
    Fetch {
        id: String,
        /// The file; a folder takes every session of the capture, a file each
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Which session, from 1; there is another for each connection
        #[arg(long, value_name = "NUMBER")]
        session: Option<u64>,
    },
    /// Remove a capture with all its files
    Remove { id: String },
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::List => list(client).await,
            Self::Fetch { id, out, session } => fetch(client, &id, &out, session).await,
            Self::Remove { id } => {
                client.ask::<()>(Method::DELETE, &format!("capture/{id}"), None::<&()>, None::<&()>).await?;
                output::done(client.json, &format!("capture {id} was removed"))
            }
        }
    }
}

async fn list(client: &Client) -> Result<()> {
    let captures: Vec<Capture> = client.get("capture").await?;
    if client.json {
        return output::json(&captures);
    }
    let rows: Vec<_> = captures
        .iter()
        .map(|capture| {
            let state = capture.why.clone().unwrap_or_else(|| format!("open until {}", capture.until));
            let (sessions, bytes) = (capture.sessions.to_string(), capture.bytes.to_string());
            [capture.id.clone(), capture.by.clone(), sessions, bytes, state, capture.note.clone().unwrap_or_default()]
        })
        .collect();
    let none = "no capture; `cardinal reader record NAME --for 10m` opens one";
    output::table(["CAPTURE", "BY", "SESSIONS", "BYTES", "STATE", "NOTE"], &rows, none);
    Ok(())
}

async fn fetch(client: &Client, id: &str, out: &Path, session: Option<u64>) -> Result<()> {
    let captures: Vec<Capture> = client.get("capture").await?;
    let Some(capture) = captures.into_iter().find(|capture| capture.id == id) else {
        bail!("there is no capture {id:?}; see `cardinal capture list`");
    };
    let sessions = match (session, capture.sessions, out.is_dir()) {
        (Some(session), ..) => vec![session],
        (None, 0, _) => bail!("capture {id} has nothing yet: nothing has happened at {}", capture.reader),
        (None, count, true) => (1..=count).collect(),
        (None, 1, false) => vec![1],
        (None, count, false) => {
            bail!("capture {id} has {count} sessions: say which with --session, or give a folder with --out")
        }
    };
    let mut written = Vec::new();
    for session in sessions {
        let answer = client.follow(&format!("capture/{id}/{session}"), &()).await?;
        let trace = answer.bytes().await.context("the capture did not arrive whole")?;
        let file = if out.is_dir() { out.join(format!("{id}.{session}.trace")) } else { out.to_owned() };
        write_private(&file, &trace).with_context(|| format!("cannot write {}", file.display()))?;
        written.push(file);
    }
    if client.json {
        return output::json(&written);
    }
    for file in written {
        say!("{}: card numbers stand in it in clear", file.display());
    }
    Ok(())
}

/// Capture what a reader says, card numbers in clear, for a time
#[derive(Debug, Args)]
#[command(after_help = "\
What the reader's driver is told and what it answers is written to a file in the host's data folder, which its user alone can
read. CARD NUMBERS STAND IN IT IN CLEAR. That it was made, by whom and until when, is an event. Settings of the kind `secret`
and the address that the reader calls have stand-ins. `cardinal capture fetch` brings the file, `cardinal driver replay`
runs it again.

Examples:
  cardinal reader record floor-2-east --for 10m --note 'every third card is lost'
  cardinal reader record floor-2-east --stop")]
pub(super) struct Record {
    name: String,
    /// How long: a number and s, m, h or d
    #[arg(long = "for", value_name = "TIME", default_value = "10m", value_parser = seconds)]
    time: u64,
    /// What it is for; stands in the file and in the event
    #[arg(long, value_name = "TEXT", conflicts_with = "stop")]
    note: Option<String>,
    /// End the capture that is open
    #[arg(long, conflicts_with = "time")]
    stop: bool,
}

impl Record {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let path = format!("reader/{}/capture", self.name);
        if self.stop {
            client.ask::<()>(Method::DELETE, &path, None::<&()>, None::<&()>).await?;
            return output::done(client.json, &format!("{} is no longer captured", self.name));
        }
        let body = CaptureBody { seconds: self.time, note: self.note };
        let capture: Capture = client.ask(Method::POST, &path, None::<&()>, Some(&body)).await?;
        if client.json {
            return output::json(&capture);
        }
        say!("capture {} is open until {}", capture.id, capture.until);
        say!("it holds card numbers in clear; fetch it with `cardinal capture fetch {} --out FILE`", capture.id);
        Ok(())
    }
}

/// `cardinal reader trace`: the ring.
pub(super) async fn trace(client: &Client, name: &str) -> Result<()> {
    let lines: Vec<Shown> = client.get(&format!("reader/{name}/trace")).await?;
    if client.json {
        return output::json(&lines);
    }
    if lines.is_empty() {
        say!("nothing has happened at {name} since the host was started, or ring_entries in [recorder] is 0");
    }
    for line in lines {
        let what = output::plain(&line.what);
        match (line.at, line.clock) {
            (Some(at), Some(clock)) => say!("{at}  @{clock} {what}"),
            _ => say!("{:24}    {what}", ""),
        }
    }
    Ok(())
}
