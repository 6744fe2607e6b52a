//! A driver as the built component, in the runtime that hosts use and under the bounds that hosts give.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use cardinal_domain::driver::{Context, Input, Manifest, Millis, Output};
use cardinal_runtime::{Bounds, Compiler, Driver, DriverSession, EngineOptions, LoadError, Runtime, SessionError};

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

/// One engine a process: it reserves a lot of address space. Compiled drivers are kept in the cache that is named first.
fn runtime(cache: &Path) -> &'static Result<Runtime, String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let options = EngineOptions { live_sessions: 16, worker_threads: 1, ..EngineOptions::default() };
        Runtime::new(options, cache, Compiler::InProcess).map_err(|error| chain(&error))
    })
}

impl Subject for Component {
    fn how(&self) -> &'static str {
        "as a component"
    }

    fn manifest(&self) -> Result<Manifest, String> {
        Ok(self.0.manifest().clone())
    }

    fn open(&self, context: Context) -> Result<Box<dyn Session>, Stop> {
        let session = self.0.open_blocking(context, &Bounds::default()).map_err(stop)?;
        Ok(Box::new(session))
    }
}

impl Session for DriverSession {
    fn handle(&mut self, now: Millis, input: Input) -> Result<Vec<Output>, Stop> {
        self.handle_blocking(now, input).map_err(stop)
    }

    fn save(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        self.save_blocking().map_err(stop)
    }

    fn reopen(&mut self, context: Context) -> Result<(), Stop> {
        let accounts = self.accounts().clone();
        *self = self.driver().clone().resume_blocking(context, accounts, &Bounds::default()).map_err(stop)?;
        Ok(())
    }
}

fn stop(error: SessionError) -> Stop {
    match error {
        SessionError::Fault(fault) => Stop::Fault(fault),
        SessionError::Trap { ref backtrace, .. } => Stop::Broken(format!("{error}\n{backtrace}")),
        other => Stop::Broken(other.to_string()),
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
