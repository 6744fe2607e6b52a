//! What a client asks for besides the document (RFC 8011 §5.2): kept with the job as text, told to the printer typed.
//!
//! One table says which attributes are taken, of what kind they are, and what a queue says that it supports. A queue does
//! not know its printer yet, so what depends on the printer (`media`, `output-bin`) is taken as it comes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

pub(crate) use cardinal_domain::job::{HOLD_UNTIL, INDEFINITE};
use ipp::{
    attribute::{IppAttribute, IppAttributeGroup},
    value::{IppName, IppValue},
};

use crate::values::{any_keyword, as_text, attribute, cut, each, keyword, keywords, list, range, unsupported};

/// The longest option kept, in bytes.
const LONGEST: usize = 1000;
/// How many values an option may have.
const MOST_VALUES: usize = 64;
const DOTS_PER_INCH: i8 = 3;
const DOTS_PER_CM: i8 = 4;

/// Of what kind an attribute is, and what of it is taken.
enum Kind {
    Integer(i32, i32),
    /// Numbers with names; one of them.
    Enum(&'static [i32]),
    /// The same; several of them.
    Enums(&'static [i32]),
    /// One of these words.
    Keyword(&'static [&'static str]),
    /// Any word; these are the ones told.
    AnyKeyword(&'static [&'static str]),
    Ranges,
    Resolution(&'static [i32]),
    Collection,
    /// Several collections; the names of their own members that are told.
    Collections(&'static [&'static str]),
}

/// The default comes first.
const TABLE: &[(&str, Kind)] = &[
    ("copies", Kind::Integer(1, 999)),
    ("finishings", Kind::Enums(&[3, 4, 5, 6, 7, 8, 9, 20, 21, 22, 23, 28, 29, 30, 31, 70, 71, 72, 73, 74, 75, 76, 77])),
    // Ours to act on; see `domain::job_life`.
    (HOLD_UNTIL, Kind::Keyword(&["no-hold", INDEFINITE])),
    ("media", Kind::AnyKeyword(&super::media::NAMES)),
    ("media-col", Kind::Collection),
    (
        "multiple-document-handling",
        Kind::Keyword(&[
            "separate-documents-collated-copies",
            "separate-documents-uncollated-copies",
            "single-document",
        ]),
    ),
    ("number-up", Kind::Integer(1, 16)),
    ("orientation-requested", Kind::Enum(&[3, 4, 5, 6])),
    ("output-bin", Kind::AnyKeyword(&["auto", "face-down", "face-up"])),
    // PWG 5100.6 calls the first of them `document-numbers`; the test suite of IPP Everywhere wants it without the s.
    ("overrides", Kind::Collections(&["document-number", "document-numbers", "pages"])),
    ("page-ranges", Kind::Ranges),
    ("print-color-mode", Kind::Keyword(&["auto", "color", "monochrome"])),
    ("print-content-optimize", Kind::Keyword(&["auto", "graphic", "photo", "text", "text-and-graphic"])),
    ("print-quality", Kind::Enum(&[4, 3, 5])),
    ("print-rendering-intent", Kind::Keyword(&["auto", "perceptual", "relative", "saturation"])),
    ("print-scaling", Kind::Keyword(&["auto", "auto-fit", "fill", "fit", "none"])),
    ("printer-resolution", Kind::Resolution(&[600, 300, 1200])),
    ("sides", Kind::Keyword(&["one-sided", "two-sided-long-edge", "two-sided-short-edge"])),
];

fn kind(name: &str) -> Option<&'static Kind> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
}

/// The names of all attributes taken.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// What a queue says about them: `…-default` and `…-supported`.
pub(crate) fn described() -> Vec<IppAttribute> {
    let mut all = Vec::new();
    let mut tell = |name: &str, default: Option<IppValue>, supported: IppValue| {
        if let Some(default) = default {
            all.push(attribute(&format!("{name}-default"), default));
        }
        all.push(attribute(&format!("{name}-supported"), supported));
    };
    for (name, kind) in TABLE {
        match kind {
            Kind::Integer(least, most) => tell(name, Some(IppValue::Integer(*least)), range(*least, *most)),
            Kind::Enum(numbers) | Kind::Enums(numbers) => {
                let values = || numbers.iter().map(|number| IppValue::Enum(*number));
                tell(name, values().next(), list(values()));
            }
            Kind::Keyword(words) | Kind::AnyKeyword(words) => {
                tell(name, words.first().map(|word| keyword(word)), keywords(words));
            }
            Kind::Ranges => tell(name, None, IppValue::Boolean(true)),
            Kind::Resolution(dots) => {
                let values = || dots.iter().map(|dots| dpi(*dots));
                tell(name, values().next(), list(values()));
            }
            // `media-col` has more to tell: see `media`.
            Kind::Collection => {}
            Kind::Collections(members) => tell(name, None, keywords(members)),
        }
    }
    all
}

