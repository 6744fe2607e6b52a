//! The flight recorder: what readers' drivers were told and what they answered.
//!
//! Two things, which share only the place where they listen ([`Tape`]): a small ring of each reader that always runs, masked
//! and for reading only, and *captures*, which an operator opens on purpose, for a time. A capture is a trace in clear, a
//! file for each session, and a driver answers it the same on any desk. No session waits for either.

mod captures;
mod entry;
mod limits;
mod ring;
mod standins;
mod tape;
mod writer;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cardinal_domain::{
    bounds::size,
    event::{EventBody, EventKind},
    names::{ReaderName, TraceId},
    site::Reader,
    time::Timestamp,
};
use cardinal_store::{Store, StoreError};
use tokio::{sync::mpsc, task::JoinSet};

pub use self::{
    captures::Capture,
    entry::Shown,
    limits::{RECORDER_LIMITS, RecorderLimits},
    standins::Standins,
    tape::Tape,
};
use self::{captures::Captures, tape::Open, writer::Writer};

/// The longest note of an operator, in characters.
const LONGEST_NOTE: usize = 500;
/// Lines that may wait for the disk. A reader that floods its host gives some thousand a second.
const LINES: usize = 1_024;
/// Tapes of readers that are gone, beyond which they are let go of.
const STALE: usize = 64;

/// The flight recorder of this host.
pub struct Recorder {
    limits: RecorderLimits,
    store: Store,
    tapes: Mutex<HashMap<ReaderName, Tape>>,
    captures: Arc<Captures>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
    writers: Mutex<JoinSet<()>>,
}

