//! `trim(CHARACTER)`: takes zeros, or another character, away in front.

use super::{trouble::Trouble, value::Value};

/// The last character stays, whatever it is: the number 000 is 0 and not nothing.
pub(super) fn apply(value: &Value, what: char) -> Result<Value, Trouble> {
    let text = value.text();
    let last = text.chars().next_back().ok_or(Trouble::Empty)?;
    let trimmed = text.trim_start_matches(what);
    Ok(Value::Text(if trimmed.is_empty() { last.to_string() } else { trimmed.to_owned() }))
}
