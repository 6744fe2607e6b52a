//! Searches as administrators write them (RFC 4515), turned into what goes over the wire (RFC 4511, 4.5.1.7).

use super::ber::{OCTETS, SEQUENCE, put, put_nested};

/// How deep brackets may stand in brackets.
const DEEPEST: usize = 32;

/// Why a text is no search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no search at character {at}: {why}")]
pub struct FilterError {
    /// What was written.
    text: String,
    /// Where it goes wrong, from 1.
    at: usize,
    /// Why.
    why: &'static str,
}

/// The search in its encoded form.
///
/// # Errors
/// The text is no search.
pub(crate) fn encode(text: &str) -> Result<Vec<u8>, FilterError> {
    let mut parser = Parser { rest: text };
    let mut out = Vec::new();
    let parsed = match parser.filter(&mut out, 0) {
        Ok(()) if !parser.rest.is_empty() => Err("something stands behind its end"),
        parsed => parsed,
    };
    parsed.map(|()| out).map_err(|why| {
        let read = text.strip_suffix(parser.rest).unwrap_or_default();
        FilterError { text: text.to_owned(), at: read.chars().count() + 1, why }
    })
}

/// Text as it stands for itself in a search (RFC 4515, 3): what has a meaning there is written in hexadecimal digits.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '(' | ')' | '\\' | '\0' => out.push_str(&format!("\\{:02x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn take(&mut self, c: char) -> bool {
        let taken = self.rest.strip_prefix(c);
        self.rest = taken.unwrap_or(self.rest);
        taken.is_some()
    }

    fn filter(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), &'static str> {
        if depth > DEEPEST {
            return Err("there are too many brackets in brackets");
        }
        if !self.take('(') {
            return Err("a bracket must open here");
        }
        let mut content = Vec::new();
        if self.take('&') {
            self.list(&mut content, depth)?;
            put(out, 0xa0, &content);
        } else if self.take('|') {
            self.list(&mut content, depth)?;
            put(out, 0xa1, &content);
        } else if self.take('!') {
            self.filter(&mut content, depth + 1)?;
            put(out, 0xa2, &content);
        } else {
            self.item(out)?;
        }
        if self.take(')') { Ok(()) } else { Err("a bracket must close here") }
    }

    fn list(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), &'static str> {
        while self.rest.starts_with('(') {
            self.filter(out, depth + 1)?;
        }
        Ok(())
    }

    fn item(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let (left, behind) = self.rest.split_once('=').ok_or("a comparison such as uid=ada must stand here")?;
        if left.contains(['(', ')']) {
            return Err("a comparison such as uid=ada must stand here");
        }
        let (field, tag) = match left.char_indices().next_back() {
            Some((at, '>')) => (left.get(..at).unwrap_or_default(), 0xa5),
            Some((at, '<')) => (left.get(..at).unwrap_or_default(), 0xa6),
            Some((at, '~')) => (left.get(..at).unwrap_or_default(), 0xa8),
            Some((at, ':')) => (left.get(..at).unwrap_or_default(), 0xa9),
            _ => (left, 0xa3),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ';' | '_');
        let named = |name: &str| !name.is_empty() && name.chars().all(fits);
        if tag != 0xa9 && !named(field) {
            return Err("the name of a field must stand here");
        }
        let end = behind.find(['(', ')']).unwrap_or(behind.len());
        let (value, rest) = behind.split_at(end);
        if tag == 0xa9 {
            extensible(out, field, &unescape(value)?, named)?;
        } else if tag != 0xa3 {
            pair(out, tag, field, &unescape(value)?);
        } else if value == "*" {
            put(out, 0x87, field.as_bytes());
        } else if value.contains('*') {
            substrings(out, field, value)?;
        } else {
            pair(out, tag, field, &unescape(value)?);
        }
        self.rest = rest;
        Ok(())
    }
}

fn pair(out: &mut Vec<u8>, tag: u8, field: &str, value: &[u8]) {
    put_nested(out, tag, |out| {
        put(out, OCTETS, field.as_bytes());
        put(out, OCTETS, value);
    });
}

