//! What a printer's reasons mean (`printer-state-reasons`: RFC 8011 §5.4.12, PWG 5100.9), as a table: keyword, words that
//! follow the printer's name, and whether it can print on. Ending: `-error`, `-warning` or `-report` says how bad it is.

use cardinal_domain::event::Level;

use super::Trouble;

/// Whether a printer prints on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// No more, or not from that tray.
    Stops,
    /// For a while.
    PrintsOn,
    /// It is no trouble.
    News,
}
use Effect::{News, PrintsOn, Stops};

const TABLE: &[(&str, &str, Effect)] = &[
    ("connecting-to-device", "is being connected to", News),
    ("cover-open", "has a cover open", Stops),
    ("deactivated", "is deactivated", Stops),
    ("developer-empty", "is out of developer", Stops),
    ("developer-low", "is low on developer", PrintsOn),
    ("door-open", "has a door open", Stops),
    ("fuser-over-temp", "has a fuser that is too hot", Stops),
    ("fuser-under-temp", "has a fuser that is too cold", Stops),
    ("hibernate", "sleeps", News),
    ("hold-new-jobs", "holds new jobs", Stops),
    ("identify-printer-requested", "was asked to show which one it is", News),
    ("input-tray-missing", "has no input tray", Stops),
    ("interlock-open", "has an interlock open", Stops),
    ("interpreter-resource-unavailable", "lacks a resource to read documents", PrintsOn),
    ("marker-supply-empty", "is out of ink or toner", Stops),
    ("marker-supply-low", "is low on ink or toner", PrintsOn),
    ("marker-waste-almost-full", "has a waste container that is almost full", PrintsOn),
    ("marker-waste-full", "has a waste container that is full", Stops),
    ("media-empty", "is out of paper", Stops),
    ("media-jam", "has a paper jam", Stops),
    ("media-low", "is low on paper", PrintsOn),
    ("media-needed", "needs paper", Stops),
    ("moving-to-paused", "is about to pause", Stops),
    ("offline", "is offline", Stops),
    ("opc-life-over", "has a photo conductor at its end", Stops),
    ("opc-near-eol", "has a photo conductor near its end", PrintsOn),
    ("other", "has trouble that it does not name", PrintsOn),
    ("output-area-almost-full", "has an output tray that is almost full", PrintsOn),
    ("output-area-full", "has an output tray that is full", Stops),
    ("output-tray-missing", "has no output tray", Stops),
    ("paused", "is paused", Stops),
    ("resuming", "is about to go on", News),
    ("shutdown", "is shut down", Stops),
    ("spool-area-full", "has no room for more jobs", Stops),
    ("standby", "is on standby", News),
    ("stopped-partly", "is stopped in part", PrintsOn),
    ("stopping", "is stopping", Stops),
    ("suspend", "sleeps", News),
    ("timed-out", "does not answer its own host", Stops),
    ("toner-empty", "is out of toner", Stops),
    ("toner-low", "is low on toner", PrintsOn),
    ("warming-up", "is warming up", News),
];

const ENDINGS: [(&str, Level); 3] = [("-error", Level::Error), ("-warning", Level::Warning), ("-report", Level::Info)];

/// The keyword without its ending, and how bad the ending says it is.
fn parts(reason: &str) -> (&str, Option<Level>) {
    let ended = ENDINGS.iter().find_map(|(ending, level)| Some((reason.strip_suffix(ending)?, Some(*level))));
    ended.unwrap_or((reason, None))
}

fn entry(keyword: &str) -> Option<&'static (&'static str, &'static str, Effect)> {
    TABLE.iter().find(|(known, _, _)| *known == keyword)
}

/// What a reason means.
pub(super) fn of(reason: &str) -> Trouble {
    let (keyword, level) = parts(reason);
    let (words, effect) = match entry(keyword) {
        Some((_, words, effect)) => ((*words).to_owned(), *effect),
        None => (format!("says {keyword:?}"), PrintsOn),
    };
    // Without an ending it is as bad as such a thing is.
    let level = level.unwrap_or(match effect {
        Stops => Level::Error,
        PrintsOn => Level::Warning,
        News => Level::Info,
    });
    Trouble { reason: reason.to_owned(), level, words }
}

/// Trouble that we see ourselves.
pub(super) fn own(reason: &str, level: Level, words: &str) -> Trouble {
    Trouble { reason: reason.to_owned(), level, words: words.to_owned() }
}

/// Whether a printer with this reason does not print on, whatever it calls it: many tell of an empty tray as a warning even
/// when there is no other.
pub(super) fn stops(reason: &str) -> bool {
    matches!(entry(parts(reason).0), Some((_, _, Stops)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_say_how_bad_it_is() {
        for (reason, level, words) in [
            ("media-empty-error", Level::Error, "is out of paper"),
            ("media-empty-warning", Level::Warning, "is out of paper"),
            ("media-empty-report", Level::Info, "is out of paper"),
            ("media-empty", Level::Error, "is out of paper"),
            ("toner-low", Level::Warning, "is low on toner"),
            ("standby", Level::Info, "is on standby"),
            ("com.acme.strange-error", Level::Error, "says \"com.acme.strange\""),
            ("strange", Level::Warning, "says \"strange\""),
        ] {
            let trouble = of(reason);
            assert_eq!((trouble.level, trouble.words.as_str()), (level, words), "{reason}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_has_no_endings() {
        assert!(TABLE.is_sorted_by_key(|(keyword, _, _)| *keyword));
        assert!(TABLE.iter().all(|(keyword, _, _)| parts(keyword).1.is_none()));
    }
}
