//! The chain that makes numbers on record of raw reads, found from a few pairs of both.
//!
//! Chains are tried from the shortest on. A state of the search is what all reads have become after some steps; two ways to
//! the same state are one state, which keeps the search small. Inner steps are tried with every argument that can matter
//! ([`middle`]); the last step's arguments are derived from the numbers wanted ([`last`]), so that a chain of three steps
//! costs little more than one of two.
//!
//! What is not searched: `fields` of more than two windows; inside a chain, `fields` of two windows or with a count of
//! digits, and windows of what `fields` gave; fillers other than 0 and what numbers on record begin with;
//! windows of all the bits, which `hex2dec` and `pad` say for reads of every length.

mod last;
mod middle;
mod rank;
mod search;
mod seeds;
#[cfg(test)]
mod tests;

use self::search::Search;
use super::{Chain, StepError, Value};

/// What a reader said, and the number on record for it.
#[derive(Clone)]
pub struct Pair {
    /// As it enters a chain.
    pub read: Value,
    /// As it is to come out.
    pub number: String,
}

/// How many pairs are searched with at once.
const SAMPLE: usize = 6;
/// Each search over a few pairs may keep this part of the states.
const SEEDS_SHARE: usize = 4;

/// How far a search goes.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The longest chain tried, in steps. Known conversions take one to four.
    pub steps: usize,
    /// The most states kept at once; each takes some hundred bytes.
    pub states: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { steps: 4, states: 200_000 }
    }
}

/// How far a search has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The length of the chains that are being tried.
    pub steps: usize,
    /// How many states were looked at.
    pub tried: usize,
}

/// A pair that the chain does not fit.
pub struct Misfit {
    /// Which pair, from 0.
    pub pair: usize,
    /// What the chain gives instead, in clear.
    pub gives: Result<String, StepError>,
}

/// What a search found.
pub struct Inferred {
    /// The shortest chains that fit most pairs, the likeliest first: all of them give the same on the pairs they fit. None:
    /// no chain fits even a few pairs.
    pub chains: Vec<Chain>,
    /// The pairs that they do not fit.
    pub misfits: Vec<Misfit>,
    /// Whether every chain within the bounds was tried, up to the one found.
    pub complete: bool,
}

impl Inferred {
    /// Whether the likeliest chain begins with a step that asks for bits: where a driver gives a credential's raw bits, it
    /// works on them, whatever text came with them.
    pub fn asks_for_bits(&self) -> bool {
        self.chains.first().is_some_and(Chain::asks_for_bits)
    }
}

/// The shortest chains that fit all pairs; where none does, those that fit most. `go_on` is told how far the search has come
/// and ends it with false.
pub fn infer(pairs: &[Pair], bounds: Bounds, mut go_on: impl FnMut(Progress) -> bool) -> Inferred {
    // A sample finds the same chains as all pairs do, and every chain is held against all of them.
    let sample: Vec<usize> = seeds::spread(pairs.len(), SAMPLE).collect();
    let mut whole = Search::new(pairs, &sample, bounds.states);
    let seeds = seeds::of(pairs.len());
    let mut seeds: Vec<_> = seeds.iter().map(|seed| Search::new(pairs, seed, bounds.states / SEEDS_SHARE)).collect();
    let mut best = Best::default();
    let mut complete = true;
    'steps: for steps in 0..=bounds.steps {
        let (fitting, rest): (Vec<_>, Vec<_>) =
            whole.solve(steps, &mut go_on).into_iter().partition(|chain| misfits(chain, pairs).is_empty());
        complete &= whole.complete;
        if !fitting.is_empty() {
            return Inferred { chains: rank::sorted(fitting), misfits: Vec::new(), complete };
        }
        rest.into_iter().for_each(|chain| best.consider(chain, pairs));
        if whole.stopped {
            break;
        }
        for seed in &mut seeds {
            // More than half are enough: pairs that are wrong do not agree on another chain.
            if best.fits * 2 > pairs.len() {
                break;
            }
            for chain in seed.solve(steps, &mut go_on) {
                best.consider(chain, pairs);
            }
            if seed.stopped {
                complete = false;
                break 'steps;
            }
        }
    }
    let chains = rank::sorted(best.chains);
    let misfits = chains.first().map(|chain| misfits(chain, pairs)).unwrap_or_default();
    Inferred { chains, misfits, complete }
}

/// The chains that fit most pairs so far.
#[derive(Default)]
struct Best {
    fits: usize,
    /// Which pairs they do not fit.
    without: Vec<usize>,
    chains: Vec<Chain>,
}

impl Best {
    fn consider(&mut self, chain: Chain, pairs: &[Pair]) {
        let without: Vec<usize> = misfits(&chain, pairs).iter().map(|misfit| misfit.pair).collect();
        let fits = pairs.len() - without.len();
        if fits > self.fits {
            *self = Self { fits, without, chains: vec![chain] };
        } else if fits == self.fits
            && without == self.without
            && self.chains.first().is_some_and(|first| first.0.len() == chain.0.len())
            && self.chains.len() < search::MOST_CHAINS
            && !self.chains.contains(&chain)
        {
            self.chains.push(chain);
        }
    }
}

/// The pairs that a chain does not fit.
pub fn misfits(chain: &Chain, pairs: &[Pair]) -> Vec<Misfit> {
    let misfit = |(place, pair): (usize, &Pair)| {
        let gives = chain.run(pair.read.clone(), |_, _, _| {}).map(|value| value.text().into_owned());
        (gives.as_ref() != Ok(&pair.number)).then_some(Misfit { pair: place, gives })
    };
    pairs.iter().enumerate().filter_map(misfit).collect()
}
