//! Who gets which card. A card belongs to one user: where two claim it, whoever has it keeps it, and where nobody has it,
//! nobody gets it.

use std::collections::HashMap;

use cardinal_domain::{card::CardNumber, names::UserName, site::User, sync::Conflict};

use super::{
    Options,
    matching::{Fate, Matched},
    wanted::{CardField, Wanted, WantedUser},
};

/// Primary and secondary card.
pub(super) type Cards = [Option<CardNumber>; 2];

/// A card in one of the two places of a user.
#[derive(Debug, Clone)]
struct Claim<'a> {
    name: &'a UserName,
    /// On record.
    has: Cards,
    /// As it would be.
    gets: Cards,
    /// For each: whether a source says so. What is on record alone gives way to that.
    is_said: [bool; 2],
    /// For each: whether it may be taken away for another user's sake: they are of a source that says nothing of it.
    gives_way: [bool; 2],
}

/// The cards of each wanted user that is not left alone, by their place.
pub(super) fn cards(
    record: &[User],
    wanted: &Wanted<'_>,
    matched: &Matched,
    options: &Options,
    conflicts: &mut Vec<Conflict>,
) -> HashMap<usize, Cards> {
    let mut claims = Vec::with_capacity(record.len().max(wanted.users.len()));
    let mut places = Vec::new();
    for (at, (user, fate)) in wanted.users.iter().zip(&matched.fates).enumerate() {
        let old = match fate {
            Fate::Is(old, _) => record.get(*old),
            Fate::New if options.add => None,
            Fate::New | Fate::Left => continue,
        };
        places.push(at);
        claims.push(claim(user, old, options));
    }
    // Those of whom nothing changes have their cards, too.
    let gone: std::collections::HashSet<_> = matched.gone.iter().collect();
    let untouched =
        record.iter().enumerate().filter(|(at, _)| !matched.wanted_of.contains_key(at) && !gone.contains(at));
    claims.extend(untouched.map(|(_, user)| {
        let has = [user.card.clone(), user.second_card.clone()];
        Claim { name: &user.name, gets: has.clone(), has, is_said: [false; 2], gives_way: [false; 2] }
    }));
    settle(&mut claims, conflicts);
    places.into_iter().zip(claims).map(|(at, claim)| (at, claim.gets)).collect()
}

fn claim<'a>(user: &'a WantedUser, old: Option<&User>, options: &Options) -> Claim<'a> {
    let has = old.map_or([None, None], |old| [old.card.clone(), old.second_card.clone()]);
    let mut claim = Claim { name: &user.user.name, gets: has.clone(), has, is_said: [false; 2], gives_way: [false; 2] };
    if old.is_some() && !options.update_cards {
        return claim;
    }
    let fields = [&user.card, &user.second_card];
    for (((field, gets), is_said), gives_way) in
        fields.into_iter().zip(&mut claim.gets).zip(&mut claim.is_said).zip(&mut claim.gives_way)
    {
        match field {
            CardField::Number(number) => (*gets, *is_said) = (Some(number.clone()), true),
            CardField::Blank if options.clear_blank_cards => *gets = None,
            CardField::Blank => *gives_way = true,
            CardField::Unusable => {}
        }
    }
    // One card in both fields is one card.
    if claim.gets[0].is_some() && claim.gets[0] == claim.gets[1] {
        claim.gets[1] = None;
    }
    claim
}

/// Goes on until each card has one owner: whoever is denied a card has the one from before, which another may claim.
fn settle(claims: &mut [Claim<'_>], conflicts: &mut Vec<Conflict>) {
    loop {
        let mut claimed: HashMap<CardNumber, Vec<(usize, usize)>> = HashMap::with_capacity(claims.len());
        for (at, claim) in claims.iter().enumerate() {
            for (slot, card) in claim.gets.iter().enumerate() {
                if let Some(card) = card {
                    claimed.entry(card.clone()).or_default().push((at, slot));
                }
            }
        }
        claimed.retain(|_, by| by.len() > 1);
        if claimed.is_empty() {
            return;
        }
        for (card, by) in claimed {
            decide(claims, &card, &by, conflicts);
        }
    }
}

fn decide(claims: &mut [Claim<'_>], card: &CardNumber, by: &[(usize, usize)], conflicts: &mut Vec<Conflict>) {
    let (mut said, mut weak, mut firm) = (Vec::new(), Vec::new(), Vec::new());
    for (at, slot) in by {
        let Some(claim) = claims.get(*at) else { continue };
        let at_slot = |flags: &[bool; 2]| flags.get(*slot).copied().unwrap_or_default();
        let had = claim.has.iter().flatten().any(|has| has == card);
        match (at_slot(&claim.is_said), at_slot(&claim.gives_way)) {
            (true, _) => said.push((*at, *slot, had)),
            (false, true) => weak.push((*at, *slot)),
            (false, false) => firm.push((*at, *slot)),
        }
    }
    // The directory gives the card of one of its own to another of its own.
    if firm.is_empty() && said.len() == 1 {
        for (at, slot) in weak {
            set(claims, at, slot, None);
        }
        return;
    }
    let mut names: Vec<_> = by.iter().filter_map(|(at, _)| Some(claims.get(*at)?.name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    let keeps = firm.first().or(weak.first()).map(|(at, _)| *at);
    let keeps = keeps.or_else(|| said.iter().find(|(_, _, had)| *had).map(|(at, ..)| *at));
    let keeper = keeps.and_then(|at| claims.get(at)).map(|claim| claim.name.as_str());
    conflicts.push(Conflict {
        about: format!("card {}", card.masked()),
        message: format!(
            "is claimed by users {}; {}; correct it in the directory",
            names.join(" and "),
            keeper.map_or_else(|| "neither gets it".to_owned(), |name| format!("{name} has it and keeps it"))
        ),
    });
    for (at, slot, _) in said {
        if Some(at) != keeps {
            deny(claims, at, slot, card);
        }
    }
    // Two on record cannot have one card; a keeper in two places keeps it in the first.
    let mut kept = false;
    for (at, slot) in firm.into_iter().chain(weak) {
        if Some(at) == keeps && !kept {
            kept = true;
        } else {
            set(claims, at, slot, None);
        }
    }
}

/// What was denied stays as it was before; or nothing, where that is the same card, or the other place has it by now.
fn deny(claims: &mut [Claim<'_>], at: usize, slot: usize, card: &CardNumber) {
    let Some(claim) = claims.get_mut(at) else { return };
    let before = claim.has.get(slot).cloned().flatten().filter(|before| before != card);
    let elsewhere = claim.gets.iter().enumerate().any(|(other, gets)| other != slot && *gets == before);
    if let Some(is_said) = claim.is_said.get_mut(slot) {
        *is_said = false;
    }
    set(claims, at, slot, before.filter(|_| !elsewhere));
}

fn set(claims: &mut [Claim<'_>], at: usize, slot: usize, card: Option<CardNumber>) {
    if let Some(gets) = claims.get_mut(at).and_then(|claim| claim.gets.get_mut(slot)) {
        *gets = card;
    }
}
