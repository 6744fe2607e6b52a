//! Runs reader drivers: inspects, compiles, bounds and calls WebAssembly components.
//!
//! ```text
//! file ─▶ inspect ─▶ compile (a child process) ─▶ describe once ─▶ Driver ─▶ open ─▶ DriverSession: handle, save
//! ```
//!
//! A driver is somebody else's code. Nothing it says is believed, nothing it does can cost more than its [`Bounds`], and
//! it has nothing to call: a component that imports anything is refused. This crate knows drivers and no sockets, stores
//! or secrets, so that it could move into a process of its own.

pub mod accounts;
pub mod bounds;
mod compile;
pub mod compile_child;
mod engine;
mod error;
mod generations;
mod guard;
pub mod inspect;
pub mod manifest;
mod moving;
pub mod replay;
mod session;
mod workers;

use std::{
    fmt, fs,
    io::Read as _,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use cardinal_domain::driver::Manifest;
use tokio::sync::Semaphore;
use wasmtime::Engine;

pub use crate::{
    accounts::Accounts,
    bounds::{BOUNDS, BoundInfo, Bounds, BoundsError, ENGINE_OPTIONS, EngineOptions},
    compile::{CompileCommand, CompileError, Compiler},
    engine::EngineError,
    error::SessionError,
    generations::GENERATIONS,
    inspect::{Declared, InspectError, Inspection},
    manifest::ManifestError,
    moving::MoveError,
    session::DriverSession,
};
use crate::{engine::CodeCache, generations::Prepared, workers::Workers};

/// The engine with its workers, from which drivers are loaded. One a process; cheap to clone.
#[derive(Clone)]
pub struct Runtime(Arc<Shared>);

struct Shared {
    engine: Engine,
    options: EngineOptions,
    workers: Workers,
    permits: Arc<Semaphore>,
    /// For sessions that change their version: each has two instances for a moment.
    moves: Arc<Semaphore>,
    // One load at a time: the cache's counters tell of one, and compiling takes a core.
    // None: of a replay, which may do without.
    loading: Mutex<Option<CodeCache>>,
    compiler: Compiler,
}

/// A driver that is ready to be opened. Cheap to clone.
#[derive(Clone)]
pub struct Driver(Arc<Loaded>);

struct Loaded {
    manifest: Manifest,
    inspection: Inspection,
    prepared: Prepared,
    compiled_in: Duration,
    runtime: Runtime,
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// An option is out of range.
    #[error("the options of the driver engine do not hold together")]
    Options(#[from] BoundsError),
    /// The engine could not be made.
    #[error("the driver engine cannot start")]
    Engine(#[from] EngineError),
}

/// Why a driver was not loaded. Says what the operator can do; the source says the rest.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read the driver {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Its bounds do not fit the engine.
    #[error("the bounds of the driver do not fit the engine")]
    Bounds(#[from] BoundsError),
    /// The file is no driver for this host.
    #[error("the file is no driver for this host")]
    Inspect(#[from] InspectError),
    /// It was not compiled.
    #[error("the driver was not compiled")]
    Compile(#[from] CompileError),
    /// Its exports are not those of its generation.
    #[error("the driver does not export what its generation of the contract wants: {0}")]
    Contract(String),
    /// It did not say what it is.
    #[error("the driver did not describe itself")]
    Describe(#[source] SessionError),
    /// What it says of itself cannot be used.
    #[error("the manifest of the driver cannot be used; its publisher must mend it")]
    Manifest(#[from] ManifestError),
}

impl Runtime {
    /// An engine with its threads. Compiled drivers are kept in `cache`, a folder that is this user's alone and is made
    /// if it is not there.
    ///
    /// # Errors
    /// An option out of range, a folder that others may reach, or a machine without room.
    pub fn new(options: EngineOptions, cache: &Path, compiler: Compiler) -> Result<Self, RuntimeError> {
        options.check()?;
        let cache = engine::cache(cache)?;
        let engine = engine::for_running(&cache, &options)?;
        let threads = match options.worker_threads {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            threads => bounds::size(threads),
        };
        let workers = Workers::start(threads, bounds::size(options.stack_bytes)).map_err(EngineError::Threads)?;
        let permits = Arc::new(Semaphore::new(bounds::size(options.live_sessions).min(Semaphore::MAX_PERMITS)));
        let moves = Arc::new(Semaphore::new(bounds::size(engine::MOVES_AT_ONCE)));
        Ok(Self(Arc::new(Shared {
            engine,
            options,
            workers,
            permits,
            moves,
            loading: Mutex::new(Some(cache)),
            compiler,
        })))
    }

    /// A runtime that replays traces: work is counted in instructions (fuel) instead of time, so that an answer is the same
    /// each time on every machine, also that of a driver which never ends. For tools that run their own user's driver: it is
    /// compiled in this process, and sessions are called by the `…_blocking` twins. Compiled drivers are kept in `cache`, if
    /// it is given.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn for_replay(cache: Option<&Path>) -> Result<Self, RuntimeError> {
        let options = EngineOptions { live_sessions: 16, worker_threads: 1, ..EngineOptions::default() };
        let cache = cache.map(engine::cache).transpose()?;
        let engine = engine::for_replaying(cache.as_ref(), &options)?;
        let workers = Workers::start(0, 0).map_err(EngineError::Threads)?;
        let permits = Arc::new(Semaphore::new(bounds::size(options.live_sessions)));
        let moves = Arc::new(Semaphore::new(0));
        let (loading, compiler) = (Mutex::new(cache), Compiler::InProcess);
        Ok(Self(Arc::new(Shared { engine, options, workers, permits, moves, loading, compiler })))
    }

    /// Loads a driver from a file. Takes as long as compiling does: call it where blocking is allowed.
    ///
    /// # Errors
    /// Why the file cannot be a driver here.
    pub fn load_file(&self, path: &Path, bounds: &Bounds) -> Result<Driver, LoadError> {
        let failed = |source| LoadError::Read { path: path.to_owned(), source };
        let limit = bounds.component_bytes;
        let file = fs::File::open(path).map_err(failed)?;
        // The size first, and not trusted: it may grow, or be no file with a size.
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes > limit {
            return Err(InspectError::TooLarge { bytes, limit }.into());
        }
        let mut wasm = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut wasm).map_err(failed)?;
        self.load(&wasm, bounds)
    }

    /// Loads a driver: inspects it, has it compiled, and asks it once what it is. Takes as long as compiling does: call
    /// it where blocking is allowed. Of the bounds, those for files, compiling and `describe` matter here.
    ///
    /// # Errors
    /// Why this cannot be a driver here.
    pub fn load(&self, wasm: &[u8], bounds: &Bounds) -> Result<Driver, LoadError> {
        let shared = &self.0;
        bounds.check(&shared.options)?;
        let inspection = inspect::inspect(wasm, bounds)?;
        // Only what a panic could leave half done would be poisoned, and a cache has nothing of that.
        let cache = shared.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let component = compile::load(&shared.engine, cache.as_ref(), &shared.compiler, wasm, &inspection, bounds)?;
        let compiled_in = began.elapsed();
        let prepared = Prepared::new(&shared.engine, &component, inspection.generation())
            .map_err(|error| LoadError::Contract(error::shown(&format!("{error:#}"), 1_000)))?;
        // Still one at a time: the pool has one place for this beyond the live sessions.
        let manifest = self.describe(&prepared, bounds).map_err(LoadError::Describe)?;
        drop(cache);
        manifest::check(&manifest)?;
        Ok(Driver(Arc::new(Loaded { manifest, inspection, prepared, compiled_in, runtime: self.clone() })))
    }

    fn describe(&self, prepared: &Prepared, bounds: &Bounds) -> Result<Manifest, SessionError> {
        let options = &self.0.options;
        let mut store = guard::store(&self.0.engine, bounds);
        guard::DESCRIBE.start(&mut store, bounds, options);
        prepared.describe(&mut store).map_err(|error| guard::DESCRIBE.failed(error, &mut store, bounds, options))
    }

    /// The options it was made with.
    pub fn options(&self) -> &EngineOptions {
        &self.0.options
    }

    /// How many sessions have an instance now.
    pub fn live_sessions(&self) -> usize {
        bounds::size(self.0.options.live_sessions).saturating_sub(self.0.permits.available_permits())
    }
}

impl Driver {
    /// What it said of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// What its file turned out to be.
    pub fn inspection(&self) -> &Inspection {
        &self.0.inspection
    }

    /// How long it took to have compiled code of it; a moment where there was some already.
    pub fn compiled_in(&self) -> Duration {
        self.0.compiled_in
    }

    /// SHA-256 of its file, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.0.inspection.digest
    }

    /// `vendor/name@version`, as operators write it.
    pub fn label(&self) -> String {
        format!("{}@{}", self.0.manifest.id(), self.0.manifest.version)
    }

    fn prepared(&self) -> &Prepared {
        &self.0.prepared
    }

    fn engine(&self) -> &Engine {
        &self.0.runtime.0.engine
    }

    fn options(&self) -> &EngineOptions {
        &self.0.runtime.0.options
    }

    fn workers(&self) -> &Workers {
        &self.0.runtime.0.workers
    }

    fn permits(&self) -> &Arc<Semaphore> {
        &self.0.runtime.0.permits
    }

    fn moves(&self) -> &Arc<Semaphore> {
        &self.0.runtime.0.moves
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Driver").field(&self.label()).finish()
    }
}

impl fmt::Debug for DriverSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverSession").field("driver", &self.driver().label()).finish_non_exhaustive()
    }
}
