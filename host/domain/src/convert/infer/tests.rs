//! Chains found from pairs that a chain made.

use proptest::prelude::*;

use super::*;
use crate::convert::{Field, Step, Window};

fn text(read: &str) -> Value {
    Value::Text(read.to_owned())
}

/// The pairs that a chain makes of reads.
fn made(chain: &str, reads: &[&str]) -> Vec<Pair> {
    let chain: Chain = chain.parse().unwrap();
    let pair = |read: &&str| {
        let number = chain.run(text(read), |_, _, _| {}).unwrap().text().into_owned();
        Pair { read: text(read), number }
    };
    reads.iter().map(pair).collect()
}

fn found(pairs: &[Pair]) -> Inferred {
    infer(pairs, Bounds::default(), |_| true)
}

fn names(found: &Inferred) -> Vec<String> {
    found.chains.iter().map(ToString::to_string).collect()
}

const UIDS: [&str; 4] = ["28BD6E94", "04A1B2C3", "F0E1D2C3", "9A8B7C6D"];

#[test]
fn what_administrators_meet() {
    for chain in [
        "hex2dec",
        "reverse-bytes|hex2dec",
        "hex2dec|pad(12)",
        "last(6)|hex2dec|pad(10)",
        "reverse-bytes|last(6)|hex2dec",
        "fields(9,8,3,17,16,5)",
        "reverse-bits|hex2dec",
        "lower",
    ] {
        let found = found(&made(chain, &UIDS));
        let wanted = chain.parse::<Chain>().unwrap();
        let best = found.chains.first().unwrap();
        assert!(best.0.len() <= wanted.0.len(), "{best} for {chain}");
        assert!(misfits(best, &made(chain, &UIDS)).is_empty(), "{best} for {chain}");
        assert!(found.misfits.is_empty() && found.complete, "{chain}");
    }
    // The plain ones are found as they are written.
    for chain in ["hex2dec", "reverse-bytes|hex2dec", "hex2dec|pad(12)", "fields(9,8,3,17,16,5)", "lower"] {
        assert_eq!(names(&found(&made(chain, &UIDS)))[0], chain);
    }
    assert_eq!(
        names(&found(&made("ascii-enc|hex2dec", &["3934364542443238", "3034413142324333"]))),
        ["ascii-enc|hex2dec"]
    );
    assert_eq!(names(&found(&made("dec2hex", &["2490285352", "77705923"]))), ["dec2hex"]);
    assert_eq!(names(&found(&made("", &UIDS))), [""]);
}

/// Even parity over the first twelve bits before, odd parity over the last twelve behind.
fn h10301(facility: u32, number: u32) -> String {
    let bits = format!("{facility:08b}{number:016b}");
    let ones = |half: &str| half.matches('1').count();
    let (first, last) = bits.split_at(12);
    format!("{}{bits}{}", ones(first) % 2, 1 - ones(last) % 2)
}

#[test]
fn raw_bits_of_a_credential() {
    let pair = |facility: u32, number: u32| Pair {
        read: Value::Bits(h10301(facility, number)),
        number: format!("{facility:03}{number:05}"),
    };
    let found = found(&[pair(12, 12345), pair(201, 60001), pair(12, 3), pair(90, 33333)]);
    assert_eq!(names(&found), ["fields(2,8,3,10,16,5)"]);
}

#[test]
fn what_the_pairs_do_not_tell_apart_is_told() {
    // All reads have ten characters: from the third on, or the last eight?
    let found = found(&made("last(8)", &["AB28BD6E94", "XY04A1B2C3", "00F0E1D2C3"]));
    assert_eq!(names(&found), ["last(8)", "part(3,-1)"]);
}

#[test]
fn one_wrong_pair_is_named() {
    for wrong in 0..4 {
        let mut pairs = made("reverse-bytes|hex2dec", &UIDS);
        pairs[wrong].number = "4711471147".to_owned();
        let bounds = Bounds { steps: 2, ..Bounds::default() };
        let found = infer(&pairs, bounds, |_| true);
        assert_eq!(names(&found)[0], "reverse-bytes|hex2dec");
        assert_eq!(found.misfits.iter().map(|misfit| misfit.pair).collect::<Vec<_>>(), [wrong]);
        let right = &made("reverse-bytes|hex2dec", &UIDS)[wrong].number;
        assert_eq!(found.misfits[0].gives.as_ref().unwrap(), right);
    }
}

