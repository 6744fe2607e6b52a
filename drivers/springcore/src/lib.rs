//! The driver `cardinal/springcore`: SpringCard readers with SpringCore firmware in Smart Reader mode, JSON over TCP or HTTP.
//!
//! Over TCP the reader is the server, sends a READER EVENT for each card and takes a READER COMMAND at any time
//! (docs.springcard.com/books/SpringCore, Host Interfaces, Network, TCP Server, JSON). Over HTTP it POSTs the event, and the
//! answer's body is the command; a STATUS comes every so often (same place, HTTP Client, JSON; register 0292). The driver
//! owns what a message means and what the reader is told for a verdict. It must never judge a card number, and never put
//! what a reader sent into a log: it may be a card.

mod framing;
mod message;
mod options;
mod standing;
mod swipes;

use cardinal_sdk::{
    prelude::*,
    state::{Loader, Saver},
};
use framing::{Found, Framing, only_object};
use message::{Message, Unreadable, Uptime, What};
use options::Options;
use standing::{Health, REPORT_TIMER, Standing};
use swipes::{Decision, Swipes, Taken};

cardinal_sdk::driver!(SpringCore);

/// The light of a verdict goes off.
const LIGHT_TIMER: Id = 1;
/// The reader should have called.
const SILENCE_TIMER: Id = 2;
/// How long a message over TCP may pause: it is a few hundred bytes that leave at once. What came before a longer pause was
/// cut, and must not swallow the next message.
const LONGEST_PAUSE: Millis = 5_000;
/// How many cards may wait for their verdict over TCP. A host gives no more bytes once 16 wait, and 256 at a time at most,
/// which is 20 of the shortest events: a host that does so loses none here.
const MOST_WAITING: u32 = 64;
/// The least time between two log lines about the same trouble: a noisy reader must not fill the log.
const BETWEEN_WARNINGS: Millis = 60_000;

/// A session with one reader.
pub struct SpringCore {
    options: Options,
    /// TCP: the message so far.
    framing: Framing,
    /// TCP: when bytes came last.
    heard_at: Millis,
    /// TCP: cards without a verdict, and the last one's id.
    waiting: u32,
    last_swipe: Id,
    /// HTTP: calls that wait for a verdict.
    swipes: Swipes,
    /// HTTP: when the light of the last verdict should go off.
    lit_until: Option<Millis>,
    /// What the host was told to send every so often.
    keepalive: (Millis, Vec<u8>),
    /// HTTP: how long the reader may be silent, as it was when last listened for.
    armed: Millis,
    uptime: Option<Uptime>,
    standing: Standing,
    /// For each [`Trouble`], when it may be told again.
    quiet_until: [Millis; TROUBLES],
}

/// What an operator should hear of, though not too often.
#[derive(Clone, Copy)]
enum Trouble {
    TooLong,
    NotJson,
    Unknown,
    BadNumber,
    NotPost,
    Flood,
    Restarted,
}

const TROUBLES: usize = 7;

impl From<Unreadable> for Trouble {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::NotJson => Self::NotJson,
            Unreadable::Unknown => Self::Unknown,
            Unreadable::BadNumber => Self::BadNumber,
        }
    }
}

impl From<Found> for Trouble {
    fn from(found: Found) -> Self {
        if found == Found::TooLong { Self::TooLong } else { Self::NotJson }
    }
}

impl Driver for SpringCore {
    fn manifest() -> Manifest {
        options::manifest()
    }

    fn open(context: Context) -> Result<Self, Fault> {
        let mut session = Self {
            options: Options::new(&context)?,
            framing: Framing::default(),
            heard_at: 0,
            waiting: 0,
            last_swipe: 0,
            swipes: Swipes::default(),
            lit_until: None,
            keepalive: (0, Vec::new()),
            armed: 0,
            uptime: None,
            standing: Standing::default(),
            quiet_until: [0; TROUBLES],
        };
        if let Some(saved) = context.saved {
            session.load(&saved)?;
        }
        Ok(session)
    }

    fn handle(&mut self, now: Millis, input: Input, out: &mut Outputs) -> Result<(), Fault> {
        match input {
            Input::Connected(_) => self.connected(now, out),
            Input::Resumed => {
                // The settings may have changed. If not, what was set still is.
                self.keep_alive(out);
                if self.armed != self.options.silence {
                    self.listen_for_silence(out);
                }
            }
            Input::Received(bytes) => self.received(now, &bytes, out),
            Input::Called(call) => self.called(now, &call, out),
            Input::CallEnded(call) => self.swipes.ended(call),
            Input::Verdict(verdict) => self.decided(now, &verdict, out),
            Input::Timer(LIGHT_TIMER) => out.send(self.options.on_the_wire(&self.options.idle)),
            Input::Timer(SILENCE_TIMER) => {
                self.standing.is(Health::Silent);
                self.standing.report(now, self.options.unreachable, out);
            }
            Input::Timer(REPORT_TIMER) => self.standing.report(now, self.options.unreachable, out),
            Input::Command(command) => {
                out.send(self.options.on_the_wire(self.options.command_named(&command.name)));
            }
            _ => {}
        }
        Ok(())
    }

