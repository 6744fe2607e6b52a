//! From what a reader says to the card number on record, a step a file.
//!
//! The default cut comes first, the pattern, if set, follows, and the chain of steps converts what the pattern found. A
//! pattern that does not match what is left after the cut is tried on the whole, because administrators also write patterns
//! that look for the equals signs themselves.
//!
//! A reader's raw bits enter the chain as they are, with their exact count, where the chain begins with a step that asks for
//! bits, or where the reader says no text and no pattern is set. A pattern sees them as hexadecimal digits.

mod ascii_enc;
mod bytes;
mod chain;
mod cut;
mod dec2hex;
mod digits;
mod fields;
mod hex2dec;
pub mod infer;

mod letter_case;
mod pad;
mod parse;
mod part;
mod pattern;
mod reverse;
mod rules;
mod step;
#[cfg(test)]
mod tests;
mod trim;
mod trouble;
mod typed;
mod value;
mod window;

use serde::{Deserialize, Serialize};

pub use self::{
    chain::{Chain, StepError},
    fields::Field,
    parse::ChainError,
    pattern::{Pattern, PatternError},
    rules::{Rules, problems},
    step::{STEPS, Step, Usage},
    trouble::Trouble,
    typed::{Typed, TypedError},
    value::Value,
    window::Window,
};
use crate::{
    card::{CardError, CardNumber},
    driver::Bits,
};

/// The most steps of a chain. Known conversions take one to four.
pub const MOST_STEPS: usize = 16;
/// The longest output of a step, in characters: the decimal number of the most raw bits has 1,234 digits.
pub const LONGEST_VALUE: usize = 2_048;
/// The most bits, as readers can send them raw, or as the longest text a reader can send has them.
pub const MOST_BITS: usize = 4 * LONGEST_VALUE;

/// How a card number is made of what a reader says.
#[derive(Debug, Clone, Default)]
pub struct Conversion {
    /// `ext-device.card-no-regex`.
    pub pattern: Option<Pattern>,
    /// `ext-device.card-no-converter`.
    pub chain: Chain,
}

/// Why what a reader said is no card number. Fit for events: no message repeats a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The pattern does not match.
    #[error("ext-device.card-no-regex does not match what the reader sent")]
    NoMatch,
    /// A step of the chain failed.
    #[error("ext-device.card-no-converter: {0}")]
    Step(#[from] StepError),
    /// What came out is no card number.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The pattern cannot be used.
    #[error("ext-device.card-no-regex cannot be used: {0}")]
    Pattern(#[from] PatternError),
    /// The chain cannot be used.
    #[error("ext-device.card-no-converter cannot be used: {0}")]
    Chain(#[from] ChainError),
}

/// What one stage of a conversion did, in clear: for the person who typed the card, never for a log. Hence no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// `cut at =`, `ext-device.card-no-regex`, or a step as it is written.
    pub step: String,
    /// What it was given.
    pub input: String,
    /// What came out; none where it failed.
    pub output: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Conversion {
    /// The card number in what a reader said: text, raw bits, or both.
    ///
    /// # Errors
    /// The pattern does not match, a step fails, or what comes out is no card number.
    pub fn convert(&self, number: Option<&str>, bits: Option<&Bits>) -> Result<CardNumber, ConvertError> {
        self.run(number, bits, |_| {})
    }

    /// The same, with every stage on the way.
    ///
    /// # Errors
    /// None: the result is the second half.
    pub fn explain(&self, number: Option<&str>, bits: Option<&Bits>) -> (Vec<Stage>, Result<CardNumber, ConvertError>) {
        let mut stages = Vec::new();
        let result = self.run(number, bits, |stage| stages.push(stage()));
        (stages, result)
    }

    fn run(
        &self,
        number: Option<&str>,
        bits: Option<&Bits>,
        mut seen: impl FnMut(&dyn Fn() -> Stage),
    ) -> Result<CardNumber, ConvertError> {
        let raw = bits.map(Value::raw);
        let value = match (number, raw) {
            (_, Some(raw)) if self.chain.asks_for_bits() => raw,
            (None, Some(raw)) if self.pattern.is_none() => raw,
            (Some(said), _) => self.found(said, &mut seen)?,
            (None, raw) => self.found(raw.as_ref().map(Value::text).unwrap_or_default().as_ref(), &mut seen)?,
        };
        let value = self.chain.run(value, |step, input, output| {
            seen(&|| Stage {
                step: step.to_string(),
                input: input.shown(),
                output: output.ok().map(Value::shown),
                error: output.err().map(ToString::to_string),
            });
        })?;
        Ok(CardNumber::new(&value.text())?)
    }

    /// The number in a text: cut, then found by the pattern.
    fn found(&self, said: &str, seen: &mut impl FnMut(&dyn Fn() -> Stage)) -> Result<Value, ConvertError> {
        let said = said.trim();
        let cut = cut::before_equals(said);
        let stage = |step: &str, input: &str, output: Option<&str>| Stage {
            step: step.to_owned(),
            input: input.to_owned(),
            output: output.map(str::to_owned),
            error: output.is_none().then(|| "does not match".to_owned()),
        };
        let Some(pattern) = &self.pattern else {
            if cut != said {
                seen(&|| stage("cut at =", said, Some(cut)));
            }
            return Ok(Value::Text(cut.to_owned()));
        };
        let (input, found) = match pattern.first_group(cut) {
            Some(found) => (cut, Some(found)),
            None => (said, pattern.first_group(said)),
        };
        if input != said {
            seen(&|| stage("cut at =", said, Some(cut)));
        }
        seen(&|| stage(crate::config_keys::CARD_NO_REGEX, input, found));
        found.map(|found| Value::Text(found.to_owned())).ok_or(ConvertError::NoMatch)
    }
}
