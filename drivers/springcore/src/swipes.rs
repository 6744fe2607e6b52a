//! Which call waits for which verdict, over HTTP.
//!
//! The reader's call is answered when the card is decided. A reader that gets no answer in time calls again for the same
//! swipe: that is no second card, and gets the answer of the first. Where an event tells when it was, the same swipe is told
//! from a later one of the same card for certain; where it does not, time must do. Owns these ties; knows nothing of
//! commands.

use cardinal_sdk::{
    prelude::*,
    state::{Loader, Saver},
};

/// Swipes kept, decided ones included. A host keeps 8 calls open at most; the others are for calls that come again.
const MOST: usize = 32;

/// How long a verdict that did nothing holds once it was answered, where time must tell: a moment, for readers that read a
/// card twice while it is held to them. To decide anew does no harm then, and may be what the person wants.
const MOMENT: Millis = 2_000;

/// Tells the same swipe from others; see [`crate::message::Card::key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) key: u64,
    /// It is made of the card alone.
    pub(crate) is_card: bool,
}

/// A verdict as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision {
    /// Its place.
    pub(crate) verdict: usize,
    /// Jobs went out, or a device or a card changed: a repetition must not do that again.
    pub(crate) did_something: bool,
    /// How long it holds where time must tell, in milliseconds.
    pub(crate) holds: Millis,
}

/// A swipe.
struct Swipe {
    id: Id,
    key: Key,
    decided: Option<Decided>,
    /// Calls that wait for it.
    calls: Vec<Id>,
}

struct Decided {
    /// The place of its verdict.
    verdict: usize,
    did_something: bool,
    /// Until then the same key is the same swipe.
    until: Millis,
}

impl Decided {
    /// It was answered, though perhaps in vain.
    fn answered(&mut self, now: Millis, key: Key) {
        if key.is_card && !self.did_something {
            self.until = self.until.min(now.saturating_add(MOMENT));
        }
    }
}

/// The latest swipes, the oldest first.
#[derive(Default)]
pub(crate) struct Swipes {
    swipes: Vec<Swipe>,
    last: Id,
}

/// What is to be done with a call that brings a card.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Give the card out with this id; the call waits.
    New(Id),
    /// The card is out already; the call waits too.
    Again,
    /// The card was decided: the place of the verdict.
    Decided(usize),
    /// Too many wait.
    Full,
}

impl Swipes {
    /// A call that brings the swipe of this key. `joins`: whether it may be a repetition.
    pub(crate) fn take(&mut self, now: Millis, call: Id, key: Key, joins: bool) -> Taken {
        let is_same =
            |swipe: &&mut Swipe| swipe.key == key && swipe.decided.as_ref().is_none_or(|decided| now < decided.until);
        if joins && let Some(known) = self.swipes.iter_mut().find(is_same) {
            if let Some(decided) = &mut known.decided {
                decided.answered(now, key);
                return Taken::Decided(decided.verdict);
            }
            known.calls.push(call);
            return Taken::Again;
        }
        if self.swipes.len() >= MOST {
            let Some(oldest) = self.swipes.iter().position(|swipe| swipe.decided.is_some()) else { return Taken::Full };
            self.swipes.remove(oldest);
        }
        self.last = self.last.wrapping_add(1);
        self.swipes.push(Swipe { id: self.last, key, decided: None, calls: vec![call] });
        Taken::New(self.last)
    }

    /// A swipe is decided: the calls to be answered.
    pub(crate) fn decide(&mut self, now: Millis, id: Id, decision: Decision) -> Vec<Id> {
        let Some(swipe) = self.swipes.iter_mut().find(|swipe| swipe.id == id && swipe.decided.is_none()) else {
            return Vec::new();
        };
        let Decision { verdict, did_something, holds } = decision;
        let until = if swipe.key.is_card { now.saturating_add(holds) } else { Millis::MAX };
        let mut decided = Decided { verdict, did_something, until };
        let calls = std::mem::take(&mut swipe.calls);
        // Where nobody was answered, whoever calls next is most likely the reader, again.
        if !calls.is_empty() {
            decided.answered(now, swipe.key);
        }
        swipe.decided = Some(decided);
        calls
    }

    /// The host answered this call by itself.
    pub(crate) fn ended(&mut self, call: Id) {
        for swipe in &mut self.swipes {
            swipe.calls.retain(|waiting| *waiting != call);
        }
    }

    /// Whether a call waits.
    pub(crate) fn is_called(&self) -> bool {
        self.swipes.iter().any(|swipe| !swipe.calls.is_empty())
    }

