//! `cargo xtask bench`: the benchmarks, with drivers as they are now.

use std::process::Command;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{drivers, process, setup};

/// Builds the drivers and runs the benchmarks, which print their table.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    setup::run()?;
    drivers::build(workspace, &[])?;
    println!("Building the benchmarks with optimisation (the first time takes several minutes).");
    let mut cargo = workspace.cargo();
    // In one go, so that the benchmarks find the host compiled as they are.
    cargo.args(["build", "--release", "--package", "cardinal-tests", "--package", "cardinal-server", "--bins"]);
    process::run(&mut cargo)?;
    process::run(Command::new(workspace.optimised("bench")).args(arguments))
}
