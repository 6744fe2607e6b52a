//! Searches as administrators write them (RFC 4515), looked at before they are sent. The library turns them into what goes over
//! the wire; it says only that a text is no search, and goes as deep as brackets stand in brackets.

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

/// Looks whether a text is a search.
///
/// # Errors
/// It is none.
pub(crate) fn check(text: &str) -> Result<(), FilterError> {
    let wrong = |at: usize, why| Err(FilterError { text: text.to_owned(), at: at + 1, why });
    let mut depth = 0;
    // Where the innermost bracket opened, if nothing in it closed yet.
    let mut opened = None;
    for (number, (at, c)) in text.char_indices().enumerate() {
        match c {
            _ if depth == 0 && number > 0 => return wrong(number, "something stands behind its end"),
            '(' if depth == DEEPEST => return wrong(number, "there are too many brackets in brackets"),
            '(' => {
                depth += 1;
                opened = Some((number, at));
            }
            _ if depth == 0 => return wrong(number, "a bracket must open here"),
            ')' => {
                depth -= 1;
                let inner = opened.take().and_then(|(number, from)| Some((number, text.get(from..=at)?)));
                if let Some((number, inner)) = inner
                    && ldap3::parse_filter(inner).is_err()
                {
                    let why = "a comparison such as (uid=ada) must stand here; in it (, ), * and \\ are written \\28, \\29, \
                               \\2a and \\5c";
                    return wrong(number, why);
                }
            }
            _ => {}
        }
    }
    if depth > 0 || text.is_empty() {
        let why = if text.is_empty() { "a bracket must open here" } else { "a bracket must close here" };
        return wrong(text.chars().count(), why);
    }
    if ldap3::parse_filter(text).is_err() {
        return wrong(0, "brackets hold a comparison, or &, | or ! and then further brackets");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn searches_are_taken() {
        for text in [
            "(uid=*)",
            "(uid=ada)",
            "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
            "(|(a=1)(b>=2)(c<=3)(d~=4))",
            "(cn=a*b*c)",
            "(cn=*b*)",
            "(uSNChanged>=1234)",
            "(cn:dn:2.4.6.8.10:=Dino)",
            "(cn=Zo\u{eb})",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_place() {
        for (text, at, why) in [
            ("", 1, "open here"),
            ("uid=ada", 1, "open here"),
            ("(uid=ada", 9, "close here"),
            ("(&(mail=\u{eb})(uid))", 11, "a comparison"),
            ("(=x)", 1, "a comparison"),
            ("(a=\\zz)", 1, "a comparison"),
            ("(a=**)", 1, "a comparison"),
            ("(a=b)(c=d)", 6, "behind its end"),
            ("(&(a=b)", 8, "close here"),
            ("(x(a=b))", 1, "further brackets"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.at == at && error.why.contains(why), "{text}: {error}");
        }
        assert!(check(&"(!".repeat(10_000)).is_err());
        let nested = |depth| format!("{}(a=b){}", "(!".repeat(depth), ")".repeat(depth));
        assert!(check(&nested(DEEPEST - 1)).is_ok() && check(&nested(DEEPEST)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_can_be_searched_for(text in "\\PC{1,12}|[*()\\\\]{1,6}") {
            prop_assert_eq!(check(&format!("(cn={})", ldap3::ldap_escape(&text))), Ok(()));
        }

        #[test]
        fn anything_is_read_or_refused(text in "[()&|!=*:\\\\a-c0-9>~\u{eb}]{0,40}") {
            if check(&text).is_ok() {
                prop_assert!(ldap3::parse_filter(&text).is_ok());
            }
        }
    }
}
