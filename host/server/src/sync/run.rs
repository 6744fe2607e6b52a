//! One sync from its beginning to its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use cardinal_directory::{
    Locals, Mark, Progress, Scope, Snapshot,
    plan::{Options, Record, Said, changed_since, digest, plan, reverse},
};
use cardinal_domain::{
    event::{EventBody, EventKind},
    names::{GroupName, SourceName, TraceId, UserName},
    password::PinDigest,
    site::Source,
    sync::{Change, Conflict, Group, Plan},
    time::Timestamp,
};
use cardinal_store::{People, Setup, SyncRun};
use ring::hmac;
use tokio::runtime::Handle;

use super::{
    Current, Kind, Outcome, SourceRead, SyncBody, SyncError, SyncView, Told, lock,
    reading::{self, Request},
};
use crate::{hex, host::Host, sessions::Services};

/// How often it is told as an event how far reading is.
const PROGRESS: Duration = Duration::from_secs(10);
/// How many users that were changed since are named where a sync cannot be taken back.
const NAMED: usize = 10;
/// How many runs are kept.
const KEPT: i64 = 100;
/// So much of a digest is enough to name a plan.
const DIGEST_BEGINS: usize = 8;

/// A plan with what it was made from.
struct Planned {
    plan: Plan,
    as_of: i64,
    marks: BTreeMap<SourceName, String>,
    undoes: Option<i64>,
    /// Nobody on record came from a source.
    is_first: bool,
    /// All sources were read whole.
    is_whole: bool,
}

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

/// Reads and plans.
async fn planned(services: &Services, current: &Current, body: &SyncBody, trace: TraceId) -> Result<Planned> {
    if body.kind == Kind::Undo {
        return undo(services, current).await;
    }
    let setup = services.store.setup();
    let mut sources: Vec<_> = setup.sources.values().collect();
    sources.sort_by_key(|source| source.rank);
    // The store is read while the directories answer.
    let store = services.store.clone();
    let people = tokio::spawn(async move { store.people().await });
    let options_digest = options_digest(&setup.config);
    let snapshots = read_all(services, current, body, &sources, &setup.config, &options_digest, trace).await?;
    let people = people.await.context("reading the store failed in the host; please report this")??;
    let options = match body.kind {
        Kind::Nightly | Kind::Changes => Options::nightly(&setup.config),
        // A test shows also who would be removed if that were asked for.
        Kind::Test => Options::of(&setup.config, true),
        Kind::Now | Kind::Undo => Options::of(&setup.config, body.remove),
    };
    let marks: BTreeMap<_, _> = snapshots
        .iter()
        .filter_map(|of| Some((of.source.clone(), format!("{options_digest} {}", of.mark.as_ref()?.0))))
        .collect();
    let key = services.memory.key_for("cardinal: the digests of users' PINs")?;
    let as_of = people.as_of;
    let is_first = people.users.iter().all(|user| user.origin.is_none());
    let is_whole = snapshots.iter().all(|snapshot| snapshot.scope == Scope::Whole);
    let adds = options.add;
    let planning = tokio::task::spawn_blocking(move || {
        let mut plan = plan_of(&people, &snapshots, &options, &key);
        plan.conflicts.extend(unknown_groups(&setup, &groups_after(&people.groups, &plan)));
        // To give back so much takes time, for which nobody has to wait.
        Handle::current().spawn_blocking(move || drop((people, snapshots)));
        plan
    });
    let plan = planning.await.context("planning failed in the host; please report this")?;
    // Whoever is not added now did not change in the source later: that is found only where everything is read.
    let marks = if adds { marks } else { BTreeMap::new() };
    Ok(Planned { plan, as_of, marks, undoes: None, is_first, is_whole })
}

/// Of everything that says what is made of what is read: with other options, what did not change is another thing, too.
fn options_digest(config: &BTreeMap<String, String>) -> String {
    let of = config.iter().filter(|(key, _)| key.starts_with("user-source."));
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for (key, value) in of {
        context.update(format!("{key}={value}\n").as_bytes());
    }
    hex::encode(context.finish().as_ref())
}

/// The names of all groups once a plan is carried out. Devices and queues follow a group that has another name.
fn groups_after(groups: &[Group], plan: &Plan) -> BTreeSet<GroupName> {
    let mut names: BTreeSet<_> = groups.iter().map(|group| group.name.clone()).collect();
    for change in &plan.changes {
        match change {
            Change::AddGroup { group, .. } => drop(names.insert(group.name.clone())),
            Change::RemoveGroup { group, .. } => drop(names.remove(&group.name)),
            _ => {}
        }
    }
    names
}

/// Groups that a device or a queue names, and that nobody knows once the plan is carried out: nobody is let in.
fn unknown_groups(setup: &Setup, known: &BTreeSet<GroupName>) -> Vec<Conflict> {
    let devices = setup.devices.values().map(|device| (format!("device {}", device.name), &device.groups));
    let queues = setup.queues.values().map(|queue| (format!("queue {}", queue.name), &queue.groups));
    let unknown = |(about, groups): (String, &Vec<GroupName>)| {
        let unknown = groups.iter().filter(|group| !known.contains(*group)).cloned().collect::<Vec<_>>();
        unknown.into_iter().map(move |group| Conflict {
            about: about.clone(),
            message: format!("names the group {group}, which no source has: nobody is let in by it; correct the name"),
        })
    };
    devices.chain(queues).flat_map(unknown).collect()
}

