//! The little of BER (X.690) that LDAP uses: definite lengths, one-byte tags (RFC 4511, 5.1).
//!
//! Reading borrows from the message and looks at no more than it was given: what a server sends can neither make it panic nor
//! make it reserve memory.

/// BOOLEAN.
pub(crate) const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub(crate) const OCTETS: u8 = 0x04;
/// ENUMERATED.
pub(crate) const ENUMERATED: u8 = 0x0a;
/// SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;
/// SET.
pub(crate) const SET: u8 = 0x31;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What a header says: where the content begins, and where it ends. None: the bytes end in the middle of it.
pub(crate) fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let Some(&first) = bytes.get(1) else { return Ok(None) };
    if first < 0x80 {
        return Ok(Some((2, 2 + usize::from(first))));
    }
    let count = usize::from(first & 0x7f);
    // None is an indefinite length, which LDAP forbids; more than four bytes are longer than any bound.
    if !(1..=4).contains(&count) {
        return Err(Malformed);
    }
    let Some(digits) = bytes.get(2..2 + count) else { return Ok(None) };
    let length = digits.iter().fold(0_usize, |length, digit| (length << 8) | usize::from(*digit));
    (2 + count).checked_add(length).map(|end| Some((2 + count, end))).ok_or(Malformed)
}

/// Values one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next value: its tag and its content. None: there is none.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        let Some(&tag) = self.0.first() else { return Ok(None) };
        // Tags of more than one byte do not exist in LDAP.
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        let (begin, end) = header(self.0)?.ok_or(Malformed)?;
        let content = self.0.get(begin..end).ok_or(Malformed)?;
        self.0 = self.0.get(end..).ok_or(Malformed)?;
        Ok(Some((tag, content)))
    }

    /// The content of the next value, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.next()? {
            Some((found, content)) if found == tag => Ok(content),
            _ => Err(Malformed),
        }
    }

    /// The next value, an INTEGER or one like it.
    pub(crate) fn integer(&mut self, tag: u8) -> Result<i64, Malformed> {
        let content = self.expect(tag)?;
        let Some(&first) = content.first().filter(|_| content.len() <= 8) else { return Err(Malformed) };
        let sign = if first & 0x80 == 0 { 0_i64 } else { -1 };
        Ok(content.iter().fold(sign, |number, byte| (number << 8) | i64::from(*byte)))
    }
}

/// Appends a value.
pub(crate) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = content.len();
    if length < 0x80 {
        #[allow(clippy::cast_possible_truncation, reason = "less than 128")]
        out.push(length as u8);
    } else {
        let digits = length.to_be_bytes();
        let skipped = digits.iter().take_while(|digit| **digit == 0).count();
        #[allow(clippy::cast_possible_truncation, reason = "at most eight")]
        out.push(0x80 | (digits.len() - skipped) as u8);
        out.extend(digits.iter().skip(skipped));
    }
    out.extend_from_slice(content);
}

/// Appends a value that is made of others.
pub(crate) fn put_nested(out: &mut Vec<u8>, tag: u8, inner: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    inner(&mut content);
    put(out, tag, &content);
}

/// Appends an INTEGER or one like it.
pub(crate) fn put_integer(out: &mut Vec<u8>, tag: u8, number: i64) {
    let bytes = number.to_be_bytes();
    // As few bytes as keep the sign.
    let spare = bytes
        .windows(2)
        .take_while(|pair| {
            matches!(pair, [0, next] if next & 0x80 == 0) || matches!(pair, [0xff, next] if next & 0x80 != 0)
        })
        .count();
    put(out, tag, bytes.get(spare..).unwrap_or(&bytes));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_has_the_form_that_fits() {
        for (length, head) in
            [(0, vec![4, 0]), (127, vec![4, 127]), (128, vec![4, 0x81, 128]), (300, vec![4, 0x82, 1, 44])]
        {
            let mut out = Vec::new();
            put(&mut out, OCTETS, &vec![7; length]);
            assert_eq!(out[..head.len()], head);
            assert_eq!(header(&out), Ok(Some((head.len(), out.len()))));
            assert_eq!(header(&out[..head.len() - 1]), Ok(None));
        }
        // An indefinite length, and one of five bytes.
        assert_eq!(header(&[0x30, 0x80]), Err(Malformed));
        assert_eq!(header(&[0x30, 0x85, 0, 0, 0, 0, 1]), Err(Malformed));
        assert_eq!(Reader(&[0x1f, 0x01, 0]).next(), Err(Malformed));
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: i64) {
            let mut out = Vec::new();
            put_integer(&mut out, INTEGER, number);
            prop_assert_eq!(Reader(&out).integer(INTEGER), Ok(number));
        }

        #[test]
        fn anything_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader(&bytes);
            while let Ok(Some((_, content))) = reader.next() {
                prop_assert!(content.len() < bytes.len());
                let _ = Reader(content).integer(INTEGER);
            }
        }
    }
}
