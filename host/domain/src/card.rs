//! Card numbers.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

/// The longest card number kept, in characters. Credentials of the field stay below 64; the rest is rubbish.
pub const LONGEST: usize = 128;

/// A card number as it is on record: any run of letters and digits, unique over all users. Never logged in clear: `Debug`
/// masks it and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CardNumber(String);

/// Why a text is no card number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Nothing there.
    #[error("a card number cannot be empty")]
    Empty,
    /// Too long.
    #[error("a card number has at most {LONGEST} characters, this one has {0}")]
    TooLong(usize),
    /// Something besides letters and digits.
    #[error("a card number is letters and digits only, this one has {0:?}")]
    Character(char),
}

impl CardNumber {
    /// A card number of this text; white space around it is dropped.
    ///
    /// # Errors
    /// Empty, too long, or with a character that is neither letter nor digit.
    pub fn new(text: &str) -> Result<Self, CardError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(CardError::Empty);
        }
        let length = text.chars().count();
        if length > LONGEST {
            return Err(CardError::TooLong(length));
        }
        match text.chars().find(|c| !c.is_alphanumeric()) {
            Some(c) => Err(CardError::Character(c)),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// In clear: for the store and for looking up, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// For people: the last two characters.
    pub fn masked(&self) -> String {
        mask(&self.0)
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardNumber({})", self.masked())
    }
}

// Hand-written: serde's own error for a wrong type repeats the value.
impl<'de> Deserialize<'de> for CardNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = CardNumber;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a card number, which is text: put it in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CardNumber, E> {
                CardNumber::new(text).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<CardNumber, E> {
                Err(E::custom("a card number is text: put it in quotes"))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<CardNumber, E> {
                self.visit_i64(0)
            }
        }
        deserializer.deserialize_any(Quoted)
    }
}

/// A text with all but its last two characters hidden; one of four characters or fewer is hidden whole, because two of
/// four would give too much away. The number of stars says nothing of the length.
pub fn mask(text: &str) -> String {
    let count = text.chars().count();
    let tail: String = if count > 4 { text.chars().skip(count - 2).collect() } else { String::new() };
    format!("***{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_digits_only() {
        assert_eq!(CardNumber::new(" EMP123 ").unwrap().reveal(), "EMP123");
        assert_eq!(CardNumber::new("  "), Err(CardError::Empty));
        assert_eq!(CardNumber::new("47-11"), Err(CardError::Character('-')));
        assert_eq!(CardNumber::new(&"1".repeat(129)), Err(CardError::TooLong(129)));
    }

    #[test]
    fn a_number_never_shows_in_debug() {
        let card = CardNumber::new("5235092385").unwrap();
        assert_eq!(format!("{card:?}"), "CardNumber(***85)");
        assert_eq!(mask("4711"), "***");
    }

    #[test]
    fn a_number_without_quotes_is_refused_and_not_repeated() {
        let error = serde_json::from_str::<CardNumber>("471155").unwrap_err().to_string();
        assert!(error.contains("put it in quotes") && !error.contains("4711"), "{error}");
        let card = CardNumber::new("4711").unwrap();
        assert_eq!(serde_json::from_str::<CardNumber>(&serde_json::to_string(&card).unwrap()).unwrap(), card);
    }
}
