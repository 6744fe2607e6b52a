//! From what is on record and what the sources say to a plan.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, anyhow, bail};
use cardinal_directory::{
    Scope, Snapshot,
    plan::{Options, Record, Said, changed_since, plan, reverse},
};
use cardinal_domain::{
    names::{GroupName, SourceName, TraceId, UserName},
    password::PinDigest,
    sync::{Change, Conflict, Group, Plan},
};
use cardinal_store::{People, Setup};
use ring::hmac;
use tokio::runtime::Handle;

use super::{Current, Kind, SyncBody, sources::read_all};
use crate::{hex, sessions::Services};

/// How many users that were changed since are named where a sync cannot be taken back.
const NAMED: usize = 10;

/// A plan with what it was made from.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) as_of: i64,
    pub(super) marks: BTreeMap<SourceName, String>,
    pub(super) undoes: Option<i64>,
    /// Nobody on record came from a source.
    pub(super) is_first: bool,
    /// All sources were read whole.
    pub(super) is_whole: bool,
}

/// Reads and plans.
pub(super) async fn planned(
    services: &Services,
    current: &Current,
    body: &SyncBody,
    trace: TraceId,
) -> Result<Planned> {
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
