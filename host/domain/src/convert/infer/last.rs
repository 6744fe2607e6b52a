//! The last step: its arguments follow from the numbers that are to come out.

use std::borrow::Cow;

use super::middle::letter_or_digit;
use crate::convert::{Field, Step, Value, Window, digits};

/// The most pairs of windows tried for one split of the number into facility and number.
const MOST_JOINS: usize = 64;

/// The steps that may lead from these values to these numbers; each fits one pair at least.
pub(super) fn steps(values: &[Value], numbers: &[&str]) -> Vec<Step> {
    let mut steps = Vec::new();
    let texts: Vec<String> = values.iter().map(|value| value.text().into_owned()).collect();
    // What fits already tells nothing of the step.
    let Some(((value, text), number)) =
        values.iter().zip(&texts).zip(numbers).find(|((_, text), number)| text.as_str() != **number)
    else {
        return steps;
    };
    whole(text, number, &mut steps);
    let lengths: Vec<usize> = texts.iter().map(String::len).collect();
    parts(text, number, same(&lengths), &mut steps);
    let Ok(bits) = values.iter().map(Value::bits).collect::<Result<Vec<_>, _>>() else { return steps };
    let bits: Vec<&str> = bits.iter().map(AsRef::as_ref).collect();
    let counts: Vec<usize> = bits.iter().map(|bits| bits.len()).collect();
    if let Ok(bits) = value.bits() {
        windows(&bits, number, same(&counts), &mut steps);
    }
    if numbers.iter().all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())) {
        fields(&bits, numbers, &mut steps);
        two_fields(&bits, numbers, &mut steps);
    }
    steps
}

fn same(lengths: &[usize]) -> bool {
    lengths.windows(2).all(|two| two.first() == two.last())
}

/// Steps on the whole text.
fn whole(text: &str, number: &str, steps: &mut Vec<Step>) {
    steps.extend([Step::Hex2Dec, Step::Dec2Hex, Step::AsciiEnc, Step::ReverseBytes, Step::ReverseBits]);
    if text.eq_ignore_ascii_case(number) {
        steps.extend([Step::Upper, Step::Lower]);
    }
    let (longer, shorter) = if text.len() < number.len() { (number, text) } else { (text, number) };
    if let Some(first) = letter_or_digit(longer).filter(|_| longer.ends_with(shorter)) {
        steps.push(if text.len() < number.len() { Step::Pad(number.len(), first) } else { Step::Trim(first) });
    }
}

/// Every place where the number stands in the text.
fn parts(text: &str, number: &str, same: bool, steps: &mut Vec<Step>) {
    if !text.is_ascii() {
        return;
    }
    for start in places(text, number) {
        let end = start + number.len();
        let (from, to) = (position(start + 1), position(end));
        let (from_end, to_end) = (-position(text.len() - start), -position(text.len() - end + 1));
        match (start == 0, end == text.len()) {
            (true, true) => {}
            (true, false) => steps.extend([Step::First(end), Step::Part(1, to_end)]),
            (false, true) => steps.extend([Step::Last(number.len()), Step::Part(from, -1)]),
            (false, false) => steps.push(Step::Part(from, to)),
        }
        if !same {
            steps.extend([Step::Part(from, to_end), Step::Part(from_end, to), Step::Part(from_end, to_end)]);
        }
    }
}

/// Every window whose hexadecimal digits are the number.
fn windows(bits: &str, number: &str, same: bool, steps: &mut Vec<Step>) {
    let Ok(digits) = Value::Text(number.to_owned()).bits().map(Cow::into_owned) else { return };
    // The first digit may stand for one to four bits.
    for fewer in 0..digits.len().min(4) {
        let Some((_, wanted)) = digits.split_at_checked(fewer).filter(|(gone, _)| !gone.contains('1')) else { break };
        if same && wanted.len() == bits.len() {
            continue;
        }
        let all = places(bits, wanted).into_iter();
        steps.extend(all.flat_map(|start| both_ends(bits, start, wanted.len(), same)).map(Step::Bits));
    }
}

