//! What a reader's driver was told and answered lately: packed entries in one bounded piece of memory.
//!
//! Nothing is allocated before the first entry, and never more than the bound. What stands in an entry is the
//! business of [`super::entry`].

use std::collections::VecDeque;

use super::entry::Entry;

/// The newest entries of one reader.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// Each entry with its length before it, in one byte.
    bytes: VecDeque<u8>,
    entries: usize,
}

impl Ring {
    /// Adds an entry, and lets go of as many old ones as that takes.
    pub(super) fn push(&mut self, entry: &Entry, most_entries: usize, most_bytes: usize) {
        let packed = entry.packed();
        let (Ok(length), needed) = (u8::try_from(packed.len()), packed.len() + 1) else { return };
        if most_entries == 0 || needed > most_bytes {
            return;
        }
        while self.entries >= most_entries || self.bytes.len() + needed > most_bytes {
            let Some(oldest) = self.bytes.front().copied() else { break };
            self.bytes.drain(..(usize::from(oldest) + 1).min(self.bytes.len()));
            self.entries -= 1;
        }
        let wanted = self.bytes.len() + needed;
        if wanted > self.bytes.capacity() {
            // Doubling, as ever, but not beyond the bound.
            let capacity = (self.bytes.capacity() * 2).max(wanted).max(64).min(most_bytes);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.push_back(length);
        self.bytes.extend(packed);
        self.entries += 1;
    }

    /// The entries, the oldest first.
    pub(super) fn entries(&self) -> Vec<Vec<u8>> {
        let mut rest = self.bytes.iter().copied();
        let mut entries = Vec::with_capacity(self.entries);
        while let Some(length) = rest.next() {
            entries.push(rest.by_ref().take(usize::from(length)).collect());
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use cardinal_domain::driver::Input;

    use super::*;

    #[test]
    fn old_entries_go_and_the_bounds_hold() {
        let mut ring = Ring::default();
        assert_eq!(ring.bytes.capacity(), 0, "nothing before the first entry");
        let entry = |id| Entry::told(id, &Input::Timer(u32::try_from(id).unwrap()));
        for id in 0..1_000 {
            ring.push(&entry(id), 5, 10_000);
        }
        assert_eq!(ring.entries(), (995..1_000).map(|id| entry(id).packed().to_vec()).collect::<Vec<_>>());
        for id in 0..1_000 {
            ring.push(&entry(id), 1_000, 100);
            assert!(ring.bytes.len() <= 100);
        }
        assert!(!ring.entries().is_empty() && ring.entries().len() == ring.entries);
        let mut small = Ring::default();
        for _ in 0..1_000 {
            small.push(&entry(1), 64, 1_792);
        }
        assert!((1..=1_792).contains(&small.bytes.capacity()), "{}", small.bytes.capacity());
        let mut off = Ring::default();
        off.push(&entry(1), 0, 100);
        off.push(&entry(1), 5, 0);
        assert_eq!((off.bytes.capacity(), off.entries), (0, 0));
    }
}