fn plan_of(people: &People, snapshots: &[Snapshot], options: &Options, key: &hmac::Key) -> Plan {
    let pin = |user: &UserName, pin: &str| pin_digest(key, user, pin);
    let record = Record { users: &people.users, groups: &people.groups };
    plan(record, Said { snapshots, pin: &pin }, options)
}

/// The digest of a user's PIN: that of two users with one PIN differ.
fn pin_digest(key: &hmac::Key, user: &UserName, pin: &str) -> PinDigest {
    let mut context = hmac::Context::with_key(key);
    for part in [user.as_str().as_bytes(), b"\0", pin.as_bytes()] {
        context.update(part);
    }
    let text = format!("hmac-sha256:{}", hex::encode(context.sign().as_ref()));
    PinDigest::try_from(text).unwrap_or_else(|_| unreachable!("a digest of SHA-256 has 64 digits"))
}

/// All sources, whole, or why not.
async fn read_all(
    services: &Services,
    current: &Current,
    body: &SyncBody,
    sources: &[&Source],
    config: &BTreeMap<String, String>,
    options_digest: &str,
    trace: TraceId,
) -> Result<Vec<Snapshot>> {
    // Of two sources, what one says is nothing without what the other says of the same user.
    let is_delta = body.kind == Kind::Changes && sources.len() == 1;
    let paths = &services.config.directory;
    let ca = Some(&paths.ca).filter(|ca| !ca.as_os_str().is_empty()).map(|ca| services.config.path(ca));
    let locals = Locals {
        files: paths.files.iter().map(|(name, path)| (name.clone(), services.config.path(path))).collect(),
        programs: paths.programs.clone(),
        program_within: Duration::from_secs(paths.program_within_s),
    };
    let reading = sources.iter().map(|source| {
        let (progress, figures) = Progress::new();
        lock(&current.reading).push((source.name.clone(), figures));
        let request = Request {
            source: Source::clone(source),
            config: config.clone(),
            ca: ca.clone(),
            locals: locals.clone(),
            since: None,
        };
        read_one(services, is_delta.then_some(options_digest), request, progress)
    });
    let reading = futures_util::future::try_join_all(reading);
    let telling = tell_progress(services, current, trace);
    let read = tokio::select! {
        read = reading => read?,
        () = telling => bail!("reading ended"),
        () = tokio::time::sleep(Duration::from_secs(paths.read_within_s)) => bail!(too_slow(current, paths.read_within_s)),
    };
    let (snapshots, told) = read.into_iter().unzip();
    current.change(|view| view.told.sources = told);
    lock(&current.reading).clear();
    Ok(snapshots)
}

/// Where reading was when its time was over.
fn too_slow(current: &Current, within_s: u64) -> String {
    let read = current.view().told.sources;
    let at: Vec<_> = read
        .iter()
        .map(|source| match source.server.as_str() {
            "" => format!("source {} had no answer", source.source),
            server => format!("source {} had {} entries from {server}", source.source, source.entries),
        })
        .collect();
    format!(
        "reading took longer than {within_s} s: {}; find out what is slow, or allow more in cardinal.toml \
         (directory.read_within_s)",
        at.join(", ")
    )
}

/// `since`: read only what changed since the last sync with these options, where the source can do that.
async fn read_one(
    services: &Services,
    since: Option<&str>,
    mut request: Request,
    progress: Progress,
) -> Result<(Snapshot, SourceRead)> {
    let began = Instant::now();
    if let Some(options) = since {
        let mark = services.store.sync_mark(&request.source.name).await?;
        request.since = mark.and_then(|mark| Some(Mark(mark.strip_prefix(options)?.trim_start().to_owned())));
    }
    let snapshot = reading::read(&request, &progress).await?;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let told = SourceRead::of(&snapshot, took_ms);
    Ok((snapshot, told))
}

/// Tells now and then how far reading is. Does not end.
async fn tell_progress(services: &Services, current: &Current, trace: TraceId) {
    loop {
        tokio::time::sleep(PROGRESS).await;
        for source in current.view().told.sources {
            let of = source.of.map(|of| format!(" of {of}")).unwrap_or_default();
            let message = match source.server.as_str() {
                "" => format!("source {}: no answer yet", source.source),
                server => format!("source {}: {}{of} entries read from {server}", source.source, source.entries),
            };
            let event = EventBody::new(trace, EventKind::SyncProgress, message)
                .fact("source", source.source.to_string())
                .fact("entries", source.entries.to_string());
            services.tell(event).await;
        }
    }
}

/// The way back of the last sync that changed anything.
async fn undo(services: &Services, current: &Current) -> Result<Planned> {
    let last = services.store.last_sync_to_undo().await?.ok_or_else(|| anyhow!("there is no sync to take back"))?;
    let changes = services.store.sync_changes(last.number, 0, usize::MAX).await?;
    let people = services.store.people().await?;
    let done = Plan { changes, ..Plan::default() };
    let changed = changed_since(&done, Record { users: &people.users, groups: &people.groups }, NAMED);
    if !changed.is_empty() {
        bail!(
            "sync {} cannot be taken back exactly, because of what was changed since: {}; put that back first, or mend by hand",
            last.number,
            changed.join(", ")
        );
    }
    let number = last.number;
    current.change(|view| view.undoes = Some(number));
    Ok(Planned {
        plan: reverse(&done),
        as_of: people.as_of,
        marks: BTreeMap::new(),
        undoes: Some(number),
        is_first: false,
        is_whole: false,
    })
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
