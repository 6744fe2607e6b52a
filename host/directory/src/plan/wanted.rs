//! One user for each name: what the sources say together. The primary source wins field by field; an entry that cannot be
//! used is told of, and keeps whoever it may mean from being touched.

use cardinal_domain::{
    card::CardNumber,
    convert::Pattern,
    names::{SourceName, UserName},
    site::Origin,
    sync::Conflict,
};
use foldhash::{HashMap, HashMapExt as _, HashSet};

use super::{Options, Said};
use crate::snapshot::{Person, Scope};

/// All that the sources want.
pub(super) struct Wanted<'a> {
    /// Sorted by name.
    pub(super) users: Vec<WantedUser<'a>>,
    /// Which user an entry is, by its source's place in the list of snapshots and its key; none: it cannot be used.
    entries: HashMap<(usize, &'a str), Option<usize>>,
    sources: Vec<&'a SourceName>,
    /// Names that are in doubt: whoever has one stays as they are.
    pub(super) doubtful: HashSet<UserName>,
    /// Whether everybody was read, so that who is missing is gone.
    pub(super) is_whole: bool,
}

impl Wanted<'_> {
    /// Which user an entry of this snapshot is. None: there is no such entry; or it is there, and cannot be used.
    pub(super) fn user_of(&self, at: usize, key: &str) -> Option<Option<usize>> {
        self.entries.get(&(at, key)).copied()
    }

    /// Whether an entry was read, usable or not.
    pub(super) fn is_seen(&self, Origin { source, key }: &Origin) -> bool {
        let at = self.sources.iter().position(|known| *known == source);
        at.is_some_and(|at| self.user_of(at, key).is_some())
    }
}

/// A user, as the sources have them. What they say is looked at where it lies: of most users nothing changes.
pub(super) struct WantedUser<'a> {
    pub(super) name: UserName,
    /// The source that has them, the primary one before the secondary one.
    pub(super) source: &'a SourceName,
    /// The entries that they are, the primary source's word first.
    entries: Vec<&'a Person>,
    pub(super) card: CardField,
    pub(super) second_card: CardField,
}

impl<'a> WantedUser<'a> {
    /// What the sources say in this field; empty: none of them says anything.
    pub(super) fn text(&self, field: fn(&Person) -> &String) -> &'a str {
        text(&self.entries, field)
    }

    /// Further addresses of the first source that has any.
    pub(super) fn other_emails(&self) -> &'a [String] {
        let said = self.entries.iter().map(|entry| entry.other_emails.as_slice());
        said.into_iter().find(|emails| !emails.is_empty()).unwrap_or_default()
    }

    /// What stays when the name changes.
    pub(super) fn key(&self) -> &'a str {
        self.entries.first().map(|entry| entry.key.as_str()).unwrap_or_default()
    }

    /// The source and the entry.
    pub(super) fn origin(&self) -> Origin {
        Origin { source: self.source.clone(), key: self.key().to_owned() }
    }

    /// Where they stand, for people.
    pub(super) fn place(&self) -> String {
        let place = self.entries.first().map(|entry| entry.place.as_str()).unwrap_or_default();
        format!("{}: {place}", self.source)
    }
}

fn text<'a>(entries: &[&'a Person], field: fn(&Person) -> &String) -> &'a str {
    entries.iter().map(|entry| field(entry).as_str()).find(|text| !text.is_empty()).unwrap_or_default()
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
    let entries = said.snapshots.iter().map(|snapshot| snapshot.people.len()).sum();
    let mut wanted = Wanted {
        users: Vec::with_capacity(entries),
        entries: HashMap::with_capacity(entries),
        sources: said.snapshots.iter().map(|snapshot| &snapshot.source).collect(),
        doubtful: HashSet::default(),
        is_whole: said.snapshots.iter().all(|snapshot| snapshot.scope == Scope::Whole),
    };
    let mut named: Vec<(UserName, usize, &Person)> = Vec::with_capacity(entries);
    for (at, snapshot) in said.snapshots.iter().enumerate() {
        for person in &snapshot.people {
            match UserName::new(&person.name) {
                Ok(name) => named.push((name, at, person)),
                Err(error) => {
                    wanted.entries.insert((at, person.key.as_str()), None);
                    conflicts.push(Conflict {
                        about: format!("{}: {}", snapshot.source, person.place),
                        message: format!("left out: {error}"),
                    });
                }
            }
        }
    }
    // Those of one name stand together, the primary source's first.
    named.sort_by(|(a, of_a, _), (b, of_b, _)| a.cmp(b).then(of_a.cmp(of_b)));
    for same in named.chunk_by(|(a, ..), (b, ..)| a == b) {
        let Some((name, ..)) = same.first() else { continue };
        let mut is_doubtful = false;
        for of_one in same.chunk_by(|(_, a, _), (_, b, _)| a == b).filter(|of_one| of_one.len() > 1) {
            conflicts.extend(twice(said, name, of_one));
            is_doubtful = true;
        }
        let user = (!is_doubtful).then_some(wanted.users.len());
        wanted.entries.extend(same.iter().map(|(_, at, person)| ((*at, person.key.as_str()), user)));
        if is_doubtful {
            wanted.doubtful.insert(name.clone());
            continue;
        }
        wanted.users.extend(merged(name, same, said, options, &mut conflicts));
    }
    (wanted, conflicts)
}

fn twice(said: &Said<'_>, name: &UserName, people: &[(UserName, usize, &Person)]) -> Option<Conflict> {
    let source = &said.snapshots.get(people.first()?.1)?.source;
    let mut places: Vec<_> = people.iter().map(|(.., person)| person.place.as_str()).collect();
    places.sort_unstable();
    Some(Conflict {
        about: format!("user {name}"),
        message: format!(
            "source {source} has this name more than once: {}; nothing is done about it until one of them has another name",
            places.join(" and ")
        ),
    })
}

/// One user of all that the sources say of this name.
fn merged<'a>(
    name: &UserName,
    people: &[(UserName, usize, &'a Person)],
    said: &Said<'a>,
    options: &Options,
    conflicts: &mut Vec<Conflict>,
) -> Option<WantedUser<'a>> {
    let source = &said.snapshots.get(people.first()?.1)?.source;
    let entries: Vec<_> = people.iter().map(|(.., person)| *person).collect();
    let mut card = |what: &str, field: fn(&Person) -> &String, pattern: Option<&Pattern>| {
        let text = text(&entries, field);
        if text.is_empty() {
            return CardField::Blank;
        }
        number(text, pattern).map(CardField::Number).unwrap_or_else(|why| {
            conflicts.push(Conflict { about: format!("user {name}"), message: format!("{what}: {why}") });
            CardField::Unusable
        })
    };
    let (card, second_card) = (
        card("primary card", |person| &person.card, options.card_pattern.as_ref()),
        card("secondary card", |person| &person.second_card, options.second_card_pattern.as_ref()),
    );
    Some(WantedUser { name: name.clone(), source, entries, card, second_card })
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
