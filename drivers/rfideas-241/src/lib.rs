//! The driver `cardinal/rfideas-241`: RF IDeas Ethernet 241 readers in client mode. The host configures the reader by a
//! series of requests; the reader calls the host with each card.
//!
//! Everything that hardware decides (pages, names, answers) is in the settings, with defaults that are assumed. Two things
//! go on side by side and know nothing of each other: [`rounds`] keep the reader configured, [`swipes`] answer its calls.
//! The address that the reader calls is a secret, and so are cards: neither is logged, saved or told in a status.

mod answers;
mod firmware;
mod manifest;
mod options;
mod rounds;
mod swipes;
mod template;

use cardinal_sdk::{
    prelude::*,
    state::{Loader, Saver},
};
use options::Options;
use rounds::{ROUND_TIMER, Rounds};
use swipes::{Called, Swipes};

cardinal_sdk::driver!(RfIdeas241);

/// What was decided is to be forgotten.
const SWIPES_TIMER: Id = 2;
/// The longest card number, in characters (a rule of the contract).
const LONGEST_CARD: usize = 512;
/// The least time between two log lines about the same trouble.
const BETWEEN_WARNINGS: Millis = 60_000;

/// A session with one reader.
pub struct RfIdeas241 {
    options: Options,
    rounds: Rounds,
    swipes: Swipes,
    /// The [`Options::fingerprint`] that the rounds go by.
    fingerprint: u32,
    /// For each [`Trouble`], when it may be told again.
    quiet_until: [Millis; 5],
}

/// What is wrong with a call, told though not too often.
#[derive(Clone, Copy)]
enum Trouble {
    NotACard,
    Empty,
    TooLong,
    NotText,
    Flood,
}

impl Driver for RfIdeas241 {
    fn manifest() -> Manifest {
        manifest::manifest()
    }

    fn open(context: Context) -> Result<Self, Fault> {
        let options = Options::new(Settings::of(&context), context.callback.as_deref())?;
        let mut session = Self {
            fingerprint: options.fingerprint,
            options,
            rounds: Rounds::new(),
            swipes: Swipes::new(0),
            quiet_until: [0; 5],
        };
        if let Some(saved) = context.saved {
            session.load(&saved)?;
        }
        Ok(session)
    }

    fn handle(&mut self, now: Millis, input: Input, out: &mut Outputs) -> Result<(), Fault> {
        match input {
            Input::Connected(random) => {
                self.rounds.spread(&random);
                self.rounds.begin(&self.options, out);
            }
            Input::Timer(ROUND_TIMER) => self.rounds.begin(&self.options, out),
            Input::Resumed if self.fingerprint != self.options.fingerprint => {
                self.fingerprint = self.options.fingerprint;
                self.rounds.changed(&self.options, out);
            }
            Input::Timer(SWIPES_TIMER) => {
                self.swipes.forget(now);
                self.forget_later(now, out);
            }
            Input::Fetched(fetched) => self.rounds.fetched(now, fetched, &self.options, out),
            Input::Called(call) => self.called(now, &call, out),
            Input::CallEnded(call) => self.swipes.call_ended(call),
            Input::Verdict(verdict) => self.decided(now, &verdict, out),
            Input::Command(command) => self.command(&command, out),
            _ => {}
        }
        Ok(())
    }

    /// Not while a card is held: cards are not saved. That is until its verdict and for up to `same_swipe_ms` longer.
    fn save(&self) -> Option<Vec<u8>> {
        if self.rounds.is_busy() || !self.swipes.is_empty() {
            return None;
        }
        let saver = Saver::new(2).number(self.fingerprint).number(self.swipes.last);
        let saver = self.quiet_until.iter().fold(saver, |saver, until| saver.number(*until));
        Some(self.rounds.save(saver).finish())
    }
}

