//! The ways in which drivers and readers write one text: as it is, percent-encoded, in JSON, in HTML.
//!
//! Each way is read character by character, so that it does not matter which characters somebody chose to encode.

/// One character of a text in some way of writing.
struct Read {
    /// What it stands for.
    bytes: [u8; 4],
    length: usize,
    /// How many bytes it takes up.
    taken: usize,
}

impl Read {
    fn byte(byte: u8, taken: usize) -> Self {
        Self { bytes: [byte, 0, 0, 0], length: 1, taken }
    }

    fn character(c: char, taken: usize) -> Self {
        let mut bytes = [0; 4];
        let length = c.encode_utf8(&mut bytes).len();
        Self { bytes, length, taken }
    }
}

/// A way of writing: the character that is encoded at the beginning of this text; none: what stands there is itself.
type Spelling = fn(&[u8]) -> Option<Read>;

const SPELLINGS: [Spelling; 5] = [|_| None, percent, form, json, html];
/// What an encoded character begins with.
const BEGINS: &[u8] = b"%+\\&";

/// Whether the text begins with this secret in any way of writing: how many bytes that takes up.
pub(super) fn spelled_at(text: &[u8], secret: &[u8]) -> Option<usize> {
    let first = text.first()?;
    if Some(first) != secret.first() && !BEGINS.contains(first) {
        return None;
    }
    SPELLINGS.iter().find_map(|spelling| begins(text, secret, *spelling))
}

fn begins(text: &[u8], secret: &[u8], spelling: Spelling) -> Option<usize> {
    let (mut rest, mut wanted) = (text, secret);
    while !wanted.is_empty() {
        let read = spelling(rest).or_else(|| Some(Read::byte(*rest.first()?, 1)))?;
        wanted = wanted.strip_prefix(read.bytes.get(..read.length)?)?;
        rest = rest.get(read.taken..)?;
    }
    Some(text.len() - rest.len())
}

/// `%2f`, of whatever is encoded.
fn percent(text: &[u8]) -> Option<Read> {
    let [b'%', digits @ ..] = text else { return None };
    Some(Read::byte(u8::try_from(number(digits.get(..2)?, 16)?).ok()?, 3))
}

/// The same with `+` for a space, as browsers send a form.
fn form(text: &[u8]) -> Option<Read> {
    if text.first() == Some(&b'+') { Some(Read::byte(b' ', 1)) } else { percent(text) }
}

/// `\"`, `\/`, `\u00f6`.
fn json(text: &[u8]) -> Option<Read> {
    let unit = |text: &[u8]| match text {
        [b'\\', b'u', digits @ ..] => number(digits.get(..4)?, 16),
        _ => None,
    };
    if let Some(high) = unit(text) {
        // What is beyond 16 bits takes two.
        let low = text.get(6..).and_then(unit).filter(|low| (0xdc00..0xe000).contains(low));
        return match low {
            Some(low) if (0xd800..0xdc00).contains(&high) => {
                let c = char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?;
                Some(Read::character(c, 12))
            }
            _ => Some(Read::character(char::from_u32(high)?, 6)),
        };
    }
    let [b'\\', letter, ..] = text else { return None };
    let byte = match letter {
        b'"' | b'\\' | b'/' => *letter,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    };
    Some(Read::byte(byte, 2))
}

/// `&amp;`, `&#38;`, `&#x26;`.
fn html(text: &[u8]) -> Option<Read> {
    const LONGEST: usize = 10;
    let [b'&', rest @ ..] = text else { return None };
    let end = rest.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let c = match rest.get(..end)? {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        _ => return None,
    };
    Some(Read::character(c, end + 2))
}

/// Digits alone: no sign.
fn number(digits: &[u8], base: u32) -> Option<u32> {
    let add = |number: u32, digit: &u8| number.checked_mul(base)?.checked_add(char::from(*digit).to_digit(base)?);
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}
