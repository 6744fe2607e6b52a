//! Who is who: which user on record a wanted one is. The source's key decides, then the name.

use std::collections::BTreeSet;

use cardinal_domain::{
    names::{SourceName, UserName},
    site::User,
    sync::Conflict,
};
use foldhash::{HashMap, HashMapExt as _};

use super::{Options, wanted::Wanted};

/// Who is who.
pub(super) struct Matched<'a> {
    /// For each wanted user what becomes of them, in the same order.
    pub(super) fates: Vec<Fate>,
    /// Users on record, by their place there, that are in no source any more.
    pub(super) gone: Vec<usize>,
    /// For each user on record, the wanted one that they are.
    pub(super) wanted_of: Vec<Option<usize>>,
    /// Users on record, by source and key.
    by_key: HashMap<(&'a str, &'a str), usize>,
}

impl Matched<'_> {
    /// Which user on record has this entry.
    pub(super) fn on_record(&self, source: &SourceName, key: &str) -> Option<usize> {
        self.by_key.get(&(source.as_str(), key)).copied()
    }
}

/// What becomes of a wanted user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody on record is them.
    New,
    /// They are this one on record, and why that is no matter of course.
    Is(usize, Link),
    /// In doubt: nothing is done.
    Left,
}

/// By what a user on record was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// By the source's key.
    Key,
    /// By the name: the source has made a new entry for it.
    Recreated,
    /// By the name: another source had them, or has less to say.
    OtherSource,
    /// By the name: they were made here.
    TakenOver,
}

/// Where each user on record is found, by their place there.
pub(super) struct Known<'a> {
    by_key: HashMap<(&'a str, &'a str), usize>,
    by_name: HashMap<&'a UserName, usize>,
}

impl<'a> Known<'a> {
    pub(super) fn of(record: &'a [User]) -> Self {
        let mut known =
            Self { by_key: HashMap::with_capacity(record.len()), by_name: HashMap::with_capacity(record.len()) };
        for (at, user) in record.iter().enumerate() {
            known.by_name.insert(&user.name, at);
            if let Some(origin) = &user.origin {
                known.by_key.insert((origin.source.as_str(), origin.key.as_str()), at);
            }
        }
        known
    }
}

/// Finds out. Conflicts are those of names.
pub(super) fn matching<'a>(
    record: &'a [User],
    Known { by_key, by_name }: Known<'a>,
    wanted: &Wanted<'_>,
    sources: &BTreeSet<&SourceName>,
    options: &Options,
    conflicts: &mut Vec<Conflict>,
) -> Matched<'a> {
    // Whoever is found by the key of an entry is that entry; a name alone is weaker.
    let keyed: Vec<_> =
        wanted.users.iter().map(|user| by_key.get(&(user.source.as_str(), user.key())).copied()).collect();
    let taken = marked(record.len(), keyed.iter().flatten().copied());
    let mut fates: Vec<_> = wanted
        .users
        .iter()
        .zip(&keyed)
        .map(|(user, key)| match (key, by_name.get(&user.name).copied()) {
            (Some(at), _) => Fate::Is(*at, Link::Key),
            (None, None) => Fate::New,
            // Its holder is another entry, which has another name now: the name is free.
            (None, Some(at)) if taken.get(at) == Some(&true) => Fate::New,
            (None, Some(at)) => by_name_alone(record, at, user, wanted, options, conflicts),
        })
        .collect();
    keep_doubtful(record, wanted, &by_name, &mut fates, conflicts);
    let mut wanted_of = vec![None; record.len()];
    for (at, fate) in fates.iter().enumerate() {
        if let Fate::Is(on_record, _) = fate
            && let Some(wanted_of) = wanted_of.get_mut(*on_record)
        {
            *wanted_of = Some(at);
        }
    }
    let is_gone = |(at, user): &(usize, &User)| {
        let Some(origin) = &user.origin else { return false };
        sources.contains(&origin.source)
            && wanted_of.get(*at) == Some(&None)
            && !wanted.is_seen(origin)
            && !wanted.doubtful.contains(&user.name)
    };
    let may_remove = options.remove && wanted.is_whole;
    let gone = record.iter().enumerate().filter(|_| may_remove).filter(is_gone).map(|(at, _)| at).collect();
    Matched { fates, gone, wanted_of, by_key }
}

