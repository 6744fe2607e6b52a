//! Whole folders of traces: run each, tell where it first differs, or write down what the driver does.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use cardinal_domain::trace::{Outcome, Trace, TraceError};

use super::{Difference, ReplayError, Subject, difference::outcome_lines, replay};

/// The largest trace that is read, in bytes: four times the usual bound of a capture.
const LARGEST: u64 = 64 << 20;

/// Why a trace did not pass.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file or the folder cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nothing that could be run to its end.
    #[error("{path} has more than {LARGEST} bytes, which is the most that a trace may have", path = .0.display())]
    Large(PathBuf),
    /// There is nothing to run.
    #[error("{folder} has no file that ends in .trace", folder = .0.display())]
    Empty(PathBuf),
    /// The file is no trace.
    #[error("{path}: {source}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TraceError,
    },
    /// The driver cannot run it.
    #[error("{path}: {how}: {source}", path = path.display())]
    Replay {
        /// The file.
        path: PathBuf,
        /// How the driver was run.
        how: &'static str,
        /// Why not.
        source: ReplayError,
    },
    /// The driver answered something else.
    #[error("{path}:{line}: {how}, {difference}", path = path.display(), line = difference.line)]
    Differs {
        /// The file.
        path: PathBuf,
        /// How the driver was run.
        how: &'static str,
        /// Where.
        difference: Box<Difference>,
    },
}

/// What became of a trace that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// The driver answers what it expects.
    Met,
    /// It did not, and expects it from now on.
    Blessed,
}

/// The traces of this folder, in the order of their names.
///
/// # Errors
/// The folder cannot be read, or has none.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = || folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut files = read().map_err(|source| Failure::Io { path: folder.to_owned(), source })?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "trace"));
    files.sort();
    if files.is_empty() { Err(Failure::Empty(folder.to_owned())) } else { Ok(files) }
}

/// The trace of this file, with its text.
///
/// # Errors
/// It cannot be read, is too large, or is no trace.
pub fn read(path: &Path) -> Result<(String, Trace), Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    let size = read.map_err(|source| Failure::Io { path: path.to_owned(), source })?;
    if size as u64 > LARGEST {
        return Err(Failure::Large(path.to_owned()));
    }
    let trace = Trace::parse(&text).map_err(|source| Failure::Parse { path: path.to_owned(), source })?;
    Ok((text, trace))
}

/// Runs the trace of this file. With `bless`, what the driver answered is written into it where it differs: never that a
/// session breaks, that it ends earlier, nor that it is opened or refused otherwise than expected.
///
/// # Errors
/// Why it did not pass.
pub fn check(subject: &dyn Subject, path: &Path, bless: bool) -> Result<Passed, Failure> {
    let (text, expected) = read(path)?;
    let how = subject.how();
    let got = replay(&expected, subject).map_err(|source| Failure::Replay { path: path.to_owned(), how, source })?;
    let Some(difference) = Difference::first(&text, &expected, &got) else { return Ok(Passed::Met) };
    if bless && difference.step > 0 && may_be_blessed(&expected, &got) {
        let text = blessed(&text, &expected, &got);
        // What is written is a trace that passes, or nothing is.
        if Trace::parse(&text).is_ok_and(|trace| trace.is_met_by(&got)) {
            std::fs::write(path, text).map_err(|source| Failure::Io { path: path.to_owned(), source })?;
            return Ok(Passed::Blessed);
        }
    }
    Err(Failure::Differs { path: path.to_owned(), how, difference: Box::new(difference) })
}

/// Whether the session came as far as it should, and broke nowhere that it should not.
fn may_be_blessed(expected: &Trace, got: &Trace) -> bool {
    let mut steps = expected.steps.iter().zip(&got.steps);
    let breaks = |outcome: &Outcome| matches!(outcome, Outcome::Broken(_));
    expected.steps.len() == got.steps.len()
        && !steps.any(|(expected, got)| breaks(&got.outcome) && !breaks(&expected.outcome))
}

/// The text with the outcomes that were got in place of those that differ. Comments and all else stay.
fn blessed(text: &str, expected: &Trace, got: &Trace) -> String {
    let mut lines: Vec<Option<String>> = text.lines().map(|line| Some(line.to_owned())).collect();
    for (expected, got) in expected.steps.iter().zip(&got.steps) {
        if expected.outcome.is_met_by(&got.outcome) {
            continue;
        }
        for number in outcome_lines(text, expected) {
            if let Some(line) = lines.get_mut(number - 1) {
                *line = None;
            }
        }
        if let Some(Some(line)) = lines.get_mut(expected.line.saturating_sub(1)) {
            for outcome in got.outcome.lines() {
                *line += &format!("\n  {outcome}");
            }
        }
    }
    lines.into_iter().flatten().map(|line| line + "\n").collect()
}
