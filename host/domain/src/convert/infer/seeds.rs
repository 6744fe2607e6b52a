//! A few of the pairs each: where no chain fits all pairs, one that fits most is found from some that are right.

/// The most choices: each is a search of its own.
const MOST: usize = 12;

/// Choices of three pairs (fewer where there are fewer pairs), so that few wrong pairs leave some choice untouched.
pub(super) fn of(pairs: usize) -> Vec<Vec<usize>> {
    let size = pairs.saturating_sub(1).min(3);
    if size == 0 {
        return Vec::new();
    }
    let mut seeds: Vec<Vec<usize>> = Vec::new();
    // Around the circle of pairs: with neighbours, then with those two apart.
    for stride in 1..=2 {
        for start in spread(pairs, MOST / 2) {
            let mut seed: Vec<usize> = (0..size).map(|place| (start + place * stride) % pairs).collect();
            seed.sort_unstable();
            seed.dedup();
            if seed.len() == size && !seeds.contains(&seed) {
                seeds.push(seed);
            }
        }
    }
    seeds
}

/// At most so many places, evenly among all.
pub(super) fn spread(all: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = all.min(most);
    (0..count).map(move |place| place * all / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whichever_pair_is_wrong_some_choice_is_without_it() {
        for pairs in 2..40 {
            let seeds = of(pairs);
            assert!(seeds.len() <= MOST);
            for wrong in 0..pairs {
                assert!(seeds.iter().any(|seed| !seed.contains(&wrong)), "{wrong} of {pairs}");
            }
        }
        assert!(of(0).is_empty() && of(1).is_empty());
    }
}
