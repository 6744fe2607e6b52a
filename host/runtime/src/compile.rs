//! The parent's side of compiling: start the child, bound it, and take what it left in the cache.
//!
//! Compiled code is native code that runs unchecked, so it is only ever taken from the cache that this host filled, never
//! from outside.
//!
//! wasmtime offers no safe way to look into its cache without compiling what is not there. So the child gives a receipt:
//! the fingerprint of the engine that it compiled for and found its code again with. Without the receipt of an engine like
//! ours the cache is not asked. A receipt is kept beside the cache, so that a start needs no child for what was compiled
//! before. There is one way left to compile in this process: the entry has vanished since. What is compiled then was
//! compiled within these very bounds before, by the same engine, so it takes about as long; where the child did it just
//! now, it is refused, since something is wrong with the cache.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read, Write as _},
    os::unix::{fs::OpenOptionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use wasmtime::{Engine, component::Component};

use crate::{
    bounds::Bounds,
    compile_child::CompileRequest,
    engine::{self, CodeCache},
    error::shown,
    inspect::Inspection,
};

/// How the compiling child is started. The program is given four more arguments, to be handed to
/// [`CompileRequest::from_args`] and [`compile_child::run`](crate::compile_child::run).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileCommand {
    /// The program, as a rule this one.
    pub program: PathBuf,
    /// What comes before the four arguments, such as `compile-driver`.
    pub args: Vec<OsString>,
}

/// Where drivers are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// In a child process with bounds: the way of a host.
    Child(CompileCommand),
    /// In this process, without bounds: for tools that run their own user's driver, such as a test kit. Never for a host.
    InProcess,
}

/// Why a driver was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The file could not be handed over.
    #[error("cannot write {path} for the process that compiles drivers", path = path.display())]
    HandOver {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The child could not be started or waited for.
    #[error("cannot run {program}, which compiles drivers", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The child used more than it may.
    #[error("compiling crossed the bound {name} ({limit}): {detail}; the driver is too large or was made to take long")]
    Bound {
        /// The bound.
        name: &'static str,
        /// Its value.
        limit: u64,
        /// What happened.
        detail: String,
    },
    /// The child gave up.
    #[error("the driver could not be compiled ({status}): {message}")]
    Failed {
        /// How the child ended.
        status: String,
        /// What it said.
        message: String,
    },
    /// The child compiled for another engine, or not at all.
    #[error("{program} compiled the driver for another version of Cardinal than the one that runs; restart Cardinal if it was updated meanwhile", program = program.display())]
    OtherBuild {
        /// The program.
        program: PathBuf,
    },
    /// The child was content, and still there is no code for this engine.
    #[error("the compiled driver vanished from {cache}; is something else tidying that folder?", cache = cache.display())]
    NotInCache {
        /// The folder.
        cache: PathBuf,
    },
    /// wasmtime does not take the component.
    #[error("the driver cannot be loaded: {0}")]
    Load(String),
}

/// How much of a child's standard error is kept.
const STDERR_BYTES: u64 = 16 << 10;
/// The words for it: Rust's for an allocation and for a thread's stack, and the system's for a mapping.
const OUT_OF_MEMORY: [&str; 3] = ["memory allocation of", "failed to spawn thread", "Cannot allocate memory"];
/// The length of a receipt, with its line end.
const RECEIPT_BYTES: u64 = 17;
/// How many receipts are kept; then all are made anew. A partner who builds all day leaves one for each build.
const MOST_RECEIPTS: usize = 1_000;
/// How often a child is looked at. A usual driver takes 50 ms.
const LOOK: Duration = Duration::from_millis(5);

/// A component for this engine. One at a time for each cache: its counters tell what happened.
pub(crate) fn load(
    engine: &Engine,
    cache: Option<&CodeCache>,
    compiler: &Compiler,
    wasm: &[u8],
    inspection: &Inspection,
    bounds: &Bounds,
) -> Result<Component, CompileError> {
    let component = || Component::new(engine, wasm).map_err(|error| refused(&error, bounds));
    // A host has both.
    let (Compiler::Child(command), Some(cache)) = (compiler, cache) else {
        return component();
    };
    let (fingerprint, kept) = (engine::fingerprint(engine), Receipt::of(cache, inspection, bounds));
    if kept.is(&fingerprint) {
        return component();
    }
    let file = HandedOver::new(&cache.folder, wasm, &inspection.digest)?;
    let receipt = in_child(
        command,
        &CompileRequest {
            file: file.0.clone(),
            cache: cache.folder.clone(),
            memory_bytes: bounds.compile_memory_bytes,
            seconds: bounds.compile_seconds,
        },
    )?;
    if receipt.trim_end() != fingerprint {
        return Err(CompileError::OtherBuild { program: command.program.clone() });
    }
    let hits = cache.code.cache_hits();
    let component = component()?;
    if cache.code.cache_hits() > hits {
        kept.keep(&fingerprint);
        Ok(component)
    } else {
        Err(CompileError::NotInCache { cache: cache.folder.clone() })
    }
}

