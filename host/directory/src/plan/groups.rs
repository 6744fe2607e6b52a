//! What changes of groups and their members. Groups of one name are one group, whichever domain or source has them.

use std::collections::BTreeMap;

use cardinal_domain::{
    names::{GroupName, SourceName, UserName},
    site::Origin,
    sync::{Change, Conflict, Group},
};
use foldhash::{HashMap, HashSet};

use super::{
    Options, Record, Said,
    matching::{Fate, Matched},
    wanted::Wanted,
};
use crate::snapshot::Scope;

/// A group, as the sources have it together.
struct WantedGroup<'a> {
    origin: Origin,
    place: String,
    /// Sorted, each once.
    members: Vec<&'a UserName>,
    /// Members that nobody can name: nobody is said to have left.
    is_partial: bool,
}

/// The changes of groups.
pub(super) fn groups(
    record: Record<'_>,
    said: &Said<'_>,
    wanted: &Wanted<'_>,
    matched: &Matched<'_>,
    options: &Options,
    conflicts: &mut Vec<Conflict>,
) -> Vec<Change> {
    let all = wanted_groups(record, said, wanted, matched, options, conflicts);
    let renamed: HashMap<&UserName, &UserName> = matched
        .wanted_of
        .iter()
        .zip(record.users)
        .filter_map(|(new, old)| Some((&old.name, &wanted.users.get((*new)?)?.name)))
        .filter(|(from, to)| from != to)
        .collect();
    let by_key: HashMap<_, _> = record.groups.iter().map(|group| (&group.origin, group)).collect();
    let by_name: HashMap<_, _> = record.groups.iter().map(|group| (&group.name, group)).collect();
    let gone: HashSet<_> = matched.gone.iter().filter_map(|at| Some(&record.users.get(*at)?.name)).collect();
    let left_alone = wanted.users.iter().zip(&matched.fates).filter(|(_, fate)| **fate == Fate::Left);
    let in_doubt: HashSet<_> = left_alone.map(|(user, _)| &user.name).chain(&wanted.doubtful).collect();
    let mut known = HashSet::default();
    let mut changes = Vec::new();
    for (name, group) in &all {
        let same_name = by_name.get(name).copied();
        // A rename, unless its new name is taken by one that keeps it.
        let old = match by_key.get(&group.origin).copied() {
            Some(old) if old.name == *name || (same_name.is_none() && !all.contains_key(&old.name)) => Some(old),
            _ => same_name,
        };
        let Some(old) = old else {
            let added = Group {
                name: name.clone(),
                origin: group.origin.clone(),
                members: group.members.iter().copied().cloned().collect(),
            };
            changes.push(Change::AddGroup { group: added, why: format!("new in {}", group.place) });
            continue;
        };
        known.insert(&old.name);
        if old.name != *name || old.origin != group.origin {
            changes.push(Change::ChangeGroup {
                from: old.name.clone(),
                from_origin: old.origin.clone(),
                to: name.clone(),
                origin: group.origin.clone(),
                why: if old.name == *name {
                    format!("is now {}", group.place)
                } else {
                    format!("has another name at {}", group.place)
                },
            });
        }
        let mut had: Vec<_> = old.members.iter().map(|member| *renamed.get(member).unwrap_or(&member)).collect();
        had.sort_unstable();
        let is_new = |member: &&&UserName| had.binary_search(member).is_err();
        let joined: Vec<_> = group.members.iter().filter(is_new).copied().cloned().collect();
        // What is in doubt stays as it is.
        let stays = |member: &UserName| {
            let is_member = group.members.binary_search_by(|other| (*other).cmp(member)).is_ok();
            group.is_partial || in_doubt.contains(member) || is_member
        };
        let is_out = |member: &&&UserName| gone.contains(**member) || !stays(member);
        let left: Vec<_> = had.iter().filter(is_out).copied().cloned().collect();
        if !left.is_empty() || !joined.is_empty() {
            changes.push(Change::Members {
                group: name.clone(),
                left,
                joined,
                why: format!("members differ at {}", group.place),
            });
        }
    }
    let sources = said.sources();
    let may_remove = options.remove && wanted.is_whole;
    // Entries whose name cannot be used: the group is there. Any other one has its name in `all`, or another's.
    let nameless: HashSet<_> = said
        .snapshots
        .iter()
        .flat_map(|of| of.groups.iter().map(|group| (of.source.as_str(), group)))
        .filter(|(_, group)| GroupName::new(&group.name).is_err())
        .map(|(source, group)| (source, group.key.as_str()))
        .collect();
    for group in record.groups.iter().filter(|group| !known.contains(&group.name)) {
        let is_nameless = nameless.contains(&(group.origin.source.as_str(), group.origin.key.as_str()));
        if may_remove && !is_nameless {
            let why = if sources.contains(&group.origin.source) {
                format!("is in {} no longer", group.origin.source)
            } else {
                format!("the site has no source {} any more", group.origin.source)
            };
            // As it is when its turn comes: renames are carried out before.
            let now = |member: &UserName| (*renamed.get(member).unwrap_or(&member)).clone();
            let mut members: Vec<_> = group.members.iter().map(now).collect();
            members.sort();
            changes.push(Change::RemoveGroup { why, group: Group { members, ..group.clone() } });
            continue;
        }
        let left: Vec<_> = group.members.iter().filter(|member| gone.contains(member)).cloned().collect();
        if !left.is_empty() {
            let why = "they are removed".to_owned();
            changes.push(Change::Members { group: group.name.clone(), left, joined: Vec::new(), why });
        }
    }
    changes
}

