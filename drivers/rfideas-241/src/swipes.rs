//! Which calls of the reader wait for which verdict.
//!
//! A reader that gets no answer in time calls again with the same card. That is one swipe: it gets one verdict, and each of
//! its calls the same answer. Nothing in a call tells a repetition from a card that is shown anew, and nobody tells us
//! whether an answer arrived. So a verdict that did something holds for long, and one that did nothing only until it was
//! answered and a moment longer: to decide anew does no harm then, and may be what the person wants.
//!
//! Card numbers are held here alone, until some time after their verdict; nothing here is saved or printed.

use cardinal_sdk::{Id, Millis, Response};

/// How many swipes may wait for their verdict. A host has 8 calls of a reader open at most; more wait only where it gave
/// up calls before the desk decided.
const MOST_WAITING: usize = 64;
/// How many decided swipes are known again: a reader's repeats are about the last one or two.
const MOST_DECIDED: usize = 32;
/// How long a verdict that did nothing holds once it was answered, in milliseconds: for readers that read a card twice while
/// it is held to them.
const MOMENT: Millis = 2_000;

/// The swipes of a session.
pub(crate) struct Swipes {
    swipes: Vec<Swipe>,
    /// The id given last.
    pub(crate) last: Id,
}

struct Swipe {
    id: Id,
    card: String,
    /// Calls that wait for the answer.
    calls: Vec<Id>,
    decided: Option<Decided>,
}

struct Decided {
    answer: Response,
    /// Until then the same card is the same swipe.
    until: Millis,
    /// Jobs went out, or a device or a card changed: a repetition must not do that again.
    did_something: bool,
}

impl Decided {
    /// It was answered, though perhaps in vain.
    fn answered(&mut self, now: Millis) {
        if !self.did_something {
            self.until = self.until.min(now.saturating_add(MOMENT));
        }
    }
}

/// What is to be done about a call with a card.
pub(crate) enum Called {
    /// A swipe of its own: give the card to the host.
    New(Id),
    /// The swipe of an earlier call, not yet decided.
    Waits,
    /// The swipe of an earlier call, decided: answer so.
    Decided(Response),
    /// Too many swipes wait.
    Full,
}

impl Swipes {
    pub(crate) fn new(last: Id) -> Self {
        Self { swipes: Vec::new(), last }
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.swipes.is_empty()
    }

    /// A call brings a card. `joins`: whether it may be a repetition.
    pub(crate) fn called(&mut self, now: Millis, call: Id, card: String, joins: bool) -> Called {
        self.forget(now);
        if joins && let Some(swipe) = self.swipes.iter_mut().find(|swipe| swipe.card == card) {
            if let Some(decided) = &mut swipe.decided {
                decided.answered(now);
                return Called::Decided(decided.answer.clone());
            }
            swipe.calls.push(call);
            return Called::Waits;
        }
        if self.swipes.iter().filter(|swipe| swipe.decided.is_none()).count() >= MOST_WAITING {
            return Called::Full;
        }
        self.last = self.last.wrapping_add(1);
        self.swipes.push(Swipe { id: self.last, card, calls: vec![call], decided: None });
        Called::New(self.last)
    }

    /// The host answered this call by itself. Its swipe stays: the verdict will come.
    pub(crate) fn call_ended(&mut self, call: Id) {
        for swipe in &mut self.swipes {
            swipe.calls.retain(|waiting| *waiting != call);
        }
    }

    /// A swipe is decided; gives the calls that are to be answered so. Its repetitions are until `until`, or for a moment
    /// only where the verdict did nothing. None: no such swipe waits.
    pub(crate) fn decided(
        &mut self,
        now: Millis,
        id: Id,
        (answer, did_something): (&Response, bool),
        until: Millis,
    ) -> Option<Vec<Id>> {
        let waiting = |swipe: &&mut Swipe| swipe.id == id && swipe.decided.is_none();
        let swipe = self.swipes.iter_mut().find(waiting)?;
        let calls = std::mem::take(&mut swipe.calls);
        let mut decided = Decided { answer: answer.clone(), until, did_something };
        if !calls.is_empty() {
            decided.answered(now);
        }
        swipe.decided = Some(decided);
        self.forget(now);
        if self.swipes.iter().filter(|swipe| swipe.decided.is_some()).count() > MOST_DECIDED
            && let Some(oldest) = self.swipes.iter().position(|swipe| swipe.decided.is_some())
        {
            self.swipes.remove(oldest);
        }
        Some(calls)
    }

    /// When all that is decided will be forgotten. None: nothing is.
    pub(crate) fn forgotten_at(&self) -> Option<Millis> {
        self.swipes.iter().filter_map(|swipe| Some(swipe.decided.as_ref()?.until)).max()
    }

    /// Forgets what was decided long enough ago.
    pub(crate) fn forget(&mut self, now: Millis) {
        self.swipes.retain(|swipe| swipe.decided.as_ref().is_none_or(|decided| now < decided.until));
    }
}
