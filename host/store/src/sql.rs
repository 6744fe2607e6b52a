//! Statements and their values: one text for both databases.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use sqlx::{
    Any, AssertSqlSafe, Row as _,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use crate::{Place, StoreError};

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

/// How many values one statement takes: SQLite allows 32,766, PostgreSQL twice as many.
const VALUES_AT_ONCE: usize = 6_000;

/// How many rows of so many columns one statement takes.
pub(crate) const fn rows_at_once(columns: usize) -> usize {
    VALUES_AT_ONCE / columns
}

/// `($1, $2), ($3, $4)`: the places of so many rows with so many columns, beside which the statement has no others. Those of
/// SQLite have no numbers: it takes them for names, and looks for each from the first one on.
pub(crate) fn places(of: &Place, rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let number = |column| if of.is_postgres() { format!("${}", row * columns + column) } else { "?".to_owned() };
        format!("({})", (1..=columns).map(number).collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// One value that has these columns of all rows, as JSON. A driver that hands out each value of each row by itself takes
/// most of the time of reading many.
pub(crate) fn as_json(of: &Place, columns: &str) -> String {
    let (list, row) =
        if of.is_postgres() { ("json_agg", "json_build_array") } else { ("json_group_array", "json_array") };
    format!("CAST({list}({row}({columns})) AS TEXT)")
}

/// The rows that a column of [`as_json`] has. `part`: what they are.
pub(crate) fn from_json<T: DeserializeOwned>(
    row: &AnyRow,
    at: usize,
    part: &'static str,
) -> Result<Vec<T>, StoreError> {
    // PostgreSQL has nothing at all for no rows.
    let text: Option<&str> = row.try_get(at).map_err(StoreError::unreadable(part))?;
    // The library's words may repeat a value.
    let bad = |error: serde_json::Error| StoreError::unreadable(part)(format!("at {} of its JSON", error.column()));
    text.map_or_else(|| Ok(Vec::new()), |text| serde_json::from_str(text).map_err(bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_through() {
        let postgres = Place::from_url("postgres://localhost/x").unwrap();
        assert_eq!(places(&postgres, 2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(places(&Place::File("x".into()), 1, 2), "(?, ?)");
    }

    #[test]
    fn no_text_has_a_nul() {
        let Value::Text(Some(text)) = Value::from("a\0b") else { panic!() };
        assert_eq!(text, "a\u{fffd}b");
    }
}
