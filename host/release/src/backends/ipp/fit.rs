//! What a printer can make of a job: whether it has the format, and which of the job's wishes it can grant.
//!
//! The rule for wishes: the job prints, and a printer is not asked for what it lacks. A printer lacks what its own
//! `…-supported` does not name, and what it tells no `…-supported` of although it lists what jobs may ask for
//! (`job-creation-attributes-supported`). What it says nothing about at all is asked for: it ignores what it does not know.

use std::collections::BTreeMap;

use cardinal_domain::job::Job;
use ipp::{
    attribute::IppAttribute,
    model::Operation,
    value::{IppName, IppValue},
};

use super::attributes::Abilities;
use crate::{
    ipp::template,
    values::{as_text, attribute, each, list},
};

/// The format of a document that says nothing of its format (RFC 8011 §5.1.10): the printer finds out.
const ANY_FORMAT: &str = "application/octet-stream";
/// How many of a printer's formats are named.
const MOST_NAMED: usize = 8;

/// A job's wishes, held against a printer.
#[derive(Debug, Default)]
pub(crate) struct Fit {
    /// What the printer is asked for.
    pub(crate) template: Vec<IppAttribute>,
    /// What it lacks, in words; wishes that would change nothing are not told.
    pub(crate) lacking: Vec<String>,
}

impl Abilities {
    /// Why the printer cannot print the job at all, in words that follow its name. None: it can, or does not tell.
    pub(crate) fn refuses(&self, job: &Job) -> Option<String> {
        if !self.operations.is_empty() && !self.operations.contains(&i32::from(Operation::PrintJob as i16)) {
            return Some("takes no jobs (it does not support Print-Job)".to_owned());
        }
        let format = job.format.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if self.formats.is_empty() || format == ANY_FORMAT || self.formats.contains(&format) {
            return None;
        }
        let named: Vec<_> = self.formats.iter().filter(|known| *known != ANY_FORMAT).map(String::as_str).collect();
        let more = named.len().saturating_sub(MOST_NAMED);
        let named = named.into_iter().take(MOST_NAMED).collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!(
            "cannot print {format}; it takes {}{more}",
            if named.is_empty() { "other formats" } else { &named }
        ))
    }

    /// What of a job's wishes the printer is asked for, and what it lacks.
    pub(crate) fn fit(&self, options: &BTreeMap<String, String>) -> Fit {
        let mut fit = Fit::default();
        let mut kept = BTreeMap::new();
        for (name, text) in options {
            let alone = BTreeMap::from([(name.clone(), text.clone())]);
            for wish in template::for_printer(&alone) {
                let granted = self.granted(wish.name().as_str(), wish.value());
                if granted.as_ref() != Some(wish.value()) && asks_for_something(name, text) {
                    fit.lacking.push(format!("{name} = {text}"));
                }
                kept.extend(granted.map(|value| (name.clone(), value)));
            }
        }
        // Both may not be sent (PWG 5100.3); the collection says more.
        if kept.contains_key("media-col") {
            kept.remove("media");
        }
        fit.template = kept.into_iter().map(|(name, value)| attribute(&name, value)).collect();
        fit
    }

    /// What the printer can do of a wish; of a set of wishes as much as it can.
    fn granted(&self, name: &str, wish: &IppValue) -> Option<IppValue> {
        let Some(supported) = self.supported.get(name) else {
            let silent = self.creation.is_empty() || self.creation.iter().any(|known| known == name);
            return silent.then(|| wish.clone());
        };
        match wish {
            IppValue::Array(wishes) => {
                let granted: Vec<_> = wishes.iter().filter(|wish| self.grants(supported, wish)).cloned().collect();
                (!granted.is_empty()).then(|| list(granted))
            }
            one => self.grants(supported, one).then(|| one.clone()),
        }
    }

    /// Whether a wish can be had.
    fn grants(&self, supported: &IppValue, wish: &IppValue) -> bool {
        match wish {
            IppValue::Collection(members) => self.has_members(supported, members),
            wish => allows(supported, wish),
        }
    }

    /// `media-col`: the printer must know every member, and where it lists their values, those too.
    fn has_members(&self, known: &IppValue, members: &BTreeMap<IppName, IppValue>) -> bool {
        members.iter().all(|(name, value)| {
            let is_known = each(known).iter().any(|known| as_text(known).is_some_and(|known| known == name.as_str()));
            is_known && self.supported.get(name.as_str()).is_none_or(|supported| allows(supported, value))
        })
    }
}

/// Whether a `…-supported` names a value.
fn allows(supported: &IppValue, wish: &IppValue) -> bool {
    each(supported).iter().any(|known| match (known, wish) {
        (IppValue::RangeOfInteger { min, max }, IppValue::Integer(wish)) => (min..=max).contains(&wish),
        // `page-ranges-supported` says yes or no.
        (IppValue::Boolean(known), IppValue::RangeOfInteger { .. }) => *known,
        // A largest count, as old printers tell it (RFC 2911 §4.2.5 has a range).
        (IppValue::Integer(most), IppValue::Integer(wish)) if !matches!(supported, IppValue::Array(_)) => wish <= most,
        // `media-size-supported` may tell ranges for rolls and custom sheets.
        (IppValue::Collection(known), IppValue::Collection(wish)) => {
            wish.iter().all(|(name, value)| known.get(name).is_some_and(|known| allows(known, value)))
        }
        _ => known == wish || as_text(known).is_some_and(|known| Some(known) == as_text(wish)),
    })
}

