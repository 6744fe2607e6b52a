//! What a directory sync changes: users, groups and memberships, each change with its reason, and what it was before, so
//! that it can be shown, carried out and taken back.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    names::{GroupName, UserName},
    plan::{Action, Field, Line, fields},
    site::{Origin, User},
};

/// A group as it is on record. Its members are those of the groups inside it, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Where it came from.
    pub origin: Origin,
    /// Its members, sorted.
    pub members: Vec<UserName>,
}

/// One thing to do. A plan carries them out in this order: removals first, so that names and cards are free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// The user goes to the archive: cards are freed, the history stays.
    RemoveUser {
        /// As they were.
        user: Box<User>,
        /// Why.
        why: String,
    },
    /// The user has another name, and is the same by what the source has for its key.
    RenameUser {
        /// The name so far.
        from: UserName,
        /// The name from now on.
        to: UserName,
        /// Why.
        why: String,
    },
    /// Fields of the user differ. With a rename of the same user before it, both have the new name.
    UpdateUser {
        /// As they were.
        before: Box<User>,
        /// As they will be.
        after: Box<User>,
        /// Why.
        why: String,
    },
    /// A user who is new.
    AddUser {
        /// As they will be.
        user: Box<User>,
        /// Why.
        why: String,
    },
    /// The group goes, with its memberships.
    RemoveGroup {
        /// As it was.
        group: Group,
        /// Why.
        why: String,
    },
    /// A group that is new, with its members.
    AddGroup {
        /// As it will be.
        group: Group,
        /// Why.
        why: String,
    },
    /// The group has another name, or comes from elsewhere now.
    ChangeGroup {
        /// Its name so far.
        from: GroupName,
        /// Where it came from so far.
        from_origin: Origin,
        /// Its name from now on.
        to: GroupName,
        /// Where it comes from.
        origin: Origin,
        /// Why.
        why: String,
    },
    /// Users that are in a group no longer, and users that now are. Names are those after the renames of the plan.
    Members {
        /// The group, by its name after the plan.
        group: GroupName,
        /// Who left, sorted.
        left: Vec<UserName>,
        /// Who joined, sorted.
        joined: Vec<UserName>,
        /// Why.
        why: String,
    },
}

/// Something that a sync leaves alone, because nobody can say what is right: who must do what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Conflict {
    /// What it is about, such as `user ada` or `card ***11`.
    pub about: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// How many users and groups a domain of a source has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// The source and the domain, such as `school: school.example`.
    pub of: String,
    /// Users.
    pub users: u64,
    /// Groups.
    pub groups: u64,
}

/// A threshold that a plan crosses: it waits for somebody's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What there is too much of.
    pub what: Threshold,
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// The count that is passed without a word.
    pub most: u64,
    /// The part that is passed without a word, in percent.
    pub most_percent: u64,
}

/// What thresholds count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threshold {
    /// Users that go.
    Removals,
    /// Memberships that end, those of removed users and groups included.
    LostMemberships,
    /// Cards that users who stay lose, or have another one for.
    ChangedCards,
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removals => "users would be removed",
            Self::LostMemberships => "memberships would end",
            Self::ChangedCards => "users with a card would have another one, or none",
        })
    }
}

/// Fewer than this are never too many by their part of all: of five people, one is twenty percent.
const FEW: u64 = 10;

impl Threshold {
    /// The config key of the count; that of the part has `-percent` behind it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Removals => "user-source.limit.removals",
            Self::LostMemberships => "user-source.limit.lost-memberships",
            Self::ChangedCards => "user-source.limit.changed-cards",
        }
    }
}

impl Held {
    /// Whether it is too much as a part of all.
    pub fn is_part_crossed(&self) -> bool {
        self.count >= FEW && self.count.saturating_mul(100) > self.of.saturating_mul(self.most_percent)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, count, of, most, most_percent } = self;
        let key = what.key();
        write!(f, "{count} of {of} {what}: ")?;
        if count > most {
            write!(f, "{count} is more than {most} ({key})")?;
        }
        if self.is_part_crossed() {
            // Rounded up, so that it reads as the more that it is.
            let tenths = count.saturating_mul(1_000).div_ceil(*of.max(&1));
            let (whole, rest) = (tenths / 10, tenths % 10);
            let and = if count > most { ", and " } else { "" };
            let rest = if rest == 0 { String::new() } else { format!(".{rest}") };
            write!(f, "{and}{whole}{rest} % is more than {most_percent} % ({key}-percent)")?;
        }
        Ok(())
    }
}

/// What a sync would do, or did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In the order in which they are carried out.
    pub changes: Vec<Change>,
    /// What is left alone.
    pub conflicts: Vec<Conflict>,
    /// What the sources have.
    pub totals: Vec<Total>,
    /// Why it waits for somebody's word; empty: it does not.
    pub held: Vec<Held>,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Users that are new.
    pub added: u64,
    /// Users of whom fields change.
    pub updated: u64,
    /// Users with another name.
    pub renamed: u64,
    /// Users that go.
    pub removed: u64,
    /// Users whose cards change, new and removed ones not counted.
    pub cards: u64,
    /// Groups that are new.
    pub groups_added: u64,
    /// Groups that go.
    pub groups_removed: u64,
    /// Memberships that begin.
    pub joined: u64,
    /// Memberships that end.
    pub left: u64,
    /// What is left alone.
    pub conflicts: u64,
}

