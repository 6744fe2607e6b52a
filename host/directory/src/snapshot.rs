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
    /// Users, as the source's settings select them; those that were [handed over](Handover) are not among them.
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
    /// Users that changed since the mark that was given, and all groups; or, where a server says that others have a part of
    /// what was asked for, what it has itself, each group with a member [elsewhere](ELSEWHERE). Who is not in it is as before.
    Changes,
}

/// The key of a member that nobody has: its group may have members that were not read, and nobody is said to have left it.
pub const ELSEWHERE: &str = "\u{1}elsewhere";

/// A user, as a source has them: text as it stands there, with white space around it taken off. `Debug` hides cards and the
/// PIN.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Person {
    /// What stays when the name changes; unique in the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Where in the source it stands, for messages: a distinguished name, or `line 17`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The user name. Empty: the entry is there, and its name cannot be read; nobody may take it for gone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The full name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub full_name: String,
    /// The address for mail.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// The department.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub department: String,
    /// The office.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub office: String,
    /// Further addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_emails: Vec<String>,
    /// The primary card, as the field has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub card: String,
    /// The secondary card, as the field has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub second_card: String,
    /// Another name to print under.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
    /// The home folder.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub home: String,
    /// The PIN in clear.
    #[serde(skip_serializing_if = "String::is_empty")]
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
    /// Keys of [`Person`]s of the same source, those of groups inside it included, each once. Of a snapshot of changes:
    /// also of people who are not in it.
    #[serde(serialize_with = "write_keys", deserialize_with = "read_keys")]
    pub members: Vec<Arc<str>>,
}

fn write_keys<S: Serializer>(keys: &[Arc<str>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(|key| &**key))
}

fn read_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Arc<str>>, D::Error> {
    Ok(Vec::<String>::deserialize(deserializer)?.into_iter().map(Into::into).collect())
}

/// Takes users of a snapshot while the rest is being read, so that somebody else's work on them is done by the end. They are
/// good for nothing where reading ends with an error.
#[derive(Clone)]
pub struct Handover(Arc<dyn Fn(Person) + Send + Sync>);

impl Handover {
    /// To whoever this calls.
    pub fn new(take: impl Fn(Person) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    pub(crate) fn take(&self, person: Person) {
        (self.0)(person);
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handover")
    }
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
