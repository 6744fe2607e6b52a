//! What may come out of a driver, whatever its generation: lengths, forms, ranges.
//!
//! These limits are no bounds to be tuned; no honest driver comes near them. What passes is safe to keep and to show.

use cardinal_domain::driver::{Bits, Fault, Pair};

use super::{CallError, OutputBounds, TooMuch};
use crate::error::{shown, shown_line};

/// Names: ids, keys, versions, codes, technologies.
pub(super) const NAME: usize = 64;
/// What is shown on one line: titles, summaries, reasons, typed text.
pub(super) const LINE: usize = 500;
/// What is shown as a paragraph: help, messages, lines of log, values of settings.
pub(super) const TEXT: usize = 4_000;
/// A card number as the reader says it, before conversion.
pub(super) const NUMBER: usize = 512;
/// A credential has 26 to some hundred bits.
const BITS: u32 = 4_096;
/// Entries of any list of a manifest, headers, facts.
pub(super) const ENTRIES: usize = 64;

type Checked<T> = Result<T, CallError>;

pub(super) fn wrong<T>(what: impl Into<String>) -> Checked<T> {
    Err(CallError::Contract(what.into()))
}

/// A text that is not too long.
pub(super) fn text(what: &str, text: String, most: usize) -> Checked<String> {
    if text.chars().nth(most).is_none() { Ok(text) } else { wrong(format!("{what} has more than {most} characters")) }
}

/// A text for one line: not too long, and with spaces for control characters.
pub(super) fn line(what: &str, given: String, most: usize) -> Checked<String> {
    let line = text(what, given, most)?;
    Ok(if line.contains(char::is_control) { shown_line(&line, most) } else { line })
}

/// A paragraph: not too long, and with spaces for control characters except line ends.
pub(super) fn paragraph(what: &str, given: String, most: usize) -> Checked<String> {
    Ok(shown(&text(what, given, most)?, most))
}

/// A text that is written into configuration: not too long, and without control characters.
pub(super) fn written(what: &str, given: String, most: usize) -> Checked<String> {
    let written = text(what, given, most)?;
    if written.contains(char::is_control) { wrong(format!("{what} has control characters")) } else { Ok(written) }
}

/// A list that is not too long.
pub(super) fn list<T>(what: &str, list: Vec<T>, most: usize) -> Checked<Vec<T>> {
    if list.len() <= most { Ok(list) } else { wrong(format!("{} {what}, more than {most}", list.len())) }
}

/// Names and values for people.
pub(super) fn facts(pairs: Vec<Pair>) -> Checked<Vec<Pair>> {
    let check = |(key, value)| Ok((line("the name of a fact", key, NAME)?, line("a fact", value, LINE)?));
    list("facts", pairs, ENTRIES)?.into_iter().map(check).collect()
}

/// Headers of HTTP. Line ends in one would be a header of their own.
pub(super) fn headers(pairs: Vec<Pair>) -> Checked<Vec<Pair>> {
    let pairs = list("headers", pairs, ENTRIES)?;
    for (name, value) in &pairs {
        if !is_token(name) {
            return wrong(format!("{:?} is no name of an HTTP header", shown_line(name, NAME)));
        }
        if value.contains(|c: char| c.is_control() && c != '\t') {
            return wrong(format!("the HTTP header {name} has a control character"));
        }
    }
    Ok(pairs)
}

/// A token of HTTP: methods, names of headers.
pub(super) fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= NAME && text.bytes().all(token)
}

/// Bits whose bytes, length and padding agree.
pub(super) fn bits(data: Vec<u8>, length: u32) -> Checked<Bits> {
    if length == 0 || length > BITS {
        return wrong(format!("a credential of {length} bits; 1 to {BITS} are possible"));
    }
    if data.len() as u64 != u64::from(length.div_ceil(8)) {
        return wrong(format!("a credential of {length} bits in {} bytes", data.len()));
    }
    let unused = (8 - length % 8) % 8;
    if data.last().is_some_and(|last| last.trailing_zeros() < unused) {
        return wrong(format!("a credential of {length} bits whose unused bits are not 0"));
    }
    Ok(Bits { data, length })
}

/// The driver's fault, made safe to show. It is never refused: a fault about a fault would hide the first.
pub(super) fn fault(code: &str, message: &str) -> Fault {
    let good = !code.is_empty()
        && code.len() <= NAME
        && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    Fault::new(if good { code } else { "driver" }, shown(message, TEXT))
}

/// Adds up the outputs of a call.
pub(super) struct Sum {
    bounds: OutputBounds,
    bytes: u64,
}

impl Sum {
    pub(super) fn new(bounds: OutputBounds, outputs: usize) -> Checked<Self> {
        let outputs = outputs as u64;
        if outputs > bounds.count {
            return Err(CallError::Outputs(TooMuch::Count(outputs)));
        }
        Ok(Self { bounds, bytes: 0 })
    }

    pub(super) fn add(&mut self, bytes: usize) -> Checked<()> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > self.bounds.bytes { Err(CallError::Outputs(TooMuch::Bytes(self.bytes))) } else { Ok(()) }
    }

    pub(super) fn add_pairs(&mut self, pairs: &[Pair]) -> Checked<()> {
        pairs.iter().try_for_each(|(name, value)| self.add(name.len().saturating_add(value.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_agree_with_their_bytes() {
        assert!(bits(vec![0xff, 0x80], 9).is_ok());
        assert!(bits(vec![0xff], 8).is_ok());
        for (data, length) in
            [(vec![], 0), (vec![0xff], 9), (vec![0xff, 0], 8), (vec![0xff, 0xc0], 9), (vec![0; 8], u32::MAX)]
        {
            assert!(matches!(bits(data, length), Err(CallError::Contract(_))), "{length}");
        }
    }

    #[test]
    fn a_header_cannot_smuggle_another() {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert!(headers(pair("content-type", "text/plain; a=\tb")).is_ok());
        assert!(headers(pair("x", "a\r\nset-cookie: b")).is_err());
        assert!(headers(pair("x: y", "a")).is_err());
        assert!(headers(pair("", "a")).is_err());
    }

    #[test]
    fn a_fault_is_always_told() {
        assert_eq!(fault("bad-key", "why"), Fault::new("bad-key", "why"));
        assert_eq!(fault("Bad key!", "a\x1b[31m"), Fault::new("driver", "a [31m"));
        assert_eq!(fault("", &"x".repeat(9_000)).message.chars().count(), TEXT + 1);
    }
}
