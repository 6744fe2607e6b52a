//! `upper` and `lower`: letters as the directory has them.

use super::value::Value;

/// ASCII letters in upper case.
pub(super) fn upper(value: &Value) -> Value {
    Value::Text(value.text().to_ascii_uppercase())
}

/// ASCII letters in lower case.
pub(super) fn lower(value: &Value) -> Value {
    Value::Text(value.text().to_ascii_lowercase())
}
