//! Whole folders of traces: run each, tell where it first differs, or write down what the driver does.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use cardinal_domain::trace::{Trace, TraceError};

use super::{Difference, ReplayError, Subject, difference::outcome_lines, replay};

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
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut files = read().map_err(|source| Failure::Io { path: folder.to_owned(), source })?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "trace"));
    files.sort();
    if files.is_empty() { Err(Failure::Empty(folder.to_owned())) } else { Ok(files) }
}

/// Runs the trace of this file. With `bless`, what the driver answered is written into it where it differs: never that a
/// session breaks, nor that it is opened or refused otherwise than expected.
///
/// # Errors
/// Why it did not pass.
pub fn check(subject: &dyn Subject, path: &Path, bless: bool) -> Result<Passed, Failure> {
    let io = |source| Failure::Io { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(io)?;
    let expected = Trace::parse(&text).map_err(|source| Failure::Parse { path: path.to_owned(), source })?;
    let how = subject.how();
    let got = replay(&expected, subject).map_err(|source| Failure::Replay { path: path.to_owned(), how, source })?;
    let Some(difference) = Difference::first(&text, &expected, &got) else { return Ok(Passed::Met) };
    let breaks = difference.got.iter().any(|line| line.starts_with("! broken"));
    if bless && difference.step > 0 && !breaks {
        fs::write(path, blessed(&text, &expected, &got)).map_err(io)?;
        return Ok(Passed::Blessed);
    }
    Err(Failure::Differs { path: path.to_owned(), how, difference: Box::new(difference) })
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