/// Which of so many places are among these.
fn marked(of: usize, places: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut marked = vec![false; of];
    for place in places {
        if let Some(is_marked) = marked.get_mut(place) {
            *is_marked = true;
        }
    }
    marked
}

fn by_name_alone(
    record: &[User],
    at: usize,
    user: &super::wanted::WantedUser<'_>,
    wanted: &Wanted<'_>,
    options: &Options,
    conflicts: &mut Vec<Conflict>,
) -> Fate {
    let Some(on_record) = record.get(at) else { return Fate::New };
    let mut leave = |message: String| {
        conflicts.push(Conflict { about: format!("user {}", on_record.name), message });
        Fate::Left
    };
    let place = user.place();
    match &on_record.origin {
        None if options.take_over => Fate::Is(at, Link::TakenOver),
        None => leave(format!(
            "was made here, and {place} has the same name; set user-source.take-over-local-users to Y where they are one \
             and the same person, or change one of the names"
        )),
        // Its entry was read, and cannot be used: it may be renamed, or be somebody else's name by now.
        Some(origin) if wanted.is_seen(origin) => leave(format!(
            "{place} has this name, and the entry that had it so far is there, too, under a name that cannot be used; \
             nothing is done about both until it can"
        )),
        // Whose entry was not looked at may be there still.
        Some(_) if !wanted.is_whole => leave(format!(
            "{place} has this name, too; whether the entry that had it so far is there still is known once everything is \
             read: run `cardinal sync now`"
        )),
        Some(origin) if origin.source == *user.source => Fate::Is(at, Link::Recreated),
        // Also of a source that the site has no more: its users belong to whoever has them now.
        Some(_) => Fate::Is(at, Link::OtherSource),
    }
}

/// A rename needs its name free: whoever has it must get another one, or go. Leaving one alone may take a name from the next,
/// so this goes on until nothing changes.
fn keep_doubtful(
    record: &[User],
    wanted: &Wanted<'_>,
    by_name: &HashMap<&UserName, usize>,
    fates: &mut [Fate],
    conflicts: &mut Vec<Conflict>,
) {
    loop {
        // Who on record will have another name.
        let leaving = wanted.users.iter().zip(fates.iter()).filter_map(|(user, fate)| match fate {
            Fate::Is(at, _) => record.get(*at).filter(|old| old.name != user.name).map(|_| *at),
            Fate::New | Fate::Left => None,
        });
        let leaving = marked(record.len(), leaving);
        let mut changed = false;
        for (user, fate) in wanted.users.iter().zip(fates.iter_mut()) {
            let own = match fate {
                Fate::Is(at, _) => Some(*at),
                Fate::New => None,
                Fate::Left => continue,
            };
            let holder = by_name.get(&user.name).copied().filter(|holder| Some(*holder) != own);
            let Some(holder) = holder.filter(|holder| leaving.get(*holder) != Some(&true)) else { continue };
            let so_far = own.and_then(|own| record.get(own)).map(|old| format!(" (so far {})", old.name));
            conflicts.push(Conflict {
                about: format!("user {}", user.name),
                message: format!(
                    "{}{} has this name now, and {} on record has it, too; nothing is done about them until that one is \
                     renamed or removed",
                    user.place(),
                    so_far.unwrap_or_default(),
                    record.get(holder).and_then(|old| old.origin.as_ref()).map_or_else(
                        || "a user that was made here".to_owned(),
                        |origin| format!("a user of {}", origin.source)
                    )
                ),
            });
            *fate = Fate::Left;
            changed = true;
        }
        if !changed {
            return;
        }
    }
}
