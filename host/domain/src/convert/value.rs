//! What flows through a chain: text, or raw bits with their exact count.

use std::{borrow::Cow, fmt};

use super::trouble::Trouble;
use crate::driver::Bits;

/// Text, or raw bits. A step that works on text sees bits as hexadecimal digits; a step that works on bits sees each
/// hexadecimal digit of a text as four bits. It holds a card number, so `Debug` shows its kind and length alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// Characters.
    Text(String),
    /// Bits as the characters `0` and `1`, the first sent first: windows and searches are those of text.
    Bits(String),
}

impl Value {
    /// The raw bits of a reader, without what fills up the last byte.
    pub fn raw(bits: &Bits) -> Self {
        let length = usize::try_from(bits.length).unwrap_or(usize::MAX);
        let all = bits.data.iter().flat_map(|byte| (0..8).rev().map(move |place| byte >> place & 1 == 1));
        Self::Bits(all.take(length).map(|bit| if bit { '1' } else { '0' }).collect())
    }

    /// As text: of bits their value in hexadecimal digits, one for every four bits begun, zeros in front kept
    /// (26 bits give 7 digits).
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bits(bits) => {
                let filled = format!("{}{bits}", "0".repeat(bits.len().next_multiple_of(4) - bits.len()));
                let digit = |four: &[u8]| four.iter().fold(0, |sum, bit| sum * 2 + u32::from(*bit == b'1'));
                let digits = filled.as_bytes().chunks(4).filter_map(|four| char::from_digit(digit(four), 16));
                Cow::Owned(digits.map(|digit| digit.to_ascii_uppercase()).collect())
            }
        }
    }

    /// As bits: of text four for each hexadecimal digit, zeros in front kept.
    pub(super) fn bits(&self) -> Result<Cow<'_, str>, Trouble> {
        match self {
            Self::Bits(bits) => Ok(Cow::Borrowed(bits)),
            Self::Text(text) => {
                let mut bits = String::with_capacity(text.len() * 4);
                for c in text.chars() {
                    let digit = c.to_digit(16).ok_or(Trouble::NotHex(c))?;
                    bits.extend((0..4).rev().map(|place| if digit >> place & 1 == 1 { '1' } else { '0' }));
                }
                Ok(Cow::Owned(bits))
            }
        }
    }

    /// In clear, for the person who typed it: bits are told with their count.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bits(bits) => format!("{} bits {bits}", bits.len()),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} characters)", text.chars().count()),
            Self::Bits(bits) => write!(f, "Bits({})", bits.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_keep_their_count_and_become_digits() {
        let raw = Value::raw(&Bits { data: vec![0x94, 0x6e, 0xbd, 0x00], length: 26 });
        assert_eq!(raw.shown(), "26 bits 10010100011011101011110100");
        // The value, not the bytes: what fills up the last byte is gone.
        assert_eq!(raw.text(), "251BAF4");
        assert_eq!(Value::raw(&Bits { data: vec![0x00, 0x0f], length: 16 }).text(), "000F");
        assert_eq!(Value::Text("0f".to_owned()).bits().unwrap(), "00001111");
        assert_eq!(Value::Text("0g".to_owned()).bits(), Err(Trouble::NotHex('g')));
        assert_eq!(format!("{raw:?} {:?}", Value::Text("4711".to_owned())), "Bits(26) Text(4 characters)");
    }
}
