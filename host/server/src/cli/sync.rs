//! `cardinal sync`: who there is comes from the directory; its plan is shown before anything changes.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    time::Duration,
};

use anyhow::{Result, bail};
use cardinal_domain::sync::{Conflict, Shown, Total};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::Method;

use super::{
    client::Client,
    output::{self, plain, say},
};
use crate::{
    http::{ChangeQuery, SyncQuery},
    sync::{ApproveBody, Kind, Outcome, SyncBody, SyncView},
};

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
/// How many changes and conflicts are shown without --all.
const FEW: usize = 40;
/// How many changes are fetched in one go.
const PAGE: usize = 5_000;

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

/// Say what a sync would change, and why; nothing does
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cardinal sync test
  cardinal sync test --all | less             every change and conflict
  cardinal sync test --json > plan.json")]
pub(super) struct Test {
    /// Also what would be removed
    #[arg(long)]
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
            Self::Test(Test { remove, all }) => {
                let view = begin(client, SyncBody { kind: Kind::Test, remove, yes: false }).await?;
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
    print_prompt(&format!("Carry this out? Type yes, or the digest {short} where a threshold holds it: "))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    let is_held = !view.told.held.is_empty();
    match answer.trim() {
        "yes" | "y" if !is_held => approve(client, number, &view.digest).await,
        digest if digest == short => approve(client, number, &view.digest).await,
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

async fn list(client: &Client, limit: u32) -> Result<()> {
    let query = SyncQuery { before: None, limit: Some(limit) };
    let runs: Vec<SyncView> = client.ask(Method::GET, "sync", Some(&query), None::<&()>).await?;
    if client.json {
        return output::json(&runs);
    }
    let rows: Vec<_> = runs.iter().map(row).collect();
    let headings = ["SYNC", "BEGAN", "TOOK", "WHAT", "OUTCOME", "ADDED", "UPDATED", "RENAMED", "REMOVED", "WHY"];
    output::table(headings, &rows, "no sync yet; see `cardinal sync test`");
    Ok(())
}

fn row(run: &SyncView) -> [String; 10] {
    let counts = &run.told.counts;
    let took = run.ended.map(|ended| ended.0.saturating_sub(run.began.0)).unwrap_or_default();
    let undone = run.undone_by.map(|by| format!("taken back by {by}"));
    [
        run.number.map(|number| number.to_string()).unwrap_or_default(),
        run.began.to_string(),
        format!("{}.{} s", took / 1_000, took % 1_000 / 100),
        run.kind.to_string(),
        run.outcome.to_string(),
        counts.added.to_string(),
        counts.updated.to_string(),
        counts.renamed.to_string(),
        counts.removed.to_string(),
        undone.unwrap_or_else(|| run.why.clone()),
    ]
}

/// A run, with what it changes. One that failed is an error, so that scripts see it.
async fn shown(client: &Client, view: &SyncView, all: bool) -> Result<()> {
    let changes = match view.number {
        Some(number) => changes(client, number, if all { usize::MAX } else { FEW }).await?,
        None => Vec::new(),
    };
    if client.json {
        output::json(&serde_json::json!({ "sync": view, "changes": changes }))?;
    } else {
        say_read(view);
        for change in &changes {
            say!("{}", change.to_string().lines().map(plain).collect::<Vec<_>>().join("\n"));
        }
        say_conflicts(&view.told.conflicts, all);
        say_counts(view, changes.len());
    }
    if view.outcome == Outcome::Failed {
        bail!("nothing was changed: {}", view.why);
    }
    Ok(())
}

async fn changes(client: &Client, number: i64, most: usize) -> Result<Vec<Shown>> {
    let mut changes: Vec<Shown> = Vec::new();
    loop {
        let limit = PAGE.min(most.saturating_sub(changes.len()));
        let query = ChangeQuery { from: changes.len(), limit: Some(limit) };
        let path = format!("sync/{number}/change");
        let page: Vec<Shown> = client.ask(Method::GET, &path, Some(&query), None::<&()>).await?;
        let is_last = page.len() < limit || limit == 0;
        changes.extend(page);
        if is_last || changes.len() >= most {
            return Ok(changes);
        }
    }
}

fn say_read(view: &SyncView) {
    let rows: Vec<_> = view
        .told
        .sources
        .iter()
        .map(|read| {
            [
                read.source.to_string(),
                read.server.clone(),
                if read.whole { "everything" } else { "what changed" }.to_owned(),
                read.users.to_string(),
                read.groups.to_string(),
                read.entries.to_string(),
                read.pages.to_string(),
                format!("{}.{} s", read.took_ms / 1_000, read.took_ms % 1_000 / 100),
            ]
        })
        .collect();
    if !rows.is_empty() {
        output::table(["SOURCE", "SERVER", "READ", "USERS", "GROUPS", "ENTRIES", "PAGES", "TOOK"], &rows, "");
        say!("");
    }
    let totals: Vec<_> = view
        .told
        .totals
        .iter()
        .map(|Total { of, users, groups }| [of.clone(), users.to_string(), groups.to_string()])
        .collect();
    if !totals.is_empty() {
        output::table(["IN ALL", "USERS", "GROUPS"], &totals, "");
        say!("");
    }
}

fn say_conflicts(conflicts: &[Conflict], all: bool) {
    let most = if all { usize::MAX } else { FEW };
    for Conflict { about, message } in conflicts.iter().take(most) {
        say!("! {}: {}", plain(about), plain(message));
    }
    if conflicts.len() > most {
        say!("! and {} more; --all shows them", conflicts.len() - most);
    }
}

fn say_counts(view: &SyncView, shown: usize) {
    let counts = &view.told.counts;
    let changes =
        counts.added + counts.updated + counts.renamed + counts.removed + counts.groups_added + counts.groups_removed;
    if shown >= FEW && changes > u64::try_from(shown).unwrap_or(u64::MAX) {
        say!("… and more; --all shows them");
    }
    say!("");
    say!(
        "users: {} added, {} updated ({} with other cards), {} renamed, {} removed; groups: {} added, {} removed; memberships: \
         {} begin, {} end; {} conflicts",
        counts.added,
        counts.updated,
        counts.cards,
        counts.renamed,
        counts.removed,
        counts.groups_added,
        counts.groups_removed,
        counts.joined,
        counts.left,
        counts.conflicts
    );
    for held in &view.told.held {
        say!("held: {held}");
    }
    let number = view.number.map(|number| format!("sync {number}: ")).unwrap_or_default();
    let digest = view.digest.get(..8).filter(|_| view.outcome == Outcome::Waits);
    let digest = digest.map(|digest| format!(" (digest {digest})")).unwrap_or_default();
    let why = if view.why.is_empty() { String::new() } else { format!(", {}", plain(&view.why)) };
    say!("{number}{}{why}{digest}", view.outcome);
}