#[test]
fn a_search_can_be_ended_and_says_so() {
    let pairs = made("reverse-bytes|hex2dec|pad(12)|last(9)", &UIDS);
    let mut calls = 0;
    let found = infer(&pairs, Bounds::default(), |_| {
        calls += 1;
        calls < 5
    });
    assert!(!found.complete && calls == 5);
    let few = infer(&pairs, Bounds { steps: 3, states: 50 }, |_| true);
    assert!(!few.complete);
    assert!(infer(&[], Bounds::default(), |_| true).chains.is_empty());
}

/// Steps with arguments for reads of six to eight digits, as far as the search goes inside a chain.
fn inner() -> impl Strategy<Value = Step> {
    let position = || prop_oneof![1..9_i32, -8..0_i32];
    prop_oneof![
        4 => prop::sample::select(vec![
            Step::Hex2Dec,
            Step::Dec2Hex,
            Step::AsciiEnc,
            Step::ReverseBytes,
            Step::ReverseBits,
            Step::Upper,
            Step::Lower,
        ]),
        2 => window().prop_map(Step::Bits),
        1 => window().prop_map(|window| Step::Fields(vec![Field { window, digits: 0 }])),
        1 => (1..=middle::PAD_UP_TO).prop_map(|length| Step::Pad(length, '0')),
        1 => prop_oneof![Just('0'), Just('A')].prop_map(Step::Trim),
        1 => (1..9_usize).prop_map(Step::First),
        1 => (1..9_usize).prop_map(Step::Last),
        1 => (position(), position()).prop_map(|(from, to)| Step::Part(from, to)),
    ]
}

fn window() -> impl Strategy<Value = Window> {
    (prop_oneof![1..25_i32, -24..0_i32], 1..25_usize).prop_map(|(from, count)| Window { from, count })
}

/// The last step may be any, joined fields too.
fn outer() -> impl Strategy<Value = Step> {
    let field = move |digits| (window(), digits).prop_map(|(window, digits)| Field { window, digits });
    prop_oneof![
        4 => inner(),
        1 => (field(0..9_usize), proptest::option::of(field(1..9_usize)))
            .prop_map(|(first, second)| Step::Fields(std::iter::once(first).chain(second).collect())),
    ]
}

/// Whether the search goes there: no window of what `fields` gave, and no window of all the bits as a number.
fn is_searched(chain: &Chain, reads: &[String]) -> bool {
    let from_fields = chain.0.windows(2).any(|two| {
        matches!(two.first(), Some(Step::Fields(_))) && matches!(two.last(), Some(Step::Bits(_) | Step::Fields(_)))
    });
    let whole = |read: &String| {
        let mut whole = false;
        let _ = chain.run(text(read), |step, input, _| {
            let all = input.bits().map(|bits| bits.len());
            whole |= matches!(step, Step::Fields(fields) if fields.iter().any(|field| all == Ok(field.window.count)));
        });
        whole
    };
    !from_fields && !reads.iter().any(whole)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_chain_is_found_and_never_a_longer_one(
        reads in prop_oneof![
            proptest::collection::vec("[0-9A-F]{6}", 3..5),
            proptest::collection::vec("[0-9]{6}", 3..5),
            proptest::collection::vec("[0-9A-Fa-f]{5,7}", 3..5),
        ],
        inner in proptest::collection::vec(inner(), 0..2),
        outer in outer(),
    ) {
        let chain = Chain(inner.into_iter().chain([outer]).collect());
        prop_assume!(is_searched(&chain, &reads));
        let numbers: Result<Vec<_>, _> =
            reads.iter().map(|read| chain.run(text(read), |_, _, _| {}).map(|value| value.text().into_owned())).collect();
        prop_assume!(numbers.is_ok());
        let pairs: Vec<Pair> = reads
            .iter()
            .zip(numbers.unwrap())
            .map(|(read, number)| Pair { read: text(read), number })
            .collect();
        let found = infer(&pairs, Bounds { steps: chain.0.len(), states: 1_000_000 }, |_| true);
        prop_assert!(!found.chains.is_empty(), "nothing for {} on {:?}", chain, reads);
        prop_assert!(found.misfits.is_empty(), "{} for {} on {:?}", found.chains[0], chain, reads);
        for other in &found.chains {
            prop_assert!(other.0.len() <= chain.0.len());
            prop_assert!(misfits(other, &pairs).is_empty(), "{} for {} on {:?}", other, chain, reads);
        }
    }
}
