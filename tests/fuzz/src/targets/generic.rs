//! The Generic driver, natively: where a stream of bytes is cut must not matter, nor whether the driver is saved in between,
//! and every complete line gives exactly one card.

use cardinal_domain::driver::Output;
use cardinal_generic::Generic;
use cardinal_testkit::{Native, cards, cut, feed};

/// Openings that bring every branch of the cutting into play. No pauses: they are the one thing that may depend on cuts.
const OPENINGS: [&str; 5] = [
    PLAIN,
    "mode generic\ntransport dial\nsetting version_query = 'v'\nsetting line_length = 6",
    "mode generic\ntransport listen\nsetting version_query = 'v'\nsetting terminators = '\\r'",
    "mode generic\ntransport dial\nsetting version_query = 'v'\nsetting terminators = '\\r\\n\\x00'",
    "mode generic\ntransport dial\nsetting card_pattern = '(\\d+)'\nsetting terminators = ';'",
];

/// A line ends in `\n`, and that is all.
const PLAIN: &str = "mode generic\ntransport dial";
/// The longest line of [`PLAIN`], in bytes.
const LINE_LENGTH: usize = 256;
/// How many cards may wait for their verdict, and here none gets one.
const MOST_WAITING: usize = 160;

/// The first byte chooses the opening, the second how many cuts there are, as many bytes where they are; the rest is what the
/// reader sends.
pub fn generic(bytes: &[u8]) {
    let [which, cuts, rest @ ..] = bytes else { return };
    let opening = OPENINGS.get(usize::from(*which) % OPENINGS.len()).copied().unwrap_or(PLAIN);
    let (places, sent) = rest.split_at_checked(usize::from(*cuts % 8)).unwrap_or((&[], rest));
    // Far apart in a long stream, and everywhere in a short one.
    let places: Vec<usize> = places.iter().map(|place| usize::from(*place) * (1 + sent.len() / 256)).collect();

    let whole = outputs(opening, &[sent], false);
    let pieces = cut(sent, &places);
    assert_eq!(outputs(opening, &pieces, false), whole, "cut");
    assert_eq!(outputs(opening, &pieces, true), whole, "cut and saved");
    if opening == PLAIN {
        assert_eq!(cards(&whole), lines(sent), "cards");
    }
}

fn outputs(opening: &str, pieces: &[&[u8]], saves: bool) -> Vec<Output> {
    feed(&Native::<Generic>::new(), opening, pieces, saves).expect("no stream of bytes ends a session")
}

/// The cards of a plain stream by a plainer program: a line ends in `\n` or `\r\n`, a `\r` elsewhere ends an answer, which is
/// no card, and what is too long, no text or empty is no card either.
fn lines(sent: &[u8]) -> Vec<&str> {
    let end = sent.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let whole = sent.get(..end).unwrap_or_default();
    let line = |line: &'_ [u8]| -> Option<(usize, usize)> {
        let line_end = line.len() - usize::from(line.last() == Some(&b'\r'));
        let start = line.get(..line_end)?.iter().rposition(|byte| *byte == b'\r').map_or(0, |at| at + 1);
        Some((start, line_end))
    };
    let cards = whole.split(|byte| *byte == b'\n').filter_map(|full| {
        let (start, end) = line(full)?;
        let text = full.get(start..end).filter(|line| line.len() <= LINE_LENGTH)?;
        let text = std::str::from_utf8(text.trim_ascii()).ok()?;
        (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
    });
    cards.take(MOST_WAITING).collect()
}
