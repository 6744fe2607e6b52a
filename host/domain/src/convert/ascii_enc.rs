//! `ascii-enc`: hexadecimal digits that spell ASCII text, as that text: `3934364542443238` is `946EBD28`.

use super::{bytes, trouble::Trouble, value::Value};

/// Every two digits are a character; one that cannot be printed is an error, so that no line end slips in.
pub(super) fn apply(value: &Value) -> Result<Value, Trouble> {
    let character = |byte: u8| match byte {
        b' '..=b'~' => Ok(char::from(byte)),
        _ => Err(Trouble::NotAscii(byte)),
    };
    bytes::of(value)?.into_iter().map(character).collect::<Result<String, _>>().map(Value::Text)
}
