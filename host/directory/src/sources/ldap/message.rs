//! The messages of LDAP that a reader needs (RFC 4511, 4): what is asked, and what comes back.

use super::ber::{
    BOOLEAN, ENUMERATED, INTEGER, Malformed, OCTETS, Reader, SEQUENCE, SET, put, put_integer, put_nested,
};

/// Pages (RFC 2696).
const PAGED: &str = "1.2.840.113556.1.4.319";
/// From here on with TLS (RFC 4511, 4.14).
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

/// A message, ready to be sent. `operation` and `controls` are encoded.
pub(crate) fn request(id: i32, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(operation.len() + controls.len() + 16);
    put_nested(&mut out, SEQUENCE, |out| {
        put_integer(out, INTEGER, i64::from(id));
        out.extend_from_slice(operation);
        if !controls.is_empty() {
            put(out, 0xa0, controls);
        }
    });
    out
}

/// Signing in with a name and a password (RFC 4513, 5.1).
pub(crate) fn simple_bind(name: &str, password: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_nested(&mut out, 0x60, |out| {
        put_integer(out, INTEGER, 3);
        put(out, OCTETS, name.as_bytes());
        put(out, 0x80, password.as_bytes());
    });
    out
}

/// One step of signing in by SASL (RFC 4513, 5.2).
#[cfg(feature = "gssapi")]
pub(crate) fn sasl_bind(mechanism: &str, token: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_nested(&mut out, 0x60, |out| {
        put_integer(out, INTEGER, 3);
        put(out, OCTETS, &[]);
        put_nested(out, 0xa3, |out| {
            put(out, OCTETS, mechanism.as_bytes());
            put(out, OCTETS, token);
        });
    });
    out
}

/// Asking for TLS.
pub(crate) fn start_tls() -> Vec<u8> {
    let mut out = Vec::new();
    put_nested(&mut out, 0x77, |out| put(out, 0x80, START_TLS.as_bytes()));
    out
}

/// Saying good-bye.
pub(crate) const UNBIND: &[u8] = &[0x42, 0x00];

/// A search. Aliases are never followed, and no limits are asked for: those that the server has are answered as errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search<'a> {
    /// Below which name.
    pub(crate) base: &'a str,
    /// Everything below it, or that entry alone.
    pub(crate) whole_tree: bool,
    /// What is looked for, encoded.
    pub(crate) filter: &'a [u8],
    /// Which fields are wanted.
    pub(crate) fields: &'a [String],
    /// Page by page: how many at a time, and where the next one begins.
    pub(crate) page: Option<(u32, &'a [u8])>,
}

impl Search<'_> {
    pub(crate) fn operation(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_nested(&mut out, 0x63, |out| {
            put(out, OCTETS, self.base.as_bytes());
            put_integer(out, ENUMERATED, if self.whole_tree { 2 } else { 0 });
            put_integer(out, ENUMERATED, 0);
            put_integer(out, INTEGER, 0);
            put_integer(out, INTEGER, 0);
            put(out, BOOLEAN, &[0]);
            out.extend_from_slice(self.filter);
            put_nested(out, SEQUENCE, |out| {
                for field in self.fields {
                    put(out, OCTETS, field.as_bytes());
                }
            });
        });
        out
    }

    pub(crate) fn controls(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some((size, cookie)) = self.page {
            let mut value = Vec::new();
            put_nested(&mut value, SEQUENCE, |out| {
                put_integer(out, INTEGER, i64::from(size));
                put(out, OCTETS, cookie);
            });
            put_nested(&mut out, SEQUENCE, |out| {
                put(out, OCTETS, PAGED.as_bytes());
                // Critical: a server that cannot do it says so, instead of giving what fits.
                put(out, BOOLEAN, &[0xff]);
                put(out, OCTETS, &value);
            });
        }
        out
    }
}

/// A message of a server.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) id: i64,
    pub(crate) body: Body<'a>,
}

/// What it says.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// An entry that was found.
    Entry(RawEntry<'a>),
    /// Somebody else has more, it says.
    Reference,
    /// The end of a search.
    Done(Outcome, Option<PageEnd<'a>>),
    /// The answer to signing in, with what SASL goes on with.
    Bound(Outcome, #[allow(dead_code, reason = "Kerberos alone reads it")] &'a [u8]),
    /// The answer to anything else; of number 0: the server is about to go.
    Extended(Outcome),
    /// Something on the way that nobody asked for.
    Other,
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result code (RFC 4511, appendix A).
    pub code: i64,
    /// What the server says to it.
    pub text: String,
}

/// The end of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageEnd<'a> {
    /// How many there are in all; 0: it does not say.
    pub(crate) estimate: i64,
    /// Where the next page begins; empty: there is none.
    pub(crate) cookie: &'a [u8],
}

/// An entry, as its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawEntry<'a> {
    /// Its distinguished name.
    pub(crate) dn: &'a [u8],
    fields: Reader<'a>,
}

