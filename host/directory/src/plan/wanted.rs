//! One user for each name: what the sources say together. The primary source wins field by field; an entry that cannot be
//! used is told of, and keeps whoever it may mean from being touched.

use std::collections::{HashMap, HashSet};

use cardinal_domain::{
    card::CardNumber,
    convert::Pattern,
    names::UserName,
    site::{Origin, User},
    sync::Conflict,
};

use super::{Options, Said};
use crate::snapshot::{Person, Scope, Snapshot};

/// All that the sources want.
pub(super) struct Wanted<'a> {
    /// Sorted by name.
    pub(super) users: Vec<WantedUser>,
    /// Which user an entry is: its source's place in the list of snapshots, and its key.
    pub(super) of_key: HashMap<(usize, &'a str), usize>,
    /// Keys of entries that were read, usable or not, by source and key.
    pub(super) seen: HashSet<(&'a str, &'a str)>,
    /// Names that are in doubt: whoever has one stays as they are.
    pub(super) doubtful: HashSet<UserName>,
    /// Whether everybody was read, so that who is missing is gone.
    pub(super) is_whole: bool,
}

/// A user, as the sources have them.
pub(super) struct WantedUser {
    /// What they say; fields that no source has are empty. Cards are not in it.
    pub(super) user: User,
    /// The source and the entry.
    pub(super) origin: Origin,
    /// Where they stand, for people.
    pub(super) place: String,
    pub(super) card: CardField,
    pub(super) second_card: CardField,
}

/// What a card field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CardField {
    /// Nothing.
    Blank,
    /// This number.
    Number(CardNumber),
    /// Something that is no card number: what is on record stays.
    Unusable,
}

/// Puts the snapshots together.
pub(super) fn wanted<'a>(said: &Said<'a>, options: &Options) -> (Wanted<'a>, Vec<Conflict>) {
    let mut conflicts = Vec::new();
    let mut wanted = Wanted {
        users: Vec::new(),
        of_key: HashMap::new(),
        seen: HashSet::new(),
        doubtful: HashSet::new(),
        is_whole: said.snapshots.iter().all(|snapshot| snapshot.scope == Scope::Whole),
    };
    let mut by_name: HashMap<UserName, Vec<(usize, &Person)>> = HashMap::new();
    for (at, snapshot) in said.snapshots.iter().enumerate() {
        let mut of_this: HashMap<UserName, Vec<&Person>> = HashMap::with_capacity(snapshot.people.len());
        for person in &snapshot.people {
            wanted.seen.insert((snapshot.source.as_str(), person.key.as_str()));
            match UserName::new(&person.name) {
                Ok(name) => of_this.entry(name).or_default().push(person),
                Err(error) => conflicts.push(Conflict {
                    about: format!("{}: {}", snapshot.source, person.place),
                    message: format!("left out: {error}"),
                }),
            }
        }
        for (name, people) in of_this {
            if let [person] = people[..] {
                by_name.entry(name).or_default().push((at, person));
            } else {
                conflicts.push(twice(snapshot, &name, &people));
                wanted.doubtful.insert(name);
            }
        }
    }
    let mut names: Vec<_> = by_name.into_iter().filter(|(name, _)| !wanted.doubtful.contains(name)).collect();
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, people) in names {
        for (at, person) in &people {
            wanted.of_key.insert((*at, person.key.as_str()), wanted.users.len());
        }
        wanted.users.extend(merged(name, &people, said, options, &mut conflicts));
    }
    (wanted, conflicts)
}

fn twice(snapshot: &Snapshot, name: &UserName, people: &[&Person]) -> Conflict {
    let mut places: Vec<_> = people.iter().map(|person| person.place.as_str()).collect();
    places.sort_unstable();
    Conflict {
        about: format!("user {name}"),
        message: format!(
            "source {} has this name more than once: {}; nothing is done about it until one of them has another name",
            snapshot.source,
            places.join(" and ")
        ),
    }
}

/// One user of all that the sources say of this name, the primary one's word first.
fn merged(
    name: UserName,
    people: &[(usize, &Person)],
    said: &Said<'_>,
    options: &Options,
    conflicts: &mut Vec<Conflict>,
) -> Option<WantedUser> {
    let (first, person) = people.first()?;
    let source = &said.snapshots.get(*first)?.source;
    let text = |field: fn(&Person) -> &String| {
        people.iter().map(|(_, person)| field(person)).find(|text| !text.is_empty()).cloned().unwrap_or_default()
    };
    let mut card = |what: &str, field: fn(&Person) -> &String, pattern: Option<&Pattern>| {
        let text = text(field);
        if text.is_empty() {
            return CardField::Blank;
        }
        number(&text, pattern).map(CardField::Number).unwrap_or_else(|why| {
            conflicts.push(Conflict { about: format!("user {name}"), message: format!("{what}: {why}") });
            CardField::Unusable
        })
    };
    let (card, second_card) = (
        card("primary card", |person| &person.card, options.card_pattern.as_ref()),
        card("secondary card", |person| &person.second_card, options.second_card_pattern.as_ref()),
    );
    let pin = text(|person| &person.pin);
    let other_emails = people.iter().map(|(_, person)| &person.other_emails).find(|emails| !emails.is_empty());
    let user = User {
        full_name: text(|person| &person.full_name),
        email: text(|person| &person.email),
        department: text(|person| &person.department),
        office: text(|person| &person.office),
        other_emails: other_emails.cloned().unwrap_or_default(),
        alias: text(|person| &person.alias),
        home: text(|person| &person.home),
        pin: (!pin.is_empty()).then(|| (said.pin)(&name, &pin)),
        ..User::new(name)
    };
    let origin = Origin { source: source.clone(), key: person.key.clone() };
    Some(WantedUser { user, origin, place: format!("{source}: {}", person.place), card, second_card })
}

/// The card number that a field holds, or why it holds none. The field's text is not repeated: it may be a card.
fn number(text: &str, pattern: Option<&Pattern>) -> Result<CardNumber, String> {
    if text.contains('@') {
        return Err("the field holds a mail address, not a card number; is the card in another field?".to_owned());
    }
    let text = match pattern {
        Some(pattern) => pattern.first_group(text).ok_or("the field does not match the card-no-regex for it")?,
        None => text,
    };
    CardNumber::new(text).map_err(|error| format!("{error}; a card-no-regex can pick the number out of the field"))
}
