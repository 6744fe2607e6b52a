//! Taking a plan back.

use cardinal_domain::{
    names::{GroupName, UserName},
    site::User,
    sync::{Change, Plan},
};
use foldhash::{HashMap, HashSet};

use super::{Record, order};

/// The plan that takes this one back exactly.
pub fn reverse(plan: &Plan) -> Plan {
    let why = || "the sync that did this is taken back".to_owned();
    // An update was shown with the name after its rename; taken back, it is shown with the name before.
    let names: HashMap<&UserName, &UserName> = plan
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::RenameUser { from, to, .. } => Some((to, from)),
            _ => None,
        })
        .collect();
    let old_name = |name: &UserName| (*names.get(name).unwrap_or(&name)).clone();
    // They go with all their memberships; their names may be others' then.
    let added: HashSet<&UserName> = plan
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::AddUser { user, .. } => Some(&user.name),
            _ => None,
        })
        .collect();
    let stay = |names: &[UserName]| sorted(names.iter().filter(|name| !added.contains(name)).map(&old_name));
    let groups: HashMap<&GroupName, &GroupName> = plan
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::ChangeGroup { from, to, .. } => Some((to, from)),
            _ => None,
        })
        .collect();
    let mut changes: Vec<_> = plan
        .changes
        .iter()
        .map(|change| match change {
            Change::RemoveUser { user, .. } => Change::AddUser { user: user.clone(), why: why() },
            Change::AddUser { user, .. } => Change::RemoveUser { user: user.clone(), why: why() },
            Change::RenameUser { from, to, .. } => {
                Change::RenameUser { from: to.clone(), to: from.clone(), why: why() }
            }
            Change::UpdateUser { before, after, .. } => {
                let (mut before, mut after) = (after.clone(), before.clone());
                (before.name, after.name) = (old_name(&before.name), old_name(&after.name));
                Change::UpdateUser { before, after, why: why() }
            }
            Change::RemoveGroup { group, .. } => {
                let mut group = group.clone();
                group.members = sorted(group.members.iter().map(&old_name));
                Change::AddGroup { group, why: why() }
            }
            Change::AddGroup { group, .. } => {
                let mut group = group.clone();
                group.members = stay(&group.members);
                Change::RemoveGroup { group, why: why() }
            }
            Change::ChangeGroup { from, from_origin, to, origin, .. } => Change::ChangeGroup {
                from: to.clone(),
                from_origin: origin.clone(),
                to: from.clone(),
                origin: from_origin.clone(),
                why: why(),
            },
            Change::Members { group, left, joined, .. } => Change::Members {
                group: (*groups.get(group).unwrap_or(&group)).clone(),
                left: stay(joined),
                joined: sorted(left.iter().map(&old_name)),
                why: why(),
            },
        })
        .collect();
    changes.sort_by_key(order);
    Plan { changes, ..Plan::default() }
}

fn sorted(names: impl Iterator<Item = UserName>) -> Vec<UserName> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// What is on record no longer as this plan left it, so that taking it back would undo somebody else's work: a sentence
/// each, at most `most` of them.
pub fn changed_since(plan: &Plan, record: Record<'_>, most: usize) -> Vec<String> {
    let users: HashMap<_, _> = record.users.iter().map(|user| (&user.name, user)).collect();
    let groups: HashMap<_, _> = record.groups.iter().map(|group| (&group.name, group)).collect();
    let is_there = |name: &UserName| users.contains_key(name);
    let user_differs = |user: &User| match users.get(&user.name) {
        None => Some(format!("user {} is there no longer", user.name)),
        Some(now) if *now != user => Some(format!("user {} was changed since", user.name)),
        Some(_) => None,
    };
    // Who gives cards and names back when this is taken back.
    let (mut cards_of, mut names_of) = (HashSet::default(), HashSet::default());
    for change in &plan.changes {
        match change {
            Change::AddUser { user, .. } => {
                cards_of.insert(&user.name);
                names_of.insert(&user.name);
            }
            Change::UpdateUser { after, .. } => drop(cards_of.insert(&after.name)),
            Change::RenameUser { to, .. } => drop(names_of.insert(to)),
            _ => {}
        }
    }
    let staying = record.users.iter().filter(|user| !cards_of.contains(&user.name));
    let holders: HashMap<_, _> = staying.flat_map(|user| user.cards().map(|card| (card, &user.name))).collect();
    let card_elsewhere = |user: &User| {
        let holder = user.cards().find_map(|card| holders.get(card))?;
        Some(format!("a card that user {} had is {holder}'s by now", user.name))
    };
    let told = plan.changes.iter().filter_map(|change| match change {
        Change::RemoveUser { user, .. } => {
            let again = is_there(&user.name) && !names_of.contains(&user.name);
            again.then(|| format!("user {} is there again", user.name)).or_else(|| card_elsewhere(user))
        }
        Change::AddUser { user, .. } => user_differs(user),
        Change::UpdateUser { before, after, .. } => user_differs(after).or_else(|| card_elsewhere(before)),
        Change::RenameUser { from, to, .. } => match is_there(to) {
            false => Some(format!("user {to} is there no longer")),
            true => (is_there(from) && !names_of.contains(from)).then(|| format!("user {from} is there again")),
        },
        Change::RemoveGroup { group, .. } => {
            groups.contains_key(&group.name).then(|| format!("group {} is there again", group.name))
        }
        Change::AddGroup { group, .. } => match groups.get(&group.name) {
            None => Some(format!("group {} is there no longer", group.name)),
            Some(now) if now.members != group.members => Some(format!("group {} was changed since", group.name)),
            Some(_) => None,
        },
        Change::ChangeGroup { to: group, .. } => {
            (!groups.contains_key(group)).then(|| format!("group {group} is there no longer"))
        }
        Change::Members { group, left, joined, .. } => {
            let Some(now) = groups.get(group) else { return Some(format!("group {group} is there no longer")) };
            let is_in = |name: &UserName| now.members.binary_search(name).is_ok();
            let is_same = joined.iter().all(is_in) && !left.iter().any(is_in);
            (!is_same).then(|| format!("group {group} was changed since"))
        }
    });
    told.take(most).collect()
}
