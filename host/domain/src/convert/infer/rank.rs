//! Which of several chains of one length is the likeliest: the one with the least that could be chance.

use std::cmp::Reverse;

use crate::convert::{Chain, Field, Step, Window};

/// The likeliest first.
pub(super) fn sorted(mut chains: Vec<Chain>) -> Vec<Chain> {
    chains.sort_by_cached_key(|chain| {
        let bits: usize = chain.0.iter().flat_map(windows).map(|window| window.count).sum();
        (chain.0.iter().map(chance).sum::<usize>(), Reverse(bits), chain.to_string().len(), chain.to_string())
    });
    chains
}

/// How much of a step was chosen to fit.
fn chance(step: &Step) -> usize {
    match step {
        Step::Pad(..) | Step::Trim(_) | Step::First(_) | Step::Last(_) => 2,
        Step::Part(from, to) => 3 + usize::from((*from < 0) != (*to < 0)),
        Step::Bits(window) => 4 + odd(*window),
        Step::Fields(fields) => {
            let each = fields.iter().map(|field| 4 + odd(field.window)).sum::<usize>();
            // A number alone has no zeros in front; one before another number has as many digits as any may have.
            let unusual = fields.first().is_some_and(|first| (first.digits == 0) != (fields.len() == 1));
            // Facility and number stand beside each other in every known credential.
            let apart = |two: &[Field]| match two {
                [one, other] => i32::try_from(one.window.count).is_ok_and(|c| one.window.from + c != other.window.from),
                _ => false,
            };
            each + usize::from(unusual) + 3 * fields.windows(2).filter(|two| apart(two)).count()
        }
        _ => 0,
    }
}

/// Whole bytes are likelier than other counts.
fn odd(window: Window) -> usize {
    usize::from(!window.count.is_multiple_of(8))
}

fn windows(step: &Step) -> Vec<Window> {
    match step {
        Step::Bits(window) => vec![*window],
        Step::Fields(fields) => fields.iter().map(|field| field.window).collect(),
        _ => Vec::new(),
    }
}
