//! `dec2hex`: a decimal number as a hexadecimal one: `2490285352` is `946EBD28`.

use super::{digits, trouble::Trouble, value::Value};

/// Upper case, without zeros in front: `pad` puts back what a number of fixed length had.
pub(super) fn apply(value: &Value) -> Result<Value, Trouble> {
    match value {
        Value::Text(text) => digits::hexadecimal(text).map(Value::Text),
        Value::Bits(_) => Err(Trouble::BitsForDecimal),
    }
}
