//! Names and ids, a type each, so that a reader's name cannot be passed where a device's is wanted.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

/// The longest name, in characters.
pub const LONGEST: usize = 64;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or too long.
    #[error("{text:?} is no name of a {what}: it must have 1 to {LONGEST} characters")]
    Length {
        /// What was to be named.
        what: &'static str,
        /// What was written, cut short.
        text: String,
    },
    /// A character that cannot stand in a name.
    #[error("{text:?} is no name of a {what}: {character:?} is not allowed; {allowed}")]
    Character {
        /// What was to be named.
        what: &'static str,
        /// What was written.
        text: String,
        /// The first character that is not allowed.
        character: char,
        /// What is.
        allowed: &'static str,
    },
}

fn check(what: &'static str, text: &str, allowed: &'static str, fits: fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() || text.chars().count() > LONGEST {
        return Err(NameError::Length { what, text: text.chars().take(LONGEST).collect() });
    }
    match text.chars().find(|c| !fits(*c)) {
        Some(character) => Err(NameError::Character { what, text: text.to_owned(), character, allowed }),
        None => Ok(()),
    }
}

fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn of_a_group(c: char) -> bool {
    !c.is_control()
}

/// One name for what directories hold to be one: case and Unicode form do not tell names apart.
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfc().collect::<String>().to_lowercase().nfc().collect()
    }
}

fn of_a_user(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '\\' | '$' | '\'' | ' ')
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $allowed:literal, $fits:ident, $fold:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// A name of this text.
            ///
            /// # Errors
            /// Empty, too long, or with a character that cannot stand in it.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let fold: fn(&str) -> String = $fold;
                let name = fold(text);
                check($what, &name, $allowed, $fits)?;
                Ok(Self(name))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// The name of a user. Directories do not tell upper case from lower, nor one Unicode form from another, so
    /// neither do we: it is kept in lower case and in form NFC.
    UserName, "user", "letters, digits and - _ . @ \\ $ ' are", of_a_user, folded
);
name!(
    /// The name of a group of users. Kept as names of users are.
    GroupName, "group", "control characters are not, everything else is", of_a_group, folded
);
name!(
    /// The name of a sync source: where users and groups come from.
    SourceName, "source", "letters, digits and - _ . are", plain, str::to_owned
);
name!(
    /// The name of a reader: what says that a card was shown.
    ReaderName, "reader", "letters, digits and - _ . are", plain, str::to_owned
);
name!(
    /// The name of a device: what a person stands at, a printer with its reader.
    DeviceName, "device", "letters, digits and - _ . are", plain, str::to_owned
);
name!(
    /// The name of a printer: where jobs are delivered.
    PrinterName, "printer", "letters, digits and - _ . are", plain, str::to_owned
);
name!(
    /// The name of a hold queue: what people print to.
    QueueName, "queue", "letters, digits and - _ . are", plain, str::to_owned
);

macro_rules! id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Uuid);

        impl $type {
            /// A new one; later ones sort behind earlier ones.
            #[allow(clippy::new_without_default, reason = "a default that differs each time would surprise")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $type {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A job, for ever and everywhere: in the spool, in the store and in the printer's own job list.
    JobId
);
id!(
    /// One swipe, or one other thing that happened, through all its events.
    TraceId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_why_they_are_refused() {
        assert_eq!(UserName::new("Ada").unwrap().as_str(), "ada");
        assert_eq!(
            QueueName::new("find me").unwrap_err().to_string(),
            "\"find me\" is no name of a queue: ' ' is not allowed; letters, digits and - _ . are"
        );
        assert!(ReaderName::new("").is_err());
        assert!(ReaderName::new(&"x".repeat(65)).is_err());
        assert!(QueueName::new("../etc").is_err());
    }

    #[test]
    fn later_ids_sort_behind() {
        assert!(JobId::new() < JobId::new());
    }
}
