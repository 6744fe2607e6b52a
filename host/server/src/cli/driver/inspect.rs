//! `cardinal driver inspect`: what a file is, without a host.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{super::output, files, install};
use crate::drivers::{Report, SignatureReport};

/// What a driver file is and asks for; no host is needed
#[derive(Debug, Args)]
#[command(after_help = "\
The bounds are those of cardinal.toml, or the usual ones where there is none.

Examples:
  cardinal driver inspect acme-line.wasm
  cardinal driver inspect acme-line.wasm --json")]
pub(in crate::cli) struct Inspect {
    file: PathBuf,
}

impl Inspect {
    pub(super) fn run(&self, config: &Path, as_json: bool) -> Result<()> {
        let bounds = files::bounds(config)?;
        let read = files::read(&self.file, None)?;
        let driver = files::load(&read.wasm, &bounds)?;
        let report = Report::of(&driver, &bounds, SignatureReport::unchecked(read.signature.as_deref()));
        if as_json {
            return output::json(&report);
        }
        install::whole(&report);
        Ok(())
    }
}
