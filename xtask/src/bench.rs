//! `cargo xtask bench`: the benchmarks, with drivers as they are now.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{drivers, process};

/// Builds the drivers and runs the benchmarks, which print their table.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    drivers::build(workspace, &[])?;
    println!("Building the benchmarks with optimisation (the first time takes several minutes).");
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--release", "--package", "cardinal-tests", "--bin", "bench", "--"]).args(arguments);
    process::run(&mut cargo)
}
