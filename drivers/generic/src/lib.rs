//! The driver `cardinal/generic`: readers that open a plain connection and send a card number and a line end.
//!
//! Bytes are gathered into lines; a line is a card. A `\r` that no line end follows is different: the commands of this
//! protocol are answered by `text\r`, and such an answer must never become a card, nor be glued to the one that follows.
//! The driver owns this cutting and what is sent back for a verdict. It must never judge a card number (converters and the
//! desk do) and never put what a reader sent into a log: it may be a card.

mod options;

use cardinal_sdk::{
    prelude::*,
    state::{Loader, Saver},
};
use options::Options;

cardinal_sdk::driver!(Generic);

/// No answer to the version query came.
const VERSION_TIMER: Id = 1;
/// The reader paused, and a pause ends a line.
const PAUSE_TIMER: Id = 2;
/// How many cards may wait for their verdict. A host gives no more bytes once 16 wait, and 256 at a time at most, which is
/// 128 of the shortest cards: a host that does so loses none here. Beyond that it is no card reader.
const MOST_WAITING: u32 = 160;
/// The least time between two log lines about the same trouble: a noisy line must not fill the log.
const BETWEEN_WARNINGS: Millis = 60_000;

/// A session with one reader.
#[derive(Debug)]
pub struct Generic {
    options: Options,
    /// The line so far, without a `\r` that is still undecided.
    line: Vec<u8>,
    /// The line grew too long; the rest of it is dropped.
    too_long: bool,
    /// The line stands before a `\r`: what comes next says whether that is a line end or the end of an answer.
    undecided: bool,
    /// The first answer is the version.
    awaiting_version: bool,
    /// The pause timer is set.
    pausing: bool,
    /// What the host was told to send every so often.
    keepalive: (Millis, Vec<u8>),
    last_swipe: Id,
    /// Cards without a verdict.
    waiting: u32,
    /// For each [`Trouble`], when it may be told again.
    quiet_until: [Millis; 5],
}

/// What an operator should hear of, though not too often.
#[derive(Clone, Copy)]
enum Trouble {
    TooLong,
    NotText,
    Answer,
    NoMatch,
    Flood,
}

impl Driver for Generic {
    fn manifest() -> Manifest {
        options::manifest()
    }

    fn open(context: Context) -> Result<Self, Fault> {
        let mut session = Self {
            options: Options::new(Settings::of(&context))?,
            line: Vec::new(),
            too_long: false,
            undecided: false,
            awaiting_version: false,
            pausing: false,
            keepalive: (0, Vec::new()),
            last_swipe: 0,
            waiting: 0,
            quiet_until: [0; 5],
        };
        if let Some(saved) = context.saved {
            session.load(&saved)?;
        }
        Ok(session)
    }

    fn handle(&mut self, now: Millis, input: Input, out: &mut Outputs) -> Result<(), Fault> {
        match input {
            Input::Connected(_) => self.connected(out),
            Input::Resumed => self.keep_alive(out), // the settings may have changed
            Input::Received(bytes) => self.received(now, &bytes, out),
            Input::Timer(VERSION_TIMER) => self.version_is_late(now, out),
            Input::Timer(PAUSE_TIMER) => {
                self.pausing = false;
                self.paused(now, out);
            }
            // A reader that sends no line end may hang up instead.
            Input::Disconnected(end) if end.code == "closed" && self.options.idle_flush > 0 => self.paused(now, out),
            Input::Verdict(verdict) => {
                self.waiting = self.waiting.saturating_sub(1);
                out.send(self.options.reply_to(&verdict.code));
            }
            Input::Command(command) => self.command(&command, out),
            _ => {}
        }
        Ok(())
    }

    fn save(&self) -> Option<Vec<u8>> {
        let mut saver = Saver::new(1)
            .bytes(&self.line)
            .flag(self.too_long)
            .flag(self.undecided)
            .flag(self.awaiting_version)
            .flag(self.pausing)
            .number(self.keepalive.0)
            .bytes(&self.keepalive.1)
            .number(self.last_swipe)
            .number(self.waiting);
        for until in self.quiet_until {
            saver = saver.number(until);
        }
        Some(saver.finish())
    }
}

impl Generic {
    fn load(&mut self, saved: &[u8]) -> Result<(), Fault> {
        let mut loader = Loader::new(saved, 1)?;
        self.line = loader.bytes()?.to_vec();
        self.too_long = loader.flag()?;
        self.undecided = loader.flag()?;
        self.awaiting_version = loader.flag()?;
        self.pausing = loader.flag()?;
        self.keepalive = (loader.number()?, loader.bytes()?.to_vec());
        self.last_swipe = loader.number()?;
        self.waiting = loader.number()?;
        for until in &mut self.quiet_until {
            *until = loader.number()?;
        }
        loader.end()
    }

