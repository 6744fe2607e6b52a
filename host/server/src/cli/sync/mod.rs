//! `cardinal sync`: who there is comes from the directory; its plan is shown before anything changes.

mod shown;

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::Method;

use self::shown::{archived, list, shown};
use super::{
    client::Client,
    output::{self, plain, say},
};
use crate::sync::{ApproveBody, Kind, Outcome, SyncBody, SyncView};

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal sync test                 what a sync would change, and why; nothing changes
  cardinal sync now                  the same, then asks, then changes it
  cardinal sync now --remove         also removes users that are in no source any more
  cardinal sync now --yes            without asking, unless it crosses a threshold
  cardinal sync changes --yes        what changed since the last one alone, where the directory can tell (Active Directory)
  cardinal sync list                 the history
  cardinal sync show 12 --all        a run with all it did
  cardinal sync approve 12 3f9ac2d1  a plan that waits, by number and digest
  cardinal sync undo                 takes the last one back exactly";

/// How often it is asked how far a sync is.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    Test(Test),
    Now(Now),
    /// Sync what changed in the sources since the last time; never removes anybody
    #[command(after_help = CHANGES)]
    Changes(Asks),
    /// Take back the last sync that changed anything
    #[command(after_help = UNDO)]
    Undo(Asks),
    Approve(Approve),
    /// The history, the latest first
    #[command(after_help = "\
Examples:
  cardinal sync list
  cardinal sync list --limit 100 --json       all that are kept")]
    List {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    Show(Show),
    /// Who was removed by syncs, the latest first, as long as the history has the run
    #[command(after_help = "\
Examples:
  cardinal sync archived
  cardinal sync archived --limit 10000 --json")]
    Archived {
        /// How many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// End the sync that is reading; nothing has changed
    #[command(after_help = "\
Example:
  cardinal sync call-off                      one that waits for a directory which does not answer")]
    CallOff,
}

const CHANGES: &str = "\
An Active Directory is asked for what changed alone; everything else is read whole.

Examples:
  cardinal sync changes                       shows what changed, and asks
  cardinal sync changes --yes                 as often as you like, such as from cron";
const UNDO: &str = "\
The next sync, also the nightly one, does again what the sources still say: mend them first, or switch
user-source.nightly off.

Examples:
  cardinal sync undo                          shows what it takes back, and asks
  cardinal sync undo --yes --json";

/// Say what a sync would change, and why, and what it would remove; nothing changes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cardinal sync test
  cardinal sync test --all | less             every change and conflict
  cardinal sync test --json > plan.json")]
pub(super) struct Test {
    /// What scripts say that are older than this: what would be removed is always shown
    #[arg(long, hide = true)]
    remove: bool,
    /// Show every change and conflict
    #[arg(long)]
    all: bool,
}

/// Read the directories, show what changes, ask, and change it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cardinal sync now                           shows it, and asks
  cardinal sync now --remove                  also removes users that are in no source any more
  cardinal sync now --yes                     without asking; what crosses a threshold waits all the same")]
pub(super) struct Now {
    /// Also remove users and groups that are in no source any more (users made here never)
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    asks: Asks,
}

#[derive(Debug, Args)]
pub(super) struct Asks {
    /// Do not ask; a plan that crosses a threshold waits all the same
    #[arg(long)]
    yes: bool,
    /// Show every change and conflict
    #[arg(long)]
    all: bool,
}

/// Carry out a plan that waits
#[derive(Debug, Args)]
#[command(after_help = "\
The digest says that what is approved is what was seen.

Examples:
  cardinal sync show 12 --all                 the plan, and its digest
  cardinal sync approve 12 3f9ac2d1")]
pub(super) struct Approve {
    /// The plan's number, as `cardinal sync list` shows it
    number: i64,
    /// Its digest, as it is shown with the plan, or the first eight digits of it
    digest: String,
}

/// A run: the current one, or one of the history
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cardinal sync show                          the one under way, or the last one since the host started
  cardinal sync show 12
  cardinal sync show 12 --all                 with all it did")]
pub(super) struct Show {
    /// Its number, as `cardinal sync list` shows it; without one the current run, or the last one
    number: Option<i64>,
    /// Show every change and conflict
    #[arg(long)]
    all: bool,
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::Test(Test { remove: _, all }) => {
                let view = begin(client, SyncBody { kind: Kind::Test, remove: true, yes: false }).await?;
                shown(client, &view, all).await
            }
            Self::Now(Now { remove, asks }) => ask(client, Kind::Now, remove, &asks).await,
            Self::Changes(asks) => ask(client, Kind::Changes, false, &asks).await,
            Self::Undo(asks) => ask(client, Kind::Undo, false, &asks).await,
            Self::Approve(Approve { number, digest }) => approve(client, number, &digest).await,
            Self::List { limit } => list(client, limit).await,
            Self::Show(Show { number: None, all }) => shown(client, &client.get("sync/current").await?, all).await,
            Self::Show(Show { number: Some(number), all }) => {
                shown(client, &client.get(&format!("sync/{number}")).await?, all).await
            }
            Self::Archived { limit } => archived(client, limit).await,
            Self::CallOff => {
                client.ask::<()>(Method::DELETE, "sync/current", None::<&()>, None::<&()>).await?;
                output::done(client.json, "it ends; nothing has changed")
            }
        }
    }
}

