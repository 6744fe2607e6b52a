//! Distinguished names (RFC 4514): one spelling for all that mean the same, so that a member can be found by the name that its
//! group has for it.

use unicode_normalization::UnicodeNormalization as _;

/// The spelling by which names are compared. Case, spaces around separators, the form of escapes and the Unicode form make no
/// difference. Text that is no distinguished name is spelled as it is, in lower case.
pub(crate) fn spelling(text: &str) -> String {
    let text = text.trim();
    if is_simple(text) {
        return text.to_ascii_lowercase();
    }
    let mut out = String::with_capacity(text.len());
    let mut piece = Vec::new();
    // The length up to which a piece may not lose white space at its end: it was escaped.
    let mut kept = 0;
    let mut quoted = false;
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let Some(next) = bytes.next() else { break };
                match (digit(&next), bytes.peek().and_then(digit)) {
                    (Some(high), Some(low)) => {
                        bytes.next();
                        piece.push(high << 4 | low);
                    }
                    _ => piece.push(next),
                }
                kept = piece.len();
            }
            b',' | b';' | b'+' | b'=' if !quoted => {
                finish(&mut out, &mut piece, &mut kept);
                out.push(if byte == b';' { ',' } else { char::from(byte) });
            }
            b' ' if piece.is_empty() && !quoted => {}
            _ => {
                piece.push(byte);
                if quoted {
                    kept = piece.len();
                }
            }
        }
    }
    finish(&mut out, &mut piece, &mut kept);
    out
}

/// Nothing is escaped, nothing stands beside a separator, and there is one form of each character.
fn is_simple(text: &str) -> bool {
    let is_separator = |byte| matches!(byte, b',' | b'=' | b'+');
    let mut before = b',';
    for byte in text.bytes() {
        match byte {
            b'\\' | b'"' | b';' | b'#' | 0x80.. => return false,
            b' ' if is_separator(before) => return false,
            byte if is_separator(byte) && before == b' ' => return false,
            byte => before = byte,
        }
    }
    true
}

fn finish(out: &mut String, piece: &mut Vec<u8>, kept: &mut usize) {
    while piece.len() > *kept && piece.last() == Some(&b' ') {
        piece.pop();
    }
    for c in String::from_utf8_lossy(piece).nfc().collect::<String>().to_lowercase().nfc() {
        // What separates elsewhere, and a space that would be lost, are written so that they do not.
        match c {
            ',' | '+' | '=' | ';' | '\\' | '"' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    piece.clear();
    *kept = 0;
}

/// Whether a name stands below another, or is it. Both in the spelling of [`spelling`].
pub(crate) fn is_below(name: &str, base: &str) -> bool {
    // A comma that is escaped separates nothing.
    let separates = |rest: &str| rest.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0;
    name == base || name.strip_suffix(base).and_then(|rest| rest.strip_suffix(',')).is_some_and(separates)
}

/// The parts of the first piece of a name, in the spelling of [`spelling`]: `uid=ada` of `uid=ada+sn=x,dc=y`.
pub(crate) fn first_parts(name: &str) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    let ends = name.bytes().position(|byte| {
        let separates = byte == b',' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        separates
    });
    let mut is_escaped = false;
    name.get(..ends.unwrap_or(name.len())).unwrap_or_default().split(move |c| {
        let separates = c == '+' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        separates
    })
}

/// The base of an Active Directory domain: `dc=school,dc=example` for `school.example`.
pub(crate) fn of_domain(name: &str) -> String {
    let labels: Vec<_> = name.split('.').filter(|label| !label.is_empty()).map(|label| format!("dc={label}")).collect();
    labels.join(",")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_means_the_same_is_spelled_the_same() {
        for same in [
            &[
                "CN=Ada,OU=Staff,DC=school,DC=example",
                "cn=ada, ou=Staff ,dc=school , DC = example",
                "cn=ADA;ou=staff;dc=school;dc=example",
            ][..],
            &[
                "cn=Lovelace\\, Ada,dc=x",
                "cn=Lovelace\\2C Ada,dc=x",
                "cn=\"Lovelace, Ada\",dc=x",
                "CN=Lovelace\\2c Ada,DC=x",
            ],
            &["cn=Zo\u{eb},dc=x", "cn=Zoe\u{308},dc=x", "cn=Zo\\C3\\AB,dc=x", "cn=ZO\u{cb},dc=x"],
            &["cn=a\\\\b,dc=x", "cn=a\\5Cb,dc=x"],
        ] {
            for text in same {
                assert_eq!(spelling(text), spelling(same[0]), "{text}");
            }
        }
        assert_ne!(spelling("cn=a\\,dc=x"), spelling("cn=a,dc=x"));
        assert_ne!(spelling("cn=a\\ ,dc=x"), spelling("cn=a,dc=x"));
        assert_ne!(spelling("cn=a+b=c,dc=x"), spelling("cn=a\\+b\\=c,dc=x"));
    }

    #[test]
    fn what_stands_below_is_told_from_what_ends_alike() {
        assert!(is_below("cn=ada,dc=x", "dc=x") && is_below("dc=x", "dc=x"));
        assert!(!is_below("cn=ada,cdc=x", "dc=x") && !is_below("dc=x", "cn=ada,dc=x"));
        assert!(!is_below("cn=ada\\,dc=x", "dc=x"));
        let parts = |name: &str| first_parts(name).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(parts("uid=a\\,\\+b+sn=x,dc=y"), ["uid=a\\,\\+b", "sn=x"]);
        assert_eq!(parts("uid=a\\\\,dc=y"), ["uid=a\\\\"]);
        assert_eq!(of_domain("staff.school.example"), "dc=staff,dc=school,dc=example");
    }

    proptest! {
        #[test]
        fn the_short_way_is_the_long_way(text in "[a-cA-C ,=+]{0,20}") {
            // An escape that changes nothing makes it go the long way.
            if is_simple(text.trim()) {
                let long = spelling(&format!("{}{}", "\\78", text.trim()));
                prop_assert_eq!(long.strip_prefix('x').unwrap(), spelling(&text));
            }
        }

        #[test]
        fn anything_has_a_spelling(text in "\\PC{0,40}") {
            let _ = spelling(&text);
        }

        #[test]
        fn any_name_is_found_however_it_is_escaped(name in "[a-z,+=\\\\\"; #]{1,12}") {
            let by_hex: String = name.bytes().map(|byte| format!("\\{byte:02X}")).collect();
            let by_slash: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\{c}") }).collect();
            prop_assert_eq!(spelling(&format!("cn={by_hex},dc=x")), spelling(&format!("CN={by_slash}, dc=x")));
        }
    }
}