/// A window of bits as a decimal number.
fn fields(bits: &[&str], numbers: &[&str], steps: &mut Vec<Step>) {
    for digits in counts_of_digits(numbers) {
        let windows = number_windows(bits, numbers).into_iter();
        steps.extend(windows.map(|window| Step::Fields(vec![Field { window, digits }])));
    }
}

/// Two windows: the number's last digits are one, what stands before them the other.
fn two_fields(bits: &[&str], numbers: &[&str], steps: &mut Vec<Step>) {
    let shortest = numbers.iter().map(|number| number.len()).min().unwrap_or_default();
    for digits in 1..shortest {
        let (before, behind): (Vec<&str>, Vec<&str>) =
            numbers.iter().filter_map(|number| number.split_at_checked(number.len() - digits)).unzip();
        let behind = number_windows(bits, &behind);
        if behind.is_empty() {
            continue;
        }
        let firsts = number_windows(bits, &before);
        for first_digits in counts_of_digits(&before) {
            let joins = firsts.iter().flat_map(|first| behind.iter().map(move |second| (*first, *second)));
            steps.extend(joins.take(MOST_JOINS).map(|(first, second)| {
                Step::Fields(vec![Field { window: first, digits: first_digits }, Field { window: second, digits }])
            }));
        }
    }
}

/// How many digits a number may be said to have: any where no zero stands in front, as many as all have.
fn counts_of_digits(numbers: &[&str]) -> Vec<usize> {
    let mut counts = Vec::new();
    if numbers.iter().all(|number| number.len() == 1 || !number.starts_with('0')) {
        counts.push(0);
    }
    if let Some(length) = numbers.first().map(|number| number.len()).filter(|_| same_lengths(numbers)) {
        counts.push(length);
    }
    counts
}

fn same_lengths(numbers: &[&str]) -> bool {
    same(&numbers.iter().map(|number| number.len()).collect::<Vec<_>>())
}

/// The windows that hold these decimal numbers in all bits.
fn number_windows(bits: &[&str], numbers: &[&str]) -> Vec<Window> {
    let significant: Vec<&str> = numbers.iter().map(|number| number.trim_start_matches('0')).collect();
    // The longest number stands in the fewest places.
    let Some((anchor, wanted)) = bits.iter().zip(&significant).max_by_key(|(_, number)| number.len()) else {
        return Vec::new();
    };
    let Ok(hexadecimal) = digits::hexadecimal(if wanted.is_empty() { "0" } else { wanted }) else { return Vec::new() };
    let value = Value::Text(hexadecimal);
    let Ok(binary) = value.bits() else { return Vec::new() };
    let binary = if wanted.is_empty() { "0" } else { binary.trim_start_matches('0') };
    let all_same = same(&bits.iter().map(|bits| bits.len()).collect::<Vec<_>>());
    let mut windows = Vec::new();
    for place in places(anchor, binary) {
        // Zeros before it may belong to it.
        let zeros = anchor.get(..place).map_or(0, |before| before.len() - before.trim_end_matches('0').len());
        for more in 0..=zeros {
            windows.extend(both_ends(anchor, place - more, binary.len() + more, all_same));
        }
    }
    // All the bits are a number without a window, too, and that holds for reads of another length.
    windows.retain(|window| bits.iter().any(|bits| bits.len() > window.count));
    windows.retain(|window| {
        bits.iter().zip(&significant).all(|(bits, number)| {
            let found = window.of(bits).and_then(crate::convert::fields::number);
            found.is_ok_and(|found| found.trim_start_matches('0') == *number)
        })
    });
    windows
}

/// The window at this place, counted from the beginning, and where values differ in length from the end, too.
fn both_ends(bits: &str, start: usize, count: usize, same: bool) -> Vec<Window> {
    let from_end = (!same).then(|| Window { from: -position(bits.len() - start), count });
    std::iter::once(Window { from: position(start + 1), count }).chain(from_end).collect()
}

fn position(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(i32::MAX)
}

/// Every place of a text in another, overlapping ones too. ASCII.
fn places(text: &str, wanted: &str) -> Vec<usize> {
    if wanted.is_empty() {
        return Vec::new();
    }
    text.as_bytes()
        .windows(wanted.len())
        .enumerate()
        .filter(|(_, here)| *here == wanted.as_bytes())
        .map(|(place, _)| place)
        .collect()
}