/// Why a capture was not opened, ended, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    NotNow(String),
    #[error("there is no capture {0:?}; see `cardinal capture list`")]
    Unknown(String),
    #[error("cannot write to {path}: {source}; is the disk full?", path = path.display())]
    Disk { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Recorder {
    /// With captures in this folder, which is made when it is needed. Those that a killed host left open have ended.
    pub fn new(limits: RecorderLimits, store: Store, folder: PathBuf) -> Self {
        let captures = Arc::new(Captures::read(folder));
        Self {
            limits,
            store,
            tapes: Mutex::default(),
            captures,
            changing: tokio::sync::Mutex::default(),
            writers: Mutex::default(),
        }
    }

    fn tapes(&self) -> MutexGuard<'_, HashMap<ReaderName, Tape>> {
        self.tapes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tape of a reader, which outlives its connections.
    pub fn tape(&self, reader: &ReaderName) -> Tape {
        let mut tapes = self.tapes();
        if let Some(tape) = tapes.get(reader) {
            return tape.clone();
        }
        let setup = self.store.setup();
        if tapes.len() >= setup.readers.len().saturating_add(STALE) {
            tapes.retain(|reader, tape| setup.readers.contains_key(reader) || tape.is_captured());
        }
        tapes.entry(reader.clone()).or_insert_with(|| Tape::new(&self.limits)).clone()
    }

    /// What is in a reader's ring, the oldest first.
    pub fn shown(&self, reader: &ReaderName) -> Vec<Shown> {
        self.tapes().get(reader).map(Tape::shown).unwrap_or_default()
    }

    /// Opens a capture of a reader for so long. It is told as an event before anything is written.
    ///
    /// # Errors
    /// A bound, a capture that is open, a disk that is full, or a store that cannot be told.
    pub async fn start(
        &self,
        reader: &Reader,
        seconds: u64,
        note: Option<String>,
        by: &str,
    ) -> Result<Capture, RecorderError> {
        let longest = self.limits.capture_longest_s;
        if !(1..=longest).contains(&seconds) {
            let why = format!("a capture may be open for 1 to {longest} seconds (capture_longest_s in [recorder])");
            return Err(RecorderError::Refused(why));
        }
        if note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
            return Err(RecorderError::Refused(format!("the note may have {LONGEST_NOTE} characters")));
        }
        let _changing = self.changing.lock().await;
        let open = self.captures.list().iter().filter(|capture| capture.ended.is_none()).count();
        if open >= size(self.limits.captures) {
            let why = format!("{open} captures are open already (captures in [recorder]); end one first");
            return Err(RecorderError::NotNow(why));
        }
        if self.captures.list().len() >= size(self.limits.captures_kept) {
            let why = "as many captures as may be are kept (captures_kept in [recorder]); remove one first, with \
                       `cardinal capture remove ID`";
            return Err(RecorderError::NotNow(why.to_owned()));
        }
        let tape = self.tape(&reader.name);
        if tape.is_captured() {
            let why = format!(
                "reader {0} is being captured already; end that with `cardinal reader record {0} --stop`",
                reader.name
            );
            return Err(RecorderError::NotNow(why));
        }
        let capture = Capture::new(&reader.name, by, note, seconds);
        self.captures.put(capture.clone()).map_err(|source| self.disk(source))?;
        let trace = TraceId::new();
        let message = format!("{by} captures {} until {}, card numbers included", reader.name, capture.until);
        let event = EventBody::new(trace, EventKind::CaptureStarted, message)
            .reader(&reader.name)
            .device(&reader.device)
            .fact("capture", &*capture.id)
            .fact("by", by);
        let event = capture.note.iter().fold(event, |event, note| event.fact("note", note));
        if let Err(error) = self.store.record(vec![event]).await {
            let _ = self.captures.remove(&capture.id);
            return Err(error.into());
        }
        let (sender, lines) = mpsc::channel(LINES);
        let cause = Arc::default();
        // Nobody else opens one: it was looked for above.
        tape.open(Open::new(capture.id.clone(), sender, Arc::clone(&cause)));
        let writer = Writer {
            capture: capture.clone(),
            device: reader.device.clone(),
            trace,
            captures: Arc::clone(&self.captures),
            limits: self.limits.clone(),
            store: self.store.clone(),
            tape,
            cause,
        };
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        while writers.try_join_next().is_some() {}
        writers.spawn(writer.run(lines, Duration::from_secs(seconds)));
        Ok(capture)
    }

    /// Ends the capture of a reader.
    ///
    /// # Errors
    /// There is none.
    pub fn stop(&self, reader: &ReaderName, by: &str) -> Result<(), RecorderError> {
        let tape = self.tapes().get(reader).cloned();
        if tape.is_some_and(|tape| tape.close(None, Some(&format!("{by} ended it")))) {
            return Ok(());
        }
        Err(RecorderError::NotNow(format!("reader {reader} is not being captured")))
    }

    /// Every capture that is kept, the oldest first.
    pub fn list(&self) -> Vec<Capture> {
        self.captures.list()
    }

    /// The trace of one session of a capture, from 1.
    ///
    /// # Errors
    /// There is none.
    pub async fn fetch(&self, id: &str, session: u64) -> Result<Vec<u8>, RecorderError> {
        let known = self.captures.get(id).ok_or_else(|| RecorderError::Unknown(id.to_owned()))?;
        if !(1..=known.sessions).contains(&session) {
            let why = match known.sessions {
                0 => format!(
                    "capture {id} has nothing yet: nothing has happened at {0} since it was opened, or its driver did \
                     not open a session; see `cardinal event list --reader {0}`",
                    known.reader
                ),
                count => format!("capture {id} has the sessions 1 to {count}"),
            };
            return Err(RecorderError::NotNow(why));
        }
        let path = self.captures.session_file(id, session);
        tokio::fs::read(&path).await.map_err(|source| RecorderError::Disk { path, source })
    }

    /// Removes a capture that has ended, with its files.
    ///
    /// # Errors
    /// There is none, or it is still open.
    pub async fn remove(&self, id: &str, by: &str) -> Result<(), RecorderError> {
        let _changing = self.changing.lock().await;
        let known = self.captures.get(id).ok_or_else(|| RecorderError::Unknown(id.to_owned()))?;
        if known.ended.is_none() {
            let why =
                format!("capture {id} is open; end it first with `cardinal reader record {} --stop`", known.reader);
            return Err(RecorderError::NotNow(why));
        }
        self.captures.remove(id).map_err(|source| self.disk(source))?;
        self.tell_removed(&known, by).await
    }

    /// Tells of captures that a killed host left open, and removes what has been kept for long enough.
    ///
    /// # Errors
    /// The disk or the store does not do its work; the next round tries again.
    pub async fn clean(&self) -> Result<(), RecorderError> {
        let _changing = self.changing.lock().await;
        // What fails keeps nothing else from being done.
        let mut done = Ok(());
        for capture in self.captures.take_untold() {
            if let Err(error) = self.store.record(vec![writer::ended(TraceId::new(), &capture)]).await {
                self.captures.leave_untold(capture);
                done = done.and(Err(error.into()));
            }
        }
        let age = Duration::from_secs(self.limits.capture_days.saturating_mul(86_400));
        let before = Timestamp(Timestamp::now().0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
        for capture in self.captures.list() {
            if capture.ended.is_some_and(|ended| ended < before) {
                done = done.and(match self.captures.remove(&capture.id) {
                    Ok(()) => self.tell_removed(&capture, "its time (capture_days)").await,
                    Err(source) => Err(self.disk(source)),
                });
            }
        }
        done.and(self.captures.remove_strays(age).map_err(|source| self.disk(source)))
    }

    async fn tell_removed(&self, capture: &Capture, by: &str) -> Result<(), RecorderError> {
        let message = format!("the capture {} was removed by {by}", capture.id);
        let event = EventBody::new(TraceId::new(), EventKind::CaptureRemoved, message).reader(&capture.reader);
        Ok(self.store.record(vec![event.fact("capture", &*capture.id)]).await?)
    }

    /// Ends every capture: the host stops.
    pub async fn shutdown(&self) {
        let _changing = self.changing.lock().await;
        let tapes: BTreeMap<_, _> = self.tapes().iter().map(|(name, tape)| (name.clone(), tape.clone())).collect();
        for tape in tapes.values() {
            tape.close(None, Some("the host was stopped"));
        }
        let mut writers = std::mem::take(&mut *self.writers.lock().unwrap_or_else(PoisonError::into_inner));
        while writers.join_next().await.is_some() {}
    }

    fn disk(&self, source: std::io::Error) -> RecorderError {
        RecorderError::Disk { path: self.captures.folder().to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use cardinal_store::{Durability, Place};

    use super::*;

    #[tokio::test]
    async fn what_was_kept_for_long_enough_goes_and_what_is_young_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Place::File(folder.path().join("db")), Durability::Process).await.unwrap();
        let place = folder.path().join("captures");
        let captures = Captures::read(place.clone());
        for (name, age_days) in [("old", 15), ("young", 13)] {
            let mut capture = Capture::new(&ReaderName::new(name).unwrap(), "owner", None, 60);
            capture.ended = Some(Timestamp(Timestamp::now().0 - age_days * 24 * 3_600_000));
            capture.sessions = 1;
            captures.put(capture.clone()).unwrap();
            std::fs::write(captures.session_file(&capture.id, 1), "mode m\n").unwrap();
        }
        let recorder = Recorder::new(RecorderLimits::default(), store, place.clone());
        // One that cannot be removed (a folder in its place) keeps no other.
        let mut stuck = Capture::new(&ReaderName::new("a").unwrap(), "owner", None, 60);
        (stuck.begun, stuck.ended, stuck.sessions) = (Timestamp(0), Some(Timestamp(1)), 1);
        std::fs::create_dir(recorder.captures.session_file(&stuck.id, 1)).unwrap();
        recorder.captures.put(stuck.clone()).unwrap();
        recorder.clean().await.unwrap_err();
        std::fs::remove_dir(recorder.captures.session_file(&stuck.id, 1)).unwrap();
        let left: Vec<_> = recorder.list().into_iter().map(|capture| capture.reader.to_string()).collect();
        assert_eq!(left, ["a", "young"]);
        recorder.clean().await.unwrap();
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 2, "what tells of it, and its trace");
    }
}