/// Groups by name, with the names that their members have after the plan.
fn wanted_groups<'a>(
    record: Record<'a>,
    said: &Said<'_>,
    wanted: &'a Wanted<'_>,
    matched: &Matched<'_>,
    options: &Options,
    conflicts: &mut Vec<Conflict>,
) -> BTreeMap<GroupName, WantedGroup<'a>> {
    // Who an entry is, after the plan. None: nobody, or nobody knows.
    let member = |at: usize, scope: Scope, source: &SourceName, key: &str| -> Option<&'a UserName> {
        // Not among those that changed, or an entry that cannot be used: as on record. Nobody is removed then.
        let as_before = || Some(&record.users.get(matched.on_record(source, key)?)?.name);
        let place = match wanted.user_of(at, key) {
            Some(Some(place)) => place,
            Some(None) => return as_before(),
            None => return if scope == Scope::Changes { as_before() } else { None },
        };
        match matched.fates.get(place)? {
            Fate::New if !options.add => None,
            Fate::New | Fate::Is(..) => Some(&wanted.users.get(place)?.name),
            Fate::Left => as_before(),
        }
    };
    let mut all: BTreeMap<GroupName, WantedGroup<'a>> = BTreeMap::new();
    for (at, snapshot) in said.snapshots.iter().enumerate() {
        let source = &snapshot.source;
        for group in &snapshot.groups {
            let name = match GroupName::new(&group.name) {
                Ok(name) => name,
                Err(error) => {
                    conflicts.push(Conflict {
                        about: format!("{source}: {}", group.place),
                        message: format!("left out: {error}"),
                    });
                    continue;
                }
            };
            let together = all.entry(name).or_insert_with(|| WantedGroup {
                origin: Origin { source: source.clone(), key: group.key.clone() },
                place: format!("{source}: {}", group.place),
                members: Vec::with_capacity(group.members.len()),
                is_partial: false,
            });
            for key in &group.members {
                match member(at, snapshot.scope, source, key) {
                    Some(name) => together.members.push(name),
                    None => together.is_partial |= snapshot.scope == Scope::Changes,
                }
            }
        }
    }
    for group in all.values_mut() {
        group.members.sort_unstable();
        group.members.dedup();
    }
    all
}
