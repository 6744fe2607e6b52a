//! How much of a plan passes without a word.

use std::collections::BTreeSet;

use cardinal_domain::sync::{Change, Held, Threshold};

use super::{Limits, Record};

/// The thresholds that these changes cross.
pub(super) fn held(changes: &[Change], record: Record<'_>, limits: &Limits) -> Vec<Held> {
    let synced = record.users.iter().filter(|user| user.origin.is_some());
    let (mut users, mut with_cards) = (0, 0);
    for user in synced {
        users += 1;
        with_cards += u64::from(user.cards().next().is_some());
    }
    let memberships = record.groups.iter().map(|group| count(group.members.len())).sum();
    let mut removed = BTreeSet::new();
    let (mut lost, mut cards) = (0, 0);
    for change in changes {
        match change {
            Change::RemoveUser { user, .. } => drop(removed.insert(&user.name)),
            Change::UpdateUser { before, after, .. } => {
                // Somebody who had none and gets one loses nothing.
                let is_changed = |before: Option<_>, after: Option<_>| before.is_some() && before != after;
                let primary = is_changed(before.card.as_ref(), after.card.as_ref());
                cards += u64::from(primary || is_changed(before.second_card.as_ref(), after.second_card.as_ref()));
            }
            Change::RemoveGroup { group, .. } => lost += count(group.members.len()),
            Change::Members { left, .. } => lost += count(left.len()),
            _ => {}
        }
    }
    [
        (Threshold::Removals, count(removed.len()), users),
        (Threshold::LostMemberships, lost, memberships),
        (Threshold::ChangedCards, cards, with_cards),
    ]
    .into_iter()
    .filter_map(|(what, count, of)| {
        let limit = limits.get(&what)?;
        let held = Held { what, count, of, most: limit.most, most_percent: limit.most_percent };
        (count > limit.most || held.is_part_crossed()).then_some(held)
    })
    .collect()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