    /// Without calls, of which there are none when state is saved.
    pub(crate) fn save(&self, saver: Saver) -> Saver {
        let saver = saver.number(self.last).number(self.swipes.len() as u64);
        self.swipes.iter().fold(saver, |saver, swipe| {
            let saver = saver.number(swipe.id).flag(swipe.key.is_card).number(swipe.key.key);
            let none = Decided { verdict: 0, did_something: false, until: 0 };
            let decided = swipe.decided.as_ref().unwrap_or(&none);
            let saver = saver.flag(swipe.decided.is_some()).number(decided.verdict as u64);
            saver.flag(decided.did_something).number(decided.until)
        })
    }

    pub(crate) fn load(loader: &mut Loader<'_>) -> Result<Self, Fault> {
        let last = loader.number()?;
        let count: usize = loader.number()?;
        let mut swipes = Vec::new();
        for _ in 0..count {
            let id = loader.number()?;
            let (flag, key) = (loader.flag()?, loader.number()?);
            let (is_decided, verdict) = (loader.flag()?, loader.number()?);
            // The first version of the state had certain keys alone, and said so by the flag.
            let is_first = loader.version() < 2;
            let is_card = flag != is_first;
            let (did_something, until) =
                if is_first { (true, Millis::MAX) } else { (loader.flag()?, loader.number()?) };
            let decided = is_decided.then_some(Decided { verdict, did_something, until });
            swipes.push(Swipe { id, key: Key { key, is_card }, decided, calls: Vec::new() });
        }
        Ok(Self { swipes, last })
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Key, MOMENT, MOST, Swipes, Taken};

    const fn certain(key: u64) -> Key {
        Key { key, is_card: false }
    }

    const fn card(key: u64) -> Key {
        Key { key, is_card: true }
    }

    const fn verdict(verdict: usize, did_something: bool) -> Decision {
        Decision { verdict, did_something, holds: 10_000 }
    }

    #[test]
    fn a_swipe_told_again_gets_the_answer_of_the_first() {
        let mut swipes = Swipes::default();
        assert_eq!(swipes.take(0, 1, certain(7), true), Taken::New(1));
        assert_eq!(swipes.take(1, 2, certain(7), true), Taken::Again);
        assert_eq!(swipes.take(2, 3, certain(8), true), Taken::New(2));
        swipes.ended(1);
        assert_eq!(swipes.decide(3, 1, verdict(5, false)), [2]);
        assert_eq!(swipes.decide(4, 1, verdict(6, true)), []);
        assert_eq!(swipes.take(9_999_999, 4, certain(7), true), Taken::Decided(5), "for certain the same");
        assert_eq!(swipes.take(5, 5, card(7), true), Taken::New(3), "the card alone is another thing");
        assert_eq!(swipes.take(6, 6, card(7), false), Taken::New(4), "every call a swipe");
    }

    #[test]
    fn without_a_time_of_its_own_a_swipe_holds_for_a_while() {
        // What it did must not be done again.
        let mut swipes = Swipes::default();
        assert_eq!(swipes.take(0, 1, card(7), true), Taken::New(1));
        assert_eq!(swipes.take(1, 2, card(7), true), Taken::Again);
        assert_eq!(swipes.decide(100, 1, verdict(5, true)), [1, 2]);
        assert_eq!(swipes.take(10_099, 3, card(7), true), Taken::Decided(5));
        assert_eq!(swipes.take(10_100, 4, card(7), true), Taken::New(2));
        // It did nothing, and somebody was told.
        assert_eq!(swipes.decide(20_000, 2, verdict(6, false)), [4]);
        assert_eq!(swipes.take(20_000 + MOMENT - 1, 5, card(7), true), Taken::Decided(6));
        assert_eq!(swipes.take(20_000 + MOMENT, 6, card(7), true), Taken::New(3));
        // It did nothing, and nobody was told.
        swipes.ended(6);
        assert_eq!(swipes.decide(30_000, 3, verdict(6, false)), []);
        assert_eq!(swipes.take(35_000, 7, card(7), true), Taken::Decided(6));
        assert_eq!(swipes.take(35_000 + MOMENT, 8, card(7), true), Taken::New(4));
    }

    #[test]
    fn the_oldest_decided_swipe_makes_room() {
        let most = u32::try_from(MOST).unwrap();
        let mut swipes = Swipes::default();
        let mut take = |call: u32| swipes.take(0, call, certain(call.into()), true);
        for call in 1..=most {
            assert_eq!(take(call), Taken::New(call));
        }
        assert_eq!(take(99), Taken::Full);
        assert_eq!(swipes.decide(0, 2, verdict(0, true)), [2]);
        let mut take = |call: u32, key: u64| swipes.take(0, call, certain(key), true);
        assert_eq!(take(99, 99), Taken::New(most + 1));
        assert_eq!(take(98, 2), Taken::Full, "forgotten");
    }
}