impl Plan {
    /// How much it is.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { conflicts: count(self.conflicts.len()), ..Counts::default() };
        for change in &self.changes {
            match change {
                Change::RemoveUser { .. } => counts.removed += 1,
                Change::RenameUser { .. } => counts.renamed += 1,
                Change::UpdateUser { before, after, .. } => {
                    counts.updated += 1;
                    counts.cards += u64::from(!before.cards().eq(after.cards()));
                }
                Change::AddUser { .. } => counts.added += 1,
                Change::RemoveGroup { group, .. } => {
                    counts.groups_removed += 1;
                    counts.left += count(group.members.len());
                }
                Change::AddGroup { group, .. } => {
                    counts.groups_added += 1;
                    counts.joined += count(group.members.len());
                }
                Change::ChangeGroup { .. } => {}
                Change::Members { left, joined, .. } => {
                    counts.left += count(left.len());
                    counts.joined += count(joined.len());
                }
            }
        }
        counts
    }
}

/// A number of things in memory.
fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// How many members of a group a line names.
const NAMED: usize = 10;

/// A change, for people and for the API. Card numbers are not shown in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What is done, to whom, and the fields that differ.
    #[serde(flatten)]
    pub line: Line,
    /// Why.
    pub why: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.to_string();
        let (first, rest) = line.split_once('\n').unwrap_or((&line, ""));
        write!(f, "{first}  ({})", self.why)?;
        if rest.is_empty() { Ok(()) } else { write!(f, "\n{rest}") }
    }
}

impl Change {
    /// For people.
    pub fn shown(&self) -> Shown {
        let field = |key: &str, old: Option<String>, new: Option<String>| Field { key: key.to_owned(), old, new };
        let name = |old: &str, new: &str| field("name", Some(old.to_owned()), Some(new.to_owned()));
        let members = |names: &[UserName]| Some(named(names)).filter(|_| !names.is_empty());
        let (action, kind, of, fields, why) = match self {
            Self::RemoveUser { user, why } => (Action::Remove, "user", user.name.as_str(), Vec::new(), why),
            Self::RenameUser { from, to, why } => {
                (Action::Change, "user", from.as_str(), vec![name(from.as_str(), to.as_str())], why)
            }
            Self::UpdateUser { before, after, why } => {
                (Action::Change, "user", after.name.as_str(), fields(Some(&**before), Some(&**after)), why)
            }
            Self::AddUser { user, why } => (Action::Add, "user", user.name.as_str(), fields(None, Some(&**user)), why),
            Self::RemoveGroup { group, why } => (Action::Remove, "group", group.name.as_str(), Vec::new(), why),
            Self::AddGroup { group, why } => {
                (Action::Add, "group", group.name.as_str(), vec![field("members", None, members(&group.members))], why)
            }
            Self::ChangeGroup { from, to, why, .. } if from == to => {
                (Action::Change, "group", from.as_str(), Vec::new(), why)
            }
            Self::ChangeGroup { from, to, why, .. } => {
                (Action::Change, "group", from.as_str(), vec![name(from.as_str(), to.as_str())], why)
            }
            Self::Members { group, left, joined, why } => {
                let fields = vec![field("left", None, members(left)), field("joined", None, members(joined))];
                (Action::Change, "group", group.as_str(), fields, why)
            }
        };
        let line = Line { action, kind: kind.to_owned(), name: of.to_owned(), fields };
        Shown { line, why: why.clone() }
    }
}

/// Some names, and how many more.
fn named(names: &[UserName]) -> String {
    let some: Vec<_> = names.iter().take(NAMED).map(UserName::as_str).collect();
    match names.len().saturating_sub(NAMED) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::CardNumber;

    #[test]
    fn a_threshold_says_what_crosses_it_and_where_it_is_set() {
        let held = |what, count, of| Held { what, count, of, most: 500, most_percent: 10 }.to_string();
        assert_eq!(
            held(Threshold::Removals, 30, 100),
            "30 of 100 users would be removed: 30 % is more than 10 % (user-source.limit.removals-percent)"
        );
        assert_eq!(
            held(Threshold::LostMemberships, 600, 60_000),
            "600 of 60000 memberships would end: 600 is more than 500 (user-source.limit.lost-memberships)"
        );
        assert_eq!(
            held(Threshold::ChangedCards, 501, 1000),
            "501 of 1000 users with a card would have another one, or none: 501 is more than 500 \
             (user-source.limit.changed-cards), and 50.1 % is more than 10 % (user-source.limit.changed-cards-percent)"
        );
        // More than ten percent by less than one of them.
        assert!(held(Threshold::Removals, 11, 109).contains("10.1 % is more than 10 %"));
    }

    #[test]
    fn a_change_is_shown_with_its_reason_and_without_its_card() {
        let name = |name: &str| UserName::new(name).unwrap();
        let before = User { other_emails: vec!["a@x".into(), "b@x".into()], ..User::new(name("ada")) };
        let after = User { card: Some(CardNumber::new("471155").unwrap()), other_emails: Vec::new(), ..before.clone() };
        let update =
            Change::UpdateUser { before: Box::new(before), after: Box::new(after), why: "card differs".into() };
        assert_eq!(
            update.shown().to_string(),
            "~ user ada  (card differs)\n    card = ***55\n    other_emails: a@x, b@x -> (none)"
        );
        let joined = (0..13).map(|at| name(&format!("u{at}"))).collect();
        let members =
            Change::Members { group: GroupName::new("Staff").unwrap(), left: Vec::new(), joined, why: "x".into() };
        assert_eq!(
            members.shown().to_string(),
            "~ group staff  (x)\n    joined = u0, u1, u2, u3, u4, u5, u6, u7, u8, u9 and 3 more"
        );
    }
}
