//! `cargo xtask kill`: a host that is killed again and again, with everything as it is now.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{drivers, process, setup};

/// Builds what is needed and kills the host so many times; prints a table, and fails where the history is not as it may be.
pub(crate) fn run(workspace: &Workspace, times: u32, seed: Option<u64>, store_url: Option<&str>) -> Result<()> {
    setup::run()?;
    drivers::build(workspace, &[])?;
    process::run(workspace.cargo().args([
        "build",
        "--package",
        "cardinal-server",
        "--package",
        "cardinal-tests",
        "--bins",
    ]))?;
    let mut kill = std::process::Command::new(workspace.program("kill"));
    kill.args(["--times", &times.to_string()]);
    if let Some(seed) = seed {
        kill.args(["--seed", &seed.to_string()]);
    }
    if let Some(url) = store_url {
        kill.args(["--store-url", url]);
    }
    process::run(&mut kill)
}
