//! Who gets which card. A card belongs to one user: where two claim it, whoever has it keeps it, and where nobody has it,
//! nobody gets it.

use std::collections::VecDeque;

use cardinal_domain::{card::CardNumber, names::UserName, site::User, sync::Conflict};
use foldhash::{HashMap, HashSet};

use super::{
    Options,
    matching::{Fate, Matched},
    wanted::{CardField, Wanted, WantedUser},
};

/// Primary and secondary card.
pub(super) type Cards<'a> = [Option<&'a CardNumber>; 2];

/// A card in one of the two places of a user.
#[derive(Debug, Clone)]
struct Claim<'a> {
    name: &'a UserName,
    /// On record.
    has: Cards<'a>,
    /// As it would be.
    gets: Cards<'a>,
    /// For each: whether a source says so. What is on record alone gives way to that.
    is_said: [bool; 2],
    /// For each: whether it may be taken away for another user's sake: they are of a source that says nothing of it.
    gives_way: [bool; 2],
}

/// The cards of each wanted user, by their place; none for those that are left alone.
pub(super) fn cards<'a>(
    record: &'a [User],
    wanted: &'a Wanted<'_>,
    matched: &Matched<'_>,
    options: &Options,
    conflicts: &mut Vec<Conflict>,
) -> Vec<Option<Cards<'a>>> {
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
    let gone: HashSet<_> = matched.gone.iter().collect();
    let untouched = record
        .iter()
        .zip(&matched.wanted_of)
        .enumerate()
        .filter(|(at, (_, wanted))| wanted.is_none() && !gone.contains(at));
    claims.extend(untouched.map(|(_, (user, _))| {
        let has = [user.card.as_ref(), user.second_card.as_ref()];
        Claim { name: &user.name, gets: has, has, is_said: [false; 2], gives_way: [false; 2] }
    }));
    settle(&mut claims, conflicts);
    let mut cards = vec![None; wanted.users.len()];
    for (at, claim) in places.into_iter().zip(claims) {
        if let Some(cards) = cards.get_mut(at) {
            *cards = Some(claim.gets);
        }
    }
    cards
}

fn claim<'a>(user: &'a WantedUser<'_>, old: Option<&'a User>, options: &Options) -> Claim<'a> {
    let has = old.map_or([None, None], |old| [old.card.as_ref(), old.second_card.as_ref()]);
    let mut claim = Claim { name: &user.name, gets: has, has, is_said: [false; 2], gives_way: [false; 2] };
    if old.is_some() && !options.update_cards {
        return claim;
    }
    let fields = [&user.card, &user.second_card];
    for (((field, gets), is_said), gives_way) in
        fields.into_iter().zip(&mut claim.gets).zip(&mut claim.is_said).zip(&mut claim.gives_way)
    {
        match field {
            CardField::Number(number) => (*gets, *is_said) = (Some(number), true),
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
fn settle<'a>(claims: &mut [Claim<'a>], conflicts: &mut Vec<Conflict>) {
    let mut claimed = Vec::with_capacity(claims.len());
    for (at, claim) in claims.iter().enumerate() {
        claimed.extend(claim.gets.iter().enumerate().filter_map(|(slot, card)| Some(((*card)?, at, slot))));
    }
    claimed.sort_unstable();
    let twice = claimed.chunk_by(|(a, ..), (b, ..)| a == b).filter(|by| by.len() > 1);
    let mut open: VecDeque<_> = twice.filter_map(|by| by.first()).map(|(card, ..)| *card).collect();
    // Who was given a card after it was looked who claims which.
    let mut later: HashMap<&CardNumber, Vec<(usize, usize)>> = HashMap::default();
    while let Some(card) = open.pop_front() {
        let from = claimed.partition_point(|(other, ..)| *other < card);
        let first =
            claimed.iter().skip(from).take_while(|(other, ..)| *other == card).map(|(_, at, slot)| (*at, *slot));
        let mut by: Vec<_> = first.chain(later.get(card).into_iter().flatten().copied()).collect();
        by.sort_unstable();
        by.dedup();
        by.retain(|(at, slot)| claims.get(*at).is_some_and(|claim| claim.gets.get(*slot) == Some(&Some(card))));
        if by.len() < 2 {
            continue;
        }
        for (card, at, slot) in decide(claims, card, &by, conflicts) {
            later.entry(card).or_default().push((at, slot));
            open.push_back(card);
        }
    }
}

/// Who of those that claim a card has it. Gives the cards that others have instead.
fn decide<'a>(
    claims: &mut [Claim<'a>],
    card: &'a CardNumber,
    by: &[(usize, usize)],
    conflicts: &mut Vec<Conflict>,
) -> Vec<(&'a CardNumber, usize, usize)> {
    let (mut said, mut weak, mut firm) = (Vec::new(), Vec::new(), Vec::new());
    for (at, slot) in by {
        let Some(claim) = claims.get(*at) else { continue };
        let at_slot = |flags: &[bool; 2]| flags.get(*slot).copied().unwrap_or_default();
        let had = claim.has.contains(&Some(card));
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
        return Vec::new();
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
    let mut instead = Vec::new();
    for (at, slot, _) in said {
        if Some(at) != keeps {
            instead.extend(deny(claims, at, slot, card).map(|card| (card, at, slot)));
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
    instead
}

/// What was denied stays as it was before; or nothing, where that is the same card, or the other place has it by now.
fn deny<'a>(claims: &mut [Claim<'a>], at: usize, slot: usize, card: &'a CardNumber) -> Option<&'a CardNumber> {
    let claim = claims.get_mut(at)?;
    let before = claim.has.get(slot).copied().flatten().filter(|before| *before != card);
    let elsewhere = claim.gets.iter().enumerate().any(|(other, gets)| other != slot && *gets == before);
    let before = before.filter(|_| !elsewhere);
    if let Some(is_said) = claim.is_said.get_mut(slot) {
        *is_said = false;
    }
    set(claims, at, slot, before);
    before
}

fn set<'a>(claims: &mut [Claim<'a>], at: usize, slot: usize, card: Option<&'a CardNumber>) {
    if let Some(gets) = claims.get_mut(at).and_then(|claim| claim.gets.get_mut(slot)) {
        *gets = card;
    }
}
