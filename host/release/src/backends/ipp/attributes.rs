//! What a printer says of itself (Get-Printer-Attributes, RFC 8011 §4.2.5): typed, and cut to what is worth keeping.
//!
//! Nothing here talks to a printer, and nothing that it says is more than a number, a word from a list or a cut plain text.

use std::collections::BTreeMap;

use ipp::{
    attribute::{IppAttribute, IppAttributeGroup},
    value::IppValue,
};

use crate::{
    ipp::template,
    values::{any_keyword, as_integer, as_text, cut, each, list},
};

/// How many values of a list are kept. A longer list is not cut, which would make lies of it, but counts as not told.
const MOST_VALUES: usize = 256;
/// How many reasons of a state are kept; no printer has that much trouble at a time.
const MOST_REASONS: usize = 16;
/// The longest word taken, in bytes.
const LONGEST_WORD: usize = 64;

/// How it is; asked again and again.
const STATE: [&str; 7] = [
    "printer-state",
    "printer-state-reasons",
    "printer-state-message",
    "printer-is-accepting-jobs",
    "queued-job-count",
    "printer-up-time",
    "printer-config-change-time",
];
/// What it can do, besides what belongs to the job template; asked now and then.
const ABILITIES: [&str; 10] = [
    "document-format-supported",
    "operations-supported",
    "compression-supported",
    "job-creation-attributes-supported",
    "media-size-supported",
    "media-source-supported",
    "media-type-supported",
    // PWG 5100.13: a text; some printers have only a version of the other name.
    "printer-firmware-string-version",
    "printer-firmware-version",
    "printer-make-and-model",
];

/// The attributes to ask for.
pub(super) fn asked(everything: bool) -> IppValue {
    let abilities = ABILITIES.iter().map(|name| (*name).to_owned());
    let template = template::names().map(|name| format!("{name}-supported"));
    let more = abilities.chain(template).filter(|_| everything);
    let names = STATE.iter().map(|name| (*name).to_owned()).chain(more);
    list(names.map(|name| any_keyword(&name)))
}

/// What a printer says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Described {
    /// `printer-state`: 3 idle, 4 processing, 5 stopped (RFC 8011 §5.4.11).
    pub(crate) state: Option<i32>,
    /// `printer-state-reasons`, without `none`.
    pub(crate) reasons: Vec<String>,
    pub(crate) message: String,
    pub(crate) accepting: Option<bool>,
    pub(crate) queued: Option<u32>,
    /// Seconds since it was switched on.
    pub(crate) up: Option<i32>,
    /// When what it can do last changed, by its own clock.
    pub(crate) config_change: Option<i32>,
    pub(crate) abilities: Abilities,
}

/// What a printer can do, as far as it tells. Empty: it does not tell, or was not asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Abilities {
    /// `document-format-supported`, in lower case.
    pub(crate) formats: Vec<String>,
    /// `operations-supported`.
    pub(crate) operations: Vec<i32>,
    /// `compression-supported`.
    pub(crate) compression: Vec<String>,
    /// `job-creation-attributes-supported` (PWG 5100.7).
    pub(crate) creation: Vec<String>,
    /// Every `…-supported` of the job template and of media that it tells, without the ending.
    pub(crate) supported: BTreeMap<String, IppValue>,
    pub(crate) model: String,
    pub(crate) firmware: String,
}

impl Described {
    /// None: the group holds nothing that a printer must tell.
    pub(super) fn of(group: &IppAttributeGroup) -> Option<Self> {
        let value = |name: &str| group.get(name).map(IppAttribute::value);
        let number = |name| value(name).and_then(as_integer);
        let text = |name| value(name).and_then(as_text).unwrap_or_default();
        let described = Self {
            state: number("printer-state"),
            reasons: words(value("printer-state-reasons"), MOST_REASONS)
                .into_iter()
                .filter(|reason| reason != "none")
                .collect(),
            message: text("printer-state-message"),
            accepting: match value("printer-is-accepting-jobs") {
                Some(IppValue::Boolean(accepting)) => Some(*accepting),
                _ => None,
            },
            queued: number("queued-job-count").and_then(|count| u32::try_from(count).ok()),
            up: number("printer-up-time"),
            config_change: number("printer-config-change-time"),
            abilities: Abilities::of(group),
        };
        let tells = described.state.is_some() || described.up.is_some() || !described.abilities.formats.is_empty();
        tells.then_some(described)
    }
}

