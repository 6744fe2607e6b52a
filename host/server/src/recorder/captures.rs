//! The captures that are kept: a small file that tells of each, and a trace for each of its sessions, in a folder of their
//! own that nobody but this user can read.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cardinal_domain::{names::ReaderName, time::Timestamp};
use serde::{Deserialize, Serialize};

use crate::files::{private_folder, write_private};

/// A capture, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The reader's name with the time at which it was opened.
    pub id: String,
    pub reader: ReaderName,
    /// Who opened it.
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub begun: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// When it ended; none: it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How many sessions it has, a file each.
    pub sessions: u64,
    /// The size of all of them.
    pub bytes: u64,
}

impl Capture {
    pub(super) fn new(reader: &ReaderName, by: &str, note: Option<String>, seconds: u64) -> Self {
        let begun = Timestamp::now();
        let milliseconds = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000);
        let time: String = begun.to_string().chars().filter(char::is_ascii_digit).collect();
        let (day, time) = time.split_at_checked(8).unwrap_or((&time, ""));
        Self {
            id: format!("{reader}-{day}-{time}"),
            reader: reader.clone(),
            by: by.to_owned(),
            note,
            begun,
            until: Timestamp(begun.0.saturating_add(milliseconds)),
            ended: None,
            why: None,
            sessions: 0,
            bytes: 0,
        }
    }
}

/// All of them.
pub(super) struct Captures {
    folder: PathBuf,
    known: Mutex<BTreeMap<String, Capture>>,
    /// Those of which nobody was told that they ended.
    untold: Mutex<Vec<Capture>>,
}

/// Why a capture ended that nobody ended.
const UNTOLD: &str = "its host ended without a word (it was killed, or could not write)";

impl Captures {
    /// Those in this folder.
    pub(super) fn read(folder: PathBuf) -> Self {
        let captures = Self { known: Mutex::default(), untold: Mutex::default(), folder };
        let entries = fs::read_dir(&captures.folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json")) {
            let read = fs::read(&path).map_err(io::Error::other);
            match read.and_then(|bytes| Ok(serde_json::from_slice::<Capture>(&bytes)?)) {
                Ok(mut capture) => {
                    if capture.ended.is_none() {
                        capture.ended = Some(Timestamp::now());
                        capture.why = Some(UNTOLD.to_owned());
                        captures.find_files(&mut capture);
                        captures.leave_untold(capture.clone());
                    }
                    // That it ended is written when it can be; until then it is found out again.
                    if let Err(error) = captures.put(capture) {
                        tracing::warn!(file = %path.display(), %error, "a capture could not be closed");
                    }
                }
                Err(error) => tracing::warn!(file = %path.display(), %error, "a capture cannot be read"),
            }
        }
        captures
    }

    /// What a killed host did not write down.
    fn find_files(&self, capture: &mut Capture) {
        (capture.sessions, capture.bytes) = (0, 0);
        while let Ok(file) = fs::metadata(self.session_file(&capture.id, capture.sessions + 1)) {
            capture.sessions += 1;
            capture.bytes += file.len();
        }
    }

    /// Those that had ended without a word, each once.
    pub(super) fn take_untold(&self) -> Vec<Capture> {
        std::mem::take(&mut self.untold.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// That this one ended is still to be told.
    pub(super) fn leave_untold(&self, capture: Capture) {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).push(capture);
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn session_file(&self, id: &str, session: u64) -> PathBuf {
        self.folder.join(format!("{id}.{session}.trace"))
    }

    fn about_file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Capture>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what is known of one, in memory in any case.
    pub(super) fn put(&self, capture: Capture) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&capture)?;
        let (path, is_new) = (self.about_file(&capture.id), self.get(&capture.id).is_none());
        let written = private_folder(&self.folder).map_err(io::Error::other).and_then(|()| write_private(&path, &text));
        if written.is_ok() || !is_new || capture.ended.is_some() {
            self.known().insert(capture.id.clone(), capture);
        }
        written
    }

