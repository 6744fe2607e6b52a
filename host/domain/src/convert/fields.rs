//! `fields(FROM,COUNT,DIGITS,…)`: one or more windows of bits, each as a decimal number of so many digits, joined. So the
//! facility and the number of a Wiegand credential become what is printed on the card.

use std::fmt;

use super::{digits, trouble::Trouble, value::Value, window::Window};

/// A window of bits as a decimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    /// Which bits.
    pub window: Window,
    /// With zeros in front up to so many digits; 0: as many as the number has.
    pub digits: usize,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.window, self.digits)
    }
}

/// The numbers one behind the other. One with more digits than allowed is an error: cut or run into its neighbour, it could
/// be somebody else's.
pub(super) fn apply(value: &Value, fields: &[Field]) -> Result<Value, Trouble> {
    let bits = value.bits()?;
    let mut joined = String::new();
    for Field { window, digits } in fields {
        let number = number(window.of(&bits)?)?;
        if *digits > 0 && number.len() > *digits {
            return Err(Trouble::TooManyDigits { count: window.count, has: number.len(), digits: *digits });
        }
        joined.push_str(&format!("{number:0>digits$}"));
    }
    Ok(Value::Text(joined))
}

/// The decimal number of bits.
pub(super) fn number(bits: &str) -> Result<String, Trouble> {
    // Most windows fit into a machine word, and a search looks at very many.
    match u64::from_str_radix(bits, 2) {
        Ok(number) => Ok(number.to_string()),
        Err(_) => digits::decimal(&Value::Bits(bits.to_owned()).text()),
    }
}