fn substrings(out: &mut Vec<u8>, field: &str, value: &str) -> Result<(), &'static str> {
    let last = value.matches('*').count();
    let mut pieces = Vec::new();
    for (index, piece) in value.split('*').enumerate().filter(|(_, piece)| !piece.is_empty()) {
        let tag = match index {
            0 => 0x80,
            _ if index == last => 0x82,
            _ => 0x81,
        };
        put(&mut pieces, tag, &unescape(piece)?);
    }
    if pieces.is_empty() {
        return Err("between stars must stand something");
    }
    put_nested(out, 0xa4, |out| {
        put(out, OCTETS, field.as_bytes());
        put(out, SEQUENCE, &pieces);
    });
    Ok(())
}

/// `field:dn:rule:=value`, of which field or rule may be absent.
fn extensible(out: &mut Vec<u8>, left: &str, value: &[u8], named: impl Fn(&str) -> bool) -> Result<(), &'static str> {
    let mut parts = left.split(':');
    let field = parts.next().unwrap_or_default();
    let (mut dn, mut rule) = (false, "");
    for part in parts {
        if part.eq_ignore_ascii_case("dn") && !dn && rule.is_empty() {
            dn = true;
        } else if rule.is_empty() && named(part) {
            rule = part;
        } else {
            return Err("a matching rule such as 1.2.840.113556.1.4.803 must stand here");
        }
    }
    if (field.is_empty() && rule.is_empty()) || (!field.is_empty() && !named(field)) {
        return Err("the name of a field must stand here");
    }
    put_nested(out, 0xa9, |out| {
        if !rule.is_empty() {
            put(out, 0x81, rule.as_bytes());
        }
        if !field.is_empty() {
            put(out, 0x82, field.as_bytes());
        }
        put(out, 0x83, value);
        if dn {
            put(out, 0x84, &[0xff]);
        }
    });
    Ok(())
}

fn unescape(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err("behind a backslash stand two hexadecimal digits, such as \\2a for a star");
        };
        out.push(u8::try_from(high * 16 + low).map_err(|_| "two hexadecimal digits are a byte")?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use ldap3_proto::{LdapFilter, LdapMsg, proto::LdapOp};
    use proptest::prelude::*;

    use super::*;
    use crate::sources::ldap::message::{Search, request};

    /// The search as somebody else's server reads it.
    fn elsewhere(text: &str) -> LdapFilter {
        let search = Search { base: "", whole_tree: true, filter: &encode(text).unwrap(), fields: &[], page: None };
        let bytes = request(1, &search.operation(), &search.controls());
        let mut buffer = bytes::BytesMut::from(&bytes[..]);
        let message: LdapMsg =
            tokio_util::codec::Decoder::decode(&mut ldap3_proto::LdapCodec::default(), &mut buffer).unwrap().unwrap();
        match message.op {
            LdapOp::SearchRequest(search) => search.filter,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn searches_are_understood_elsewhere() {
        for text in [
            "(uid=*)",
            "(uid=ada)",
            "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
            "(|(a=1)(b>=2)(c<=3)(d~=4))",
            "(cn=a*b*c)",
            "(cn=*b*)",
            "(cn=a*)",
            "(uSNChanged>=1234)",
            "(cn:dn:2.4.6.8.10:=Dino)",
        ] {
            assert_eq!(elsewhere(text), ldap3_proto::parse_ldap_filter_str(text).unwrap(), "{text}");
        }
        assert_eq!(elsewhere("(cn=\\28x\\29 \\2a)"), LdapFilter::Equality("cn".into(), "(x) *".into()));
    }

    #[test]
    fn nonsense_is_refused_with_the_place() {
        for (text, at, why) in [
            ("uid=ada", 1, "open here"),
            ("(uid=ada", 9, "close here"),
            ("(uid)", 2, "a comparison"),
            ("(=x)", 2, "name of a field"),
            ("(a=\\zz)", 2, "hexadecimal"),
            ("(a=**)", 2, "between stars"),
            ("(a=b)(c=d)", 6, "behind its end"),
            ("(&(a=b)", 8, "close here"),
        ] {
            let error = encode(text).unwrap_err();
            assert!(error.at == at && error.why.contains(why), "{text}: {error}");
        }
        assert!(encode(&"(!".repeat(10_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_can_be_searched_for(text in "\\PC{1,12}|[*()\\\\]{1,6}") {
            let found = elsewhere(&format!("(cn={})", escape(&text)));
            prop_assert_eq!(found, LdapFilter::Equality("cn".into(), text));
        }

        #[test]
        fn anything_is_read_or_refused(text in "[()&|!=*:\\\\a-c0-9>~]{0,40}") {
            let _ = encode(&text);
        }
    }
}
