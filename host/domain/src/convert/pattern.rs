//! `ext-device.card-no-regex`: the first group of the match is the number, as administrators of this field write it
//! (`(.{10})` takes the first ten characters, `\d*=(\d*)=\d*` what stands between two equals signs).

use regex::Regex;

/// A pattern whose first group is the card number.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a regular expression.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// No group.
    #[error("the pattern has no group: put parentheses around the part that is the card number, such as (.{{10}})")]
    NoGroup,
}

/// The bound on a compiled pattern, in bytes: patterns for card numbers take a few kilobytes.
const SIZE_LIMIT: usize = 256 * 1024;

impl Pattern {
    /// A pattern of this regular expression.
    ///
    /// # Errors
    /// Not a regular expression, too large, or without a group.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let regex = regex::RegexBuilder::new(pattern)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| PatternError::Syntax(error.to_string().replace('\n', " ")))?;
        if regex.captures_len() < 2 {
            return Err(PatternError::NoGroup);
        }
        Ok(Self(regex))
    }

    /// The first group of the first match.
    pub fn first_group<'t>(&self, said: &'t str) -> Option<&'t str> {
        self.0.captures(said)?.get(1).map(|group| group.as_str())
    }
}
