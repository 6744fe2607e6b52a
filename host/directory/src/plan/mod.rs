//! What a sync would change: a pure comparison of users and groups on record with what the sources say.
//!
//! ```text
//! snapshots ─▶ wanted (one user for each name) ─▶ matching (who is who) ─▶ cards ─▶ users ─┐
//!      └─────▶ groups (members by name) ───────────────────────────────────────────────────┴▶ Plan ─▶ limits
//! ```
//! Whatever is in doubt is a [`Conflict`](cardinal_domain::sync::Conflict) and stays as it is: nobody is removed, renamed or
//! given a card because of an entry that cannot be read.

mod cards;
mod digest;
mod groups;
mod limits;
mod matching;
mod options;
mod reverse;
mod users;
mod wanted;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, panic::resume_unwind, thread};

use cardinal_domain::{
    names::{SourceName, UserName},
    password::PinDigest,
    site::User,
    sync::{Change, Group, Plan, Total},
};

pub use self::{
    digest::digest,
    options::{Limit, Limits, Options},
    reverse::{changed_since, reverse},
};
use crate::snapshot::Snapshot;

/// What is on record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// All users, local ones included.
    pub users: &'a [User],
    /// All groups.
    pub groups: &'a [Group],
}

/// What the sources say.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    /// The primary source's snapshot, then the secondary one's: each source of the site has one.
    pub snapshots: &'a [Snapshot],
    /// Makes the digest of a user's PIN, with the host's key.
    pub pin: &'a (dyn Fn(&UserName, &str) -> PinDigest + Sync),
}

impl Said<'_> {
    fn sources(&self) -> BTreeSet<&SourceName> {
        self.snapshots.iter().map(|snapshot| &snapshot.source).collect()
    }
}

/// What has to change so that what is on record is as the sources say.
pub fn plan(record: Record<'_>, said: Said<'_>, options: &Options) -> Plan {
    // What is on record is looked through beside what was read, and groups beside users: planning is what everybody waits for.
    let (known, (wanted, mut conflicts)) =
        beside(|| matching::Known::of(record.users), || wanted::wanted(&said, options));
    let matched = matching::matching(record.users, known, &wanted, &said.sources(), options, &mut conflicts);
    let ((groups, of_groups), mut changes) = beside(
        || {
            let mut conflicts = Vec::new();
            (groups::groups(record, &said, &wanted, &matched, options, &mut conflicts), conflicts)
        },
        || {
            let cards = cards::cards(record.users, &wanted, &matched, options, &mut conflicts);
            users::users(record.users, &said, &wanted, &matched, &cards, options)
        },
    );
    changes.extend(groups);
    conflicts.extend(of_groups);
    for snapshot in said.snapshots {
        conflicts.extend(snapshot.remarks.iter().map(|remark| cardinal_domain::sync::Conflict {
            about: format!("{}: {}", snapshot.source, remark.place),
            message: remark.message.clone(),
        }));
    }
    conflicts.sort();
    conflicts.dedup();
    changes.sort_by_key(order);
    let held = limits::held(&changes, record, &options.limits);
    let totals = said.snapshots.iter().flat_map(totals).collect();
    Plan { changes, conflicts, totals, held }
}

/// Both, at the same time.
fn beside<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap_or_else(|panic| resume_unwind(panic)), other)
    })
}

fn totals(snapshot: &Snapshot) -> impl Iterator<Item = Total> + '_ {
    snapshot.totals.iter().map(|total| Total { of: format!("{}: {}", snapshot.source, total.of), ..*total })
}

/// The order in which a plan is carried out; of one kind, the order of names, which the caller has made.
fn order(change: &Change) -> u8 {
    match change {
        Change::RemoveUser { .. } => 0,
        Change::RenameUser { .. } => 1,
        Change::UpdateUser { .. } => 2,
        Change::AddUser { .. } => 3,
        Change::RemoveGroup { .. } => 4,
        Change::ChangeGroup { .. } => 5,
        Change::AddGroup { .. } => 6,
        Change::Members { .. } => 7,
    }
}
