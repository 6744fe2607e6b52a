//! What holds for every stream of bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use cardinal_generic::Generic;
use cardinal_testkit::{Component, Native, Subject, cards, cut, feed};
use proptest::{collection::vec, prelude::*};

/// Openings that bring every branch of the cutting into play. No pauses: they are the one thing that may depend on cuts.
const OPENINGS: [&str; 5] = [
    "mode generic\ntransport dial",
    "mode generic\ntransport dial\nsetting version_query = 'v'\nsetting line_length = 6",
    "mode generic\ntransport listen\nsetting version_query = 'v'\nsetting terminators = '\\r'",
    "mode generic\ntransport dial\nsetting version_query = 'v'\nsetting terminators = '\\r\\n\\x00'",
    "mode generic\ntransport dial\nsetting card_pattern = '(\\d+)'\nsetting terminators = ';'",
];

/// Streams in which line ends, answers and rubbish meet often.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[0-9A-F]{1,8}".prop_map(String::into_bytes),
        2 => prop::sample::select(vec!["\n", "\r", "\r\n", "\n\r", ";", " ", "\0"]).prop_map(|end| end.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..6),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn cuts_and_saves_change_nothing(
        opening in prop::sample::select(OPENINGS.to_vec()),
        bytes in stream(),
        places in vec(any::<usize>(), 0..12),
    ) {
        let driver = Native::<Generic>::new();
        let whole = feed(&driver, opening, &[&bytes], false)?;
        let pieces = cut(&bytes, &places);
        prop_assert_eq!(&feed(&driver, opening, &pieces, false)?, &whole);
        prop_assert_eq!(&feed(&driver, opening, &pieces, true)?, &whole);
        let bytewise: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&feed(&driver, opening, &bytewise, true)?, &whole);
    }

    /// The plain case, judged by a plainer program.
    #[test]
    fn lines_are_cards(lines in vec("[0-9A-Za-z=]{1,20}", 0..30), ends in vec(prop::sample::select(vec!["\n", "\r\n", "\n\n"]), 30)) {
        let text: String = lines.iter().zip(&ends).map(|(line, end)| format!("{line}{end}")).collect();
        let outputs = feed(&Native::<Generic>::new(), OPENINGS[0], &[text.as_bytes()], false)?;
        prop_assert_eq!(cards(&outputs), lines);
    }

    /// No order of cards and one version answer makes a card of the answer, or changes a card.
    #[test]
    fn a_version_answer_is_never_a_card(before in vec("[0-9]{1,9}", 0..4), after in vec("[0-9]{1,9}", 0..4), version in "[0-9]{1,9}", crlf: bool) {
        let opening = "mode generic\ntransport dial\nsetting version_query = 'v'";
        let end = if crlf { "\r\n" } else { "\n" };
        let lines = |cards: &[String]| cards.iter().map(|card| format!("{card}{end}")).collect::<String>();
        let text = format!("{}{version}\r{}", lines(&before), lines(&after));
        let outputs = feed(&Native::<Generic>::new(), opening, &[text.as_bytes()], false)?;
        prop_assert_eq!(cards(&outputs), [before, after].concat());
    }

    #[test]
    fn any_saved_state_is_taken_or_refused(saved: Vec<u8>) {
        let opening = format!("{}\nsaved \"{}\"", OPENINGS[0], cardinal_sdk::text_of(&saved));
        let _ = feed(&Native::<Generic>::new(), &opening, &[b"1\n"], false);
    }
}

fn both() -> [Box<dyn Subject>; 2] {
    let component = Component::of_package("cardinal-generic", env!("CARGO_MANIFEST_DIR").as_ref()).unwrap();
    [Box::new(Native::<Generic>::new()), Box::new(component)]
}

#[test]
fn a_megabyte_without_a_line_end_costs_nothing() {
    let noise = vec![b'x'; 1 << 20];
    // In the pieces in which a host hands bytes over.
    let mut pieces: Vec<&[u8]> = noise.chunks(16 * 1024).collect();
    pieces.push(b"\n4711\n");
    for subject in both() {
        let outputs = feed(subject.as_ref(), OPENINGS[0], &pieces, true).unwrap();
        assert_eq!(cards(&outputs), ["4711"], "{}", subject.how());
    }
}

#[test]
fn a_flood_of_lines_stays_within_the_bounds() {
    let flood = b"1\n".repeat(8 * 1024);
    for subject in both() {
        let outputs = feed(subject.as_ref(), OPENINGS[0], &[&flood], false).unwrap();
        assert_eq!(cards(&outputs).len(), 160, "{}", subject.how());
    }
}
