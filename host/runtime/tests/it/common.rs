//! Shared by the tests of this folder: the guests, a small runtime, and a session that behaves.

use std::path::PathBuf;

use cardinal_domain::driver::{Context, Input, Output};
use cardinal_runtime::{Bounds, CompileCommand, Compiler, Driver, DriverSession, EngineOptions, Runtime};

/// The bytes of a guest that `cargo xtask drivers` has built.
pub(crate) fn guest(package: &str) -> Vec<u8> {
    let folder = std::env::var_os("CARDINAL_DRIVERS").map_or_else(
        || {
            let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
            let target = target.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")));
            target.join("drivers")
        },
        PathBuf::from,
    );
    let path = folder.join(format!("{package}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask drivers` first", path.display()))
}

/// The child of a host, as these tests have it.
pub(crate) fn compiler() -> Compiler {
    Compiler::Child(CompileCommand { program: env!("CARGO_BIN_EXE_cardinal-compile-driver").into(), args: Vec::new() })
}

/// Few sessions: each reserves address space.
pub(crate) fn options() -> EngineOptions {
    EngineOptions { live_sessions: 8, worker_threads: 2, ..EngineOptions::default() }
}

/// A runtime of a test's own. Compiled guests are shared by all tests.
pub(crate) fn runtime() -> Runtime {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled-guests");
    Runtime::new(options(), &cache, compiler()).unwrap()
}

/// The guest that misbehaves on demand.
pub(crate) fn hostile(runtime: &Runtime) -> Driver {
    runtime.load(&guest("guest-hostile"), &Bounds::default()).unwrap()
}

/// A context with these settings.
pub(crate) fn context(transport: &str, settings: &[(&str, &str)]) -> Context {
    Context {
        mode: "any".to_owned(),
        transport: transport.to_owned(),
        settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..Context::default()
    }
}

/// A line of text from the reader.
pub(crate) fn line(text: &str) -> Input {
    Input::Received(text.as_bytes().to_vec())
}

/// The session does what it is asked.
pub(crate) fn assert_works(session: &mut DriverSession) {
    assert_eq!(session.handle_blocking(0, line("echo x")).unwrap(), [Output::Send(b"x".to_vec())]);
}
