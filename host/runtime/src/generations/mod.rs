//! The generations of the contract that this host serves, each with its own adapter to the host's words.
//!
//! A new generation is a new module here, a case in each enum, and a number in [`GENERATIONS`]; nothing above this module
//! changes. Adapters take everything a driver says as hostile: what they hand on has been checked.

mod check;
mod v1;

use cardinal_domain::driver::{Context, Fault, Input, Manifest, Millis, Output};
use wasmtime::{
    Engine, Store,
    component::{Component, Linker},
};

use crate::guard::Guard;

/// The generations this host serves.
pub const GENERATIONS: &[u64] = &[1];

/// A component linked and ready for instances.
#[derive(Clone)]
pub(crate) enum Prepared {
    V1(v1::Prepared),
}

/// A session inside an instance.
pub(crate) enum Instance {
    V1(v1::Instance),
}

/// How a call into a driver went wrong.
#[derive(Debug)]
pub(crate) enum CallError {
    /// There was no instance to call: a bound, a trap in its start, or the host could not make one.
    Instance(wasmtime::Error),
    /// A trap, a crossed bound, or an answer that cannot be read.
    Wasm(wasmtime::Error),
    /// The driver's own words.
    Fault(Fault),
    /// Something the contract does not allow.
    Contract(String),
    /// More outputs or larger ones than may be.
    Outputs(TooMuch),
}

/// What was too much in the outputs of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooMuch {
    /// This many outputs.
    Count(u64),
    /// At least this many bytes.
    Bytes(u64),
}

impl From<wasmtime::Error> for CallError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Wasm(error)
    }
}

/// What the outputs of one call may come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputBounds {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

impl Prepared {
    /// Links a component of this generation to nothing at all.
    pub(crate) fn new(engine: &Engine, component: &Component, generation: u64) -> wasmtime::Result<Self> {
        let pre = Linker::new(engine).instantiate_pre(component)?;
        match generation {
            1 => Ok(Self::V1(v1::Prepared::new(pre)?)),
            // Inspection let it pass, so a number was added to the list and no adapter here.
            other => Err(wasmtime::format_err!("generation {other} has no adapter")),
        }
    }

    pub(crate) fn describe(&self, store: &mut Store<Guard>) -> Result<Manifest, CallError> {
        match self {
            Self::V1(prepared) => prepared.describe(store),
        }
    }

    pub(crate) fn open(&self, store: &mut Store<Guard>, context: Context) -> Result<Instance, CallError> {
        match self {
            Self::V1(prepared) => prepared.open(store, context).map(Instance::V1),
        }
    }
}

impl Instance {
    pub(crate) fn handle(
        &self,
        store: &mut Store<Guard>,
        now: Millis,
        input: Input,
        bounds: OutputBounds,
    ) -> Result<Vec<Output>, CallError> {
        match self {
            Self::V1(instance) => instance.handle(store, now, input, bounds),
        }
    }

    pub(crate) fn save(&self, store: &mut Store<Guard>) -> Result<Option<Vec<u8>>, CallError> {
        match self {
            Self::V1(instance) => instance.save(store),
        }
    }
}
