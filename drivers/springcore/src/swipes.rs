//! Which call waits for which verdict, over HTTP.
//!
//! The reader's call is answered when the card is decided. A reader that gets no answer in time calls again for the same
//! swipe: that is no second card, and gets the answer of the first. Owns these ties; knows nothing of commands.

use cardinal_sdk::{
    prelude::*,
    state::{Loader, Saver},
};

/// Swipes kept, decided ones included. A host keeps 8 calls open at most; the others are for calls that come again.
const MOST: usize = 32;

/// A swipe.
struct Swipe {
    id: Id,
    /// Tells the same swipe from others; see [`crate::message::Card::key`].
    key: Option<u64>,
    /// The place of its verdict, once it is decided.
    verdict: Option<usize>,
    /// Calls that wait for it.
    calls: Vec<Id>,
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
    /// A call that brings the swipe of this key.
    pub(crate) fn take(&mut self, call: Id, key: Option<u64>) -> Taken {
        if let Some(known) = self.swipes.iter_mut().find(|swipe| key.is_some() && swipe.key == key) {
            if let Some(verdict) = known.verdict {
                return Taken::Decided(verdict);
            }
            known.calls.push(call);
            return Taken::Again;
        }
        if self.swipes.len() >= MOST {
            let Some(oldest) = self.swipes.iter().position(|swipe| swipe.verdict.is_some()) else { return Taken::Full };
            self.swipes.remove(oldest);
        }
        self.last = self.last.wrapping_add(1);
        self.swipes.push(Swipe { id: self.last, key, verdict: None, calls: vec![call] });
        Taken::New(self.last)
    }

    /// A swipe is decided: the calls to be answered.
    pub(crate) fn decide(&mut self, id: Id, verdict: usize) -> Vec<Id> {
        let Some(swipe) = self.swipes.iter_mut().find(|swipe| swipe.id == id && swipe.verdict.is_none()) else {
            return Vec::new();
        };
        swipe.verdict = Some(verdict);
        std::mem::take(&mut swipe.calls)
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
            let saver = saver.number(swipe.id).flag(swipe.key.is_some()).number(swipe.key.unwrap_or_default());
            saver.flag(swipe.verdict.is_some()).number(swipe.verdict.unwrap_or_default() as u64)
        })
    }

    pub(crate) fn load(loader: &mut Loader<'_>) -> Result<Self, Fault> {
        let last = loader.number()?;
        let count: usize = loader.number()?;
        let mut swipes = Vec::new();
        for _ in 0..count {
            let id = loader.number()?;
            let (has_key, key) = (loader.flag()?, loader.number()?);
            let (is_decided, verdict) = (loader.flag()?, loader.number()?);
            swipes.push(Swipe {
                id,
                key: has_key.then_some(key),
                verdict: is_decided.then_some(verdict),
                calls: Vec::new(),
            });
        }
        Ok(Self { swipes, last })
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Swipes, Taken};

    #[test]
    fn a_swipe_told_again_gets_the_answer_of_the_first() {
        let mut swipes = Swipes::default();
        assert_eq!(swipes.take(1, Some(7)), Taken::New(1));
        assert_eq!(swipes.take(2, Some(7)), Taken::Again);
        assert_eq!(swipes.take(3, Some(8)), Taken::New(2));
        swipes.ended(1);
        assert_eq!(swipes.decide(1, 5), [2]);
        assert_eq!(swipes.decide(1, 6), []);
        assert_eq!(swipes.take(4, Some(7)), Taken::Decided(5));
        // Without a key there is no telling.
        assert_eq!((swipes.take(5, None), swipes.take(6, None)), (Taken::New(3), Taken::New(4)));
    }

    #[test]
    fn the_oldest_decided_swipe_makes_room() {
        let most = u32::try_from(MOST).unwrap();
        let mut swipes = Swipes::default();
        for call in 1..=most {
            assert_eq!(swipes.take(call, Some(call.into())), Taken::New(call));
        }
        assert_eq!(swipes.take(99, Some(99)), Taken::Full);
        assert_eq!(swipes.decide(2, 0), [2]);
        assert_eq!(swipes.take(99, Some(99)), Taken::New(most + 1));
        assert_eq!(swipes.take(98, Some(2)), Taken::Full, "forgotten");
    }
}
