//! A read as a person types it, to try a conversion on.

use super::{MOST_BITS, Value, cut};
use crate::driver::Bits;

/// The longest read, in characters: readers' drivers may say no more.
const LONGEST: usize = 512;

/// What a reader would say. Holds a card number, hence no `Debug`.
pub struct Typed {
    /// Text.
    pub number: Option<String>,
    /// Raw bits.
    pub bits: Option<Bits>,
}

/// Why what was typed is no read. It was typed by hand, so it is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypedError {
    /// Longer than readers say.
    #[error("a read has at most {LONGEST} characters, this one has {0}")]
    TooLong(usize),
    /// No such count.
    #[error("a credential has 1 to {most} bits, not {0}", most = MOST_BITS / 2)]
    Count(u32),
    /// Not these bits.
    #[error("{read:?} is not {count} bits; write {count} digits 0 and 1, or the bits as a hexadecimal number")]
    NotBits {
        /// As typed.
        read: String,
        /// How many bits were announced.
        count: u32,
    },
}

impl Typed {
    /// A read of text; with a count of bits, of raw bits written as so many digits 0 and 1 or as a hexadecimal number.
    ///
    /// # Errors
    /// Too long, or not so many bits.
    pub fn new(read: &str, bits: Option<u32>) -> Result<Self, TypedError> {
        let length = read.chars().count();
        let Some(count) = bits else {
            if length > LONGEST {
                return Err(TypedError::TooLong(length));
            }
            return Ok(Self { number: Some(read.to_owned()), bits: None });
        };
        let wanted = usize::try_from(count).ok().filter(|wanted| (1..=MOST_BITS / 2).contains(wanted));
        let wanted = wanted.ok_or(TypedError::Count(count))?;
        let not_bits = || TypedError::NotBits { read: read.to_owned(), count };
        let read = read.trim();
        let digits = if read.len() == wanted && read.bytes().all(|bit| matches!(bit, b'0' | b'1')) {
            read.to_owned()
        } else if read.len() <= MOST_BITS / 4 {
            let all = Value::Text(read.to_owned()).bits().map_err(|_| not_bits())?.into_owned();
            let significant = all.trim_start_matches('0');
            if significant.len() > wanted || read.is_empty() {
                return Err(not_bits());
            }
            format!("{significant:0>wanted$}")
        } else {
            return Err(not_bits());
        };
        let byte = |eight: &[u8]| {
            let bit = |(place, bit): (usize, &u8)| u8::from(*bit == b'1') << (7 - place);
            eight.iter().enumerate().map(bit).sum()
        };
        let data = digits.as_bytes().chunks(8).map(byte).collect();
        Ok(Self { number: None, bits: Some(Bits { data, length: count }) })
    }

    /// As it enters a chain where no pattern is set.
    pub fn entering(&self) -> Value {
        match (&self.bits, &self.number) {
            (Some(bits), _) => Value::raw(bits),
            (None, number) => {
                let said = number.as_deref().unwrap_or_default().trim();
                Value::Text(cut::before_equals(said).to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bits(read: &str, count: u32) -> Result<String, TypedError> {
        Typed::new(read, Some(count)).map(|typed| typed.entering().shown())
    }

    #[test]
    fn bits_are_written_as_digits_or_as_a_number() {
        assert_eq!(bits("00000110000110000001110010", 26).unwrap(), "26 bits 00000110000110000001110010");
        assert_eq!(bits("186072", 26).unwrap(), "26 bits 00000110000110000001110010");
        assert_eq!(bits("0186072", 26).unwrap(), "26 bits 00000110000110000001110010");
        assert_eq!(bits("1111", 4).unwrap(), "4 bits 1111");
        assert!(
            bits("FFFFFFF", 26).unwrap_err().to_string().starts_with("\"FFFFFFF\" is not 26 bits; write 26 digits")
        );
        assert!(bits("", 26).is_err() && bits("1G", 26).is_err());
        assert_eq!(bits("1", 0), Err(TypedError::Count(0)));
    }

    #[test]
    fn text_is_cut_as_readers_text_is() {
        assert_eq!(Typed::new(" 4711=8", None).unwrap().entering().shown(), "4711");
        assert!(Typed::new(&"1".repeat(513), None).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_typed(read: String, count: Option<u32>) {
            if let Ok(typed) = Typed::new(&read, count) {
                let _ = typed.entering().shown();
            }
        }

        #[test]
        fn bits_come_back(written in "[01]{2,200}") {
            let count = u32::try_from(written.len()).unwrap();
            prop_assert_eq!(Typed::new(&written, Some(count)).unwrap().entering(), Value::Bits(written));
        }
    }
}
