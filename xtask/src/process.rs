//! Running other programs to their end. A program that fails is always an error here: nothing is ignored by accident.

use std::process::Command;

use anyhow::{Context, Result, bail};
use cardinal_build::shown;
pub(crate) use cardinal_build::{find, output};

/// Runs a program with our own standard streams; anything but success is an error that shows the call.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}
