//! Groups inside groups: who is in each of them in the end. Pure, in memory, and linear in memberships.
//!
//! Groups that contain each other, or themselves, have the same members: they are found first (strongly connected components,
//! Tarjan 1972), and come out with everything inside before what contains it. So each group is united from groups that are
//! done. No call goes deeper with the nesting: a chain of any length fits the stack.

use std::sync::Arc;

/// What a group has in it directly. People and groups are numbered from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Direct {
    /// People.
    pub people: Vec<u32>,
    /// Groups; numbers of no group are passed over.
    pub groups: Vec<u32>,
}

/// Who is in each group, those of groups inside it included: sorted, each once. Groups that contain each other share one list.
pub fn close(groups: &[Direct]) -> Vec<Arc<[u32]>> {
    let mut lists: Vec<Option<Arc<[u32]>>> = vec![None; groups.len()];
    let people = groups.iter().flat_map(|group| &group.people).max().map_or(0, |most| index(*most) + 1);
    // For each person, the last component that has them.
    let mut stamps = vec![u32::MAX; people];
    for (number, component) in (0_u32..).zip(components(groups)) {
        let mut members = Vec::new();
        let mut add = |person: u32| {
            if let Some(stamp) = stamps.get_mut(index(person))
                && *stamp != number
            {
                *stamp = number;
                members.push(person);
            }
        };
        for group in component.iter().filter_map(|group| groups.get(index(*group))) {
            group.people.iter().for_each(|person| add(*person));
            // Those of this component are not done, and their people are added here.
            for done in group.groups.iter().filter_map(|inner| lists.get(index(*inner))?.as_ref()) {
                done.iter().for_each(|person| add(*person));
            }
        }
        members.sort_unstable();
        let members: Arc<[u32]> = members.into();
        for group in component {
            if let Some(list) = lists.get_mut(index(group)) {
                *list = Some(Arc::clone(&members));
            }
        }
    }
    lists.into_iter().map(Option::unwrap_or_default).collect()
}