pub(crate) fn dpi(dots: i32) -> IppValue {
    IppValue::Resolution { cross_feed: dots, feed: dots, units: DOTS_PER_INCH }
}

/// What of a client's wishes is taken, and what is not: as text by name, and as they came. Those that are `torn` did not
/// come as they were sent.
pub(crate) fn taken(
    group: Option<&IppAttributeGroup>,
    torn: &BTreeSet<String>,
) -> (BTreeMap<String, String>, Vec<IppAttribute>) {
    let mut taken = BTreeMap::new();
    let mut refused = Vec::new();
    for wish in group.map(IppAttributeGroup::attributes).unwrap_or_default() {
        match kind(wish.name()).filter(|_| !torn.contains(wish.name().as_str())) {
            Some(kind) => match to_text(kind, wish.value()) {
                Some(text) => {
                    taken.insert(wish.name().to_string(), text);
                }
                None => refused.push(wish.clone()),
            },
            // RFC 8011 §4.1.7: an attribute that is not known comes back with the value `unsupported`.
            None => refused.push(attribute(wish.name(), unsupported())),
        }
    }
    (taken, refused)
}

/// The kept wishes as a client that asks is told them.
pub(crate) fn typed(options: &BTreeMap<String, String>) -> Vec<IppAttribute> {
    let typed = |(name, text): (&String, &String)| Some(attribute(name, to_value(kind(name)?, text)?));
    options.iter().filter_map(typed).collect()
}

/// The kept wishes as a printer is told them.
pub(crate) fn for_printer(options: &BTreeMap<String, String>) -> Vec<IppAttribute> {
    let mut all = typed(options);
    // Who released it wants it now.
    all.retain(|wish| wish.name().as_str() != HOLD_UNTIL);
    // Both may not be sent (PWG 5100.3); the collection says more.
    if options.contains_key("media-col") {
        all.retain(|wish| wish.name().as_str() != "media");
    }
    all
}

fn to_text(kind: &Kind, value: &IppValue) -> Option<String> {
    let values = each(value);
    if values.is_empty() || values.len() > MOST_VALUES {
        return None;
    }
    let join = |parts: Option<Vec<String>>| parts.map(|parts| parts.join(","));
    let text = match (kind, value) {
        (Kind::Integer(least, most), IppValue::Integer(number)) => {
            (least..=most).contains(&number).then(|| number.to_string())
        }
        (Kind::Enum(known), IppValue::Enum(number)) => known.contains(number).then(|| number.to_string()),
        (Kind::Enums(known), _) => join(
            values
                .iter()
                .map(|value| match value {
                    IppValue::Enum(number) => known.contains(number).then(|| number.to_string()),
                    _ => None,
                })
                .collect(),
        ),
        (Kind::Keyword(known), IppValue::Keyword(word)) => known.contains(&word.as_str()).then(|| word.to_string()),
        (Kind::AnyKeyword(_), IppValue::Keyword(_) | IppValue::NameWithoutLanguage(_)) => {
            as_text(value).filter(|word| is_word(word))
        }
        (Kind::Ranges, _) => join(
            values
                .iter()
                .map(|value| match value {
                    IppValue::RangeOfInteger { min, max } => (1 <= *min && min <= max).then(|| format!("{min}-{max}")),
                    _ => None,
                })
                .collect(),
        ),
        (Kind::Resolution(_), IppValue::Resolution { cross_feed, feed, units }) => {
            let unit = match *units {
                DOTS_PER_INCH => "dpi",
                DOTS_PER_CM => "dpcm",
                _ => return None,
            };
            (*cross_feed > 0 && *feed > 0).then(|| format!("{cross_feed}x{feed}{unit}"))
        }
        (Kind::Collection, IppValue::Collection(_)) => {
            let mut text = String::new();
            write_member(&mut text, value).then_some(text)
        }
        (Kind::Collections(_), _) if values.iter().all(|value| matches!(value, IppValue::Collection(_))) => {
            let mut text = String::new();
            write_member(&mut text, value).then_some(text)
        }
        _ => None,
    };
    text.filter(|text| text.len() <= LONGEST)
}

