//! `cardinal driver replay` and `cardinal driver test`: traces run with a driver's file, without a host.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use cardinal_runtime::{
    Bounds, Driver, Runtime,
    replay::{
        Difference,
        folder::{self, Failure, Passed},
        replay,
    },
};
use clap::Args;
use serde_json::json;

use super::super::output::{self, say};

/// Run a trace with a driver, and show where it first answers something else
#[derive(Debug, Args)]
#[command(after_help = "\
Takes no host. The driver runs under the usual bounds; instead of time its instructions are counted (replay_fuel: a million for
each millisecond of a deadline), so that a replay is exactly the same each time. The exit status is 1 where the driver
answers something else than the trace says.

Examples:
  cardinal driver replay lost-card.trace --driver acme-tcp.wasm
  cardinal driver replay lost-card.trace --driver acme-tcp.wasm --json")]
pub(in crate::cli) struct Replay {
    trace: PathBuf,
    /// The driver's component
    #[arg(long, value_name = "FILE")]
    driver: PathBuf,
}

/// Run every trace of a folder with a driver
#[derive(Debug, Args)]
#[command(after_help = "\
FOLDER holds files that end in .trace, or has a folder `traces` that does. Without --driver it is the only file that ends in
.wasm there, in target/drivers, or in the folder above.

--bless writes what the driver answers into the traces that differ. It makes a mistake of the driver the rule: read the
change before you keep it (`git diff`). That a session breaks, ends earlier or is refused is never written.

Examples:
  cardinal driver test drivers/acme-tcp --driver target/drivers/acme-tcp.wasm
  cardinal driver test traces --driver acme-tcp.wasm --bless")]
pub(in crate::cli) struct Test {
    #[arg(value_name = "FOLDER")]
    pub(super) folder: PathBuf,
    /// The driver's component
    #[arg(long, value_name = "FILE")]
    pub(super) driver: Option<PathBuf>,
    /// Write what the driver answers into the traces that differ
    #[arg(long)]
    pub(super) bless: bool,
}

fn load(file: &Path) -> Result<Driver> {
    let runtime = Runtime::for_replay(None)?;
    runtime
        .load_file(file, &Bounds::default())
        .with_context(|| format!("{} is no driver that can be run", file.display()))
}

impl Replay {
    pub(super) fn run(self, as_json: bool) -> Result<()> {
        let path = self.trace.display();
        let (text, expected) = folder::read(&self.trace).map_err(|failure| anyhow!(plain(&failure)))?;
        let driver = load(&self.driver)?;
        let got = replay(&expected, &driver).map_err(|error| anyhow!("{path}: {}", plain(&error)))?;
        let difference = Difference::first(&text, &expected, &got);
        let (steps, label) = (expected.steps.len(), driver.label());
        if as_json {
            let told = difference.as_ref().map(told);
            output::json(&json!({
                "trace": self.trace, "driver": label, "digest": driver.digest(), "steps": steps,
                "same": difference.is_none(), "difference": told,
            }))?;
        }
        let Some(difference) = difference else {
            if !as_json {
                say!("{path}: same outputs ({steps} steps, {label})");
            }
            return Ok(());
        };
        if !as_json {
            show(&format!("{path}"), &label, &difference);
        }
        bail!("{label} answers something else than {path} says, from line {} on", difference.line)
    }
}

/// An error in its lines: words of a trace or of a driver are in it, which must not steer the terminal.
fn plain(error: &impl Display) -> String {
    error.to_string().lines().map(output::plain).collect::<Vec<_>>().join("\n")
}

fn told(difference: &Difference) -> serde_json::Value {
    let Difference { step, line, at, event, expected, got, .. } = difference;
    json!({ "step": step, "line": line, "at": at, "event": event, "expected": expected, "got": got })
}

fn show(path: &str, label: &str, difference: &Difference) {
    let Difference { step, steps, line, at, .. } = difference;
    say!("{path}:{line}: the first difference, at step {step} of {steps}, {at} ms into the session; driver {label}");
    let event: String = output::plain(&difference.event).chars().take(300).collect();
    say!("\n  {event}\n\n{}", difference.side_by_side());
}

impl Test {
    pub(super) fn run(self, as_json: bool) -> Result<()> {
        let inner = self.folder.join("traces");
        let folder = if inner.is_dir() { inner } else { self.folder.clone() };
        let files = folder::files(&folder).map_err(|failure| anyhow!("{failure}"))?;
        let driver = load(&match self.driver {
            Some(file) => file,
            None => only_driver(&self.folder)?,
        })?;
        let label = driver.label();
        let (mut results, mut failed, mut blessed) = (Vec::new(), 0, 0);
        for path in &files {
            let result = folder::check(&driver, path, self.bless);
            let word = match &result {
                Ok(Passed::Met) => "ok",
                Ok(Passed::Blessed) => "blessed",
                Err(_) => "failed",
            };
            failed += usize::from(word == "failed");
            blessed += usize::from(word == "blessed");
            if as_json {
                let difference = match &result {
                    Err(Failure::Differs { difference, .. }) => Some(told(difference)),
                    _ => None,
                };
                let error = result.as_ref().err().map(ToString::to_string);
                results.push(json!({ "trace": path, "result": word, "error": error, "difference": difference }));
                continue;
            }
            say!("{word:8} {}", path.display());
            match &result {
                Ok(_) => {}
                Err(Failure::Differs { path, difference, .. }) => show(&path.display().to_string(), &label, difference),
                Err(failure) => say!("         {}", plain(failure)),
            }
        }
        if as_json {
            output::json(&json!({ "driver": label, "digest": driver.digest(), "traces": results }))?;
        } else {
            say!("{label}: {} traces, {failed} failed, {blessed} blessed", files.len());
        }
        if failed == 0 {
            return Ok(());
        }
        let how = "; where a new answer is the right one, --bless writes it into the trace";
        bail!("{failed} of {} traces failed{}", files.len(), if self.bless { "" } else { how })
    }
}

/// The only component in a folder, or where `cardinal driver build` puts it, or in the folder above.
fn only_driver(folder: &Path) -> Result<PathBuf> {
    let folder = folder.canonicalize().with_context(|| format!("cannot read {}", folder.display()))?;
    let built = folder.join("target/drivers");
    let built = built.is_dir().then_some(built.as_path());
    for place in [Some(folder.as_path()), built, folder.parent()].into_iter().flatten() {
        let entries = std::fs::read_dir(place).with_context(|| format!("cannot read {}", place.display()))?;
        let is_driver = |path: &PathBuf| path.extension().is_some_and(|end| end == "wasm");
        let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_driver).collect();
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => return Ok(only),
            (Some(_), false) => bail!("{} has several drivers; say which with --driver FILE", place.display()),
            (None, _) => {}
        }
    }
    bail!("no driver (*.wasm) lies in {}, its target/drivers or above; say which with --driver FILE", folder.display())
}
