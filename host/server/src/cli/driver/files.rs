//! Driver files on this machine: read, and asked what they are without a host.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use cardinal_runtime::{Bounds, CompileCommand, Compiler, Driver, EngineOptions, Runtime};

use crate::{
    config::Config,
    drivers::{SUFFIX, read_signature, words},
};

/// A driver file with its signature, read.
pub(super) struct Read {
    pub(super) wasm: Vec<u8>,
    pub(super) signature: Option<String>,
}

/// Where a file's signature lies if nobody says otherwise: `FILE.minisig`.
pub(super) fn signature_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(SUFFIX);
    name.into()
}

/// Reads a driver file, and its signature: the named one, which must be there, or `FILE.minisig`, which may.
pub(super) fn read(file: &Path, signature: Option<&Path>) -> Result<Read> {
    let wasm = read_wasm(file)?;
    let usual = signature_of(file);
    let path = signature.or_else(|| usual.exists().then_some(usual.as_path()));
    let read = |path: &Path| {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        read_signature(file).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(Read { wasm, signature: path.map(read).transpose()? })
}

/// The text of a driver's names file: the named one, which must be there, or `FILE.names` beside `FILE.wasm`, which may.
pub(super) fn names(file: &Path, names: Option<&Path>) -> Result<Option<String>> {
    let usual = file.with_extension("names");
    let Some(path) = names.or_else(|| usual.exists().then_some(usual.as_path())) else { return Ok(None) };
    let cannot = || format!("cannot read {}", path.display());
    let size = std::fs::metadata(path).with_context(cannot)?.len();
    if usize::try_from(size).map_or(true, |size| size > cardinal_build::LARGEST_NAMES) {
        bail!("{} is no names file: it has {size} bytes", path.display());
    }
    std::fs::read_to_string(path).map(Some).with_context(cannot)
}

/// No file of this size is a driver, whatever a host's bounds are.
const LARGEST: u64 = 1 << 30;

fn read_wasm(file: &Path) -> Result<Vec<u8>> {
    let mut wasm = Vec::new();
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    opened.take(LARGEST).read_to_end(&mut wasm).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(wasm)
}

/// The bounds of this host's configuration, or the usual ones where there is none.
pub(super) fn bounds(config: &Path) -> Result<Bounds> {
    if config.exists() { Ok(Config::load(config)?.drivers.bounds) } else { Ok(Bounds::default()) }
}

/// Loads a driver in this process: inspected, compiled in a child into a folder that is gone afterwards, and asked what it
/// is.
pub(super) fn load(wasm: &[u8], bounds: &Bounds) -> Result<Driver> {
    let cache =
        tempfile::Builder::new().prefix("cardinal-driver-").tempdir().context("cannot make a temporary folder")?;
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let compiler = Compiler::Child(CompileCommand { program, args: vec!["compile-driver".into()] });
    let options = EngineOptions { live_sessions: 1, worker_threads: 1, ..EngineOptions::default() };
    let runtime = Runtime::new(options, &cache.path().join("compiled"), compiler)?;
    runtime.load(wasm, bounds).map_err(|error| anyhow!(words(&error)))
}
