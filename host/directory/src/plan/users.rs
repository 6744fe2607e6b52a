//! What changes of users, each with its reason.

use std::collections::HashMap;

use cardinal_domain::{
    site::{Origin, User},
    sync::Change,
};

use super::{
    Options,
    cards::Cards,
    matching::{Fate, Link, Matched},
    wanted::{Wanted, WantedUser},
};

/// The changes of users.
pub(super) fn users(
    record: &[User],
    wanted: &Wanted<'_>,
    matched: &Matched,
    cards: &HashMap<usize, Cards>,
    options: &Options,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (at, (user, fate)) in wanted.users.iter().zip(&matched.fates).enumerate() {
        let Some([card, second_card]) = cards.get(&at) else { continue };
        match fate {
            Fate::New => {
                let added = User {
                    card: card.clone(),
                    second_card: second_card.clone(),
                    origin: Some(user.origin.clone()),
                    ..user.user.clone()
                };
                changes.push(Change::AddUser { user: Box::new(added), why: format!("new in {}", user.place) });
            }
            Fate::Is(old, link) => {
                if let Some(old) = record.get(*old) {
                    changed(old, user, [card, second_card], *link, options, &mut changes);
                }
            }
            Fate::Left => {}
        }
    }
    let gone = matched.gone.iter().filter_map(|at| record.get(*at));
    changes.extend(gone.map(|user| {
        let source = user.origin.as_ref().map(|origin| origin.source.as_str()).unwrap_or_default();
        Change::RemoveUser { user: Box::new(user.clone()), why: format!("is in {source} no longer") }
    }));
    changes
}

fn changed(
    old: &User,
    user: &WantedUser,
    [card, second_card]: [&Option<cardinal_domain::card::CardNumber>; 2],
    link: Link,
    options: &Options,
    changes: &mut Vec<Change>,
) {
    let mut before = None;
    if old.name != user.user.name {
        changes.push(Change::RenameUser {
            from: old.name.clone(),
            to: user.user.name.clone(),
            why: format!("has another name at {}", user.place),
        });
        before = Some(User { name: user.user.name.clone(), ..old.clone() });
    }
    let mut differ = Vec::new();
    let mut after = None;
    let mut set = |what, is_other: bool, put: &dyn Fn(&mut User)| {
        if is_other {
            differ.push(what);
            put(after.get_or_insert_with(|| before.as_ref().unwrap_or(old).clone()));
        }
    };
    if options.update_details {
        let said = &user.user;
        // What a source does not say stays as it is.
        macro_rules! texts {
            ($($field:ident $what:literal)*) => {$(
                set($what, !said.$field.is_empty() && said.$field != old.$field, &|user| user.$field.clone_from(&said.$field));
            )*};
        }
        texts! {
            full_name "full name" email "email" department "department" office "office" other_emails "other emails"
            alias "alias" home "home folder"
        }
        set("PIN", said.pin.is_some() && said.pin != old.pin, &|user| user.pin.clone_from(&said.pin));
    }
    set("primary card", *card != old.card, &|user| user.card.clone_from(card));
    set("secondary card", *second_card != old.second_card, &|user| user.second_card.clone_from(second_card));
    let is_other_origin = old.origin.as_ref() != Some(&user.origin);
    set("origin", is_other_origin, &|after| after.origin = Some(user.origin.clone()));
    if let Some(after) = after {
        let why = match link {
            Link::Key => format!("{} differ at {}", differ.join(", "), user.place),
            _ => format!("{}; {} differ", why_linked(link, old.origin.as_ref(), user), differ.join(", ")),
        };
        let before = Box::new(before.unwrap_or_else(|| old.clone()));
        changes.push(Change::UpdateUser { before, after: Box::new(after), why });
    }
}

fn why_linked(link: Link, old: Option<&Origin>, user: &WantedUser) -> String {
    let from = old.map(|origin| origin.source.as_str()).unwrap_or_default();
    match link {
        Link::Key => String::new(),
        Link::Recreated => format!("was made anew under the same name at {}", user.place),
        Link::OtherSource => format!("was of {from}, is now of {}", user.place),
        Link::TakenOver => format!("was made here, belongs now to {}", user.place),
    }
}