impl Abilities {
    fn of(group: &IppAttributeGroup) -> Self {
        let value = |name: &str| group.get(name).map(IppAttribute::value);
        let text = |name: &str| value(name).and_then(as_text).filter(|text| !text.is_empty());
        let told = |name: &str| value(name).filter(|value| each(value).len() <= MOST_VALUES);
        let media = ["media-size", "media-source", "media-type"];
        let names = template::names().chain(media);
        Self {
            formats: words(told("document-format-supported"), MOST_VALUES),
            operations: told("operations-supported")
                .map(each)
                .unwrap_or_default()
                .iter()
                .filter_map(as_integer)
                .collect(),
            compression: words(told("compression-supported"), MOST_VALUES),
            creation: words(told("job-creation-attributes-supported"), MOST_VALUES),
            supported: names
                .filter_map(|name| Some((name.to_owned(), told(&format!("{name}-supported"))?.clone())))
                .collect(),
            model: text("printer-make-and-model").unwrap_or_default(),
            firmware: text("printer-firmware-string-version")
                .or_else(|| text("printer-firmware-version"))
                .unwrap_or_default(),
        }
    }
}

/// The words of a list, in lower case, in their order and each once.
fn words(value: Option<&IppValue>, most: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in value.map(each).unwrap_or_default().iter().take(most).filter_map(as_text) {
        let word = cut(&word, LONGEST_WORD).to_ascii_lowercase();
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use ipp::model::DelimiterTag;
    use proptest::prelude::*;

    use super::*;
    use crate::values::{attribute, keyword, keywords, mime, range, text};

    fn described(attributes: impl IntoIterator<Item = (&'static str, IppValue)>) -> Option<Described> {
        let mut group = IppAttributeGroup::new(DelimiterTag::PrinterAttributes);
        group.attributes_mut().extend(attributes.into_iter().map(|(name, value)| attribute(name, value)));
        Described::of(&group)
    }

    #[test]
    fn what_is_told_is_typed_and_what_does_not_fit_is_left_out() {
        let told = described([
            ("printer-state", IppValue::Enum(5)),
            ("printer-state-reasons", keywords(&["none", "media-empty-error", "media-empty-error"])),
            ("printer-is-accepting-jobs", IppValue::Boolean(false)),
            ("queued-job-count", IppValue::Integer(-3)),
            ("printer-up-time", keyword("long")),
            ("printer-make-and-model", text("Acme\u{1b}[31m 9")),
            ("document-format-supported", list([mime("Application/PDF"), mime("image/jpeg")])),
            ("copies-supported", range(1, 99)),
        ])
        .unwrap();
        assert_eq!((told.state, told.accepting, told.queued, told.up), (Some(5), Some(false), None, None));
        assert_eq!(told.reasons, ["media-empty-error"]);
        assert_eq!(told.abilities.model, "Acme[31m 9");
        assert_eq!(told.abilities.formats, ["application/pdf", "image/jpeg"]);
        assert_eq!(told.abilities.supported.get("copies"), Some(&range(1, 99)));
        assert_eq!(described([("printer-info", text("hello"))]), None);
    }

    #[test]
    fn a_list_without_end_counts_as_not_told() {
        let many = |count| list((0..count).map(|n| any_keyword(&format!("custom_{n}"))));
        let media = |count| {
            let told = [("printer-up-time", IppValue::Integer(1)), ("media-supported", many(count))];
            described(told).unwrap().abilities.supported.contains_key("media")
        };
        assert_eq!((media(MOST_VALUES), media(MOST_VALUES + 1)), (true, false));
        let reasons = [("printer-state", IppValue::Enum(3)), ("printer-state-reasons", many(1_000))];
        assert_eq!(described(reasons).unwrap().reasons.len(), MOST_REASONS);
    }

    fn any_value() -> impl Strategy<Value = IppValue> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(IppValue::Integer),
            any::<i32>().prop_map(IppValue::Enum),
            any::<bool>().prop_map(IppValue::Boolean),
            ".{0,300}".prop_map(|word| any_keyword(&word)),
            ".{0,300}".prop_map(|words| text(&words)),
            any::<(i32, i32)>().prop_map(|(min, max)| range(min, max)),
        ];
        let several = prop::collection::vec(leaf.clone(), 0..6).prop_map(IppValue::Array);
        prop_oneof![leaf, several]
    }

    proptest! {
        #[test]
        fn whatever_it_says_stays_small_and_plain(
            values in prop::collection::vec((0..STATE.len() + ABILITIES.len(), any_value()), 0..20)
        ) {
            let names: Vec<_> = STATE.iter().chain(&ABILITIES).copied().collect();
            if let Some(told) = described(values.into_iter().map(|(index, value)| (names[index], value))) {
                for text in told.reasons.iter().chain([&told.message, &told.abilities.model]).chain(&told.abilities.formats) {
                    prop_assert!(text.len() <= 255 && !text.chars().any(char::is_control), "{text:?}");
                }
            }
        }
    }
}