fn to_value(kind: &Kind, text: &str) -> Option<IppValue> {
    let numbers = |separator| text.split(separator).map(|part| part.parse::<i32>().ok());
    match kind {
        Kind::Integer(..) => text.parse().ok().map(IppValue::Integer),
        Kind::Enum(_) => text.parse().ok().map(IppValue::Enum),
        Kind::Enums(_) => numbers(',').map(|number| number.map(IppValue::Enum)).collect::<Option<Vec<_>>>().map(list),
        Kind::Keyword(_) | Kind::AnyKeyword(_) => Some(any_keyword(text)),
        Kind::Ranges => {
            let one = |part: &str| {
                let (min, max) = part.split_once('-')?;
                Some(range(min.parse().ok()?, max.parse().ok()?))
            };
            text.split(',').map(one).collect::<Option<Vec<_>>>().map(list)
        }
        Kind::Resolution(_) => {
            let (dots, units) = match text.strip_suffix("dpi") {
                Some(dots) => (dots, DOTS_PER_INCH),
                None => (text.strip_suffix("dpcm")?, DOTS_PER_CM),
            };
            let (cross_feed, feed) = dots.split_once('x')?;
            Some(IppValue::Resolution { cross_feed: cross_feed.parse().ok()?, feed: feed.parse().ok()?, units })
        }
        Kind::Collection | Kind::Collections(_) => {
            let mut rest = text;
            read_member(&mut rest).filter(|_| rest.is_empty())
        }
    }
}

/// A word that can stand in the text of a collection, and reads back as what it was.
fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word.parse::<i32>().is_err()
        && as_range(word).is_none()
        && !word.chars().any(|c| c.is_whitespace() || c.is_control() || "{}[]=,".contains(c))
}

/// `1..3`.
fn as_range(word: &str) -> Option<IppValue> {
    let (min, max) = word.split_once("..")?;
    Some(range(min.parse().ok()?, max.parse().ok()?))
}

/// `{media-size={x-dimension=21000 y-dimension=29700} media-type=stationery}`: numbers, ranges, words, collections, and
/// sets of these, which is all that `media-col` and `overrides` are made of. False: it has something else.
fn write_member(text: &mut String, value: &IppValue) -> bool {
    match value {
        IppValue::Integer(number) => write!(text, "{number}").is_ok(),
        IppValue::RangeOfInteger { min, max } => write!(text, "{min}..{max}").is_ok(),
        IppValue::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                if !write_member(text, value) {
                    return false;
                }
            }
            text.push(']');
            values.len() > 1
        }
        IppValue::Keyword(_) | IppValue::NameWithoutLanguage(_) => match as_text(value).filter(|word| is_word(word)) {
            Some(word) => {
                text.push_str(&word);
                true
            }
            None => false,
        },
        IppValue::Collection(members) => {
            text.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                if !is_word(name) {
                    return false;
                }
                text.push_str(name);
                text.push('=');
                if !write_member(text, value) {
                    return false;
                }
            }
            text.push('}');
            true
        }
        _ => false,
    }
}

