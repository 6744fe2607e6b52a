//! How a sync is told of: what was read, what changes, what is in doubt, and what became of it.

use anyhow::{Result, bail};
use cardinal_domain::sync::{Conflict, Shown, Total};
use reqwest::Method;

use crate::{
    cli::{
        client::Client,
        output::{self, plain, say},
    },
    http::{ArchivedView, ChangeQuery, SyncQuery},
    sync::{Kind, Outcome, SourceRead, SyncView},
};

/// How many changes and conflicts are shown without --all.
const FEW: usize = 40;
/// How many changes are fetched in one go; the host gives no more.
const PAGE: usize = 5_000;

pub(super) async fn list(client: &Client, limit: u32) -> Result<()> {
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

pub(super) async fn archived(client: &Client, limit: u32) -> Result<()> {
    let query = SyncQuery { before: None, limit: Some(limit) };
    let users: Vec<ArchivedView> = client.ask(Method::GET, "sync/archived", Some(&query), None::<&()>).await?;
    if client.json {
        return output::json(&users);
    }
    let row = |user: &ArchivedView| {
        [user.name.to_string(), user.full_name.clone(), user.removed.to_string(), user.sync.to_string()]
    };
    let rows: Vec<_> = users.iter().map(row).collect();
    output::table(["USER", "FULL NAME", "REMOVED", "BY SYNC"], &rows, "no sync has removed anybody");
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

/// A run, with what it changes. One that came to nothing is an error, so that scripts see it.
pub(super) async fn shown(client: &Client, view: &SyncView, all: bool) -> Result<()> {
    let most = if all { usize::MAX } else { FEW };
    let mut changes = match view.number {
        // One more tells whether there are more.
        Some(number) => changes(client, number, most.saturating_add(1)).await?,
        None => Vec::new(),
    };
    let has_more = changes.len() > most;
    changes.truncate(most);
    if client.json {
        output::json(&serde_json::json!({ "sync": view, "changes": changes }))?;
    } else {
        say_read(view);
        for change in &changes {
            say!("{}", change.to_string().lines().map(plain).collect::<Vec<_>>().join("\n"));
        }
        if has_more {
            say!("… and more; --all shows them");
        }
        say_conflicts(view, all);
        say_counts(view);
    }
    match view.outcome {
        Outcome::Failed | Outcome::CalledOff | Outcome::Stale => bail!("nothing was changed: {}", plain(&view.why)),
        _ => Ok(()),
    }
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
                how_far(view.outcome, read).to_owned(),
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
    let row = |of: &str, users: u64, groups: u64| [of.to_owned(), users.to_string(), groups.to_string()];
    let totals = &view.told.totals;
    let mut rows: Vec<_> = totals.iter().map(|Total { of, users, groups }| row(of, *users, *groups)).collect();
    if rows.len() > 1 {
        let sum = |what: fn(&Total) -> u64| totals.iter().map(what).sum();
        rows.push(row("together", sum(|total| total.users), sum(|total| total.groups)));
    }
    if !rows.is_empty() {
        output::table(["THERE ARE", "USERS", "GROUPS"], &rows, "");
        say!("");
    }
}

/// What was read of a source.
fn how_far(outcome: Outcome, read: &SourceRead) -> &'static str {
    // What was not read to its end has neither a time nor users.
    let has_nothing = read.took_ms == 0 && read.users == 0;
    let came_to_nothing = matches!(outcome, Outcome::Reading | Outcome::Failed | Outcome::CalledOff);
    if read.whole {
        "everything"
    } else if came_to_nothing && has_nothing {
        "not finished"
    } else {
        "what changed"
    }
}

fn say_conflicts(view: &SyncView, all: bool) {
    let told = &view.told.conflicts;
    let most = if all { usize::MAX } else { FEW };
    for Conflict { about, message } in told.iter().take(most) {
        say!("! {}: {}", plain(about), plain(message));
    }
    let there_are = usize::try_from(view.told.counts.conflicts).unwrap_or(usize::MAX).max(told.len());
    let rest = there_are - told.len().min(most);
    if rest == 0 {
        return;
    }
    let known = told.len();
    match (all, there_are > known) {
        (false, false) => say!("! and {rest} more conflicts; --all shows them"),
        (false, true) => say!("! and {rest} more conflicts; --all shows the first {known} of all {there_are}"),
        (true, _) => say!("! and {rest} more conflicts: the first {known} alone are kept; mend these, and sync again"),
    }
}

fn say_counts(view: &SyncView) {
    let counts = &view.told.counts;
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
    let is_test = view.kind == Kind::Test && view.outcome == Outcome::Planned;
    if is_test && counts.removed + counts.groups_removed > 0 {
        say!("removed only by `cardinal sync now --remove`");
    }
    for held in &view.told.held {
        say!("held: {held}");
    }
    let number = view.number.map(|number| format!("sync {number}: ")).unwrap_or_default();
    let digest = view.digest.get(..8).filter(|_| view.outcome == Outcome::Waits);
    let digest = digest.map(|digest| format!(" (digest {digest})")).unwrap_or_default();
    let why = if view.why.is_empty() { String::new() } else { format!(", {}", plain(&view.why)) };
    say!("{number}{}{why}{digest}", view.outcome);
}
