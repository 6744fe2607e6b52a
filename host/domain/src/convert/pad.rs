//! `pad(LENGTH,CHARACTER)`: characters in front up to a length.

use super::{trouble::Trouble, value::Value};

/// What is as long or longer stays as it is.
pub(super) fn apply(value: &Value, length: usize, with: char) -> Result<Value, Trouble> {
    let text = value.text();
    let missing = length.saturating_sub(text.chars().count());
    Ok(Value::Text(std::iter::repeat_n(with, missing).chain(text.chars()).collect()))
}
