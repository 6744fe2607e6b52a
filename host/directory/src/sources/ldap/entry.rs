//! What stands in the fields of an entry: text, identifiers, and numbers of accounts.

use ldap3::asn1::{PL, StructureTag};
use sha2::{Digest as _, Sha256};

use super::error::clean;

/// The longest text that a field may hold, in characters.
pub(crate) const LONGEST_VALUE: usize = 9_999;
/// The longest key: in characters, made of a name in bytes.
const LONGEST_KEY: usize = 512;

/// An entry, as its bytes. They are looked at where they lie: `SearchEntry` of the library would copy all of them, and panic
/// where they are malformed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawEntry<'a> {
    /// Its distinguished name.
    pub(crate) dn: &'a [u8],
    fields: &'a [StructureTag],
}

impl<'a> RawEntry<'a> {
    /// From what came (RFC 4511, 4.5.2): all of it is well formed, or it is refused.
    pub(crate) fn of(entry: &'a StructureTag) -> Option<Self> {
        let [dn, fields] = parts(entry)? else { return None };
        let (dn, fields) = (bytes(dn)?, parts(fields)?);
        let whole = fields.iter().all(|field| match parts(field) {
            Some([name, values]) => {
                bytes(name).is_some()
                    && parts(values).is_some_and(|values| values.iter().all(|value| bytes(value).is_some()))
            }
            _ => false,
        });
        whole.then_some(Self { dn, fields })
    }

    /// Each field with its values.
    pub(crate) fn fields(self) -> impl Iterator<Item = (&'a [u8], Values<'a>)> {
        self.fields.iter().filter_map(|field| match parts(field)? {
            [name, values] => Some((bytes(name)?, Values(parts(values)?.iter()))),
            _ => None,
        })
    }
}

/// A list of texts and nothing else, as bytes.
pub(crate) fn texts(tag: &StructureTag) -> Option<Vec<&[u8]>> {
    parts(tag)?.iter().map(bytes).collect()
}

fn parts(tag: &StructureTag) -> Option<&[StructureTag]> {
    match &tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

fn bytes(tag: &StructureTag) -> Option<&[u8]> {
    match &tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

/// The values of a field.
#[derive(Debug, Clone)]
pub(crate) struct Values<'a>(std::slice::Iter<'a, StructureTag>);

impl<'a> Values<'a> {
    /// The first one.
    pub(crate) fn first(&self) -> Option<&'a [u8]> {
        self.clone().next()
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next().and_then(bytes)
    }
}

/// Why a value is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoText {
    #[error("has a value that is not text")]
    Binary,
    #[error("has a value of more than {LONGEST_VALUE} characters")]
    Long,
}

/// A value as text, without white space around it. Line ends and tabs inside become spaces.
pub(crate) fn text(value: &[u8]) -> Result<String, NoText> {
    let text = std::str::from_utf8(value).map_err(|_| NoText::Binary)?.trim();
    if text.len() > LONGEST_VALUE && text.chars().nth(LONGEST_VALUE).is_some() {
        return Err(NoText::Long);
    }
    if !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    let spaced = |c: char| match c {
        '\t' | '\r' | '\n' => Ok(' '),
        c if c.is_control() => Err(NoText::Binary),
        c => Ok(c),
    };
    text.chars().map(spaced).collect()
}

