//! Compiling, in a process of its own.
//!
//! A thread that compiles cannot be stopped and its memory cannot be bounded; a process can. The child takes a file that
//! has been inspected, limits itself, and fills wasmtime's on-disk cache. It opens nothing else, starts nothing, and
//! gives compiled code to nobody: the parent finds it in the cache, which both keep private. Its standard output is a
//! receipt, the fingerprint of its engine, by which the parent knows beforehand that it will find it.

use std::{ffi::OsString, fs, io::Write as _, path::PathBuf};

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::component::Component;

use crate::engine::{self, EngineError};

/// What a child is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileRequest {
    /// The component.
    pub file: PathBuf,
    /// The folder for compiled drivers.
    pub cache: PathBuf,
    /// Address space the child may use.
    pub memory_bytes: u64,
    /// Processor time the child may use, in seconds.
    pub seconds: u64,
}

/// Why a child gave up.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// Not started by a host.
    #[error("wanted: <file> <cache folder> <memory in bytes> <seconds>; this command is for Cardinal's own use")]
    Arguments,
    /// It could not limit itself.
    #[error("cannot limit this process")]
    Limit(#[source] std::io::Error),
    /// The file is gone.
    #[error("cannot read {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no engine to compile with.
    #[error("there is no engine to compile with")]
    Engine(#[from] EngineError),
    /// The component does not compile.
    #[error("{0}")]
    Compile(String),
    /// The code could not be kept.
    #[error("the compiled driver could not be written to {cache}; is the disk full?", cache = cache.display())]
    NotKept {
        /// The folder.
        cache: PathBuf,
    },
    /// Nobody took the receipt.
    #[error("cannot write to standard output")]
    Receipt(#[source] std::io::Error),
}

impl CompileRequest {
    /// As a child's last arguments.
    pub(crate) fn to_args(&self) -> [OsString; 4] {
        [
            self.file.clone().into(),
            self.cache.clone().into(),
            self.memory_bytes.to_string().into(),
            self.seconds.to_string().into(),
        ]
    }

    /// From a child's last four arguments.
    ///
    /// # Errors
    /// Not four, or the numbers are none.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, ChildError> {
        let mut args = args.into_iter();
        let mut next = || args.next().ok_or(ChildError::Arguments);
        let number = |text: OsString| text.to_str().and_then(|text| text.parse().ok()).ok_or(ChildError::Arguments);
        let request = Self {
            file: next()?.into(),
            cache: next()?.into(),
            memory_bytes: number(next()?)?,
            seconds: number(next()?)?,
        };
        if args.next().is_some() { Err(ChildError::Arguments) } else { Ok(request) }
    }
}

/// Does it. The calling process is limited for good: call this from a `main` that does nothing else.
///
/// # Errors
/// In words that the parent hands on to the operator. Out of time or memory, the process ends by a signal instead.
pub fn run(request: &CompileRequest) -> Result<(), ChildError> {
    limit(request)?;
    let wasm = fs::read(&request.file).map_err(|source| ChildError::File { path: request.file.clone(), source })?;
    let cache = engine::cache(&request.cache)?;
    let engine = engine::for_compiling(&cache)?;
    let compile = || Component::new(&engine, &wasm).map_err(|error| ChildError::Compile(format!("{error:#}")));
    compile()?;
    // The second time it must come from the cache; wasmtime does not say when it could not write there.
    let hits = cache.code.cache_hits();
    compile()?;
    if cache.code.cache_hits() == hits {
        return Err(ChildError::NotKept { cache: request.cache.clone() });
    }
    writeln!(std::io::stdout(), "{}", engine::fingerprint(&engine)).map_err(ChildError::Receipt)
}

fn limit(request: &CompileRequest) -> Result<(), ChildError> {
    // A host that is gone needs no compiled driver.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| ChildError::Limit(error.into()))?;
    let limits = [
        (Resource::As, request.memory_bytes, request.memory_bytes),
        // A second apart, so that the first signal says which limit it was.
        (Resource::Cpu, request.seconds, request.seconds.saturating_add(1)),
        (Resource::Core, 0, 0),
    ];
    limits.into_iter().try_for_each(|(resource, soft, hard)| {
        let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
        setrlimit(resource, limit).map_err(|error| ChildError::Limit(error.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_command_line() {
        let request = CompileRequest { file: "/a b".into(), cache: "/c".into(), memory_bytes: 1, seconds: 2 };
        assert_eq!(CompileRequest::from_args(request.to_args()).unwrap(), request);
        assert!(CompileRequest::from_args(["a", "b", "c", "d"].map(OsString::from)).is_err());
        assert!(CompileRequest::from_args(request.to_args().into_iter().chain(["x".into()])).is_err());
    }
}
