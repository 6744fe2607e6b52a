//! What runs along with one reader's sessions: its ring, and the capture that is open, if one is.
//!
//! A session calls [`Tape::told`] before its driver is given an input and [`Tape::answered`] after; neither waits for
//! anything. [`Tape::begins`] says when a capture wants the session's beginning, which is the rare part.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cardinal_domain::{
    bounds::size,
    driver::{Context, Input, Millis, Output},
    trace::{Event, Outcome, Step, Trace},
};
use cardinal_runtime::SessionError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{
    Standins,
    entry::{self, Entry, Shown},
    limits::RecorderLimits,
    ring::Ring,
};

/// The tape of one reader.
#[derive(Clone)]
pub struct Tape {
    cell: Arc<Mutex<Cell>>,
    entries: usize,
    bytes: usize,
}

#[derive(Default)]
struct Cell {
    ring: Ring,
    // Boxed: nearly every reader has none.
    capture: Option<Box<Open>>,
}

/// A capture that is open.
pub(super) struct Open {
    pub(super) id: String,
    /// To whom writes the file.
    pub(super) lines: mpsc::Sender<Waiting>,
    /// A permit for each byte that may still wait for that.
    room: Arc<Semaphore>,
    /// Why it ended, where something else than its time did it.
    pub(super) cause: Arc<OnceLock<String>>,
    session: Option<Session>,
}

/// A line that waits for the disk, with its part of the room for such.
pub(super) struct Waiting {
    pub(super) line: Line,
    pub(super) _room: OwnedSemaphorePermit,
}

/// What goes into a capture's files.
pub(super) enum Line {
    /// A session begins: the driver with its version, its file's digest, and the head of its trace.
    Session { driver: String, digest: String, head: String },
    /// A step of it.
    Step(String),
}

/// The session that is being captured.
struct Session {
    digest: String,
    standins: Standins,
    /// No input yet.
    fresh: bool,
    /// What the driver is working on.
    told: Option<(Millis, Event)>,
}

/// Bytes that may wait for the disk, beside a bound on lines: one answer can be megabytes.
const ROOM: u32 = 4 << 20;

/// Why a capture ends that cannot be written as fast as it comes.
const TOO_FAST: &str = "the disk was too slow to write it as fast as it came";

impl Open {
    pub(super) fn new(id: String, lines: mpsc::Sender<Waiting>, cause: Arc<OnceLock<String>>) -> Self {
        let room = Arc::new(Semaphore::new(size(ROOM.into())));
        Self { id, lines, room, cause, session: None }
    }

    /// False: it cannot go on.
    fn write(&self, line: Line) -> bool {
        let (Line::Session { head: text, .. } | Line::Step(text)) = &line;
        // One that is larger than all the room has it for itself.
        let bytes = u32::try_from(text.len()).unwrap_or(ROOM).min(ROOM);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        match room.map(|room| self.lines.try_send(Waiting { line, _room: room })) {
            Ok(Ok(())) => true,
            // Whoever writes has ended it, and says why.
            Ok(Err(mpsc::error::TrySendError::Closed(_))) => false,
            Ok(Err(mpsc::error::TrySendError::Full(_))) | Err(_) => {
                let _ = self.cause.set(TOO_FAST.to_owned());
                false
            }
        }
    }

    /// False: it cannot go on.
    fn answered(&mut self, answer: &Result<Vec<Output>, SessionError>) -> bool {
        let Some(session) = &mut self.session else { return true };
        let Some((at, event)) = session.told.take() else { return true };
        let standins = &session.standins;
        let outcome = match answer {
            Ok(outputs) => Outcome::Outputs(outputs.iter().map(|output| standins.output(output.clone())).collect()),
            Err(SessionError::Fault(fault)) => {
                let mut fault = fault.clone();
                standins.fault(&mut fault);
                Outcome::Fault(fault)
            }
            // Not the driver's doing.
            Err(SessionError::Host { .. } | SessionError::Ended) => {
                self.session = None;
                return true;
            }
            Err(error) => {
                let mut why = error.to_string();
                standins.text(&mut why);
                Outcome::Broken(why)
            }
        };
        if outcome.is_end() {
            self.session = None;
        }
        self.write(Line::Step(Step { line: 0, at, event, outcome }.to_string()))
    }
}

