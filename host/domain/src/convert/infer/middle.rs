//! Inner steps: every argument that can matter for these values.

use std::collections::BTreeSet;

use crate::convert::{Field, Step, Value, Window};

/// The longest text of which all parts are tried; of a longer one only its beginnings and ends.
const PARTS_UP_TO: usize = 40;
/// The most bits of which all windows are tried; of more only those of whole bytes.
const WINDOWS_UP_TO: usize = 64;
/// Padding is tried up to this length, or that of the longest value or number.
pub(super) const PAD_UP_TO: usize = 16;

/// The steps worth trying behind `before`.
pub(super) fn steps(values: &[Value], numbers: &[&str], before: Option<&Step>) -> Vec<Step> {
    let mut steps = vec![
        Step::Hex2Dec,
        Step::Dec2Hex,
        Step::AsciiEnc,
        Step::ReverseBytes,
        Step::ReverseBits,
        Step::Upper,
        Step::Lower,
    ];
    let texts: Vec<_> = values.iter().map(Value::text).collect();
    let firsts: BTreeSet<char> = texts.iter().filter_map(|text| letter_or_digit(text)).collect();
    steps.extend(firsts.into_iter().map(Step::Trim));
    let lengths: Vec<usize> = texts.iter().map(|text| text.chars().count()).collect();
    pads(&lengths, numbers, &mut steps);
    // A part of a part is a part, and so for windows.
    if !matches!(before, Some(Step::First(_) | Step::Last(_) | Step::Part(..))) {
        parts(&lengths, &mut steps);
    }
    if !matches!(before, Some(Step::Bits(_) | Step::Fields(_))) {
        let counts: Result<Vec<usize>, _> = values.iter().map(|value| value.bits().map(|bits| bits.len())).collect();
        windows(&counts.unwrap_or_default(), &mut steps);
    }
    steps
}

/// What a text begins with, if a step can name it.
pub(super) fn letter_or_digit(text: &str) -> Option<char> {
    text.chars().next().filter(char::is_ascii_alphanumeric)
}

fn pads(lengths: &[usize], numbers: &[&str], steps: &mut Vec<Step>) {
    let shortest = lengths.iter().min().copied().unwrap_or_default();
    let longest = lengths.iter().copied().chain(numbers.iter().map(|number| number.len())).max().unwrap_or_default();
    let fillers: BTreeSet<char> =
        numbers.iter().filter_map(|number| letter_or_digit(number)).chain(std::iter::once('0')).collect();
    for length in shortest + 1..=longest.clamp(PAD_UP_TO, crate::card::LONGEST) {
        steps.extend(fillers.iter().map(|with| Step::Pad(length, *with)));
    }
}

fn parts(lengths: &[usize], steps: &mut Vec<Step>) {
    let Some((shortest, same)) = spread(lengths) else { return };
    steps.extend((1..shortest).flat_map(|count| [Step::Last(count), Step::First(count)]));
    if shortest > PARTS_UP_TO {
        return;
    }
    let end = i32::try_from(shortest).unwrap_or_default();
    for one in 1..=end {
        for other in 1..=end {
            if same {
                if 1 < one && one <= other && other < end {
                    steps.push(Step::Part(one, other));
                }
                continue;
            }
            // Reads of several lengths: each end may count from either side.
            if one <= other {
                steps.extend([Step::Part(one, other), Step::Part(-other, -one)]);
            }
            steps.extend([Step::Part(one, -other), Step::Part(-one, other)]);
        }
    }
    if !same {
        steps.extend((1..=end).flat_map(|from| [Step::Part(from, -1), Step::Part(1, -from)]));
    }
}

fn windows(counts: &[usize], steps: &mut Vec<Step>) {
    let Some((shortest, same)) = spread(counts) else { return };
    let grain = if shortest > WINDOWS_UP_TO { 8 } else { 1 };
    for start in (0..shortest).step_by(grain) {
        for count in (grain..=shortest - start).step_by(grain) {
            if same && count == shortest {
                continue;
            }
            let from = |position: usize| i32::try_from(position).unwrap_or_default();
            let mut window = |from: i32| {
                let window = Window { from, count };
                steps.push(Step::Bits(window));
                steps.push(Step::Fields(vec![Field { window, digits: 0 }]));
            };
            window(from(start + 1));
            if !same {
                window(-from(start + count));
            }
        }
    }
}

/// The shortest of all, and whether all are the same; none where there is nothing.
fn spread(lengths: &[usize]) -> Option<(usize, bool)> {
    let (shortest, longest) = (*lengths.iter().min()?, *lengths.iter().max()?);
    Some((shortest, shortest == longest))
}