    fn save(&self) -> Option<Vec<u8>> {
        if self.swipes.is_called() {
            return None;
        }
        let uptime = self.uptime.map_or((0, 0), |uptime| (uptime.starts, uptime.millis));
        let saver = Saver::new(2)
            .bytes(self.framing.unfinished())
            .number(self.heard_at)
            .number(self.waiting)
            .number(self.last_swipe)
            .flag(self.lit_until.is_some())
            .number(self.lit_until.unwrap_or_default())
            .number(self.keepalive.0)
            .bytes(&self.keepalive.1)
            .flag(self.uptime.is_some())
            .number(uptime.0)
            .number(uptime.1);
        let saver = self.standing.save(self.swipes.save(saver));
        let saver = self.quiet_until.iter().fold(saver, |saver, until| saver.number(*until));
        Some(saver.number(self.armed).finish())
    }
}

impl SpringCore {
    fn load(&mut self, saved: &[u8]) -> Result<(), Fault> {
        let mut loader = Loader::new(saved, 2)?;
        self.framing = Framing::resumed(loader.bytes()?)
            .ok_or_else(|| Fault::new("bad-state", "the saved state has a message that is whole"))?;
        self.heard_at = loader.number()?;
        self.waiting = loader.number()?;
        self.last_swipe = loader.number()?;
        let (is_lit, until) = (loader.flag()?, loader.number()?);
        self.lit_until = is_lit.then_some(until);
        self.keepalive = (loader.number()?, loader.bytes()?.to_vec());
        let (is_known, starts, millis) = (loader.flag()?, loader.number()?, loader.number()?);
        self.uptime = is_known.then_some(Uptime { starts, millis });
        self.swipes = Swipes::load(&mut loader)?;
        self.standing = Standing::load(&mut loader)?;
        for until in &mut self.quiet_until {
            *until = loader.number()?;
        }
        // Not in the first version of the state: the timer is most likely as these settings want it.
        self.armed = if loader.version() > 1 { loader.number()? } else { self.options.silence };
        loader.end()
    }

    fn connected(&mut self, now: Millis, out: &mut Outputs) {
        if !self.options.http {
            self.standing.is(Health::Online);
        }
        self.standing.report(now, self.options.unreachable, out);
        self.keep_alive(out);
        self.listen_for_silence(out);
    }

    /// Tells the host what to send every so often, unless it knows.
    fn keep_alive(&mut self, out: &mut Outputs) {
        if self.keepalive == self.options.keepalive {
            return;
        }
        self.keepalive.clone_from(&self.options.keepalive);
        match &self.keepalive {
            (0, _) => out.stop_keepalive(),
            (every, bytes) => out.keepalive(*every, bytes.as_slice()),
        }
    }

    /// From now on the reader may be silent for as long as the settings say.
    fn listen_for_silence(&mut self, out: &mut Outputs) {
        self.armed = self.options.silence;
        if self.options.silence > 0 {
            out.set_timer(SILENCE_TIMER, self.options.silence);
        } else if self.options.http {
            out.cancel_timer(SILENCE_TIMER);
        }
    }

    // TCP --------------------------------------------------------------------------------------------------------------

    fn received(&mut self, now: Millis, bytes: &[u8], out: &mut Outputs) {
        let pause = now.saturating_sub(std::mem::replace(&mut self.heard_at, now));
        if pause > LONGEST_PAUSE && !self.framing.unfinished().is_empty() {
            self.framing = Framing::default();
            self.tell(now, Trouble::NotJson, out);
        }
        for &byte in bytes {
            match self.framing.byte(byte, self.options.message_length) {
                None => {}
                Some(Found::Object(object)) => match message::read(&object) {
                    Ok(message) => self.told(now, message, out),
                    Err(why) => self.tell(now, why.into(), out),
                },
                Some(trouble) => self.tell(now, trouble.into(), out),
            }
        }
    }

    fn told(&mut self, now: Millis, mut message: Message, out: &mut Outputs) {
        self.heard(now, &mut message, out);
        let What::Card(card) = message.what else { return };
        if self.waiting >= MOST_WAITING {
            return self.tell(now, Trouble::Flood, out);
        }
        self.waiting += 1;
        self.last_swipe = self.last_swipe.wrapping_add(1);
        out.card(shown(self.last_swipe, card));
    }

    // HTTP -------------------------------------------------------------------------------------------------------------

