//! Trace files: a driver session as readable text.
//!
//! A trace holds what a session was opened with, each thing that happened with its reading of the clock, and what the
//! driver answered. Drivers are tested with them, and a recording of the field is one. This module owns the text form, both
//! ways; it must never run anything, and never print without being asked: a trace holds card numbers and secrets in clear.
//!
//! ```text
//! # Comments and blank lines may stand anywhere.
//! driver cardinal/generic              # optional
//! mode generic
//! transport dial
//! setting version_query = "v"          # `key = value` as in the site's file; a list for a repeated setting
//! memory "key" "\x01\x02"              # optional, as are `callback "…"` and `saved "…"`
//!
//! @0 connected                         # milliseconds of the session's clock; 32 zero bytes of randomness if none stand here
//!   > send "v"
//! @12 received "cardreader 1.0\r4711\n"
//!   > card 1 number="4711"
//! @15 verdict 1 released "1 job released"
//! @20 save                             # save, open the saved state in a new instance, go on with `resumed`
//! @25 received "\x00"
//!   ! fault bad-frame "no start byte"  # the call ended in a fault; before the first `@`: `open` did
//! ```
//!
//! | line | what |
//! |---|---|
//! | `@T connected [BYTES]`, `@T resumed`, `@T received BYTES`, `@T disconnected CODE [TEXT]`, `@T timer ID` | inputs |
//! | `@T fetched ID STATUS [header NAME=TEXT]… [body BYTES]`, `@T fetched ID fault CODE [TEXT]` | |
//! | `@T called ID METHOD PATH [query KEY=TEXT]… [header NAME=TEXT]… [body BYTES]`, `@T call-ended ID` | |
//! | `@T verdict SWIPE CODE [TEXT]`, `@T command NAME [KEY=TEXT]…` | |
//! | `@T save` | sleep or a change of version |
//! | `> send BYTES`, `> keepalive MS BYTES`, `> keepalive off`, `> typed PORT TEXT` | outputs |
//! | `> card SWIPE [number=TEXT] [bits LENGTH HEX] [technology=TEXT] [port=N] [fact KEY=TEXT]…` | |
//! | `> set-timer ID MS`, `> cancel-timer ID`, `> answer ID STATUS [header NAME=TEXT]… [body BYTES]` | |
//! | `> fetch ID METHOD PATH [port N] [tls] [query KEY=TEXT]… [header NAME=TEXT]… [body BYTES]` | |
//! | `> status HEALTH [TEXT] [fact KEY=TEXT]…`, `> remember KEY BYTES`, `> log LEVEL TEXT`, `> close CODE [TEXT]` | |
//! | `> anything` | alone under its input: what was answered is not known, and every answer is right |
//! | `! fault CODE [TEXT]`, `! not-now` | the call faulted; `save` gave nothing and the session went on |
//! | `! broken TEXT` | the session broke: a trap, a crossed bound, a broken rule; the text is for people alone |
//!
//! A recording that begins in the middle of a session has `saved`, which is what the driver's `save` gave then, and as its
//! first input `@T resumed` with `> anything`: the driver that was recorded went on without being told.
//!
//! Texts and bytes stand in double quotes with the escapes of [`crate::bytes_text`], or in single quotes without any.

mod parse;
mod print;
#[cfg(test)]
mod tests;

use crate::{
    driver::{Context, Fault, Input, Millis, Output, Pair},
    settings::{SettingValue, Settings},
};

pub use parse::TraceError;
pub use print::output_line;

/// The most steps of a trace: hours of a reader that floods its host, and as much as a desk can run.
pub const MOST_STEPS: usize = 1_000_000;

/// A driver session: what it was opened with, what happened, what was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// `vendor/name`, where the trace says whose it is.
    pub driver: Option<String>,
    /// The mode's id.
    pub mode: String,
    /// `dial`, `listen` or `http`.
    pub transport: String,
    /// As an administrator gives them: not yet checked against the mode.
    pub settings: Settings,
    /// The address the reader is to call.
    pub callback: Option<String>,
    /// What earlier sessions asked to remember.
    pub memory: Vec<(String, Vec<u8>)>,
    /// State with which the session was opened, where the trace does not begin with the session.
    pub saved: Option<Vec<u8>>,
    /// The fault that `open` gave; there are no steps then.
    pub refused: Option<Fault>,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// One thing that happened, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The line of the file it was read from, from 1; 0 if from none.
    pub line: usize,
    /// The session's clock.
    pub at: Millis,
    /// What happened.
    pub event: Event,
    /// What the driver answered.
    pub outcome: Outcome,
}

/// What can happen in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An input of the contract.
    Input(Input),
    /// The session was saved, opened again elsewhere, and told that it is resumed.
    Save,
}

/// What came of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The outputs, in order.
    Outputs(Vec<Output>),
    /// The call ended in a fault, and the session with it.
    Fault(Fault),
    /// `save` gave nothing: the session went on where it was.
    NotNow,
    /// The session broke: a trap, a crossed bound, a broken rule of the contract. In words, for people.
    Broken(String),
    /// What came of it is not known, but that the session went on.
    Anything,
}

impl Outcome {
    /// Whether the session is over with it.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Fault(_) | Self::Broken(_))
    }

    /// Whether this, which a trace expects, is what was got.
    pub fn is_met_by(&self, got: &Self) -> bool {
        match (self, got) {
            (Self::Anything, Self::Outputs(_)) | (Self::Broken(_), Self::Broken(_)) => true,
            _ => self == got,
        }
    }
}

impl Trace {
    /// Whether this, which is expected, is what was got: the same steps with outcomes that meet those of this trace.
    pub fn is_met_by(&self, got: &Self) -> bool {
        let mut steps = self.steps.iter().zip(&got.steps);
        self.refused == got.refused
            && self.steps.len() == got.steps.len()
            && steps.all(|(expected, got)| expected.outcome.is_met_by(&got.outcome))
    }

    /// The trace that this text describes.
    ///
    /// # Errors
    /// The first line that cannot be read, and what was wanted there.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        parse::trace(text)
    }

    /// A trace of a session opened with this context, with no steps yet.
    pub fn of(driver: Option<String>, context: &Context) -> Self {
        Self {
            driver,
            mode: context.mode.clone(),
            transport: context.transport.clone(),
            settings: gather(&context.settings),
            callback: context.callback.clone(),
            memory: context.memory.clone(),
            saved: context.saved.clone(),
            refused: None,
            steps: Vec::new(),
        }
    }

    /// What to open the session with; the settings are those that [`crate::settings::check`] made of the trace's.
    pub fn context(&self, settings: Vec<Pair>) -> Context {
        Context {
            mode: self.mode.clone(),
            transport: self.transport.clone(),
            settings,
            callback: self.callback.clone(),
            memory: self.memory.clone(),
            saved: self.saved.clone(),
        }
    }
}

/// Settings as a session has them, back in the form an administrator gives: a repeated key becomes a list.
fn gather(pairs: &[Pair]) -> Settings {
    let mut settings = Settings::new();
    for (key, value) in pairs {
        let value = SettingValue::Text(value.clone());
        match settings.get_mut(key) {
            None => drop(settings.insert(key.clone(), value)),
            Some(SettingValue::List(values)) => values.push(value),
            Some(first) => *first = SettingValue::List(vec![first.clone(), value]),
        }
    }
    settings
}
