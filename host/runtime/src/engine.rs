//! The one wasmtime engine: every setting that keeps the sandbox tight, named.
//!
//! The process that compiles and the process that runs must agree on everything that compiled code depends on, so both
//! take the same configuration; they differ in how instances are allocated, which compiled code does not know. Nothing
//! here may depend on the environment.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use wasmparser::WasmFeatures;
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};

use crate::bounds::{EngineOptions, size};

/// The WebAssembly that a driver's file may use: what compilers emit today. All else is off, above all threads, memory64,
/// multi-memory, garbage collection, exceptions, relaxed SIMD and everything asynchronous; what is not there cannot be
/// attacked.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL)
    .difference(WasmFeatures::GC_TYPES);

/// Sessions that change their version at one time: each has two instances for a moment, also in a full pool.
pub(crate) const MOVES_AT_ONCE: u64 = 16;

/// Instances beyond the live sessions: one for a driver that is being described, and those of sessions on the move.
const SPARE: u64 = 1 + MOVES_AT_ONCE;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The folder for compiled code cannot be made or read.
    #[error("cannot use {path} for compiled drivers", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others may write into the folder for compiled code, or read it.
    #[error(
        "{path} holds compiled drivers, which run unchecked, so nobody but this user may reach it: make it this user's and `chmod 700` it", path = path.display()
    )]
    NotPrivate {
        /// The folder.
        path: PathBuf,
    },
    /// wasmtime does not take the configuration, or the machine has not enough address space.
    #[error(
        "cannot set up the WebAssembly engine: {0}; fewer live_sessions or a smaller largest_memory_bytes may help"
    )]
    Engine(String),
    /// No thread could be started.
    #[error("cannot start the threads that run drivers")]
    Threads(#[source] std::io::Error),
}

/// The folder for compiled drivers, with wasmtime's own cache inside. It is this user's alone.
pub(crate) struct CodeCache {
    /// Where files for the compiling child go. Not into the cache itself: wasmtime tidies that.
    pub(crate) folder: PathBuf,
    /// wasmtime's cache.
    pub(crate) code: Cache,
}

/// Opens the folder, and makes it if need be.
pub(crate) fn cache(folder: &Path) -> Result<CodeCache, EngineError> {
    let failed = |source| EngineError::Folder { path: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    let found = fs::metadata(&folder).map_err(failed)?;
    if found.mode() & 0o077 != 0 || found.uid() != rustix::process::geteuid().as_raw() {
        return Err(EngineError::NotPrivate { path: folder });
    }
    let mut config = CacheConfig::new();
    config.with_directory(folder.join("code"));
    let code = Cache::new(config).map_err(|error| EngineError::Engine(format!("{error:#}")))?;
    Ok(CodeCache { folder, code })
}

/// How the work of a call is measured against its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metering {
    /// By the clock: the way of a host, and cheap.
    Time,
    /// By counting instructions: the same each time on every machine, and up to three times slower.
    Fuel,
}

/// What compiled code depends on.
fn config(cache: Option<&CodeCache>, metering: Metering) -> Config {
    let mut config = Config::new();
    config
        .cache(cache.map(|cache| cache.code.clone()))
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        // The same inputs give the same outputs on every machine: a recording must replay.
        .cranelift_nan_canonicalization(true)
        .epoch_interruption(metering == Metering::Time)
        .consume_fuel(metering == Metering::Fuel)
        .concurrency_support(false)
        .gc_support(false)
        .shared_memory(false)
        // A backtrace has function names; debug information is the driver's own data and is not parsed in this process.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_features(WasmFeatures::all().difference(FEATURES), false)
        .wasm_features(FEATURES, true);
    config
}

/// What compiled code of this engine depends on, as one line. Code in the cache of one engine serves another of the same
/// fingerprint; different builds have different ones.
pub(crate) fn fingerprint(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The engine of a process that compiles: no room for instances, and one thread, so that its need of memory can be bounded.
pub(crate) fn for_compiling(cache: &CodeCache) -> Result<Engine, EngineError> {
    let mut config = config(Some(cache), Metering::Time);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand).parallel_compilation(false);
    Engine::new(&config).map_err(|error| EngineError::Engine(format!("{error:#}")))
}

/// The engine of a process that runs drivers, with its ticker.
pub(crate) fn for_running(cache: &CodeCache, options: &EngineOptions) -> Result<Engine, EngineError> {
    let count = |each: u64| {
        let total = options.live_sessions.saturating_add(SPARE).saturating_mul(each);
        u32::try_from(total).unwrap_or(u32::MAX)
    };
    let each = options.largest_instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(count(1))
        .total_core_instances(count(each))
        .max_core_instances_per_component(u32::try_from(each).unwrap_or(u32::MAX))
        .total_memories(count(1))
        .max_memories_per_component(1)
        .max_memory_size(size(options.largest_memory_bytes))
        // The driver's own table, and one in each shim.
        .total_tables(count(each))
        .max_tables_per_component(u32::try_from(each).unwrap_or(u32::MAX))
        .table_elements(size(options.largest_table_elements));
    let mut config = config(Some(cache), Metering::Time);
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        .max_wasm_stack(size(options.stack_bytes));
    let engine = Engine::new(&config).map_err(|error| EngineError::Engine(format!("{error:#}")))?;
    start_ticker(&engine, Duration::from_millis(options.epoch_tick_ms))?;
    Ok(engine)
}

/// The engine of a process that replays traces: one session at a time as a rule, so there is no pool, and no ticker.
pub(crate) fn for_replaying(cache: Option<&CodeCache>, options: &EngineOptions) -> Result<Engine, EngineError> {
    let mut config = config(cache, Metering::Fuel);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand).max_wasm_stack(size(options.stack_bytes));
    Engine::new(&config).map_err(|error| EngineError::Engine(format!("{error:#}")))
}

/// One thread that moves the engine's epoch on, for as long as there is the engine.
fn start_ticker(engine: &Engine, tick: Duration) -> Result<(), EngineError> {
    let engine = engine.weak();
    let run = move || {
        loop {
            thread::sleep(tick);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => break,
            }
        }
    };
    thread::Builder::new().name("driver-epoch".to_owned()).spawn(run).map_err(EngineError::Threads)?;
    Ok(())
}
