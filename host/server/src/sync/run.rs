//! One sync from its beginning to its end.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, Result, anyhow};
use cardinal_directory::plan::digest;
use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
    sync::{Change, Plan},
    time::Timestamp,
};
use cardinal_store::SyncRun;

use super::{
    Current, Kind, Outcome, SyncBody, SyncError, SyncView, Told,
    planning::{Planned, planned},
};
use crate::{host::Host, sessions::Services};

/// How many runs are kept.
const KEPT: i64 = 100;
/// So much of a digest is enough to name a plan.
const DIGEST_BEGINS: usize = 8;

/// Runs a sync to its end, and tells of it. Whatever happens, it has an end: one that had none would be in the way of all
/// others.
pub(super) async fn run(host: Arc<Host>, current: Arc<Current>, body: SyncBody) {
    let work = tokio::spawn(work(Arc::clone(&host), Arc::clone(&current), body));
    let failed = match work.await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(_) => Some("it failed in the host, and nothing was changed; please report this, with the log".to_owned()),
    };
    if let Some(why) = failed {
        tracing::error!(why, "a sync failed");
        current.change(|view| (view.outcome, view.why) = (Outcome::Failed, why));
    }
    current.change(|view| view.ended = Some(Timestamp::now()));
}

async fn work(host: Arc<Host>, current: Arc<Current>, body: SyncBody) -> Result<()> {
    let trace = TraceId::new();
    let services = &host.services;
    services.tell(EventBody::new(trace, EventKind::SyncStarted, format!("a sync began ({})", body.kind))).await;
    let planned = current.call_off.run_until_cancelled(planned(services, &current, &body, trace)).await;
    current.change(|view| view.outcome = Outcome::Working);
    let (outcome, why, planned) = match planned {
        None => (Outcome::CalledOff, "it was called off".to_owned(), None),
        Some(Err(error)) => (Outcome::Failed, format!("{error:#}"), None),
        Some(Ok(planned)) => {
            let (outcome, why) = outcome(&body, &planned);
            (outcome, why, Some(planned))
        }
    };
    finish(&host, &current, &body, trace, (outcome, why), planned).await
}

/// What becomes of a plan by itself.
fn outcome(body: &SyncBody, planned: &Planned) -> (Outcome, String) {
    let plan = &planned.plan;
    let held: Vec<_> = plan.held.iter().map(ToString::to_string).collect();
    match body.kind {
        _ if plan.changes.is_empty() && body.kind != Kind::Undo => (Outcome::Nothing, String::new()),
        Kind::Test => (Outcome::Planned, String::new()),
        _ if !held.is_empty() => (Outcome::Waits, format!("waits for approval: {}", held.join("; "))),
        Kind::Nightly if planned.is_first => {
            (Outcome::Waits, "waits for approval: it would be the first import, which nobody has looked at".to_owned())
        }
        _ if !body.yes => (Outcome::Waits, "waits for approval".to_owned()),
        _ => (Outcome::Applied, String::new()),
    }
}

/// Keeps the run, carries it out where that is its outcome, and tells of it.
async fn finish(
    host: &Host,
    current: &Current,
    body: &SyncBody,
    trace: TraceId,
    (outcome, why): (Outcome, String),
    planned: Option<Planned>,
) -> Result<()> {
    let services = &host.services;
    let view = current.view();
    let mut told = view.told;
    // What has seen everything knows more than plans before it.
    let supersedes = planned.as_ref().is_some_and(|planned| planned.is_whole);
    let mut run = SyncRun {
        number: 0,
        kind: body.kind.to_string(),
        outcome: outcome.to_string(),
        why,
        began: view.began,
        ended: Timestamp::now(),
        told: String::new(),
        digest: String::new(),
        as_of: 0,
        marks: BTreeMap::new(),
        undoes: None,
        undone_by: None,
    };
    let mut changes = Vec::new();
    if let Some(mut planned) = planned {
        told.take(&mut planned.plan);
        run.digest = digest(&planned.plan);
        (run.as_of, run.marks, run.undoes) = (planned.as_of, planned.marks, planned.undoes);
        changes = planned.plan.changes;
    }
    // A mark is good only for what is carried out.
    let carries_out = outcome == Outcome::Applied
        || (outcome == Outcome::Nothing && body.kind != Kind::Test && !run.marks.is_empty());
    if carries_out {
        // Until it is: a host that is killed in between has not done it.
        run.outcome = Outcome::Waits.to_string();
    }
    run.told = serde_json::to_string(&told)?;
    let events = if carries_out { Vec::new() } else { vec![event(trace, outcome, &run, &told)] };
    let kept = services.store.keep_sync(&run, &changes, supersedes, events).await;
    run.number = kept.context("the run could not be kept, and nothing was changed")?;
    if carries_out {
        // One change of the site at a time.
        let _applying = host.applying.lock().await;
        let carried_out = carry_out(services, run, &changes, trace).await;
        run = carried_out.context("whether it was carried out is not known, see `cardinal sync list`")?;
    }
    if let Err(error) = services.store.forget_syncs(KEPT).await {
        tracing::warn!(%error, "runs of long ago could not be forgotten; the next sync tries again");
    }
    current.change(|view| {
        let under_way = SyncView::from(run);
        *view = SyncView { told, ..under_way };
    });
    Ok(())
}

