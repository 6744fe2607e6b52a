//! `cargo xtask test`: everything that must hold before a change is kept.

use anyhow::Result;

use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{demo, drivers, fuzz, process, setup};

/// What a plain build leaves out, since it takes MIT Kerberos and libclang.
const KERBEROS: &str = "cardinal-server/gssapi,cardinal-tests/gssapi";

/// Sets up, then checks format, lints and every test. Stops at the first step that fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let cargo = |arguments: &[&str]| process::run(workspace.cargo().args(arguments));
    let mut steps = Steps::new(8);
    steps.run("programs that the tests talk to", setup::run)?;
    steps.run("format", || cargo(&["fmt", "--all", "--check"]))?;
    steps.run("drivers", || drivers::build(workspace, &[]))?;
    steps.run("clippy", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
        cargo(&["clippy", "--workspace", "--all-targets", "--features", KERBEROS, "--", "-D", "warnings"])
    })?;
    // Before the demo and the tests, which start `cardinal` and `cardinal-simulator` from the target folder. All targets in
    // one go, so that the tests find every crate compiled with the same features; with Kerberos, which is tried against a
    // real domain.
    steps.run("build", || cargo(&["build", "--workspace", "--all-targets", "--features", KERBEROS]))?;
    steps.run("the demo", || demo::check(workspace))?;
    steps.run("tests", || cargo(&["test", "--workspace", "--features", KERBEROS]))?;
    steps.run("fuzzing, briefly", || fuzz::run(workspace, None, fuzz::Reach::Same))?;
    println!("\nAll steps passed in {}.", steps.elapsed());
    Ok(())
}
