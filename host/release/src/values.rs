//! IPP values made and read. Every text is cut to what its type may hold, on a character, and read texts lose their
//! control characters: they come from outside and are shown to people.

use cardinal_domain::time::Timestamp;
use ipp::{
    attribute::IppAttribute,
    value::{BoundedStrLiteral, BoundedString, IppDateTime, IppKeywordLiteral, IppTextValue, IppValue},
};

/// The longest text taken over from outside, in bytes.
const LONGEST_TEXT: usize = 255;

/// The beginning of a text, at most so many bytes, whole characters only.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

fn bounded<const MAX: usize>(text: &str) -> BoundedString<MAX> {
    BoundedString::new_truncated(cut(text, MAX))
}

pub(crate) fn attribute(name: &str, value: IppValue) -> IppAttribute {
    IppAttribute::new(bounded::<255>(name), value)
}

pub(crate) fn keyword(word: &'static str) -> IppValue {
    IppValue::Keyword(BoundedStrLiteral::new(word).unwrap_or(IppKeywordLiteral::const_new("")).into())
}

pub(crate) fn any_keyword(word: &str) -> IppValue {
    IppValue::Keyword(bounded(word))
}

pub(crate) fn keywords(words: &[&'static str]) -> IppValue {
    list(words.iter().map(|word| keyword(word)))
}

pub(crate) fn name(text: &str) -> IppValue {
    IppValue::NameWithoutLanguage(bounded(text))
}

pub(crate) fn text(text: &str) -> IppValue {
    IppValue::TextWithoutLanguage(IppTextValue::Medium(bounded(text)).shrink())
}

pub(crate) fn uri(text: &str) -> IppValue {
    IppValue::Uri(bounded(text))
}

pub(crate) fn mime(text: &str) -> IppValue {
    IppValue::MimeMediaType(bounded(text))
}

pub(crate) fn charset(text: &str) -> IppValue {
    IppValue::Charset(bounded(text))
}

pub(crate) fn language(text: &str) -> IppValue {
    IppValue::NaturalLanguage(bounded(text))
}

pub(crate) fn range(min: i32, max: i32) -> IppValue {
    IppValue::RangeOfInteger { min, max }
}

/// The out-of-band value `unknown` (RFC 8010 §3.5.2): there is one, and it is not known here.
pub(crate) fn unknown() -> IppValue {
    IppValue::Other { tag: 0x12, data: bytes::Bytes::new() }
}

/// The out-of-band value `unsupported`.
pub(crate) fn unsupported() -> IppValue {
    IppValue::Other { tag: 0x10, data: bytes::Bytes::new() }
}

/// A time as `dateTime` (RFC 2579), in UTC; `no-value` for one that no calendar has.
pub(crate) fn date_time(time: Timestamp) -> IppValue {
    let Ok(time) = jiff::Timestamp::from_millisecond(time.0) else { return IppValue::NoValue };
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    let small = |number: i8| u8::try_from(number).unwrap_or_default();
    IppValue::DateTime(IppDateTime {
        year: u16::try_from(time.year()).unwrap_or_default(),
        month: small(time.month()),
        day: small(time.day()),
        hour: small(time.hour()),
        minutes: small(time.minute()),
        seconds: small(time.second()),
        deci_seconds: u8::try_from(time.millisecond() / 100).unwrap_or_default(),
        utc_dir: '+',
        utc_hours: 0,
        utc_mins: 0,
    })
}

pub(crate) fn collection(members: impl IntoIterator<Item = (&'static str, IppValue)>) -> IppValue {
    IppValue::Collection(members.into_iter().map(|(name, value)| (bounded(name), value)).collect())
}

/// One value as itself, several as a set.
pub(crate) fn list(values: impl IntoIterator<Item = IppValue>) -> IppValue {
    let mut values: Vec<_> = values.into_iter().collect();
    match (values.len(), values.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            values.extend(last);
            IppValue::Array(values)
        }
    }
}

/// The values of a set, or the one value.
pub(crate) fn each(value: &IppValue) -> &[IppValue] {
    match value {
        IppValue::Array(values) => values,
        one => std::slice::from_ref(one),
    }
}

/// What a value says in words, if it is of a kind that does.
pub(crate) fn as_text(value: &IppValue) -> Option<String> {
    let text = match value {
        IppValue::TextWithoutLanguage(text) | IppValue::TextWithLanguage { text, .. } => text.as_ref(),
        IppValue::NameWithoutLanguage(name) | IppValue::NameWithLanguage { name, .. } => name.as_str(),
        IppValue::Keyword(word) => word.as_str(),
        IppValue::Uri(uri) => uri.as_str(),
        IppValue::MimeMediaType(mime) => mime.as_str(),
        IppValue::Charset(charset) => charset.as_str(),
        IppValue::NaturalLanguage(language) => language.as_str(),
        IppValue::NonUtf8 { data, .. } => return Some(clean(&String::from_utf8_lossy(data))),
        _ => return None,
    };
    Some(clean(text))
}

/// Without control characters, and not too long.
pub(crate) fn clean(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    cut(plain.trim(), LONGEST_TEXT).to_owned()
}

pub(crate) fn as_integer(value: &IppValue) -> Option<i32> {
    match value {
        IppValue::Integer(number) | IppValue::Enum(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_on_a_character() {
        assert_eq!(cut("größe", 3), "gr");
        assert_eq!(cut("größe", 4), "grö");
        assert_eq!(cut("", 4), "");
        let long = "ö".repeat(300);
        for value in [name(&long), text(&long), any_keyword(&long), mime(&long)] {
            assert_eq!(as_text(&value).unwrap().len(), 254);
        }
    }

    #[test]
    fn times_have_a_date() {
        let IppValue::DateTime(time) = date_time(Timestamp(1_795_000_000_123)) else { panic!("no date") };
        assert_eq!((time.year, time.month, time.day), (2026, 11, 18));
        assert_eq!((time.hour, time.minutes, time.seconds, time.deci_seconds), (11, 6, 40, 1));
        assert_eq!(date_time(Timestamp(i64::MAX)), IppValue::NoValue);
    }

    #[test]
    fn read_texts_are_plain() {
        assert_eq!(clean(" a\u{1b}[31m\r\nb "), "a[31mb");
    }
}