impl<'a> RawEntry<'a> {
    /// Each field with its values.
    pub(crate) fn fields(mut self) -> impl Iterator<Item = (&'a [u8], Values<'a>)> {
        // What is malformed was refused when the message was read.
        std::iter::from_fn(move || {
            let (_, field) = self.fields.next().ok()??;
            let mut inner = Reader(field);
            let name = inner.expect(OCTETS).ok()?;
            Some((name, Values(Reader(inner.expect(SET).ok()?))))
        })
    }
}

/// The values of a field.
#[derive(Debug, Clone)]
pub(crate) struct Values<'a>(Reader<'a>);

impl<'a> Values<'a> {
    /// The first one.
    pub(crate) fn first(&self) -> Option<&'a [u8]> {
        self.clone().next()
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next().ok().flatten().map(|(_, value)| value)
    }
}

/// Reads a whole message: all of it is well formed, or it is refused.
pub(crate) fn read(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    let mut all = Reader(bytes);
    let mut message = Reader(all.expect(SEQUENCE)?);
    let id = message.integer(INTEGER)?;
    let (tag, content) = message.next()?.ok_or(Malformed)?;
    let body = match tag {
        0x64 => Body::Entry(entry(content)?),
        0x73 => Body::Reference,
        0x65 => {
            let (outcome, _) = outcome(content)?;
            Body::Done(outcome, page_end(message)?)
        }
        0x61 => {
            let (outcome, rest) = outcome(content)?;
            Body::Bound(outcome, credentials(rest)?)
        }
        0x78 => Body::Extended(outcome(content)?.0),
        _ => Body::Other,
    };
    Ok(Message { id, body })
}

fn entry(content: &[u8]) -> Result<RawEntry<'_>, Malformed> {
    let mut reader = Reader(content);
    let dn = reader.expect(OCTETS)?;
    let fields = Reader(reader.expect(SEQUENCE)?);
    let mut check = fields;
    while let Some((tag, field)) = check.next()? {
        let mut inner = Reader(field);
        inner.expect(OCTETS)?;
        let mut values = Reader(inner.expect(SET)?);
        if tag != SEQUENCE {
            return Err(Malformed);
        }
        while let Some((tag, _)) = values.next()? {
            if tag != OCTETS {
                return Err(Malformed);
            }
        }
    }
    Ok(RawEntry { dn, fields })
}

fn outcome(content: &[u8]) -> Result<(Outcome, Reader<'_>), Malformed> {
    let mut reader = Reader(content);
    let code = reader.integer(ENUMERATED)?;
    let _matched = reader.expect(OCTETS)?;
    let text = clean(reader.expect(OCTETS)?);
    Ok((Outcome { code, text }, reader))
}

fn credentials(mut rest: Reader<'_>) -> Result<&[u8], Malformed> {
    while let Some((tag, content)) = rest.next()? {
        if tag == 0x87 {
            return Ok(content);
        }
    }
    Ok(&[])
}

fn page_end(mut rest: Reader<'_>) -> Result<Option<PageEnd<'_>>, Malformed> {
    while let Some((tag, controls)) = rest.next()? {
        if tag != 0xa0 {
            continue;
        }
        let mut controls = Reader(controls);
        while let Some((_, control)) = controls.next()? {
            let mut control = Reader(control);
            if control.expect(OCTETS)? != PAGED.as_bytes() {
                continue;
            }
            while let Some((tag, value)) = control.next()? {
                if tag == OCTETS {
                    let mut value = Reader(Reader(value).expect(SEQUENCE)?);
                    return Ok(Some(PageEnd { estimate: value.integer(INTEGER)?, cookie: value.expect(OCTETS)? }));
                }
            }
        }
    }
    Ok(None)
}

/// What a server says, fit for a message: no control characters, and not too long.
pub(crate) fn clean(bytes: &[u8]) -> String {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(4 * LONGEST)).unwrap_or(bytes));
    let words: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    words.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn anything_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut whole = Vec::new();
            put_nested(&mut whole, SEQUENCE, |out| {
                put_integer(out, INTEGER, 1);
                out.extend_from_slice(&bytes);
            });
            for bytes in [&bytes, &whole] {
                if let Ok(Message { body: Body::Entry(entry), .. }) = read(bytes) {
                    let _ = entry.fields().map(|(_, values)| values.count()).sum::<usize>();
                }
            }
        }
    }

    #[test]
    fn what_a_server_says_is_fit_for_a_message() {
        assert_eq!(clean(b"80090308: \x1b[2J data 52e, v4f7c\x00"), "80090308:  [2J data 52e, v4f7c");
        assert_eq!(clean(&vec![b'x'; 5_000]).len(), 300);
    }
}