/// Reads what [`write_member`] wrote. Its depth is bounded by the depth of what was received.
fn read_member(rest: &mut &str) -> Option<IppValue> {
    if let Some(mut inside) = rest.strip_prefix('[') {
        let mut values = vec![read_member(&mut inside)?];
        while let Some(mut behind) = inside.strip_prefix(',') {
            values.push(read_member(&mut behind)?);
            inside = behind;
        }
        *rest = inside.strip_prefix(']')?;
        return Some(IppValue::Array(values));
    }
    let Some(mut inside) = rest.strip_prefix('{') else {
        let end = rest.find([' ', '}', ',', ']']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        *rest = behind;
        let number = word.parse().ok().map(IppValue::Integer);
        return Some(number.or_else(|| as_range(word)).unwrap_or_else(|| any_keyword(word)));
    };
    let mut members = BTreeMap::new();
    loop {
        inside = inside.trim_start_matches(' ');
        if let Some(behind) = inside.strip_prefix('}') {
            *rest = behind;
            return Some(IppValue::Collection(members));
        }
        let (name, mut value) = inside.split_once('=')?;
        members.insert(IppName::new(cut(name, 255)).ok()?, read_member(&mut value)?);
        inside = value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::values::{collection, name};

    fn round(name: &str, value: &IppValue) -> Option<IppValue> {
        let kind = kind(name).unwrap();
        to_value(kind, &to_text(kind, value)?)
    }

    #[test]
    fn wishes_come_back_typed() {
        let media = collection([
            (
                "media-size",
                collection([("x-dimension", IppValue::Integer(21000)), ("y-dimension", IppValue::Integer(29700))]),
            ),
            ("media-top-margin", IppValue::Integer(423)),
            ("media-type", keyword("stationery")),
        ]);
        for (name, value) in [
            ("copies", IppValue::Integer(3)),
            ("sides", keyword("two-sided-long-edge")),
            ("media", keyword("iso_a4_210x297mm")),
            ("media-col", media),
            ("print-quality", IppValue::Enum(5)),
            ("finishings", list([IppValue::Enum(4), IppValue::Enum(20)])),
            ("finishings", IppValue::Enum(3)),
            ("page-ranges", list([range(1, 3), range(7, 9)])),
            ("printer-resolution", dpi(600)),
            (HOLD_UNTIL, keyword(INDEFINITE)),
            ("overrides", collection([("pages", range(1, 3)), ("sides", keyword("one-sided"))])),
            (
                "overrides",
                list([
                    collection([("pages", list([range(1, 3), range(5, 5)])), ("copies", IppValue::Integer(2))]),
                    collection([("pages", range(4, 4)), ("media", keyword("iso_a3_297x420mm"))]),
                ]),
            ),
        ] {
            assert_eq!(round(name, &value), Some(value), "{name}");
        }
    }

    #[test]
    fn wrong_wishes_are_not_taken() {
        for (wish, value) in [
            ("copies", IppValue::Integer(0)),
            ("copies", keyword("many")),
            ("sides", keyword("three-sided")),
            ("media", name("A4 {x=1}")),
            ("print-quality", IppValue::Enum(9)),
            ("print-quality", IppValue::Array(vec![])),
            ("page-ranges", range(3, 1)),
            ("media-col", collection([("x", IppValue::Boolean(true))])),
            ("media-col", list([collection([]), collection([])])),
            ("overrides", keyword("pages")),
            (HOLD_UNTIL, keyword("weekend")),
        ] {
            assert_eq!(round(wish, &value), None, "{wish} {value}");
        }
    }

    #[test]
    fn media_is_not_sent_twice() {
        let options = [("media", "iso_a4_210x297mm"), ("media-col", "{media-type=stationery}")];
        let options = options.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let names: Vec<_> = for_printer(&options).iter().map(|wish| wish.name().to_string()).collect();
        assert_eq!(names, ["media-col"]);
    }

    #[test]
    fn what_is_ours_to_act_on_goes_to_no_printer() {
        let options = BTreeMap::from([(HOLD_UNTIL.to_owned(), INDEFINITE.to_owned())]);
        assert_eq!(typed(&options).len(), 1);
        assert!(for_printer(&options).is_empty());
    }

    #[test]
    fn what_came_torn_is_not_taken() {
        let mut group = IppAttributeGroup::new(ipp::model::DelimiterTag::JobAttributes);
        *group.attributes_mut() = vec![
            attribute("overrides", collection([("pages", range(1, 3))])),
            attribute("sides", keyword("one-sided")),
        ];
        let (options, refused) = taken(Some(&group), &BTreeSet::from(["overrides".to_owned()]));
        assert_eq!(options.into_keys().collect::<Vec<_>>(), ["sides"]);
        let refused: Vec<_> = refused.iter().map(|one| (one.name().as_str(), one.value())).collect();
        assert_eq!(refused, [("overrides", &unsupported())]);
    }

    fn any_member() -> impl Strategy<Value = IppValue> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(IppValue::Integer),
            any::<(i32, i32)>().prop_map(|(min, max)| range(min, max)),
            "[a-z][a-z0-9_.-]{0,12}".prop_map(|w| any_keyword(&w))
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(IppValue::Array),
                prop::collection::btree_map("[a-z][a-z-]{0,8}", inner, 0..4).prop_map(|members| {
                    IppValue::Collection(members.into_iter().map(|(k, v)| (IppName::new(k).unwrap(), v)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn collections_come_back(value in any_member()) {
            let mut text = String::new();
            prop_assert!(write_member(&mut text, &value));
            let mut rest = text.as_str();
            prop_assert_eq!(read_member(&mut rest), Some(value));
            prop_assert_eq!(rest, "");
        }

        #[test]
        fn any_text_is_read_without_harm(text in "[{}= a-z0-9,.\\[\\]-]{0,40}") {
            let _ = read_member(&mut text.as_str());
        }
    }
}
