//! `reverse-bytes` and `reverse-bits`: for readers and directories that begin at the other end.

use super::{bytes, trouble::Trouble, value::Value};

/// The last byte first: `28BD6E94` is `946EBD28`. Bits stay bits; digits come back in upper case.
pub(super) fn bytes(value: &Value) -> Result<Value, Trouble> {
    let reversed = bytes::of(value)?.into_iter().rev();
    Ok(match value {
        Value::Text(_) => Value::Text(reversed.map(|byte| format!("{byte:02X}")).collect()),
        Value::Bits(_) => Value::Bits(reversed.map(|byte| format!("{byte:08b}")).collect()),
    })
}

/// The last bit first. Bits stay bits; digits come back in upper case.
pub(super) fn bits(value: &Value) -> Result<Value, Trouble> {
    let bits = value.bits()?;
    if bits.is_empty() {
        return Err(Trouble::Empty);
    }
    let reversed = Value::Bits(bits.chars().rev().collect());
    Ok(match value {
        Value::Text(_) => Value::Text(reversed.text().into_owned()),
        Value::Bits(_) => reversed,
    })
}
