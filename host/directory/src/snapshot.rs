//! What a source said, whole.

use std::{fmt, sync::Arc};

use cardinal_domain::{names::SourceName, sync::Total};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::watch;

/// What a source said. There is one only where everything was read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The source.
    pub source: SourceName,
    /// Whether it is everybody, or those who changed.
    pub scope: Scope,
    /// Users, as the source's settings select them.
    pub people: Vec<Person>,
    /// Groups, each with all its members.
    pub groups: Vec<Group>,
    /// How many there are, domain by domain, before any group or unit was selected.
    pub totals: Vec<Total>,
    /// What was left out, and why.
    pub remarks: Vec<Remark>,
    /// What was read.
    pub figures: Figures,
    /// Where reading what changed can begin next time, if the source can do that.
    pub mark: Option<Mark>,
}

/// How much of a source a snapshot has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Everybody: who is not in it is not in the source.
    Whole,
    /// Users that changed since the mark that was given, and all groups. Who is not in it is as before.
    Changes,
}

/// A user, as a source has them: text as it stands there, with white space around it taken off. `Debug` hides cards and the
/// PIN.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// What stays when the name changes; unique in the source.
    pub key: String,
    /// Where in the source it stands, for messages: a distinguished name, or `line 17`.
    pub place: String,
    /// The user name. Empty: the entry is there, and its name cannot be read; nobody may take it for gone.
    pub name: String,
    /// The full name.
    pub full_name: String,
    /// The address for mail.
    pub email: String,
    /// The department.
    pub department: String,
    /// The office.
    pub office: String,
    /// Further addresses.
    pub other_emails: Vec<String>,
    /// The primary card, as the field has it.
    pub card: String,
    /// The secondary card, as the field has it.
    pub second_card: String,
    /// Another name to print under.
    pub alias: String,
    /// The home folder.
    pub home: String,
    /// The PIN in clear.
    pub pin: String,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, place, name, full_name, email, department, office, other_emails, alias, home, .. } = self;
        let hidden = |text: &str| if text.is_empty() { "" } else { "…" };
        f.debug_struct("Person")
            .field("key", key)
            .field("place", place)
            .field("name", name)
            .field("full_name", full_name)
            .field("email", email)
            .field("department", department)
            .field("office", office)
            .field("other_emails", other_emails)
            .field("card", &hidden(&self.card))
            .field("second_card", &hidden(&self.second_card))
            .field("alias", alias)
            .field("home", home)
            .field("pin", &hidden(&self.pin))
            .finish()
    }
}

/// A group, as a source has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What stays when the name changes; unique in the source.
    pub key: String,
    /// Where in the source it stands.
    pub place: String,
    /// The name.
    pub name: String,
    /// Keys of [`Person`]s of the same source, those of groups inside it included, sorted, each once. Of a snapshot of
    /// changes: also of people who are not in it.
    #[serde(serialize_with = "write_keys", deserialize_with = "read_keys")]
    pub members: Vec<Arc<str>>,
}

fn write_keys<S: Serializer>(keys: &[Arc<str>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(|key| &**key))
}

fn read_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Arc<str>>, D::Error> {
    Ok(Vec::<String>::deserialize(deserializer)?.into_iter().map(Into::into).collect())
}

/// Something in a source that was left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remark {
    /// Where in the source.
    pub place: String,
    /// What is wrong there, and what to do.
    pub message: String,
}

/// Where reading what changed can begin: text that the source's reader understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mark(pub String);

/// How far reading is, or was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// The server that is read.
    pub server: String,
    /// Pages that came.
    pub pages: u64,
    /// Entries that came.
    pub entries: u64,
    /// Of how many, where that is known.
    pub of: Option<u64>,
}

/// Tells how far reading is. Cheap to clone; nobody needs to look.
#[derive(Debug, Clone)]
pub struct Progress(watch::Sender<Figures>);

impl Progress {
    /// One, and what to look at.
    pub fn new() -> (Self, watch::Receiver<Figures>) {
        let (sender, receiver) = watch::channel(Figures::default());
        (Self(sender), receiver)
    }

    /// Changes what is seen.
    pub fn tell(&self, change: impl FnOnce(&mut Figures)) {
        self.0.send_modify(change);
    }

    /// What was told so far.
    pub fn figures(&self) -> Figures {
        self.0.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_and_pins_are_not_shown() {
        let person = Person { name: "ada".into(), card: "4711".into(), pin: "1815".into(), ..Person::default() };
        let shown = format!("{person:?}");
        assert!(shown.contains("ada") && !shown.contains("4711") && !shown.contains("1815"), "{shown}");
    }
}
