//! One entry of a reader's ring, packed into a few bytes when it happens and put into words when somebody looks.
//!
//! Masked for good: kinds, lengths, ids and codes are kept; card numbers, bytes, bodies, queries and what was typed are not.

use std::cell::LazyCell;

use cardinal_domain::{
    driver::{Fault, Health, Input, Millis, Output, VerdictCode},
    time::Timestamp,
};
use cardinal_runtime::SessionError;
use serde::{Deserialize, Serialize};

use super::Standins;

/// The longest entry. A length must fit into a byte.
const LONGEST: usize = 240;
/// How much of a text is kept, in bytes.
const TEXT: usize = 60;
/// The longest part of a path that is kept: names of pages are short, secrets are long.
const STEP: usize = 24;

/// An entry before it is kept.
pub(super) struct Entry {
    bytes: [u8; LONGEST],
    length: usize,
}

/// An entry in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// When, for what the driver was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The session's clock in milliseconds, for what the driver was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Millis>,
    /// What it was told, or (behind `>` and `!`, as in a trace) what it answered.
    pub what: String,
}

const TOLD: u8 = 1;
const ANSWERED: u8 = 2;
const FAULT: u8 = 3;
const BOUND: u8 = 4;
const BROKEN: u8 = 5;

impl Entry {
    fn new(tag: u8) -> Self {
        let mut entry = Self { bytes: [0; LONGEST], length: 0 };
        entry.byte(tag);
        entry
    }

    /// What the driver is told now.
    pub(super) fn told(clock: Millis, input: &Input) -> Self {
        let mut entry = Self::new(TOLD);
        entry.number(u64::try_from(Timestamp::now().0).unwrap_or_default());
        entry.number(clock);
        entry.input(input);
        entry
    }

    /// What it answered. Words have stand-ins for secrets before they are cut; they are asked for where there are words.
    pub(super) fn answered(answer: &Result<Vec<Output>, SessionError>, standins: impl FnOnce() -> Standins) -> Self {
        let outputs = match answer {
            Ok(outputs) => outputs,
            Err(SessionError::Fault(fault)) => {
                let mut entry = Self::new(FAULT);
                entry.text(&fault.code);
                return entry;
            }
            Err(SessionError::Bound { name, .. }) => {
                let mut entry = Self::new(BOUND);
                entry.text(name);
                return entry;
            }
            Err(error) => {
                let mut entry = Self::new(BROKEN);
                entry.text(match error {
                    SessionError::Trap { .. } => "it trapped",
                    SessionError::Contract { .. } => "it broke its contract",
                    _ => "the host could not run it",
                });
                return entry;
            }
        };
        let mut entry = Self::new(ANSWERED);
        entry.number(outputs.len() as u64);
        let standins = LazyCell::new(standins);
        for output in outputs {
            let before = entry.length;
            if !entry.output(output, |words| standins.text(words)) {
                entry.length = before;
                break;
            }
        }
        entry
    }

