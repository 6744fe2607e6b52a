//! The search over some pairs, a level of states for each count of steps.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    ops::Range,
};

use super::{Pair, Progress, last, middle};
use crate::convert::{Chain, Step, Value};

/// The most chains told apart at the end.
pub(super) const MOST_CHAINS: usize = 200;
/// The most ways remembered into one state: enough to show that another read would tell them apart.
const MOST_WAYS: usize = 4;
/// How many states between two calls of `go_on`.
const BREATH: usize = 64;

/// What the reads have become after some steps.
struct State {
    values: Vec<Value>,
    /// From which states, by which steps. Empty: the reads themselves.
    ways: Vec<(usize, Step)>,
}

/// A search over some pairs.
pub(super) struct Search<'p> {
    numbers: Vec<&'p str>,
    states: Vec<State>,
    /// States by the hash of their values: two that share one by chance cost a chain once in a lifetime, and no wrong one.
    known: HashMap<u64, usize>,
    /// The states of as many steps as there are levels before them.
    levels: Vec<Range<usize>>,
    most: usize,
    tried: usize,
    /// Whether no state was left out.
    pub(super) complete: bool,
    /// Whether it was told to end.
    pub(super) stopped: bool,
}

impl<'p> Search<'p> {
    pub(super) fn new(pairs: &'p [Pair], chosen: &[usize], most: usize) -> Self {
        let pairs: Vec<&Pair> = chosen.iter().filter_map(|pair| pairs.get(*pair)).collect();
        let values: Vec<Value> = pairs.iter().map(|pair| pair.read.clone()).collect();
        Self {
            numbers: pairs.iter().map(|pair| pair.number.as_str()).collect(),
            known: HashMap::from([(hash(&values), 0)]),
            states: vec![State { values, ways: Vec::new() }],
            levels: std::iter::once(0..1).collect(),
            most,
            tried: 0,
            complete: true,
            stopped: false,
        }
    }

    /// Every chain of exactly so many steps that fits; to be asked for 0, 1, 2 … in turn.
    pub(super) fn solve(&mut self, steps: usize, go_on: &mut impl FnMut(Progress) -> bool) -> Vec<Chain> {
        if self.stopped || self.numbers.is_empty() {
            return Vec::new();
        }
        let Some(before) = steps.checked_sub(1) else {
            let fits = self.states.first().is_some_and(|state| self.fits(&state.values));
            return if fits { vec![Chain::default()] } else { Vec::new() };
        };
        while self.levels.len() < steps && !self.stopped {
            self.expand(steps, go_on);
        }
        let mut chains = Vec::new();
        for at in self.levels.get(before).cloned().unwrap_or_default() {
            if !self.breathe(steps, go_on) {
                break;
            }
            let Some(state) = self.states.get(at) else { break };
            for step in last::steps(&state.values, &self.numbers) {
                if applied(&step, &state.values).is_some_and(|values| self.fits(&values)) {
                    for mut way in self.ways(at) {
                        way.push(step.clone());
                        let chain = Chain(way);
                        if chains.len() < MOST_CHAINS && !chains.contains(&chain) {
                            chains.push(chain);
                        }
                    }
                }
            }
        }
        chains
    }

    fn fits(&self, values: &[Value]) -> bool {
        values.iter().zip(&self.numbers).all(|(value, number)| value.text() == **number)
    }

    /// The states that one more step leads to.
    fn expand(&mut self, steps: usize, go_on: &mut impl FnMut(Progress) -> bool) {
        let Some(level) = self.levels.last().cloned() else { return };
        let next = level.end;
        for at in level {
            if !self.breathe(steps, go_on) {
                break;
            }
            let Some(state) = self.states.get(at) else { break };
            let before = state.ways.first().map(|(_, step)| step);
            let reached: Vec<_> = middle::steps(&state.values, &self.numbers, before)
                .into_iter()
                .filter_map(|step| applied(&step, &state.values).map(|values| (step, values)))
                .collect();
            for (step, values) in reached {
                match self.known.entry(hash(&values)) {
                    Entry::Occupied(there) => {
                        let there = *there.get();
                        // A longer way to what a shorter one reaches is none.
                        if let Some(state) = self.states.get_mut(there).filter(|_| there >= next)
                            && state.ways.len() < MOST_WAYS
                        {
                            state.ways.push((at, step));
                        }
                    }
                    Entry::Vacant(free) if self.states.len() < self.most => {
                        free.insert(self.states.len());
                        self.states.push(State { values, ways: vec![(at, step)] });
                    }
                    Entry::Vacant(_) => self.complete = false,
                }
            }
        }
        self.levels.push(next..self.states.len());
    }

    /// The chains that lead to a state.
    fn ways(&self, at: usize) -> Vec<Vec<Step>> {
        let Some(state) = self.states.get(at).filter(|state| !state.ways.is_empty()) else { return vec![Vec::new()] };
        let mut chains = Vec::new();
        for (from, step) in &state.ways {
            for mut chain in self.ways(*from) {
                chain.push(step.clone());
                chains.push(chain);
            }
        }
        chains.truncate(MOST_WAYS * MOST_WAYS);
        chains
    }

    fn breathe(&mut self, steps: usize, go_on: &mut impl FnMut(Progress) -> bool) -> bool {
        if self.tried.is_multiple_of(BREATH) && !go_on(Progress { steps, tried: self.tried }) {
            self.stopped = true;
            self.complete = false;
        }
        self.tried += 1;
        !self.stopped
    }
}

/// What a step makes of all values; none where one of them fails.
fn applied(step: &Step, values: &[Value]) -> Option<Vec<Value>> {
    values.iter().map(|value| step.apply(value).ok()).collect()
}

fn hash(values: &[Value]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(values)
}
