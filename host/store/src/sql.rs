//! Statements and their values: one text for both databases.

use std::borrow::Cow;

use sqlx::{Any, AssertSqlSafe, any::AnyArguments, query::Query};

/// A statement: a fixed text, or one put together from fixed texts. What came from outside is a [`Value`].
pub(crate) type Text = Cow<'static, str>;

/// A value of a statement, in the place `$1`, `$2`, …
#[derive(Clone)]
pub(crate) enum Value {
    Text(Option<String>),
    Number(Option<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Some(text).into()
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        // PostgreSQL keeps no NUL in a text; the same is kept in both.
        Self::Text(text.map(|text| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map(str::to_owned).into()
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

/// A list of values of several kinds.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::sql::Value::from($value)),*] };
}
pub(crate) use values;

pub(crate) fn query(text: &Text, values: &[Value]) -> Query<'static, Any, AnyArguments> {
    let query = match text {
        Cow::Borrowed(text) => sqlx::query(*text),
        Cow::Owned(text) => sqlx::query(AssertSqlSafe(text.clone())),
    };
    values.iter().cloned().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
    })
}

/// How many values one statement takes. SQLite's driver asks for the name of each, and SQLite looks for it from the first one on,
/// so that thousands in one statement take most of the time.
const VALUES_AT_ONCE: usize = 240;

/// How many rows of so many columns one statement takes.
pub(crate) const fn rows_at_once(columns: usize) -> usize {
    VALUES_AT_ONCE / columns
}

/// `($1, $2), ($3, $4)`: the places of so many rows with so many columns.
pub(crate) fn places(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places: Vec<_> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_through() {
        assert_eq!(places(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(places(1, 2), "($1, $2)");
    }

    #[test]
    fn no_text_has_a_nul() {
        let Value::Text(Some(text)) = Value::from("a\0b") else { panic!() };
        assert_eq!(text, "a\u{fffd}b");
    }
}
