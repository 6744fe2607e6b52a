//! A driver as the built component, in the runtime that hosts use and under the bounds that hosts give; its time is counted
//! in instructions, so that a slow machine fails no test.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use cardinal_domain::driver::{Context, Manifest};
use cardinal_runtime::{Bounds, Driver, LoadError, Runtime};

use crate::{Session, Stop, Subject};

/// A driver's component.
#[derive(Debug, Clone)]
pub struct Component(Driver);

/// Why a component cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// It has not been built.
    #[error("there is no component {path}; run `cargo xtask drivers` first, or set CARDINAL_DRIVERS to the folder that has it", path = .0.display())]
    Absent(PathBuf),
    /// There is no runtime to run it in.
    #[error("the driver runtime does not start: {0}")]
    Runtime(String),
    /// The runtime does not take it.
    #[error("{path} cannot be loaded: {why}", path = path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl Component {
    /// The component of this file.
    ///
    /// # Errors
    /// No such file, or one that a host would refuse.
    pub fn load(path: &Path) -> Result<Self, ComponentError> {
        if !path.is_file() {
            return Err(ComponentError::Absent(path.to_owned()));
        }
        let cache = path.with_file_name("testkit-cache");
        let runtime = runtime(&cache).as_ref().map_err(|why| ComponentError::Runtime(why.clone()))?;
        let loaded = runtime.load_file(path, &Bounds::default());
        let why = |error: LoadError| ComponentError::Load { path: path.to_owned(), why: chain(&error) };
        loaded.map(Self).map_err(why)
    }

    /// The component of this package, where `cargo xtask drivers` puts it for the crate in `crate_folder`.
    ///
    /// # Errors
    /// As [`Component::load`].
    pub fn of_package(package: &str, crate_folder: &Path) -> Result<Self, ComponentError> {
        Self::load(&components(crate_folder).join(format!("{package}.wasm")))
    }
}

/// The folder of built components: `CARDINAL_DRIVERS`, else `drivers` in the target folder of this crate's workspace.
pub fn components(crate_folder: &Path) -> PathBuf {
    env::var_os("CARDINAL_DRIVERS").map_or_else(|| target(crate_folder).join("drivers"), PathBuf::from)
}

/// `CARGO_TARGET_DIR`, else `target` beside the lock file.
fn target(crate_folder: &Path) -> PathBuf {
    let root = crate_folder.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(crate_folder);
    // A relative one counts from the workspace; tests run in the crate's folder.
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// One engine a process. Compiled drivers are kept in the cache that is named first.
fn runtime(cache: &Path) -> &'static Result<Runtime, String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::for_replay(Some(cache)).map_err(|error| chain(&error)))
}

impl Subject for Component {
    fn how(&self) -> &'static str {
        Subject::how(&self.0)
    }

    fn manifest(&self) -> Result<Manifest, String> {
        Subject::manifest(&self.0)
    }

    fn open(&self, context: Context) -> Result<Box<dyn Session>, Stop> {
        Subject::open(&self.0, context)
    }
}

/// An error with all its sources.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