    pub(super) fn packed(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// False: it is full.
    fn byte(&mut self, byte: u8) -> bool {
        let Some(place) = self.bytes.get_mut(self.length) else { return false };
        *place = byte;
        self.length += 1;
        true
    }

    /// Seven bits a byte, the low ones first.
    fn number(&mut self, mut number: u64) -> bool {
        loop {
            let low = u8::try_from(number & 0x7f).unwrap_or_default();
            number >>= 7;
            if number == 0 {
                return self.byte(low);
            }
            if !self.byte(low | 0x80) {
                return false;
            }
        }
    }

    fn size(&mut self, length: usize) -> bool {
        self.number(length as u64)
    }

    fn text(&mut self, text: &str) -> bool {
        let end = (0..=TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        let text = text.get(..end).unwrap_or_default();
        self.size(text.len()) && text.bytes().all(|byte| self.byte(byte))
    }

    fn fault(&mut self, fault: &Fault) -> bool {
        self.text(&fault.code)
    }

    fn input(&mut self, input: &Input) -> bool {
        match input {
            Input::Connected(_) => self.byte(0),
            Input::Resumed => self.byte(1),
            Input::Received(bytes) => self.byte(2) && self.size(bytes.len()),
            Input::Disconnected(fault) => self.byte(3) && self.fault(fault),
            Input::Timer(id) => self.byte(4) && self.number((*id).into()),
            Input::Fetched(id, Ok(response)) => {
                self.byte(5)
                    && self.number((*id).into())
                    && self.number(response.status.into())
                    && self.size(response.body.len())
            }
            Input::Fetched(id, Err(fault)) => self.byte(6) && self.number((*id).into()) && self.fault(fault),
            Input::Called(call) => {
                self.byte(7)
                    && self.number(call.id.into())
                    && self.size(call.path.chars().count())
                    && self.size(call.query.len())
                    && self.size(call.body.len())
            }
            Input::CallEnded(id) => self.byte(8) && self.number((*id).into()),
            Input::Verdict(verdict) => {
                let code = VerdictCode::ALL.iter().position(|(_, code)| *code == verdict.code).unwrap_or_default();
                self.byte(9) && self.number(verdict.swipe.into()) && self.size(code)
            }
            Input::Command(name, _) => self.byte(10) && self.text(name),
        }
    }

    fn output(&mut self, output: &Output, hide: impl Fn(&mut String)) -> bool {
        match output {
            Output::Send(bytes) => self.byte(0) && self.size(bytes.len()),
            Output::Keepalive(None) => self.byte(1),
            Output::Keepalive(Some(keepalive)) => {
                self.byte(2) && self.number(keepalive.every) && self.size(keepalive.bytes.len())
            }
            Output::Card(card) => {
                self.byte(3)
                    && self.number(card.swipe.into())
                    && self.size(card.number.as_ref().map_or(0, |number| number.chars().count()))
                    && self.number(card.bits.as_ref().map_or(0, |bits| bits.length.into()))
                    && self.byte(card.port)
            }
            Output::Typed(port, _) => self.byte(4) && self.byte(*port),
            Output::SetTimer(id, after) => self.byte(5) && self.number((*id).into()) && self.number(*after),
            Output::CancelTimer(id) => self.byte(6) && self.number((*id).into()),
            Output::Fetch(fetch) => {
                self.byte(7)
                    && self.number(fetch.id.into())
                    && self.text(&fetch.method)
                    && self.text(&masked_path(&fetch.path))
                    && self.size(fetch.body.len())
            }
            Output::Answer(id, response) => {
                self.byte(8)
                    && self.number((*id).into())
                    && self.number(response.status.into())
                    && self.size(response.body.len())
            }
            Output::Status(status) => {
                let health = Health::ALL.iter().position(|(_, health)| *health == status.health).unwrap_or_default();
                let mut reason = status.reason.clone();
                if !reason.is_empty() {
                    hide(&mut reason);
                }
                self.byte(9) && self.size(health) && self.text(&reason)
            }
            Output::Remember(_, bytes) => self.byte(10) && self.size(bytes.len()),
            Output::Log(_, line) => self.byte(11) && self.size(line.chars().count()),
            Output::Close(fault) => self.byte(12) && self.fault(fault),
        }
    }
}

/// A path with the names of pages alone: whatever could be a number, a card or a secret is `*`.
fn masked_path(path: &str) -> String {
    let is_name = |step: &str| {
        step.len() <= STEP
            && step.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '.' | '_' | '-'))
            // Letters can be hexadecimal digits.
            && (step.is_empty() || !step.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let path = path.split(['?', '#', ';']).next().unwrap_or_default();
    path.split('/').map(|step| if is_name(step) { step } else { "*" }).collect::<Vec<_>>().join("/")
}

/// A packed entry in words, a line each. What is damaged ends it.
pub(super) fn shown(packed: &[u8]) -> Vec<Shown> {
    let mut rest = Packed(packed);
    let mut lines = Vec::new();
    let _ = words(&mut rest, &mut lines);
    lines
}

fn words(rest: &mut Packed<'_>, lines: &mut Vec<Shown>) -> Option<()> {
    let answer = |what: String| Shown { at: None, clock: None, what };
    match rest.byte()? {
        TOLD => {
            let at = Some(Timestamp(i64::try_from(rest.number()?).ok()?));
            let clock = Some(rest.number()?);
            lines.push(Shown { at, clock, what: told(rest)? });
        }
        ANSWERED => {
            let count = rest.number()?;
            let before = lines.len();
            while !rest.0.is_empty() {
                lines.push(answer(format!("> {}", answered(rest)?)));
            }
            let more = count.saturating_sub((lines.len() - before) as u64);
            if more > 0 {
                lines.push(answer(format!("> and {more} more")));
            }
        }
        FAULT => lines.push(answer(format!("! fault {}", rest.text()?))),
        BOUND => lines.push(answer(format!("! it crossed the bound {}", rest.text()?))),
        _ => lines.push(answer(format!("! {}", rest.text()?))),
    }
    Some(())
}

fn told(rest: &mut Packed<'_>) -> Option<String> {
    Some(match rest.byte()? {
        0 => "connected".to_owned(),
        1 => "resumed".to_owned(),
        2 => format!("received {} bytes", rest.number()?),
        3 => format!("disconnected {}", rest.text()?),
        4 => format!("timer {}", rest.number()?),
        5 => format!("fetched {}: {}, {} bytes", rest.number()?, rest.number()?, rest.number()?),
        6 => format!("fetched {}: fault {}", rest.number()?, rest.text()?),
        7 => format!(
            "called {}: a path of {} characters, {} query values, {} bytes",
            rest.number()?,
            rest.number()?,
            rest.number()?,
            rest.number()?
        ),
        8 => format!("call-ended {}", rest.number()?),
        9 => {
            let (swipe, code) = (rest.number()?, usize::try_from(rest.number()?).ok()?);
            format!("verdict {swipe} {}", VerdictCode::ALL.get(code)?.0)
        }
        _ => format!("command {}", rest.text()?),
    })
}

fn answered(rest: &mut Packed<'_>) -> Option<String> {
    Some(match rest.byte()? {
        0 => format!("send {} bytes", rest.number()?),
        1 => "keepalive off".to_owned(),
        2 => format!("keepalive every {} ms, {} bytes", rest.number()?, rest.number()?),
        3 => {
            let (swipe, characters, bits, port) = (rest.number()?, rest.number()?, rest.number()?, rest.byte()?);
            let mut line = format!("card {swipe}:");
            if characters > 0 {
                line += &format!(" {characters} characters");
            }
            if bits > 0 {
                line += &format!(" {bits} bits");
            }
            if port > 0 {
                line += &format!(" port {port}");
            }
            line
        }
        4 => format!("typed at port {}", rest.byte()?),
        5 => format!("set-timer {} {}", rest.number()?, rest.number()?),
        6 => format!("cancel-timer {}", rest.number()?),
        7 => format!("fetch {} {} {} {} bytes", rest.number()?, rest.text()?, rest.text()?, rest.number()?),
        8 => format!("answer {}: {}, {} bytes", rest.number()?, rest.number()?, rest.number()?),
        9 => {
            let health = Health::ALL.get(usize::try_from(rest.number()?).ok()?)?.0;
            format!("status {health} {}", rest.text()?).trim_end().to_owned()
        }
        10 => format!("remember {} bytes", rest.number()?),
        11 => format!("log {} characters", rest.number()?),
        _ => format!("close {}", rest.text()?),
    })
}

/// What is left of a packed entry.
struct Packed<'a>(&'a [u8]);

impl Packed<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        let text = String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0 = rest;
        Some(text)
    }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
