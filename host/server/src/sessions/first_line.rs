//! A terminal's first line, where it must be a token: cut off what arrives, piece by piece.

use cardinal_domain::site::Token;

/// What has come of a first line that is not whole yet.
#[derive(Debug, Default)]
pub(super) struct FirstLine(Vec<u8>);

/// A first line that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// Without its end.
    pub(super) line: Vec<u8>,
    /// What came behind it.
    pub(super) rest: Vec<u8>,
    /// It ended in CR: a LF that follows belongs to it.
    pub(super) after_cr: bool,
}

/// The line is longer than any token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl FirstLine {
    /// Takes the next piece. None: the line goes on. It ends in LF or CR; further pieces are not to be given then.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Option<Whole>, TooLong> {
        let end = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (head, rest) = piece.split_at(end.unwrap_or(piece.len()));
        if self.0.len() + head.len() > Token::LONGEST {
            return Err(TooLong);
        }
        self.0.extend_from_slice(head);
        Ok(rest.split_first().map(|(end, rest)| Whole {
            line: std::mem::take(&mut self.0),
            rest: rest.to_owned(),
            after_cr: *end == b'\r',
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, said in another way: over the whole at once.
    fn expected(bytes: &[u8]) -> Result<Option<Whole>, TooLong> {
        let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        match end {
            Some(end) if end <= Token::LONGEST => Ok(Some(Whole {
                line: bytes[..end].to_owned(),
                rest: bytes[end + 1..].to_owned(),
                after_cr: bytes[end] == b'\r',
            })),
            None if bytes.len() <= Token::LONGEST => Ok(None),
            _ => Err(TooLong),
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_line_and_what_follows_are_the_same(
            bytes in proptest::collection::vec(prop_oneof![4 => b'a'..=b'z', 1 => Just(b'\n'), 1 => Just(b'\r'), 1 => any::<u8>()], 0..300),
            cut in 1_usize..40,
        ) {
            let mut first = FirstLine::default();
            let mut seen = Ok(None);
            let mut taken = 0;
            for piece in bytes.chunks(cut) {
                taken += piece.len();
                seen = first.take(piece);
                if !matches!(seen, Ok(None)) {
                    break;
                }
                prop_assert!(first.0.len() <= Token::LONGEST, "bounded");
            }
            if let Ok(Some(whole)) = &mut seen {
                whole.rest.extend_from_slice(&bytes[taken..]);
            }
            prop_assert_eq!(seen, expected(&bytes));
        }
    }
}
