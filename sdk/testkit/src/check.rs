//! Whole folders of traces: run each, show where it first differs, or write down what the driver does.

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

use cardinal_domain::trace::{Step, Trace, TraceError};

use crate::{Component, ComponentError, Native, ReplayError, Subject, replay};

/// Why traces did not pass: every file that did not, with its first difference.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct CheckFailed(Vec<Failure>);

/// Why a trace did not pass.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{folder} has no file that ends in .trace", folder = .0.display())]
    Empty(PathBuf),
    #[error("{path}: {source}", path = path.display())]
    Parse { path: PathBuf, source: TraceError },
    #[error("{path}: {how}: {source}", path = path.display())]
    Replay { path: PathBuf, how: &'static str, source: ReplayError },
    #[error(transparent)]
    Component(#[from] ComponentError),
    #[error("the component does not say of itself what the source does; run `cargo xtask drivers` to build it anew")]
    Stale,
    #[error(transparent)]
    Differs(Box<Difference>),
}

/// The first place where a driver did not answer what its trace expects.
#[derive(Debug, thiserror::Error)]
struct Difference {
    path: PathBuf,
    line: usize,
    how: &'static str,
    event: String,
    expected: String,
    got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, how, event, expected, got } = self;
        let path = path.display();
        write!(f, "{path}:{line}: {how}, after\n      {event}\n    expected: {expected}\n    got:      {got}")
    }
}

/// Runs every trace of this folder with the driver `D` natively, and with the component of this package. With
/// `CARDINAL_BLESS=1` what the driver answered natively is written into the traces first.
///
/// # Errors
/// Every trace that did not pass, or what kept them from being run.
pub fn check_dir<D: cardinal_sdk::Driver>(package: &str, folder: &Path) -> Result<(), CheckFailed> {
    let native = Native::<D>::new();
    let bless = env::var_os("CARDINAL_BLESS").is_some_and(|value| value == "1");
    check(&native, folder, bless)?;
    let failed = |failure| CheckFailed(vec![failure]);
    let component = Component::of_package(package, folder).map_err(|error| failed(error.into()))?;
    if component.manifest() != native.manifest() {
        return Err(failed(Failure::Stale));
    }
    check(&component, folder, false)
}

/// Runs every trace of this folder; with `bless`, writes what the driver answered into them.
///
/// # Errors
/// Every trace that did not pass.
pub fn check(subject: &dyn Subject, folder: &Path, bless: bool) -> Result<(), CheckFailed> {
    let files = files(folder).map_err(|source| CheckFailed(vec![Failure::Io { path: folder.to_owned(), source }]))?;
    if files.is_empty() {
        return Err(CheckFailed(vec![Failure::Empty(folder.to_owned())]));
    }
    let failures: Vec<_> = files.iter().filter_map(|path| check_file(subject, path, bless).err()).collect();
    if failures.is_empty() { Ok(()) } else { Err(CheckFailed(failures)) }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "trace"));
    files.sort();
    Ok(files)
}

fn check_file(subject: &dyn Subject, path: &Path, bless: bool) -> Result<(), Failure> {
    let io = |source| Failure::Io { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(io)?;
    let expected = Trace::parse(&text).map_err(|source| Failure::Parse { path: path.to_owned(), source })?;
    let how = subject.how();
    let got = replay(&expected, subject).map_err(|source| Failure::Replay { path: path.to_owned(), how, source })?;
    if got == expected {
        return Ok(());
    }
    if bless && got.refused == expected.refused {
        return fs::write(path, blessed(&text, &expected, &got)).map_err(io);
    }
    Err(Failure::Differs(Box::new(difference(path, how, &text, &expected, &got))))
}

/// The first difference of two traces that are not the same.
fn difference(path: &Path, how: &'static str, text: &str, expected: &Trace, got: &Trace) -> Difference {
    let differs = |line, event: &str, expected, got| Difference {
        path: path.to_owned(),
        line,
        how,
        event: event.to_owned(),
        expected,
        got,
    };
    let mut steps = expected.steps.iter().zip(&got.steps);
    let Some((step, answered)) = steps.find(|(expected, got)| expected.outcome != got.outcome) else {
        let opened = |trace: &Trace| match &trace.refused {
            Some(fault) => format!("! fault {} \"{}\"", fault.code, fault.message),
            None => "a session".to_owned(),
        };
        return differs(1, "open", opened(expected), opened(got));
    };
    let (wanted, given) = (step.outcome.lines(), answered.outcome.lines());
    let place = wanted.iter().zip(&given).take_while(|(wanted, given)| wanted == given).count();
    let shown = |lines: &[String]| lines.get(place).cloned().unwrap_or_else(|| "nothing more".to_owned());
    let line = outcome_lines(text, step).nth(place).unwrap_or(step.line);
    let event = text.lines().nth(step.line.saturating_sub(1)).unwrap_or_default().trim();
    differs(line, event, shown(&wanted), shown(&given))
}

/// The numbers of the lines that stand for the outcome of this step.
fn outcome_lines(text: &str, step: &Step) -> impl Iterator<Item = usize> {
    let after = text.lines().enumerate().skip(step.line).map(|(index, line)| (index + 1, line.trim_start()));
    after
        .take_while(|(_, line)| !line.starts_with('@'))
        .filter(|(_, line)| line.starts_with(['>', '!']))
        .map(|(number, _)| number)
}

/// The text with the outcomes that were got in place of those that differ. Comments and all else stay.
fn blessed(text: &str, expected: &Trace, got: &Trace) -> String {
    let mut lines: Vec<Option<String>> = text.lines().map(|line| Some(line.to_owned())).collect();
    for (expected, got) in expected.steps.iter().zip(&got.steps) {
        if expected.outcome == got.outcome {
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
