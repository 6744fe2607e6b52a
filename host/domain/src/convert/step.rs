//! The vocabulary of a chain: every step with its name, what it does, and how it is written.

use std::fmt;

use super::{
    Field, ascii_enc, dec2hex, fields, hex2dec, letter_case, pad, part, reverse, trim,
    trouble::Trouble,
    value::Value,
    window::{self, Window},
};

/// One step of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// A hexadecimal number as a decimal one.
    Hex2Dec,
    /// A decimal number as a hexadecimal one.
    Dec2Hex,
    /// Hexadecimal digits as the ASCII text they spell.
    AsciiEnc,
    /// The last byte first.
    ReverseBytes,
    /// The last bit first.
    ReverseBits,
    /// Some of the bits.
    Bits(Window),
    /// Windows of bits as decimal numbers, joined.
    Fields(Vec<Field>),
    /// In front up to this length.
    Pad(usize, char),
    /// Away in front.
    Trim(char),
    /// The first characters.
    First(usize),
    /// The last characters.
    Last(usize),
    /// From one character to another.
    Part(i32, i32),
    /// Upper case.
    Upper,
    /// Lower case.
    Lower,
}

/// How a step is written, and what it does: the table behind the messages and the help.
pub struct Usage {
    /// Its name.
    pub name: &'static str,
    /// With its arguments.
    pub form: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
}

const fn usage(name: &'static str, form: &'static str, help: &'static str) -> Usage {
    Usage { name, form, help }
}

/// Every step.
pub const STEPS: &[Usage] = &[
    usage("hex2dec", "hex2dec", "hexadecimal to decimal, without zeros in front: 946EBD28 is 2490285352"),
    usage("dec2hex", "dec2hex", "decimal to hexadecimal, without zeros in front: 2490285352 is 946EBD28"),
    usage("ascii-enc", "ascii-enc", "hexadecimal digits that spell ASCII text: 3934364542443238 is 946EBD28"),
    usage("reverse-bytes", "reverse-bytes", "the last byte first: 28BD6E94 is 946EBD28"),
    usage("reverse-bits", "reverse-bits", "the last bit first: 01 is 80"),
    usage(
        "bits",
        "bits(FROM,COUNT)",
        "some of the bits; FROM 1 is the first, -1 the last: bits(9,8) of 946EBD28 is 6E",
    ),
    usage(
        "fields",
        "fields(FROM,COUNT,DIGITS,…)",
        "bits as decimal numbers of so many digits, joined: fields(1,8,3,9,16,5) of 0C3039 is 01212345",
    ),
    usage("pad", "pad(LENGTH,CHARACTER)", "zeros, or another character, in front: pad(10) of 4711 is 0000004711"),
    usage("trim", "trim(CHARACTER)", "takes zeros, or another character, away in front: trim of 0004711 is 4711"),
    usage("first", "first(COUNT)", "the first characters: first(4) of 47110815 is 4711"),
    usage("last", "last(COUNT)", "the last characters: last(4) of 47110815 is 0815"),
    usage("part", "part(FROM,TO)", "from one character to another, -1 is the last: part(3,-2) of 47110815 is 11081"),
    usage("upper", "upper", "letters in upper case"),
    usage("lower", "lower", "letters in lower case"),
];

impl Step {
    /// Its name, as in [`STEPS`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hex2Dec => "hex2dec",
            Self::Dec2Hex => "dec2hex",
            Self::AsciiEnc => "ascii-enc",
            Self::ReverseBytes => "reverse-bytes",
            Self::ReverseBits => "reverse-bits",
            Self::Bits(_) => "bits",
            Self::Fields(_) => "fields",
            Self::Pad(..) => "pad",
            Self::Trim(_) => "trim",
            Self::First(_) => "first",
            Self::Last(_) => "last",
            Self::Part(..) => "part",
            Self::Upper => "upper",
            Self::Lower => "lower",
        }
    }

    /// Whether it asks for bits: a chain that begins with it takes a reader's raw bits before its text.
    pub(super) fn asks_for_bits(&self) -> bool {
        matches!(self, Self::Bits(_) | Self::Fields(_) | Self::ReverseBits)
    }

    /// What it makes of a value.
    ///
    /// # Errors
    /// What is wrong with the value, without the value.
    pub fn apply(&self, value: &Value) -> Result<Value, Trouble> {
        let result = match self {
            Self::Hex2Dec => hex2dec::apply(value),
            Self::Dec2Hex => dec2hex::apply(value),
            Self::AsciiEnc => ascii_enc::apply(value),
            Self::ReverseBytes => reverse::bytes(value),
            Self::ReverseBits => reverse::bits(value),
            Self::Bits(window) => window::apply(value, *window),
            Self::Fields(fields) => fields::apply(value, fields),
            Self::Pad(length, with) => pad::apply(value, *length, *with),
            Self::Trim(what) => trim::apply(value, *what),
            Self::First(count) => part::first(value, *count),
            Self::Last(count) => part::last(value, *count),
            Self::Part(from, to) => part::part(value, *from, *to),
            Self::Upper => Ok(letter_case::upper(value)),
            Self::Lower => Ok(letter_case::lower(value)),
        }?;
        match &result {
            Value::Text(text) if text.len() > super::LONGEST_VALUE => Err(Trouble::TooLong(text.len())),
            Value::Bits(bits) if bits.len() > super::MOST_BITS => Err(Trouble::TooLong(bits.len())),
            _ => Ok(result),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Bits(window) => write!(f, "({window})"),
            Self::Fields(fields) => {
                let fields: Vec<_> = fields.iter().map(ToString::to_string).collect();
                write!(f, "({})", fields.join(","))
            }
            Self::Pad(length, '0') => write!(f, "({length})"),
            Self::Pad(length, with) => write!(f, "({length},{with})"),
            Self::Trim('0') => Ok(()),
            Self::Trim(what) => write!(f, "({what})"),
            Self::First(count) | Self::Last(count) => write!(f, "({count})"),
            Self::Part(from, to) => write!(f, "({from},{to})"),
            _ => Ok(()),
        }
    }
}
