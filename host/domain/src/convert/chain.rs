//! `ext-device.card-no-converter`: steps joined by `|`, each working on what the one before it left.

use std::{fmt, str::FromStr};

use super::{
    Step,
    parse::{self, ChainError},
    trouble::Trouble,
    value::Value,
};

/// Steps of conversion, none or several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Chain(pub Vec<Step>);

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {place}, {step}: {why}")]
pub struct StepError {
    /// Which, from 1.
    pub place: usize,
    /// The step as it is written.
    pub step: String,
    /// Why.
    pub why: Trouble,
}

impl Chain {
    /// What comes out at the end; `seen` is told each step's input and output.
    ///
    /// # Errors
    /// The first step that failed.
    pub fn run(
        &self,
        mut value: Value,
        mut seen: impl FnMut(&Step, &Value, Result<&Value, &Trouble>),
    ) -> Result<Value, StepError> {
        for (place, step) in self.0.iter().enumerate() {
            let result = step.apply(&value);
            seen(step, &value, result.as_ref());
            value = result.map_err(|why| StepError { place: place + 1, step: step.to_string(), why })?;
        }
        Ok(value)
    }

    /// Whether it takes a reader's raw bits before its text: its first step asks for bits.
    pub(super) fn asks_for_bits(&self) -> bool {
        self.0.first().is_some_and(Step::asks_for_bits)
    }
}

impl FromStr for Chain {
    type Err = ChainError;

    fn from_str(text: &str) -> Result<Self, ChainError> {
        parse::steps(text).map(Self)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&steps.join("|"))
    }
}
