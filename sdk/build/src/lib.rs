//! What makes a driver of a crate: the compiler for WebAssembly, the component around a core module, and the names of its
//! functions in a file beside it.
//!
//! `cardinal driver build` and `cargo xtask drivers` use it. It must never install anything: whoever calls it decides that.

mod component;
mod names;
mod process;
mod wasm_target;

pub use component::component;
pub use names::{LARGEST_NAMES, Names, NamesError, split};
pub use process::{find, output, shown};
pub use wasm_target::{DEBIAN_PACKAGES, DEBIAN_RUSTC, Debian, RUSTUP_COMMAND, TARGET, Version, WasmTarget};

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A program cannot be started.
    #[error("cannot start `{call}`: {source}")]
    Start {
        /// As a person would type it.
        call: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A program failed.
    #[error("`{call}` ended with {status}: {complaint}")]
    Failed {
        /// As a person would type it.
        call: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said to standard error.
        complaint: String,
    },
    /// There is no linker.
    #[error("no linker for {target}: {bundled} is not there, nor is `wasm-ld` in PATH; install the package `lld`", target = wasm_target::TARGET)]
    Linker {
        /// Where rustup's compilers have it.
        bundled: String,
    },
    /// The compiler's result is no core module.
    #[error("this is no core module of WebAssembly: {0}")]
    Module(#[from] wasmparser::BinaryReaderError),
    /// The module does not become a component.
    #[error("no component can be made of the module: {0}")]
    Component(String),
}