/// Carries out a run that is kept. What it comes to stands in the run.
async fn carry_out(services: &Services, run: SyncRun, changes: &[Change], trace: TraceId) -> Result<SyncRun> {
    let told: Told = serde_json::from_str(&run.told).unwrap_or_default();
    let outcome = if changes.is_empty() { Outcome::Nothing } else { Outcome::Applied };
    let done = event(trace, outcome, &run, &told).fact("sync", run.number.to_string());
    let number = run.number;
    let refused = match services.store.carry_out_sync(&run, changes, &run.told, vec![done]).await {
        Ok(true) => {
            return Ok(SyncRun { outcome: outcome.to_string(), why: String::new(), ended: Timestamp::now(), ..run });
        }
        Ok(false) => (Outcome::Stale, "users were changed since this was planned; run the sync again".to_owned()),
        Err(error) => (Outcome::Failed, format!("{:#}", anyhow!(error))),
    };
    let (refused, why) = refused;
    let run = SyncRun { outcome: refused.to_string(), why: why.clone(), ended: Timestamp::now(), ..run };
    let failed = event(trace, Outcome::Failed, &run, &told).fact("sync", number.to_string());
    if services.store.end_sync(number, &run.outcome, &why, vec![failed]).await? {
        return Ok(run);
    }
    // It was carried out, and only the answer was lost.
    Ok(SyncRun { outcome: outcome.to_string(), why: String::new(), ..run })
}

/// Carries out a plan that waits.
pub(super) async fn approve(host: &Host, number: i64, shown: &str) -> Result<SyncView, SyncError> {
    let services = &host.services;
    // One change of the site at a time.
    let _applying = host.applying.lock().await;
    let run = services.store.sync_runs(number.saturating_add(1), 1).await?.pop().filter(|run| run.number == number);
    let run = run.ok_or_else(|| SyncError::NotFound(format!("there is no sync {number}")))?;
    if run.outcome != Outcome::Waits.to_string() {
        return Err(SyncError::Conflict(format!("sync {number} does not wait for approval: it is {}", run.outcome)));
    }
    if shown.len() < DIGEST_BEGINS || !run.digest.starts_with(shown) {
        return Err(SyncError::Refused(format!(
            "sync {number} has another digest; look at it with `cardinal sync show {number}`, and approve what is shown there"
        )));
    }
    let changes = services.store.sync_changes(number, 0, usize::MAX).await?;
    if digest(&Plan { changes: changes.clone(), ..Plan::default() }) != run.digest {
        return Err(SyncError::Conflict(format!(
            "the plan of sync {number} is not whole any more; run the sync again"
        )));
    }
    let carried_out = carry_out(services, run, &changes, TraceId::new()).await;
    let run = carried_out.map_err(|error| SyncError::Conflict(format!("{error:#}")))?;
    if run.outcome != Outcome::Applied.to_string() {
        return Err(SyncError::Conflict(run.why));
    }
    Ok(run.into())
}

fn event(trace: TraceId, outcome: Outcome, run: &SyncRun, told: &Told) -> EventBody {
    let counts = &told.counts;
    let summary = format!(
        "{} users added, {} updated, {} renamed, {} removed; {} groups added, {} removed; {} memberships begin, {} end; {} conflicts",
        counts.added,
        counts.updated,
        counts.renamed,
        counts.removed,
        counts.groups_added,
        counts.groups_removed,
        counts.joined,
        counts.left,
        counts.conflicts
    );
    let (kind, message) = match outcome {
        Outcome::Applied if run.undoes.is_some() => {
            (EventKind::SyncUndone, format!("a sync was taken back: {summary}"))
        }
        Outcome::Applied => (EventKind::SyncApplied, format!("a sync was carried out: {summary}")),
        Outcome::Waits if !told.held.is_empty() => (EventKind::SyncHeld, format!("a sync {}: {summary}", run.why)),
        Outcome::Failed | Outcome::CalledOff | Outcome::Stale | Outcome::Reading | Outcome::Working => {
            (EventKind::SyncFailed, format!("a sync changed nothing: {}", run.why))
        }
        Outcome::Planned | Outcome::Waits | Outcome::Nothing => {
            (EventKind::SyncPlanned, format!("a sync would do this: {summary}"))
        }
    };
    let mut event = EventBody::new(trace, kind, message)
        .fact("kind", run.kind.clone())
        .fact("added", counts.added.to_string())
        .fact("updated", counts.updated.to_string())
        .fact("renamed", counts.renamed.to_string())
        .fact("removed", counts.removed.to_string())
        .fact("conflicts", counts.conflicts.to_string());
    if !run.digest.is_empty() {
        event = event.fact("digest", run.digest.clone());
    }
    event
}