    fn connected(&mut self, out: &mut Outputs) {
        out.online();
        for probe in &self.options.probes {
            out.send(probe.as_slice());
        }
        if !self.options.version_query.is_empty() {
            out.send(self.options.version_query.as_slice());
            out.set_timer(VERSION_TIMER, self.options.version_timeout);
            self.awaiting_version = true;
        }
        self.keep_alive(out);
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

    fn received(&mut self, now: Millis, bytes: &[u8], out: &mut Outputs) {
        for &byte in bytes {
            self.byte(now, byte, out);
        }
        if self.options.idle_flush > 0 {
            // Anything but a fresh line may end by a pause. Set anew with each piece: the pause counts from the last.
            if !self.line.is_empty() || self.too_long {
                out.set_timer(PAUSE_TIMER, self.options.idle_flush);
                self.pausing = true;
            } else if self.pausing {
                out.cancel_timer(PAUSE_TIMER);
                self.pausing = false;
            }
        }
    }

    fn byte(&mut self, now: Millis, byte: u8, out: &mut Outputs) {
        let ends_line = self.options.terminators.contains(&byte);
        if std::mem::take(&mut self.undecided) {
            if ends_line && byte != b'\r' {
                return self.line_ended(now, out); // it was `\r\n`
            }
            self.answer_ended(now, out);
        }
        // While the version is awaited a `\r` that would end a line is undecided as well.
        if byte == b'\r' && (self.awaiting_version || !ends_line) {
            self.undecided = true;
        } else if ends_line {
            self.line_ended(now, out);
        } else if !self.too_long {
            if self.line.len() < self.options.line_length {
                self.line.push(byte);
            } else {
                self.line.clear();
                self.too_long = true;
                self.tell(now, Trouble::TooLong, out);
            }
        }
    }

    fn line_ended(&mut self, now: Millis, out: &mut Outputs) {
        let Some(text) = self.take_text(now, out) else { return };
        let Some(card) = self.options.card_of(&text) else { return self.tell(now, Trouble::NoMatch, out) };
        if card.is_empty() {
            return;
        }
        if card.contains(char::is_control) {
            return self.tell(now, Trouble::NotText, out);
        }
        if self.waiting >= MOST_WAITING {
            return self.tell(now, Trouble::Flood, out);
        }
        self.waiting += 1;
        self.last_swipe = self.last_swipe.wrapping_add(1);
        out.card(Card::new(self.last_swipe).number(card));
    }

    fn answer_ended(&mut self, now: Millis, out: &mut Outputs) {
        let Some(text) = self.take_text(now, out) else { return };
        if !self.awaiting_version {
            return self.tell(now, Trouble::Answer, out);
        }
        if text.contains(char::is_control) {
            return self.tell(now, Trouble::NotText, out);
        }
        self.awaiting_version = false;
        out.cancel_timer(VERSION_TIMER);
        out.status("online", "", [("version", &text)]);
    }

    /// The line, which begins anew; none if there was nothing to read in it.
    fn take_text(&mut self, now: Millis, out: &mut Outputs) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return None; // told when it grew too long
        }
        match std::str::from_utf8(line.trim_ascii()) {
            Ok("") => None,
            Ok(text) => Some(text.to_owned()),
            Err(_) => {
                self.tell(now, Trouble::NotText, out);
                None
            }
        }
    }

    fn version_is_late(&mut self, now: Millis, out: &mut Outputs) {
        if self.awaiting_version && std::mem::take(&mut self.undecided) {
            self.answer_ended(now, out); // nothing came after the `\r`: that was the answer
        }
        if std::mem::take(&mut self.awaiting_version) {
            out.log("info", "the reader did not answer the version query");
        }
    }

    fn paused(&mut self, now: Millis, out: &mut Outputs) {
        if std::mem::take(&mut self.undecided) && self.awaiting_version {
            self.answer_ended(now, out);
        } else {
            self.line_ended(now, out);
        }
    }

    fn command(&mut self, command: &Command, out: &mut Outputs) {
        match command.name.as_str() {
            "beep" => out.send(self.options.reply_to("released")),
            "send" => match Settings::of_arguments(command).bytes("bytes") {
                Ok(bytes) => out.send(bytes),
                Err(fault) => out.warn(format!("command `send`: {}", fault.message)),
            },
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
        let message = match trouble {
            Trouble::TooLong => {
                "dropped a line longer than `line_length`; does this reader end a card with `terminators`?"
            }
            Trouble::NotText => "dropped a line that is no printable text; is this reader set to send cards as text?",
            Trouble::NoMatch => "dropped a line that `card_pattern` does not match",
            Trouble::Flood => "dropped a card: too many wait for their verdict; is this a card reader?",
            Trouble::Answer => {
                *until = Millis::MAX; // once: some terminals answer every keepalive, and rightly
                "dropped a text that ends in \\r alone: an answer, no card. If cards end so here, set `terminators` to \"\\r\""
            }
        };
        out.warn(message);
    }
}