    fn called(&mut self, now: Millis, call: &Call, out: &mut Outputs) {
        if call.method != "POST" {
            self.tell(now, Trouble::NotPost, out);
            let answer = Response::new(405).header("allow", "POST").header("content-type", "text/plain");
            return out.answer(call.id, answer.body("events are sent here by POST\n"));
        }
        let read = only_object(&call.body, self.options.message_length).map_err(Trouble::from);
        let mut message = match read.and_then(|object| message::read(&object).map_err(Trouble::from)) {
            Ok(message) => message,
            Err(why) => {
                self.tell(now, why, out);
                let answer = Response::new(400).header("content-type", "text/plain");
                return out.answer(call.id, answer.body("this is no message of a SpringCore reader\n"));
            }
        };
        self.heard(now, &mut message, out);
        self.listen_for_silence(out);
        let What::Card(card) = message.what else {
            let is_over = self.lit_until.is_some_and(|until| now >= until);
            let idle = if is_over { self.options.idle.as_str() } else { "" };
            self.lit_until = self.lit_until.filter(|_| !is_over);
            return out.answer(call.id, commanding(idle));
        };
        let joins = !card.key.is_card || self.options.same_swipe > 0;
        match self.swipes.take(now, call.id, card.key, joins) {
            Taken::New(swipe) => out.card(shown(swipe, card)),
            Taken::Again => {}
            Taken::Decided(verdict) => self.answer(now, call.id, verdict, out),
            Taken::Full => {
                self.tell(now, Trouble::Flood, out);
                out.answer(call.id, Response::new(503).header("retry-after", "1"));
            }
        }
    }

    // Both -------------------------------------------------------------------------------------------------------------

    /// What every message that can be read brings with it.
    fn heard(&mut self, now: Millis, message: &mut Message, out: &mut Outputs) {
        if let Some(uptime) = message.uptime {
            if self.uptime.is_some_and(|earlier| uptime.is_restart_after(earlier)) {
                self.tell(now, Trouble::Restarted, out);
            }
            self.uptime = Some(uptime);
        }
        let is_offline = matches!(message.what, What::Status(false));
        self.standing.is(if is_offline { Health::Offline } else { Health::Online });
        self.standing.learn([message.serial.take(), message.firmware.take(), message.product.take()]);
        self.standing.report(now, self.options.unreachable, out);
    }

    fn decided(&mut self, now: Millis, verdict: &Verdict, out: &mut Outputs) {
        let place = Options::verdict(&verdict.code);
        if self.options.http {
            let did_something = Options::did_something(&verdict.code);
            let decision = Decision { verdict: place, did_something, holds: self.options.same_swipe };
            for call in self.swipes.decide(now, verdict.swipe, decision) {
                self.answer(now, call, place, out);
            }
            return;
        }
        self.waiting = self.waiting.saturating_sub(1);
        out.send(self.options.on_the_wire(self.options.command_for(place)));
        if self.options.lights_up(place) {
            out.set_timer(LIGHT_TIMER, self.options.light);
        }
    }

    /// HTTP: the command for the verdict of this place.
    fn answer(&mut self, now: Millis, call: Id, verdict: usize, out: &mut Outputs) {
        out.answer(call, commanding(self.options.command_for(verdict)));
        if self.options.lights_up(verdict) {
            self.lit_until = Some(now.saturating_add(self.options.light));
        }
    }

    /// Tells of trouble, unless it was told lately. Never what the reader sent.
    fn tell(&mut self, now: Millis, trouble: Trouble, out: &mut Outputs) {
        let Some(until) = self.quiet_until.get_mut(trouble as usize) else { return };
        if now < *until {
            return;
        }
        *until = now.saturating_add(BETWEEN_WARNINGS);
        let message = match trouble {
            Trouble::TooLong => "dropped a message longer than `message_length`",
            Trouble::NotJson => {
                "dropped what is no JSON object; is the reader's register 02A0 set to JSON (00xxxx02xx), and is this its port?"
            }
            Trouble::Unknown => "dropped a message that is neither a card nor a status",
            Trouble::BadNumber => {
                "dropped a card whose `TagId` is empty, longer than 512 characters or no printable text"
            }
            Trouble::NotPost => "refused a call that is no POST; is it the reader that calls this address?",
            Trouble::Flood => "dropped a card: too many wait for their verdict; is this a card reader?",
            Trouble::Restarted => return out.log("info", "the reader started anew"),
        };
        out.warn(message);
    }
}

/// A card for the host.
fn shown(swipe: Id, card: message::Card) -> Card {
    let mut shown = Card::new(swipe).number(card.number);
    if let Some(bytes) = card.bytes {
        let length = u32::try_from(bytes.len() * 8).unwrap_or_default();
        shown = shown.bits(bytes, length);
    }
    if let Some(technology) = card.technology {
        shown = shown.technology(technology);
    }
    card.facts.into_iter().fold(shown, |shown, (key, value)| shown.fact(key, value))
}

/// An answer whose body is a command; an empty one does nothing.
fn commanding(command: &str) -> Response {
    let command = if command.is_empty() { "{}" } else { command };
    Response::new(200).header("content-type", "application/json").body(command)
}
