//! From what a reader says to the card number on record, a step a file.
//!
//! The default cut comes first, the site's pattern, if set, follows. A pattern that does not match what is left after the
//! cut is tried on the whole, because administrators also write patterns that look for the equals signs themselves.

mod cut;
mod pattern;

pub use pattern::{Pattern, PatternError};

use crate::card::{CardError, CardNumber};

/// How this site makes a card number of what a reader says.
#[derive(Debug, Clone, Default)]
pub struct Conversion {
    /// `ext-device.card-no-regex`.
    pub pattern: Option<Pattern>,
}

/// Why what a reader said is no card number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The site's pattern does not match.
    #[error("ext-device.card-no-regex does not match what the reader sent")]
    NoMatch,
    /// What came out is no card number.
    #[error(transparent)]
    Card(#[from] CardError),
}

impl Conversion {
    /// The card number in what a reader said.
    ///
    /// # Errors
    /// The pattern does not match, or what it gives is no card number.
    pub fn convert(&self, said: &str) -> Result<CardNumber, ConvertError> {
        let said = said.trim();
        let cut = cut::before_equals(said);
        let number = match &self.pattern {
            Some(pattern) => {
                pattern.first_group(cut).or_else(|| pattern.first_group(said)).ok_or(ConvertError::NoMatch)?
            }
            None => cut,
        };
        Ok(CardNumber::new(number)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn convert(pattern: Option<&str>, said: &str) -> Result<String, ConvertError> {
        let pattern = pattern.map(|pattern| Pattern::new(pattern).unwrap());
        Conversion { pattern }.convert(said).map(|card| card.reveal().to_owned())
    }

    #[test]
    fn the_cut_alone() {
        assert_eq!(convert(None, " 5235092385=8 ").unwrap(), "5235092385");
        assert_eq!(convert(None, "EMP123").unwrap(), "EMP123");
        assert_eq!(convert(None, "=8"), Err(ConvertError::Card(CardError::Empty)));
    }

    #[test]
    fn the_pattern_sees_what_the_cut_left_and_else_the_whole() {
        assert_eq!(convert(Some("(.{10})"), "5235092385=8").unwrap(), "5235092385");
        assert_eq!(convert(Some("^0*([0-9]+)$"), "0004711=8").unwrap(), "4711");
        assert_eq!(convert(Some(r"\d*=(\d*)=\d*"), "1=4711=8").unwrap(), "4711");
        assert_eq!(convert(Some("([A-F]{4})"), "4711"), Err(ConvertError::NoMatch));
    }

    #[test]
    fn a_pattern_without_a_group_or_out_of_bounds_is_refused() {
        assert_eq!(Pattern::new("[0-9]+").unwrap_err(), PatternError::NoGroup);
        assert!(matches!(Pattern::new("(").unwrap_err(), PatternError::Syntax(_)));
        assert!(matches!(Pattern::new("(a{1000}{1000})").unwrap_err(), PatternError::Syntax(_)));
    }

    proptest! {
        #[test]
        fn what_comes_out_is_a_card_number_or_an_error(said: String) {
            if let Ok(card) = (Conversion::default()).convert(&said) {
                prop_assert!(card.reveal().chars().all(char::is_alphanumeric));
            }
        }
    }
}