/// What identifies an entry for ever, as text. Fields that hold 16 bytes by their definition are written as identifiers
/// always, so that the spelling does not hang on what the bytes happen to be.
pub(crate) fn key(field: &str, value: &[u8]) -> Option<String> {
    let is = |name: &str| field.eq_ignore_ascii_case(name);
    // MS-ADTS 3.1.1.1.3; `GUID` is eDirectory's.
    if is("objectGUID") || is("mS-DS-ConsistencyGuid") || is("GUID") {
        return guid(value);
    }
    if is("objectSid") {
        return Sid::of(value).map(|sid| sid.0);
    }
    match text(value) {
        Ok(text) if text.is_empty() || text.chars().count() > LONGEST_KEY => None,
        // Identifiers are hexadecimal digits, of which some servers change the case.
        Ok(text) => Some(text.to_lowercase()),
        Err(NoText::Long) => None,
        Err(NoText::Binary) => (value.len() <= 256).then(|| value.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

/// The key of an entry that is recognised by its distinguished name. A long one is its digest.
pub(crate) fn dn_key(dn: &str) -> String {
    match dn.len() {
        0..=LONGEST_KEY => dn.to_owned(),
        _ => Sha256::digest(dn).iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Sixteen bytes as an identifier: the first three numbers with the lowest byte first (MS-DTYP 2.3.4).
pub(crate) fn guid(value: &[u8]) -> Option<String> {
    let &[d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p] = value else { return None };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts = [hex(&[a, b, c, d]), hex(&[e, f]), hex(&[g, h]), hex(&[i, j]), hex(&[k, l, m, n, o, p])];
    Some(parts.join("-"))
}

/// The number of an account in Windows, in its text form (MS-DTYP 2.4.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Sid(pub(crate) String);

impl Sid {
    /// From its bytes.
    pub(crate) fn of(value: &[u8]) -> Option<Self> {
        let (&[revision, count], rest) = value.split_first_chunk()?;
        let (authority, numbers) = rest.split_first_chunk::<6>()?;
        let (numbers, spare) = numbers.as_chunks::<4>();
        if revision != 1 || numbers.len() != usize::from(count) || !spare.is_empty() {
            return None;
        }
        let authority = authority.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        let mut text = format!("s-1-{authority}");
        for number in numbers {
            text.push_str(&format!("-{}", u32::from_le_bytes(*number)));
        }
        Some(Self(text))
    }

    /// From the name that a domain gives to somebody of another forest (MS-ADTS 6.1.1.4.10): `cn=S-1-5-…,cn=Foreign…`.
    /// The name is in the spelling of [`super::dn::spelling`].
    pub(crate) fn of_foreigner(dn: &str) -> Option<Self> {
        let (first, rest) = dn.split_once(',')?;
        let text = first.strip_prefix("cn=")?;
        let looks = text.starts_with("s-1-") && text.bytes().skip(1).all(|byte| byte == b'-' || byte.is_ascii_digit());
        (looks && rest.starts_with("cn=foreignsecurityprincipals,")).then(|| Self(text.to_owned()))
    }

    /// The account of another number in the same domain.
    pub(crate) fn beside(&self, number: &str) -> Option<Self> {
        let (domain, _) = self.0.rsplit_once('-')?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| Self(format!("{domain}-{number}")))
    }
}

/// A name of a field, and which of its values came: `member;range=0-1499` (MS-ADTS 3.1.1.3.1.3.3).
pub(crate) fn range(field: &str) -> Option<(&str, usize, Option<usize>)> {
    let (name, option) = field.split_once(';')?;
    let (word, span) = option.split_once('=')?;
    let (from, to) = span.split_once('-')?;
    if !word.eq_ignore_ascii_case("range") {
        return None;
    }
    let to = if to == "*" { None } else { Some(to.parse().ok()?) };
    Some((name, from.parse().ok()?, to))
}

/// A distinguished name, fit for a message.
pub(crate) fn place(dn: &[u8]) -> String {
    clean(dn)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_is_whole_or_refused() {
        let of = |message: &[u8]| {
            let entry = ldap3::asn1::parse_tag(message).unwrap().1;
            RawEntry::of(&entry).map(|entry| {
                let fields = entry.fields().map(|(name, values)| (name.to_vec(), values.count()));
                (entry.dn.to_vec(), fields.collect::<Vec<_>>())
            })
        };
        let entry = b"\x64\x10\x04\x01d\x30\x0b\x30\x09\x04\x01a\x31\x04\x04\x00\x04\x00";
        assert_eq!(of(entry), Some((b"d".to_vec(), vec![(b"a".to_vec(), 2)])));
        // The name, all fields, a field, its name, its values or one of them is of the other kind.
        for at in [2, 5, 7, 9, 12, 14] {
            let mut other = *entry;
            other[at] ^= 0x20;
            assert!(ldap3::asn1::parse_tag(&other).is_err() || of(&other).is_none(), "{at}");
        }
        assert_eq!(of(b"\x73\x05\x04\x03x:/"), None);
    }

    #[test]
    fn identifiers_have_one_spelling() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(guid(&bytes).as_deref(), Some("03020100-0504-0706-0809-0a0b0c0d0e0f"));
        assert_eq!(guid(&bytes[1..]), None);
        // Sixteen bytes that happen to be letters are no text.
        assert_eq!(key("objectguid", b"abcdefghijklmnop").as_deref(), Some("64636261-6665-6867-696a-6b6c6d6e6f70"));
        assert_eq!(key("entryUUID", b" 0FE1-AA ").as_deref(), Some("0fe1-aa"));
        assert_eq!(key("other", &[0xff, 0x00]).as_deref(), Some("ff00"));
        let long = format!("cn={},dc=x", "é".repeat(260));
        assert_eq!((dn_key("cn=ada,dc=x").as_str(), dn_key(&long).len()), ("cn=ada,dc=x", 64));
        assert_eq!((key("entryUUID", b""), key("objectGUID", b"short")), (None, None));
    }

    #[test]
    fn accounts_have_one_spelling() {
        let bytes = [1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0x50, 4, 0, 0];
        let sid = Sid::of(&bytes).unwrap();
        assert_eq!(sid.0, "s-1-5-21-1-2-3-1104");
        assert_eq!(sid.beside("513").unwrap().0, "s-1-5-21-1-2-3-513");
        assert_eq!(sid.beside("5x"), None);
        let foreign = "cn=s-1-5-21-1-2-3-1104,cn=foreignsecurityprincipals,dc=x";
        assert_eq!(Sid::of_foreigner(foreign), Some(sid));
        assert_eq!(Sid::of_foreigner("cn=s-1-5-21-1-2-3-1104,cn=users,dc=x"), None);
        assert_eq!(Sid::of(&bytes[..27]), None);
    }

    #[test]
    fn ranges_are_told_from_other_options() {
        assert_eq!(range("member;range=0-1499"), Some(("member", 0, Some(1499))));
        assert_eq!(range("Member;Range=1500-*"), Some(("Member", 1500, None)));
        for other in ["member", "member;lang-de", "member;range=x-1", "member;range=1", "cn;range=0-9;binary"] {
            assert_eq!(range(other), None, "{other}");
        }
    }

    #[test]
    fn only_text_is_text() {
        assert_eq!(text("  Ada\tLovelace\n".as_bytes()).as_deref(), Ok("Ada Lovelace"));
        assert_eq!(text(&[0xff, 0xfe]), Err(NoText::Binary));
        assert_eq!(text(b"a\0b"), Err(NoText::Binary));
        assert_eq!(text(&vec![b'x'; 10_000]), Err(NoText::Long));
        assert!(text("é".repeat(9_999).as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..40), field in "\\PC{0,20}") {
            let _ = (text(&value), key("objectSid", &value), key("x", &value), Sid::of(&value), range(&field));
        }
    }
}
