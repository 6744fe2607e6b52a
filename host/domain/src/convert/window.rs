//! `bits(FROM,COUNT)`: some of the bits, which is what a mask and a shift are for; and the windows that `fields` joins.

use std::fmt;

use super::{trouble::Trouble, value::Value};

/// So many bits, beginning with this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// The first bit: 1 is the first bit sent, -1 the last.
    pub from: i32,
    /// How many, at least 1.
    pub count: usize,
}

impl Window {
    /// These bits of all.
    pub(super) fn of(self, bits: &str) -> Result<&str, Trouble> {
        let few = || Trouble::TooFewBits(bits.len());
        let start = place(self.from, bits.len()).ok_or_else(few)?;
        let end = start.checked_add(self.count).ok_or_else(few)?;
        bits.get(start..end).ok_or_else(few)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.from, self.count)
    }
}

/// The place, counted from 0, of what administrators count from 1, or back from the end with -1.
pub(super) fn place(position: i32, length: usize) -> Option<usize> {
    let distance = usize::try_from(position.unsigned_abs()).ok()?;
    let place = if position < 0 { length.checked_sub(distance)? } else { distance.checked_sub(1)? };
    (place < length).then_some(place)
}

/// The bits of the window, as bits.
pub(super) fn apply(value: &Value, window: Window) -> Result<Value, Trouble> {
    Ok(Value::Bits(window.of(&value.bits()?)?.to_owned()))
}
