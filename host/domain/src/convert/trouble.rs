//! Why a step cannot convert what it was given.

/// What is wrong with a step's input. Told in events, so it never repeats a number: a length or one character at most.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing is left to convert.
    #[error("there is nothing to convert")]
    Empty,
    /// Something besides 0 to 9 and A to F.
    #[error("{0:?} is no hexadecimal digit")]
    NotHex(char),
    /// Something besides 0 to 9.
    #[error("{0:?} is no decimal digit")]
    NotDecimal(char),
    /// Bits where decimal digits are wanted.
    #[error("it reads decimal digits, and these are raw bits; hex2dec gives their number")]
    BitsForDecimal,
    /// Half a byte.
    #[error("{0} hexadecimal digits are no whole bytes; put pad({next}) before it", next = .0 + 1)]
    HalfByte(usize),
    /// Bits that are no whole bytes.
    #[error("{0} bits are no whole bytes; take a multiple of eight with bits(FROM,COUNT) before it")]
    PartOfByte(usize),
    /// A byte that is no letter, digit or sign.
    #[error("byte {0:02X} is no printable ASCII character")]
    NotAscii(u8),
    /// Too few characters.
    #[error("there are only {0} characters")]
    TooShort(usize),
    /// Too few bits.
    #[error("there are only {0} bits")]
    TooFewBits(usize),
    /// The end stands before the beginning.
    #[error("of {0} characters this is no part: it ends before it begins")]
    Backwards(usize),
    /// A number that does not fit.
    #[error("the number in {count} bits has {has} digits, and {digits} are allowed")]
    TooManyDigits {
        /// Bits of the window.
        count: usize,
        /// Decimal digits of the number.
        has: usize,
        /// How many may be.
        digits: usize,
    },
    /// The output would cross a bound.
    #[error("its result would have {0} characters, and {longest} are allowed", longest = super::LONGEST_VALUE)]
    TooLong(usize),
}