/// Groups that contain each other, together; what is inside before what contains it.
fn components(groups: &[Direct]) -> Vec<Vec<u32>> {
    const UNSEEN: u32 = u32::MAX;
    let mut order = vec![UNSEEN; groups.len()];
    let mut lowest = vec![UNSEEN; groups.len()];
    let mut open = vec![false; groups.len()];
    let (mut stack, mut path, mut found) = (Vec::new(), Vec::new(), Vec::new());
    let mut next = 0;
    for start in (0_u32..).take(groups.len()) {
        if at(&order, start) != UNSEEN {
            continue;
        }
        path.push((start, 0_usize));
        while let Some((group, inner)) = path.pop() {
            if inner == 0 {
                set(&mut order, group, next);
                set(&mut lowest, group, next);
                set(&mut open, group, true);
                stack.push(group);
                next += 1;
            }
            let inside = groups.get(index(group)).map(|group| group.groups.as_slice()).unwrap_or_default();
            match inside.get(inner) {
                Some(&child) if index(child) >= groups.len() => path.push((group, inner + 1)),
                Some(&child) if at(&order, child) == UNSEEN => {
                    // Back here when the child is done; it is seen then, and its lowest counts.
                    path.push((group, inner + 1));
                    path.push((child, 0));
                }
                Some(&child) => {
                    if at(&open, child) {
                        let reached = at(&lowest, group).min(at(&order, child));
                        set(&mut lowest, group, reached);
                    }
                    path.push((group, inner + 1));
                }
                None => {
                    if at(&lowest, group) == at(&order, group) {
                        let mut component = Vec::new();
                        while let Some(member) = stack.pop() {
                            set(&mut open, member, false);
                            component.push(member);
                            if member == group {
                                break;
                            }
                        }
                        found.push(component);
                    }
                    if let Some(&(parent, _)) = path.last() {
                        let reached = at(&lowest, parent).min(at(&lowest, group));
                        set(&mut lowest, parent, reached);
                    }
                }
            }
        }
    }
    found
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The value of a group; the numbers come from the list's own length.
fn at<T: Copy + Default>(list: &[T], group: u32) -> T {
    list.get(index(group)).copied().unwrap_or_default()
}

fn set<T>(list: &mut [T], group: u32, value: T) {
    if let Some(place) = list.get_mut(index(group)) {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Instant};

    use proptest::prelude::*;

    use super::*;

    fn group(people: &[u32], groups: &[u32]) -> Direct {
        Direct { people: people.to_vec(), groups: groups.to_vec() }
    }

    /// Slow and plain: walk from each group.
    fn naive(groups: &[Direct]) -> Vec<Vec<u32>> {
        let walk = |start: usize| {
            let (mut seen, mut people, mut todo) = (BTreeSet::new(), BTreeSet::new(), vec![start]);
            while let Some(at) = todo.pop() {
                if seen.insert(at) && at < groups.len() {
                    people.extend(groups[at].people.iter().copied());
                    todo.extend(groups[at].groups.iter().map(|inner| *inner as usize));
                }
            }
            people.into_iter().collect()
        };
        (0..groups.len()).map(walk).collect()
    }

    #[test]
    fn groups_that_contain_each_other_have_the_same_members() {
        let closed =
            close(&[group(&[3, 1], &[1]), group(&[2], &[0, 1]), group(&[], &[0]), group(&[7], &[3]), group(&[], &[])]);
        let lists: Vec<&[u32]> = closed.iter().map(AsRef::as_ref).collect();
        assert_eq!(lists, [&[1, 2, 3][..], &[1, 2, 3], &[1, 2, 3], &[7], &[]]);
        assert!(Arc::ptr_eq(&closed[0], &closed[1]));
    }

    #[test]
    fn a_chain_of_any_length_fits_the_stack() {
        let length = 200_000;
        let chain: Vec<_> = (0..length).map(|at| group(&[], &[at + 1])).chain([group(&[5], &[0])]).collect();
        assert!(close(&chain).iter().all(|members| **members == [5]));
    }

    #[test]
    fn work_grows_with_memberships() {
        // Ten deep, each group inside three of the level above. What a membership takes stays about the same from 300 groups
        // to 3,000, with much room for a busy machine.
        let build = |count: u32| -> Vec<Direct> {
            let level = count / 10;
            (0..count)
                .map(|at| {
                    let inner = if at + level < count {
                        (0..3).map(|i| at / level * level + level + (at * 7 + i) % level).collect()
                    } else {
                        Vec::new()
                    };
                    Direct { people: (0..5).map(|i| (at * 5 + i) % (count * 2)).collect(), groups: inner }
                })
                .collect()
        };
        let memberships = |lists: &[Arc<[u32]>]| lists.iter().map(|list| list.len()).sum::<usize>();
        let time = |groups: &[Direct]| {
            let begin = Instant::now();
            let lists = close(groups);
            (begin.elapsed().as_secs_f64(), memberships(&lists) as f64)
        };
        let (small, large) = (build(300), build(3_000));
        let best = |groups: &[Direct]| (0..3).map(|_| time(groups)).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        let ((short, few), (long, many)) = (best(&small), best(&large));
        assert!(long / many < 20.0 * short / few, "{short} s for {few}, {long} s for {many}");
    }

    proptest! {
        #[test]
        fn it_is_what_walking_finds(
            groups in proptest::collection::vec(
                (proptest::collection::vec(0_u32..12, 0..4), proptest::collection::vec(0_u32..14, 0..4)), 0..12)
        ) {
            let groups: Vec<_> = groups.iter().map(|(people, groups)| group(people, groups)).collect();
            let closed: Vec<Vec<u32>> = close(&groups).iter().map(|list| list.to_vec()).collect();
            prop_assert_eq!(closed, naive(&groups));
        }
    }
}