/// Begins a sync and waits for its end, with a bar where somebody looks.
async fn begin(client: &Client, body: SyncBody) -> Result<SyncView> {
    let begun: SyncView = client.ask(Method::POST, "sync", None::<&()>, Some(&body)).await?;
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::default_spinner());
    let view = loop {
        let view: SyncView = client.get("sync/current").await?;
        if view.began != begun.began {
            bail!("another sync has begun meanwhile; see `cardinal sync list`");
        }
        if view.ended.is_some() {
            break view;
        }
        let sum = |of: fn(&crate::sync::SourceRead) -> u64| view.told.sources.iter().map(of).sum::<u64>();
        let entries = sum(|source| source.entries);
        if view.told.sources.iter().all(|source| source.of.is_some()) && !view.told.sources.is_empty() {
            if bar.length().is_none() {
                let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos} of {human_len}, {eta} left");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            }
            bar.set_length(sum(|source| source.of.unwrap_or_default()));
        }
        bar.set_position(entries);
        let servers: Vec<_> = view.told.sources.iter().map(|source| plain(&source.server)).collect();
        bar.set_message(format!("{entries} entries from {}", servers.join(" and ")));
        bar.tick();
        tokio::time::sleep(LOOK).await;
    };
    bar.finish_and_clear();
    Ok(view)
}

async fn ask(client: &Client, kind: Kind, remove: bool, asks: &Asks) -> Result<()> {
    let view = begin(client, SyncBody { kind, remove, yes: asks.yes }).await?;
    shown(client, &view, asks.all).await?;
    let (Outcome::Waits, Some(number)) = (view.outcome, view.number) else { return Ok(()) };
    let short = view.digest.get(..8).unwrap_or_default();
    let how = format!("cardinal sync approve {number} {short}");
    if asks.yes || client.json || !std::io::stdin().is_terminal() {
        if asks.yes {
            bail!("nothing was changed: it {}; look at it, then `{how}`", view.why);
        }
        if !client.json {
            say!("nothing has changed; to carry it out: {how}");
        }
        return Ok(());
    }
    let is_held = !view.told.held.is_empty();
    print_prompt(&if is_held {
        let held: Vec<_> = view.told.held.iter().map(ToString::to_string).collect();
        format!(
            "This is more than passes by itself: {}.\nTo carry it out all the same, type its digest, {short}: ",
            held.join("; ")
        )
    } else {
        "Carry this out? Type yes: ".to_owned()
    })?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "yes" | "y" if !is_held => approve(client, number, &view.digest).await,
        digest if digest == short || digest == view.digest => approve(client, number, &view.digest).await,
        _ => {
            say!("nothing was changed; to carry it out later: {how}");
            Ok(())
        }
    }
}

fn print_prompt(text: &str) -> Result<()> {
    let mut out = std::io::stderr();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

async fn approve(client: &Client, number: i64, digest: &str) -> Result<()> {
    let body = ApproveBody { digest: digest.to_owned() };
    let view: SyncView = client.ask(Method::POST, &format!("sync/{number}/approve"), None::<&()>, Some(&body)).await?;
    if client.json {
        return output::json(&view);
    }
    say!("sync {number} is carried out; `cardinal sync undo` takes it back");
    Ok(())
}
