//! `cardinal event`.

use anyhow::{Context as _, Result};
use cardinal_domain::{
    event::{Event, EventKind},
    names::{ReaderName, TraceId, UserName},
};
use clap::{Args, Subcommand};

use super::{
    client::Client,
    output::{self, say},
};
use crate::http::EventQuery;

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal event list
  cardinal event list --kind card.unknown --limit 20
  cardinal event list --trace 0199c0de-…      everything about one swipe
  cardinal event tail --reader floor-2-east
  cardinal event kinds";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// The newest events, oldest of them first
    List {
        #[command(flatten)]
        filter: Filter,
        /// Only those behind this number
        #[arg(long)]
        after: Option<i64>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Events as they happen, until Ctrl-C
    Tail {
        #[command(flatten)]
        filter: Filter,
        /// Begin behind this number instead of now
        #[arg(long)]
        after: Option<i64>,
    },
    /// What kinds of events there are
    Kinds,
}

#[derive(Debug, Args)]
pub(super) struct Filter {
    #[arg(long)]
    reader: Option<ReaderName>,
    #[arg(long)]
    user: Option<UserName>,
    /// One swipe or one job
    #[arg(long)]
    trace: Option<TraceId>,
    #[arg(long)]
    kind: Option<EventKind>,
}

impl Filter {
    fn query(self, after: Option<i64>, limit: Option<u32>) -> EventQuery {
        let kind = self.kind.map(|kind| kind.name().to_owned());
        EventQuery { after, reader: self.reader, user: self.user, trace: self.trace, kind, limit }
    }
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::List { filter, after, limit } => {
                let events: Vec<Event> = client.query("event", &filter.query(after, Some(limit))).await?;
                if client.json {
                    return output::json(&events);
                }
                events.iter().for_each(show);
                Ok(())
            }
            Self::Tail { filter, after } => tail(client, &filter.query(after, None)).await,
            Self::Kinds => kinds(client.json),
        }
    }
}

/// The table of kinds; needs no host.
pub(super) fn kinds(as_json: bool) -> Result<()> {
    if as_json {
        let kind =
            |kind: &EventKind| serde_json::json!({ "kind": kind, "level": kind.level(), "meaning": kind.help() });
        return output::json(&EventKind::ALL.iter().map(kind).collect::<Vec<_>>());
    }
    let row = |kind: &EventKind| [kind.name().to_owned(), kind.level().to_string(), kind.help().to_owned()];
    let rows: Vec<_> = EventKind::ALL.iter().map(row).collect();
    output::table(["KIND", "LEVEL", "MEANING"], &rows, "");
    Ok(())
}

async fn tail(client: &Client, query: &EventQuery) -> Result<()> {
    stream(client, query, |_| true, show).await
}

/// Shows events that are wished for as they happen, with the backtraces of failures, for as long as the host is there.
pub(super) async fn follow(client: &Client, wish: impl Fn(&Event) -> bool) -> Result<()> {
    let whole = |event: &Event| {
        show(event);
        let backtrace = event.body.facts.get("backtrace").map(String::as_str).unwrap_or_default();
        backtrace.lines().for_each(|line| say!("{}", output::plain(line)));
    };
    stream(client, &EventQuery::default(), wish, whole).await
}

async fn stream(
    client: &Client,
    query: &EventQuery,
    wish: impl Fn(&Event) -> bool,
    show: impl Fn(&Event),
) -> Result<()> {
    let mut response = client.follow("event/stream", query).await?;
    let mut pending = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the host went away")? {
        pending.extend_from_slice(&chunk);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let event =
                serde_json::from_slice(&line).context("the host sent an event that this version does not know")?;
            if !wish(&event) {
                continue;
            }
            if client.json {
                output::text(&String::from_utf8_lossy(&line));
            } else {
                show(&event);
            }
        }
    }
    Ok(())
}

fn show(event: &Event) {
    let body = &event.body;
    let at = body.at.to_string();
    say!("{:>6} {at} {:7} {:20} {}", event.seq, body.level, body.kind, output::plain(&body.message));
}