    /// How far one that is open has come.
    pub(super) fn grown(&self, id: &str, sessions: u64, bytes: u64) {
        if let Some(capture) = self.known().get_mut(id) {
            (capture.sessions, capture.bytes) = (sessions, bytes);
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Capture> {
        self.known().get(id).cloned()
    }

    pub(super) fn list(&self) -> Vec<Capture> {
        let mut all: Vec<_> = self.known().values().cloned().collect();
        all.sort_by_key(|capture| capture.begun);
        all
    }

    /// Removes one with its files. What tells of it goes last: what is left half done is done the next time.
    pub(super) fn remove(&self, id: &str) -> io::Result<()> {
        let gone = |path: &Path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        let Some(capture) = self.get(id) else { return Ok(()) };
        (1..=capture.sessions).try_for_each(|session| gone(&self.session_file(id, session)))?;
        gone(&self.about_file(id))?;
        self.known().remove(id);
        Ok(())
    }

    /// Removes files of captures that nothing can be told of, for what told of them is lost or damaged, once they were
    /// written so long ago. They hold card numbers as the others do.
    pub(super) fn remove_strays(&self, age: Duration) -> io::Result<()> {
        let mut done = Ok(());
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return done,
            entries => entries?,
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_stray = capture_of(&path).is_some_and(|id| self.get(&id).is_none());
            // A clock that was set back makes a file older than now; it waits.
            let written = || fs::metadata(&path)?.modified();
            if !is_stray || written().is_ok_and(|written| written.elapsed().unwrap_or_default() < age) {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => {
                    tracing::warn!(file = %path.display(), "an old file of a capture that is not known was removed")
                }
                Err(error) => done = done.and(Err(error)),
            }
        }
        done
    }
}

/// The id of the capture that a file of this name belongs to.
fn capture_of(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    match path.extension()?.to_str()? {
        "json" => Some(stem.to_owned()),
        "trace" => Some(stem.rsplit_once('.').map_or(stem, |(id, _)| id).to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_kept_found_again_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("captures");
        let captures = Captures::read(place.clone());
        let reader = ReaderName::new("floor-2").unwrap();
        let capture = Capture::new(&reader, "owner", Some("why".to_owned()), 600);
        assert!(capture.id.starts_with("floor-2-20") && capture.until.0 - capture.begun.0 == 600_000);
        captures.put(capture.clone()).unwrap();
        fs::write(captures.session_file(&capture.id, 1), "mode m\n").unwrap();
        fs::write(place.join("other.json"), "rubbish").unwrap();

        // The host was killed.
        let again = Captures::read(place.clone()).list();
        let [found] = &again[..] else { panic!("{again:?}") };
        assert_eq!((found.sessions, found.bytes, found.why.as_deref()), (1, 7, Some(UNTOLD)));
        assert_eq!(Captures::read(place.clone()).list(), again, "and stays so");

        let captures = Captures::read(place.clone());
        captures.remove(&capture.id).unwrap();
        captures.remove(&capture.id).unwrap();
        assert_eq!(captures.list(), []);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "what cannot be read is left alone, until it is old");
    }

    #[test]
    fn files_that_nothing_is_known_of_go_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let captures = Captures::read(folder.path().join("captures"));
        captures.remove_strays(Duration::ZERO).unwrap();
        let capture = Capture::new(&ReaderName::new("floor.2").unwrap(), "owner", None, 600);
        captures.put(capture.clone()).unwrap();
        fs::write(captures.session_file(&capture.id, 1), "mode m\n").unwrap();
        for (name, days) in [("lost.json", 15), ("lost.1.trace", 15), ("late.2.trace", 13), ("mine.txt", 15)] {
            let path = captures.folder().join(name);
            fs::write(&path, "4711").unwrap();
            let written = std::time::SystemTime::now() - Duration::from_secs(days * 86_400);
            fs::File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
        }
        captures.remove_strays(Duration::from_secs(14 * 86_400)).unwrap();
        let mut left: Vec<_> = fs::read_dir(captures.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let id = &capture.id;
        assert_eq!(left, [format!("{id}.1.trace"), format!("{id}.json"), "late.2.trace".into(), "mine.txt".into()]);
    }
}