impl RfIdeas241 {
    fn load(&mut self, saved: &[u8]) -> Result<(), Fault> {
        let mut loader = Loader::new(saved, 2)?;
        self.fingerprint = loader.number()?;
        self.swipes = Swipes::new(loader.number()?);
        for until in &mut self.quiet_until {
            *until = loader.number()?;
        }
        self.rounds = Rounds::load(&mut loader)?;
        loader.end()
    }

    fn called(&mut self, now: Millis, call: &Call, out: &mut Outputs) {
        let card = match self.card_of(call) {
            Ok(card) => card.to_owned(),
            Err(trouble) => {
                out.answer(call.id, self.options.answer_to_bad_call());
                return self.tell(now, trouble, out);
            }
        };
        match self.swipes.called(now, call.id, card.clone(), self.options.same_swipe > 0) {
            Called::New(swipe) => out.card(Card::new(swipe).number(card)),
            Called::Waits => {}
            Called::Decided(answer) => out.answer(call.id, answer),
            Called::Full => {
                out.answer(call.id, self.options.answer_to("failed", ""));
                self.tell(now, Trouble::Flood, out);
            }
        }
    }

    /// The card that a call brings.
    fn card_of<'c>(&self, call: &'c Call) -> Result<&'c str, Trouble> {
        let options = &self.options;
        if call.method != options.card_method || call.path != options.card_path {
            return Err(Trouble::NotACard);
        }
        let mut cards = call.query.iter().filter(|pair| pair.key == options.card_parameter);
        let (Some(card), None) = (cards.next(), cards.next()) else { return Err(Trouble::NotACard) };
        let card = card.value.trim();
        if card.is_empty() {
            Err(Trouble::Empty)
        } else if card.chars().nth(LONGEST_CARD).is_some() {
            Err(Trouble::TooLong)
        } else if card.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
            Err(Trouble::NotText)
        } else {
            Ok(card)
        }
    }

    fn decided(&mut self, now: Millis, verdict: &Verdict, out: &mut Outputs) {
        let answer = self.options.answer_to(&verdict.code, &verdict.message);
        let until = now.saturating_add(self.options.same_swipe);
        // One that is not known may have done anything.
        let did_something = !matches!(verdict.code.as_str(), "nothing-held" | "unknown-card" | "denied" | "failed");
        let decided = self.swipes.decided(now, verdict.swipe, (&answer, did_something), until);
        for call in decided.unwrap_or_default() {
            out.answer(call, answer.clone());
        }
        self.forget_later(now, out);
    }

    /// Held cards keep the session from sleeping: see [`Self::save`].
    fn forget_later(&self, now: Millis, out: &mut Outputs) {
        if let Some(at) = self.swipes.forgotten_at() {
            out.set_timer(SWIPES_TIMER, at.saturating_sub(now));
        }
    }

    fn command(&mut self, command: &Command, out: &mut Outputs) {
        match command.name.as_str() {
            "check" => self.rounds.begin(&self.options, out),
            "configure" => self.rounds.configure(&self.options, out),
            _ => {}
        }
    }

    /// Tells of trouble, unless it was told lately. Never what the reader sent.
    fn tell(&mut self, now: Millis, trouble: Trouble, out: &mut Outputs) {
        let Some(until) = self.quiet_until.get_mut(trouble as usize) else { return };
        if now < *until {
            return;
        }
        *until = now.saturating_add(BETWEEN_WARNINGS);
        out.warn(match trouble {
            Trouble::NotACard => {
                "a call brought no card: it is not as `card_method`, `card_path` and `card_parameter` say; adapt them to this reader"
            }
            Trouble::Empty => "a call brought an empty card number; is the reader set to send the number?",
            Trouble::TooLong => "a call brought a card number of more than 512 characters, which was refused",
            Trouble::NotText => "a call brought a card number that is no printable text; is the reader set to send text?",
            Trouble::Flood => "refused a card: too many wait for their verdict; is this a card reader?",
        });
    }
}
