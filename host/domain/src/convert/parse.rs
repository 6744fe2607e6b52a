//! How a chain is read: strictly, with the nearest known step where one is mistyped.

use super::{Field, MOST_BITS, MOST_STEPS, STEPS, Step, Window};
use crate::{card, nearest::nearest};

/// The most windows of one `fields`: facility, issue and number are three.
const MOST_FIELDS: usize = 4;

/// Why a chain cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Too many steps.
    #[error("a chain has at most {MOST_STEPS} steps, this one has {0}")]
    TooMany(usize),
    /// Nothing between two bars.
    #[error("step {0} is empty; steps are joined by a single |, such as reverse-bytes|hex2dec")]
    Empty(usize),
    /// A script, which the field's leading product runs.
    #[error("step {0}: scripts are not run; write the conversion as steps: {known}", known = known())]
    Script(usize),
    /// No such step.
    #[error("step {place}: no step {name:?}{near}; known: {known}", known = known())]
    Unknown {
        /// Which, from 1.
        place: usize,
        /// As written.
        name: String,
        /// A suggestion, or nothing.
        near: String,
    },
    /// Arguments that do not fit.
    #[error("step {place}: {why}; write {form}")]
    Arguments {
        /// Which, from 1.
        place: usize,
        /// What is wrong.
        why: String,
        /// How it is written.
        form: &'static str,
    },
}

fn known() -> String {
    STEPS.iter().map(|usage| usage.form).collect::<Vec<_>>().join(", ")
}

/// The steps of a chain's text. Nothing: no steps.
pub(super) fn steps(text: &str) -> Result<Vec<Step>, ChainError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let count = text.split('|').count();
    if count > MOST_STEPS {
        return Err(ChainError::TooMany(count));
    }
    text.split('|').enumerate().map(|(place, step)| one(place + 1, step.trim())).collect()
}

fn one(place: usize, text: &str) -> Result<Step, ChainError> {
    if text.is_empty() {
        return Err(ChainError::Empty(place));
    }
    if text.starts_with("javascript:") {
        return Err(ChainError::Script(place));
    }
    let (name, rest) = text.split_once('(').map_or((text, None), |(name, rest)| (name.trim_end(), Some(rest)));
    let Some(usage) = STEPS.iter().find(|usage| usage.name == name) else {
        let names: Vec<_> = STEPS.iter().map(|usage| usage.name).collect();
        // Long texts are not words that somebody mistyped.
        let name: String = name.chars().take(40).collect();
        return Err(ChainError::Unknown { place, near: nearest(&name, &names), name });
    };
    let wrong = |why: String| ChainError::Arguments { place, why, form: usage.form };
    let arguments = match rest {
        None => Vec::new(),
        Some(rest) => match rest.strip_suffix(')') {
            Some(inner) => inner.split(',').map(str::trim).collect(),
            None => return Err(wrong(format!("the parenthesis of {name} is not closed at its end"))),
        },
    };
    step(name, &arguments).map_err(wrong)
}

fn step(name: &str, arguments: &[&str]) -> Result<Step, String> {
    Ok(match (name, arguments) {
        ("hex2dec", []) => Step::Hex2Dec,
        ("dec2hex", []) => Step::Dec2Hex,
        ("ascii-enc", []) => Step::AsciiEnc,
        ("reverse-bytes", []) => Step::ReverseBytes,
        ("reverse-bits", []) => Step::ReverseBits,
        ("upper", []) => Step::Upper,
        ("lower", []) => Step::Lower,
        ("bits", [from, count]) => Step::Bits(window(from, count)?),
        ("fields", fields) if !fields.is_empty() && fields.len().is_multiple_of(3) => Step::Fields(all_fields(fields)?),
        ("pad", [length]) => Step::Pad(number(length, 1, card::LONGEST)?, '0'),
        ("pad", [length, with]) => Step::Pad(number(length, 1, card::LONGEST)?, character(with)?),
        ("trim", []) => Step::Trim('0'),
        ("trim", [what]) => Step::Trim(character(what)?),
        ("first", [count]) => Step::First(number(count, 1, super::LONGEST_VALUE)?),
        ("last", [count]) => Step::Last(number(count, 1, super::LONGEST_VALUE)?),
        ("part", [from, to]) => Step::Part(position(from, super::LONGEST_VALUE)?, position(to, super::LONGEST_VALUE)?),
        (_, arguments) => return Err(format!("{name} does not take {} arguments", arguments.len())),
    })
}

fn window(from: &str, count: &str) -> Result<Window, String> {
    Ok(Window { from: position(from, MOST_BITS)?, count: number(count, 1, MOST_BITS)? })
}

fn all_fields(arguments: &[&str]) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    for arguments in arguments.chunks(3) {
        let [from, count, digits] = arguments else { continue };
        let digits = number(digits, 0, card::LONGEST)?;
        if digits == 0 && !fields.is_empty() {
            return Err("only the first number may have 0 (any) digits, because 1 and 23 would be 12 and 3".to_owned());
        }
        fields.push(Field { window: window(from, count)?, digits });
    }
    if fields.len() > MOST_FIELDS {
        return Err(format!("fields joins at most {MOST_FIELDS} numbers"));
    }
    Ok(fields)
}

fn number(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{text:?} is no number from {least} to {most}"))
}

/// From 1, or from -1 backwards.
fn position(text: &str, most: usize) -> Result<i32, String> {
    let fits = |position: &i32| usize::try_from(position.unsigned_abs()).is_ok_and(|far| (1..=most).contains(&far));
    let position = text.parse().ok().filter(fits);
    position
        .ok_or_else(|| format!("{text:?} is no position: 1 to {most} from the beginning, -1 to -{most} from the end"))
}

fn character(text: &str) -> Result<char, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii_alphanumeric() => Ok(char::from(*byte)),
        _ => Err(format!("{text:?} is not a single letter or digit")),
    }
}
