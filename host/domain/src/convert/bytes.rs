//! Whole bytes, for the steps that work on them.

use super::{trouble::Trouble, value::Value};

/// The bytes of a value: two hexadecimal digits, or eight bits, each.
pub(super) fn of(value: &Value) -> Result<Vec<u8>, Trouble> {
    let bits = value.bits()?;
    if bits.is_empty() {
        return Err(Trouble::Empty);
    }
    if bits.len() % 8 != 0 {
        return Err(match value {
            Value::Text(text) => Trouble::HalfByte(text.len()),
            Value::Bits(bits) => Trouble::PartOfByte(bits.len()),
        });
    }
    let byte = |eight: &[u8]| eight.iter().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit == b'1'));
    Ok(bits.as_bytes().chunks(8).map(byte).collect())
}
