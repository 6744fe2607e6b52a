//! `first(COUNT)`, `last(COUNT)` and `part(FROM,TO)`: some of the characters.

use super::{trouble::Trouble, value::Value, window::place};

/// The first characters. Too few are an error, as they are for a regular expression: half a number could be somebody else's.
pub(super) fn first(value: &Value, count: usize) -> Result<Value, Trouble> {
    cut(value, |length| (count <= length).then_some((0, count)))
}

/// The last characters.
pub(super) fn last(value: &Value, count: usize) -> Result<Value, Trouble> {
    cut(value, |length| Some((length.checked_sub(count)?, length)))
}

/// From one character to another, both included, counted from 1, or back from the end with -1.
pub(super) fn part(value: &Value, from: i32, to: i32) -> Result<Value, Trouble> {
    let length = value.text().chars().count();
    match (place(from, length), place(to, length)) {
        (Some(from), Some(to)) if from > to => Err(Trouble::Backwards(length)),
        (Some(from), Some(to)) => cut(value, |_| Some((from, to + 1))),
        _ => Err(Trouble::TooShort(length)),
    }
}

fn cut(value: &Value, ends: impl Fn(usize) -> Option<(usize, usize)>) -> Result<Value, Trouble> {
    let text = value.text();
    let length = text.chars().count();
    let (start, end) = ends(length).ok_or(Trouble::TooShort(length))?;
    Ok(Value::Text(text.chars().skip(start).take(end.saturating_sub(start)).collect()))
}
