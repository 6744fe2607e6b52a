//! `hex2dec`: a hexadecimal number as a decimal one: `946EBD28` is `2490285352`.

use super::{digits, trouble::Trouble, value::Value};

/// Digits of either case and of any count, or bits. Zeros in front go: a number has none.
pub(super) fn apply(value: &Value) -> Result<Value, Trouble> {
    digits::decimal(&value.text()).map(Value::Text)
}