/// Wishes for what happens anyway are no news where they are not granted.
fn asks_for_something(name: &str, text: &str) -> bool {
    text != "auto"
        && ![
            ("copies", "1"),
            ("finishings", "3"),
            ("number-up", "1"),
            ("orientation-requested", "3"),
            ("sides", "one-sided"),
        ]
        .contains(&(name, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::tests::a_job,
        values::{collection, keyword, keywords, range},
    };

    fn able(supported: impl IntoIterator<Item = (&'static str, IppValue)>) -> Abilities {
        let supported = supported.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Abilities { supported, ..Abilities::default() }
    }

    fn options(options: &[(&str, &str)]) -> BTreeMap<String, String> {
        options.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    /// What is asked for, and what is told to be lacking.
    fn fit(abilities: &Abilities, wishes: &[(&str, &str)]) -> (Vec<(String, String)>, Vec<String>) {
        let fit = abilities.fit(&options(wishes));
        let asked = fit.template.iter().map(|wish| (wish.name().to_string(), wish.value().to_string())).collect();
        (asked, fit.lacking)
    }

    fn names(abilities: &Abilities, wishes: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let (asked, lacking) = fit(abilities, wishes);
        (asked.into_iter().map(|(name, _)| name).collect(), lacking)
    }

    #[test]
    fn a_printer_is_not_asked_for_what_it_lacks() {
        let able = able([
            ("sides", keyword("one-sided")),
            ("copies", range(1, 99)),
            ("page-ranges", IppValue::Boolean(false)),
            ("finishings", list([IppValue::Enum(3), IppValue::Enum(4)])),
            ("print-color-mode", keywords(&["auto", "monochrome"])),
        ]);
        let wishes =
            [("sides", "two-sided-long-edge"), ("copies", "3"), ("page-ranges", "1-3"), ("print-color-mode", "color")];
        let (asked, lacking) = names(&able, &wishes);
        assert_eq!(asked, ["copies"]);
        assert_eq!(lacking, ["page-ranges = 1-3", "print-color-mode = color", "sides = two-sided-long-edge"]);
        // Of several it does what it can.
        let (asked, lacking) = names(&able, &[("finishings", "4,5")]);
        assert_eq!((asked, lacking), (vec!["finishings".to_owned()], vec!["finishings = 4,5".to_owned()]));
        assert_eq!(able.fit(&options(&[("finishings", "4,5")])).template[0].value(), &IppValue::Enum(4));
        assert_eq!(names(&able, &[("copies", "100")]).1, ["copies = 100"]);
    }

    #[test]
    fn what_it_says_nothing_about_is_asked_for() {
        let nothing = Abilities::default();
        let wishes = [("sides", "two-sided-long-edge"), ("copies", "3")];
        assert_eq!(names(&nothing, &wishes), (vec!["copies".to_owned(), "sides".to_owned()], vec![]));
        // Unless it lists what jobs may ask for.
        let listing = Abilities { creation: vec!["copies".to_owned()], ..Abilities::default() };
        assert_eq!(
            names(&listing, &wishes),
            (vec!["copies".to_owned()], vec!["sides = two-sided-long-edge".to_owned()])
        );
    }

    #[test]
    fn wishes_for_what_happens_anyway_are_no_news() {
        let plain = Abilities { creation: vec!["job-name".to_owned()], ..Abilities::default() };
        let wishes = [("sides", "one-sided"), ("copies", "1"), ("finishings", "3"), ("print-color-mode", "auto")];
        assert_eq!(names(&plain, &wishes), (vec![], vec![]));
    }

    #[test]
    fn sheets_are_held_against_what_the_printer_takes() {
        let size = |x, y| collection([("x-dimension", x), ("y-dimension", y)]);
        let able = able([
            ("media", keywords(&["iso_a4_210x297mm"])),
            ("media-col", keywords(&["media-size", "media-type"])),
            (
                "media-size",
                list([
                    size(IppValue::Integer(21000), IppValue::Integer(29700)),
                    size(range(100, 200), range(100, 900)),
                ]),
            ),
            ("media-type", keywords(&["stationery"])),
        ]);
        let a4 = "{media-size={x-dimension=21000 y-dimension=29700} media-type=stationery}";
        assert_eq!(names(&able, &[("media", "iso_a4_210x297mm"), ("media-col", a4)]).0, ["media-col"]);
        assert_eq!(names(&able, &[("media-col", "{media-size={x-dimension=150 y-dimension=800}}")]).0, ["media-col"]);
        for lacking in [
            "{media-size={x-dimension=29700 y-dimension=42000}}",
            "{media-type=labels}",
            "{media-source=main media-type=stationery}",
        ] {
            // Then the plain name is asked for, where there is one.
            let (asked, told) = names(&able, &[("media", "iso_a4_210x297mm"), ("media-col", lacking)]);
            assert_eq!((asked, told.len()), (vec!["media".to_owned()], 1), "{lacking}");
        }
    }

    #[test]
    fn formats() {
        let job = |format: &str| Job { format: format.to_owned(), ..a_job() };
        let formats = ["application/octet-stream", "application/pdf", "image/jpeg"].map(str::to_owned).to_vec();
        let able = Abilities { formats, ..Abilities::default() };
        for taken in ["application/pdf", "Application/PDF; version=2", "application/octet-stream"] {
            assert_eq!(able.refuses(&job(taken)), None, "{taken}");
        }
        assert_eq!(
            able.refuses(&job("image/png")).unwrap(),
            "cannot print image/png; it takes application/pdf, image/jpeg"
        );
        assert_eq!(Abilities::default().refuses(&job("image/png")), None);
        let many = Abilities { formats: (0..20).map(|n| format!("a/{n}")).collect(), ..Abilities::default() };
        assert!(many.refuses(&job("image/png")).unwrap().ends_with("a/7 and 12 more"));
        let no_print = Abilities { operations: vec![0x000b], ..Abilities::default() };
        assert!(no_print.refuses(&job("image/png")).unwrap().contains("Print-Job"));
    }
}
