//! Bytes written as text: `\r \n \t \0 \\ \"` and `\xHH`; every other printable ASCII character stands for itself.
//!
//! The form of `bytes` settings (`wit/v1/`) and of trace files.

/// What is wrong with an escaped text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EscapeError {
    /// The text ends in a lone backslash.
    #[error("the text ends in a lone `\\`; write `\\\\` for a backslash")]
    Unfinished,
    /// A letter after a backslash that means nothing.
    #[error("`\\{0}` means nothing; known are \\r \\n \\t \\0 \\\\ \\\" and \\xHH")]
    Unknown(char),
    /// `\x` without two hexadecimal digits.
    #[error("`\\x` wants two hexadecimal digits, such as `\\x0d`")]
    Hex,
}

/// The bytes that this text stands for. Characters beyond ASCII stand for their UTF-8 bytes.
///
/// # Errors
/// An escape that means nothing, named.
pub fn parse(text: &str) -> Result<Vec<u8>, EscapeError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match rest.next().ok_or(EscapeError::Unfinished)? {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            '"' => b'"',
            'x' => {
                let mut digit = || rest.next().and_then(|c| c.to_digit(16)).and_then(|d| u8::try_from(d).ok());
                let high = digit().ok_or(EscapeError::Hex)?;
                let low = digit().ok_or(EscapeError::Hex)?;
                high << 4 | low
            }
            other => return Err(EscapeError::Unknown(other)),
        });
    }
    Ok(bytes)
}

/// The text of these bytes, without quotes around it.
pub fn format(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b'"' => text.push_str("\\\""),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(parse(r"v\r\n\x1b\\\0").unwrap(), b"v\r\n\x1b\\\0");
        assert_eq!(parse(r"a\"), Err(EscapeError::Unfinished));
        assert_eq!(parse(r"\q"), Err(EscapeError::Unknown('q')));
        assert_eq!(parse(r"\x4"), Err(EscapeError::Hex));
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(parse(&format(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn any_text_is_taken_or_refused(text: String) {
            let _ = parse(&text);
        }
    }
}
