//! What changes of users, each with its reason.

use cardinal_domain::{
    password::PinDigest,
    site::{Origin, User},
    sync::Change,
};

use super::{
    Options, Said,
    cards::Cards,
    matching::{Fate, Link, Matched},
    wanted::{Wanted, WantedUser},
};

/// The changes of users.
pub(super) fn users(
    record: &[User],
    said: &Said<'_>,
    wanted: &Wanted<'_>,
    matched: &Matched<'_>,
    cards: &[Option<Cards<'_>>],
    options: &Options,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for ((user, fate), cards) in wanted.users.iter().zip(&matched.fates).zip(cards) {
        let Some(cards) = cards else { continue };
        match fate {
            Fate::New => {
                let added = Box::new(added(user, said, *cards));
                changes.push(Change::AddUser { user: added, why: format!("new in {}", user.place()) });
            }
            Fate::Is(old, link) => {
                if let Some(old) = record.get(*old) {
                    changed(old, user, said, *cards, *link, options, &mut changes);
                }
            }
            Fate::Left => {}
        }
    }
    let gone = matched.gone.iter().filter_map(|at| record.get(*at));
    changes.extend(gone.map(|user| {
        let source = user.origin.as_ref().map(|origin| origin.source.as_str()).unwrap_or_default();
        Change::RemoveUser {
            user: Box::new(user.clone()),
            why: format!("is not among those that {source} has to import any more: gone, disabled, or not selected"),
        }
    }));
    changes
}

/// A user who is new.
fn added(user: &WantedUser<'_>, said: &Said<'_>, [card, second_card]: Cards<'_>) -> User {
    User {
        name: user.name.clone(),
        full_name: user.text(|said| &said.full_name).to_owned(),
        email: user.text(|said| &said.email).to_owned(),
        department: user.text(|said| &said.department).to_owned(),
        office: user.text(|said| &said.office).to_owned(),
        other_emails: user.other_emails().to_vec(),
        alias: user.text(|said| &said.alias).to_owned(),
        home: user.text(|said| &said.home).to_owned(),
        card: card.cloned(),
        second_card: second_card.cloned(),
        password_hash: None,
        pin: pin(user, said),
        origin: Some(user.origin()),
    }
}

fn pin(user: &WantedUser<'_>, said: &Said<'_>) -> Option<PinDigest> {
    Some(user.text(|said| &said.pin)).filter(|pin| !pin.is_empty()).map(|pin| (said.pin)(&user.name, pin))
}

fn changed(
    old: &User,
    user: &WantedUser<'_>,
    said: &Said<'_>,
    [card, second_card]: Cards<'_>,
    link: Link,
    options: &Options,
    changes: &mut Vec<Change>,
) {
    let mut before = None;
    if old.name != user.name {
        changes.push(Change::RenameUser {
            from: old.name.clone(),
            to: user.name.clone(),
            why: format!("has another name at {}", user.place()),
        });
        before = Some(User { name: user.name.clone(), ..old.clone() });
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
        // What a source does not say stays as it is.
        macro_rules! texts {
            ($($field:ident $what:literal)*) => {$(
                let text = user.text(|said| &said.$field);
                set($what, !text.is_empty() && text != old.$field, &|user| user.$field = text.to_owned());
            )*};
        }
        texts! {
            full_name "full name" email "email" department "department" office "office" alias "alias" home "home folder"
        }
        let emails = user.other_emails();
        set("other emails", !emails.is_empty() && emails != old.other_emails, &|user| {
            user.other_emails = emails.to_vec()
        });
        let pin = pin(user, said);
        set("PIN", pin.is_some() && pin != old.pin, &|user| user.pin.clone_from(&pin));
    }
    set("primary card", card != old.card.as_ref(), &|user| user.card = card.cloned());
    set("secondary card", second_card != old.second_card.as_ref(), &|user| user.second_card = second_card.cloned());
    let is_same = |origin: &Origin| origin.source == *user.source && origin.key == user.key();
    set("origin", !old.origin.as_ref().is_some_and(is_same), &|after| after.origin = Some(user.origin()));
    if let Some(after) = after {
        let why = match link {
            Link::Key => format!("{} differ at {}", differ.join(", "), user.place()),
            _ => format!("{}; {} differ", why_linked(link, old.origin.as_ref(), user), differ.join(", ")),
        };
        let before = Box::new(before.unwrap_or_else(|| old.clone()));
        changes.push(Change::UpdateUser { before, after: Box::new(after), why });
    }
}

fn why_linked(link: Link, old: Option<&Origin>, user: &WantedUser<'_>) -> String {
    let from = old.map(|origin| origin.source.as_str()).unwrap_or_default();
    match link {
        Link::Key => String::new(),
        Link::Recreated => format!("was made anew under the same name at {}", user.place()),
        Link::OtherSource => format!("was of {from}, is now of {}", user.place()),
        Link::TakenOver => format!("was made here, belongs now to {}", user.place()),
    }
}