impl Tape {
    pub(super) fn new(limits: &RecorderLimits) -> Self {
        Self { cell: Arc::default(), entries: size(limits.ring_entries), bytes: size(limits.ring_bytes) }
    }

    // Nothing in here panics half way.
    fn lock(&self) -> MutexGuard<'_, Cell> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a capture wants to know how the session begins before this input of a driver with this digest: it is a new
    /// session, goes on in another driver, or was under way when the capture was opened.
    pub fn begins(&self, input: &Input, digest: &str) -> bool {
        let mut cell = self.lock();
        let Some(open) = &mut cell.capture else { return false };
        let goes_on = |session: &mut Session| !matches!(input, Input::Connected(_)) && session.digest == digest;
        if !open.session.as_mut().is_some_and(goes_on) {
            open.session = None;
        }
        open.session.is_none()
    }

    /// A session to capture begins, in this driver (its label and digest) and with this context, in which the stand-ins are
    /// already; `resumed` is the reading of the clock where it is under way and its driver is not told so.
    pub fn begin(
        &self,
        driver: (String, String),
        id: String,
        context: &Context,
        standins: Standins,
        resumed: Option<Millis>,
    ) {
        let mut cell = self.lock();
        let Some(open) = &mut cell.capture else { return };
        let mut trace = Trace::of(Some(id), context);
        if let Some(at) = resumed {
            let event = Event::Input(Input::Resumed);
            trace.steps.push(Step { line: 0, at, event, outcome: Outcome::Anything });
        }
        let mut head = trace.to_string();
        if trace.steps.is_empty() {
            head.push('\n');
        }
        let (label, digest) = driver;
        if open.write(Line::Session { driver: label, digest: digest.clone(), head }) {
            open.session = Some(Session { digest, standins, fresh: true, told: None });
        } else {
            cell.capture = None;
        }
    }

    /// The driver is given this input now.
    pub fn told(&self, now: Millis, input: &Input) {
        let mut cell = self.lock();
        if self.entries > 0 && self.bytes > 0 {
            cell.ring.push(&Entry::told(now, input), self.entries, self.bytes);
        }
        if let Some(session) = cell.capture.as_mut().and_then(|open| open.session.as_mut()) {
            let event = match input {
                // It slept, or its instance was renewed otherwise: a replay saves and opens it, too.
                Input::Resumed if !session.fresh => Event::Save,
                input => Event::Input(session.standins.input(input.clone())),
            };
            session.fresh = false;
            session.told = Some((now, event));
        }
    }

    /// What it answered. `standins` are for what the ring keeps of its words, and asked for where there are some.
    pub fn answered(&self, answer: &Result<Vec<Output>, SessionError>, standins: impl FnOnce() -> Standins) {
        let mut cell = self.lock();
        if self.entries > 0 && self.bytes > 0 && !matches!(answer, Ok(outputs) if outputs.is_empty()) {
            cell.ring.push(&Entry::answered(answer, standins), self.entries, self.bytes);
        }
        if let Some(open) = &mut cell.capture
            && !open.answered(answer)
        {
            cell.capture = None;
        }
    }

    /// What is in the ring, the oldest first.
    pub(super) fn shown(&self) -> Vec<Shown> {
        let entries = self.lock().ring.entries();
        entries.iter().flat_map(|packed| entry::shown(packed)).collect()
    }

    /// Opens a capture. False: one is open already.
    pub(super) fn open(&self, open: Open) -> bool {
        let mut cell = self.lock();
        let is_free = cell.capture.is_none();
        if is_free {
            cell.capture = Some(Box::new(open));
        }
        is_free
    }

    /// Ends the capture of this id, or whichever is open, for this cause. False: there is none.
    pub(super) fn close(&self, id: Option<&str>, cause: Option<&str>) -> bool {
        let mut cell = self.lock();
        let Some(open) = cell.capture.take_if(|open| id.is_none_or(|id| id == open.id)) else { return false };
        if let Some(cause) = cause {
            let _ = open.cause.set(cause.to_owned());
        }
        true
    }

    pub(super) fn is_captured(&self) -> bool {
        self.lock().capture.is_some()
    }
}

#[cfg(test)]
#[path = "tape_tests.rs"]
mod tests;
