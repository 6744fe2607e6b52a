//! JSON objects in a stream of bytes.
//!
//! The reader writes one object after the other; that anything stands between them is not documented, so nothing is asked
//! for and everything but an object is skipped. This module finds where objects begin and end and holds the length and the
//! nesting within bounds, before a parser sees them. It must never judge what an object says.

/// Objects and lists within each other; the messages of these readers have two.
const DEEPEST: u8 = 8;

/// The object so far.
#[derive(Default)]
pub(crate) struct Framing {
    object: Vec<u8>,
    /// Braces and brackets that are open. 0: between objects.
    depth: u8,
    in_string: bool,
    /// The byte before was a backslash in a string.
    escaped: bool,
}

/// What a byte brought to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole object, from `{` to `}`. Braces match; it may still be no JSON.
    Object(Vec<u8>),
    /// An object grew longer than allowed and was dropped.
    TooLong,
    /// An object is nested too deeply, or a string in it holds a control character: it was dropped.
    Broken,
    /// A byte that belongs to no object.
    Rubbish,
}

impl Framing {
    /// One more byte; an object may have `longest` bytes. After trouble the next `{` begins anew: what is left of a dropped
    /// object cannot become another card, because a card is a whole object with a quoted number.
    pub(crate) fn byte(&mut self, byte: u8, longest: usize) -> Option<Found> {
        if self.depth == 0 {
            return match byte {
                b'{' => self.begin(),
                b' ' | b'\t' | b'\r' | b'\n' | 0 => None,
                _ => Some(Found::Rubbish),
            };
        }
        if self.object.len() >= longest {
            return self.drop_at(byte, Found::TooLong);
        }
        self.object.push(byte);
        if self.in_string {
            match byte {
                // Not allowed there (RFC 8259, section 7); most likely a message was cut and a line end follows.
                0..0x20 => return self.drop_at(byte, Found::Broken),
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return None;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' if self.depth >= DEEPEST => return self.drop_at(byte, Found::Broken),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        (self.depth == 0).then(|| Found::Object(std::mem::take(&mut self.object)))
    }

    fn begin(&mut self) -> Option<Found> {
        *self = Self { object: vec![b'{'], depth: 1, ..Self::default() };
        None
    }

    fn drop_at(&mut self, byte: u8, found: Found) -> Option<Found> {
        *self = Self::default();
        if byte == b'{' {
            self.begin();
        }
        Some(found)
    }

    /// The bytes of the object so far, which are enough to go on: see [`Framing::resumed`].
    pub(crate) fn unfinished(&self) -> &[u8] {
        &self.object
    }

    /// As it was when [`Framing::unfinished`] gave these bytes. None if no object begins so.
    pub(crate) fn resumed(unfinished: &[u8]) -> Option<Self> {
        let mut framing = Self::default();
        unfinished.iter().all(|&byte| framing.byte(byte, usize::MAX).is_none()).then_some(framing)
    }
}

/// The one object that this body is, with nothing but white space around it.
pub(crate) fn only_object(body: &[u8], longest: usize) -> Result<Vec<u8>, Found> {
    if body.len() > longest {
        return Err(Found::TooLong);
    }
    let mut framing = Framing::default();
    let mut only = None;
    for &byte in body {
        match framing.byte(byte, longest) {
            None => {}
            Some(Found::Object(object)) if only.is_none() => only = Some(object),
            Some(Found::Object(_)) => return Err(Found::Rubbish),
            Some(trouble) => return Err(trouble),
        }
    }
    match only {
        Some(object) if framing.depth == 0 => Ok(object),
        _ => Err(Found::Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Framing, only_object};

    fn run(bytes: &[u8], longest: usize) -> Vec<Found> {
        let mut framing = Framing::default();
        bytes.iter().filter_map(|&byte| framing.byte(byte, longest)).collect()
    }

    fn object(text: &str) -> Found {
        Found::Object(text.as_bytes().to_vec())
    }

    #[test]
    fn objects_end_where_their_braces_do() {
        assert_eq!(run(b"{}\r\n{\"a\":[{}]}{}", 99), [object("{}"), object("{\"a\":[{}]}"), object("{}")]);
        // Braces and quotes in strings are text.
        let quoted = r#"{"a":"}\"}{\\"}"#;
        assert_eq!(run(quoted.as_bytes(), 99), [object(quoted)]);
        assert_eq!(run(b"x{}", 99), [Found::Rubbish, object("{}")]);
    }

    #[test]
    fn what_is_dropped_does_not_hide_what_follows() {
        assert_eq!(run(b"{\"a\":\"cut\n{}", 99), [Found::Broken, object("{}")]);
        assert_eq!(run(b"{12345}{}", 4), [Found::TooLong, Found::Rubbish, Found::Rubbish, object("{}")]);
        assert_eq!(run(b"[{}]", 9), [Found::Rubbish, object("{}"), Found::Rubbish]);
        assert_eq!(run(&[b'{'; 9], 99), [Found::Broken]);
    }

    #[test]
    fn a_body_is_one_object() {
        assert_eq!(only_object(b" {}\r\n", 9), Ok(b"{}".to_vec()));
        for (body, why) in [
            (&b""[..], Found::Broken),
            (b"{", Found::Broken),
            (b"{}{", Found::Broken),
            (b"{}{}", Found::Rubbish),
            (b"<html>", Found::Rubbish),
            (b"{         }", Found::TooLong),
        ] {
            assert_eq!(only_object(body, 9), Err(why), "{}", body.escape_ascii());
        }
    }
}
