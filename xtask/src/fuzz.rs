//! `cargo xtask fuzz`: looks for inputs that break a parser of outside bytes.
//!
//! libFuzzer with the stable toolchain: the coverage that it needs is switched on by a stable option of the compiler, for
//! the crates of this workspace alone (`tests/fuzz/instrument.sh`). Cargo keeps what it compiles so apart
//! from the ordinary crates, in the same target folder. Dependencies that the tests have with more features are compiled
//! once more, which takes some three minutes the first time.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// How far a target looks.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    /// For so many seconds, each time elsewhere.
    Seconds(u64),
    /// At the same inputs each time, so that a test fails for what was changed and not by luck.
    Same,
}

/// So many inputs are the same each time: some seconds.
const SAME_INPUTS: u32 = 20_000;
/// The memory that a target may take, in MiB, and the time for one input, in seconds.
const MEMORY_MIB: &str = "-rss_limit_mb=1024";
const ONE_INPUT_S: &str = "-timeout=10";

/// Lets the target of this name, or all, look so far each. An input that breaks one is kept and named.
pub(crate) fn run(workspace: &Workspace, target: Option<&str>, reach: Reach) -> Result<()> {
    build(workspace)?;
    let folder = workspace.root.join("tests/fuzz");
    let all = targets(&folder)?;
    let chosen: Vec<&String> = all.iter().filter(|name| target.is_none_or(|target| target == *name)).collect();
    if chosen.is_empty() {
        bail!("there is no target {:?}; there are: {}", target.unwrap_or_default(), all.join(", "));
    }
    for name in chosen {
        look(workspace, &folder, name, reach).with_context(|| format!("target {name}"))?;
    }
    Ok(())
}

fn build(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    // With the features that the whole workspace has, so that as many compiled dependencies as can be are shared with it.
    cargo.args(["build", "--workspace", "--bin", "cardinal-fuzz", "--features", "cardinal-fuzz/libfuzzer"]);
    cargo.env("RUSTC_WORKSPACE_WRAPPER", workspace.root.join("tests/fuzz/instrument.sh"));
    process::run(&mut cargo)
}

/// A target has a corpus.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let corpus = folder.join("corpus");
    let entries = std::fs::read_dir(&corpus).with_context(|| format!("reading {}", corpus.display()))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

fn look(workspace: &Workspace, folder: &Path, name: &str, reach: Reach) -> Result<()> {
    // What is found on the way stays in the target folder: the corpus that is kept is chosen by people.
    let found = workspace.target.join("fuzz").join(match reach {
        Reach::Seconds(_) => name.to_owned(),
        Reach::Same => format!("{name}-same"),
    });
    if let Reach::Same = reach
        && found.exists()
    {
        std::fs::remove_dir_all(&found).with_context(|| format!("removing {}", found.display()))?;
    }
    let broken = workspace.target.join("fuzz").join(format!("{name}-broken"));
    for folder in [&found, &broken] {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let mut fuzz = Command::new(workspace.program("cardinal-fuzz"));
    fuzz.env("CARDINAL_FUZZ_TARGET", name).arg(&found).arg(folder.join("corpus").join(name));
    match reach {
        Reach::Seconds(seconds) => fuzz.arg(format!("-max_total_time={seconds}")),
        Reach::Same => fuzz.arg(format!("-runs={SAME_INPUTS}")).arg("-seed=1"),
    };
    fuzz.arg(format!("-artifact_prefix={}/", broken.display()));
    fuzz.args([MEMORY_MIB, ONE_INPUT_S, "-max_len=4096", "-verbosity=0", "-print_final_stats=1"]);
    let dictionary = folder.join("dictionaries").join(format!("{name}.dict"));
    if dictionary.is_file() {
        fuzz.arg(format!("-dict={}", dictionary.display()));
    }
    let output = fuzz.output().context("starting the fuzzer; a target folder that was built elsewhere?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!(
            "{said}\nan input broke it; it lies in {}. Mend it, and add the input to tests/fuzz/corpus/{name}",
            broken.display()
        );
    }
    let figure = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
    println!("{name:14} {:>10} inputs, nothing broke it", figure("stat::number_of_executed_units:"));
    Ok(())
}
