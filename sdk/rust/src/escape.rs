//! Bytes written as text, the form of `bytes` settings: `\r \n \t \0 \\ \"` and `\xHH`; every other character stands for
//! itself.

use crate::Fault;

/// The bytes that this text stands for. Characters beyond ASCII stand for their UTF-8 bytes.
///
/// # Errors
/// An escape that means nothing: a fault of code `bad-escape`.
pub fn bytes_of(text: &str) -> Result<Vec<u8>, Fault> {
    let bad = || Fault::new("bad-escape", "a backslash must begin one of \\r \\n \\t \\0 \\\\ \\\" or \\xHH");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match rest.next().ok_or_else(bad)? {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            '"' => b'"',
            'x' => {
                let mut digit = || rest.next().and_then(|c| c.to_digit(16)).and_then(|d| u8::try_from(d).ok());
                let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
                high << 4 | low
            }
            _ => return Err(bad()),
        });
    }
    Ok(bytes)
}

/// The text of these bytes, without quotes around it: for a log line or a fault about what a reader sent.
pub fn text_of(bytes: &[u8]) -> String {
    let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b'"' => text.push_str("\\\""),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => text.extend(['\\', 'x', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    text
}