/// Where it stands that a file was compiled within these bounds.
struct Receipt {
    path: PathBuf,
    bounds: String,
}

impl Receipt {
    fn of(cache: &CodeCache, inspection: &Inspection, bounds: &Bounds) -> Self {
        Self {
            path: cache.folder.join("receipts").join(&inspection.digest),
            bounds: format!("{} {}", bounds.compile_memory_bytes, bounds.compile_seconds),
        }
    }

    fn text(&self, fingerprint: &str) -> String {
        format!("{fingerprint} {}", self.bounds)
    }

    fn is(&self, fingerprint: &str) -> bool {
        fs::read(&self.path).is_ok_and(|kept| kept == self.text(fingerprint).as_bytes())
    }

    /// One that cannot be kept costs the next start a child, and nothing else; so does one that a crash left half written.
    fn keep(&self, fingerprint: &str) {
        let Some(folder) = self.path.parent() else { return };
        if fs::read_dir(folder).is_ok_and(|kept| kept.count() >= MOST_RECEIPTS) {
            let _ = fs::remove_dir_all(folder);
        }
        let kept = fs::create_dir_all(folder).and_then(|()| fs::write(&self.path, self.text(fingerprint)));
        if let Err(error) = kept {
            tracing::debug!(path = %self.path.display(), %error, "a driver's receipt is not kept");
        }
    }
}

/// Why wasmtime does not take a component.
fn refused(error: &wasmtime::Error, bounds: &Bounds) -> CompileError {
    let detail = shown(&format!("{error:#}"), 1_000);
    // wasmtime has no type for it: instances of components that have instances inside.
    if detail.contains("transitively contains") && detail.contains("core module instances") {
        return CompileError::Bound { name: "instances", limit: bounds.instances, detail };
    }
    CompileError::Load(detail)
}

/// The bytes that were inspected, in a file for the child; gone when this is dropped.
struct HandedOver(PathBuf);

impl HandedOver {
    fn new(folder: &Path, wasm: &[u8], digest: &str) -> Result<Self, CompileError> {
        // Two processes, or two runtimes in one, may share the folder.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{digest}.{}.{next}.wasm", std::process::id()));
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(wasm)
        };
        match write() {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(CompileError::HandOver { path, source }),
        }
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        // One that stays behind is overwritten or harmless.
        let _ = fs::remove_file(&self.0);
    }
}

/// Has it compiled; gives the receipt.
fn in_child(command: &CompileCommand, request: &CompileRequest) -> Result<String, CompileError> {
    let failed = |source| CompileError::Start { program: command.program.clone(), source };
    let mut child = Command::new(&command.program)
        .args(&command.args)
        .args(request.to_args())
        // It needs nothing of ours: no secrets, no switches.
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let receipt = thread::spawn(move || stdout.map(|pipe| read_bounded(pipe, RECEIPT_BYTES)).unwrap_or_default());
    let message = thread::spawn(move || stderr.map(|pipe| read_bounded(pipe, STDERR_BYTES)).unwrap_or_default());
    let status = wait(&mut child, Duration::from_secs(request.seconds)).map_err(failed)?;
    let crossed = |name, limit, detail: &str| Err(CompileError::Bound { name, limit, detail: detail.to_owned() });
    let Some(status) = status else {
        return crossed("compile_seconds", request.seconds, "it was still compiling");
    };
    if status.success() {
        return Ok(receipt.join().unwrap_or_default());
    }
    let message = message.join().unwrap_or_default();
    if status.signal() == Some(Signal::XCPU.as_raw()) {
        return crossed("compile_seconds", request.seconds, "it used that much processor time");
    }
    if OUT_OF_MEMORY.iter().any(|words| message.contains(words)) {
        return crossed("compile_memory_bytes", request.memory_bytes, "it ran out of memory");
    }
    Err(CompileError::Failed { status: status.to_string(), message: shown(message.trim(), 2_000) })
}

/// Waits for a child, and kills it at the limit: none.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// The beginning of what a child says; the rest is read and dropped, so that it does not block.
fn read_bounded(mut from: impl Read, most: u64) -> String {
    let mut kept = Vec::new();
    // A broken pipe ends the message, nothing else.
    let _ = from.by_ref().take(most).read_to_end(&mut kept);
    let _ = io::copy(&mut from, &mut io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}
