//! What stands guard over one store: its limits, and the one place that tells which bound a trap came from.
//!
//! A limit that wasmtime asks us about is noted when it is refused, so that the trap that follows can be named for sure.

use wasmtime::{Engine, ResourceLimiter, Store, Trap, WasmBacktrace};

use crate::{
    bounds::{Bounds, EngineOptions, size},
    error::{SessionError, shown, shown_line},
    generations::{CallError, TooMuch},
};

/// How much of a backtrace is kept, in characters.
const BACKTRACE: usize = 4_000;

/// Instructions that stand for a millisecond of a deadline where fuel is counted: about what a machine does in that time, so
/// that a driver which keeps its deadline at a site keeps it in a replay.
const FUEL_PER_MS: u64 = 1_000_000;

/// The data of every store.
#[derive(Debug)]
pub(crate) struct Guard {
    memory_bytes: usize,
    table_elements: usize,
    instances: usize,
    /// Whether the engine counts fuel instead of time.
    counts_fuel: bool,
    refused: Option<(&'static str, String)>,
}

impl ResourceLimiter for Guard {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.allow("memory_bytes", desired, self.memory_bytes, "bytes of memory")
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.allow("table_elements", desired, self.table_elements, "table elements")
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        1
    }
}

impl Guard {
    /// Refusing is a trap and not an answer to the guest: a driver without memory would only fail somewhere else.
    fn allow(&mut self, name: &'static str, desired: usize, most: usize, what: &str) -> wasmtime::Result<bool> {
        if desired <= most {
            return Ok(true);
        }
        let detail = format!("it asked for {desired} {what}");
        self.refused = Some((name, detail.clone()));
        Err(wasmtime::Error::msg(detail))
    }
}

/// A store for one session, under these bounds.
pub(crate) fn store(engine: &Engine, bounds: &Bounds) -> Store<Guard> {
    let guard = Guard {
        memory_bytes: size(bounds.memory_bytes),
        table_elements: size(bounds.table_elements),
        instances: size(bounds.instances),
        counts_fuel: false,
        refused: None,
    };
    let mut store = Store::new(engine, guard);
    store.limiter(|guard| guard);
    store.set_hostcall_fuel(size(bounds.hostcall_fuel));
    store.set_max_component_handles(size(bounds.component_handles));
    store.epoch_deadline_trap();
    // An engine that counts no fuel has none to tell of.
    let counts_fuel = store.get_fuel().is_ok();
    store.data_mut().counts_fuel = counts_fuel;
    store
}

/// The name of what stands for the bound on a call's time where fuel is counted.
const REPLAY_FUEL: &str = "replay_fuel";

/// An export, and the bound on its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export {
    pub(crate) name: &'static str,
    deadline: &'static str,
}

pub(crate) const DESCRIBE: Export = Export { name: "describe", deadline: "describe_deadline_ms" };
pub(crate) const OPEN: Export = Export { name: "open", deadline: "open_deadline_ms" };
pub(crate) const HANDLE: Export = Export { name: "handle", deadline: "call_deadline_ms" };
pub(crate) const SAVE: Export = Export { name: "save", deadline: "call_deadline_ms" };

impl Export {
    /// Starts the clock of a call.
    pub(crate) fn start(self, store: &mut Store<Guard>, bounds: &Bounds, engine: &EngineOptions) {
        let deadline = bounds.get(self.deadline).unwrap_or_default();
        // Fails on no engine that counts it.
        if store.data().counts_fuel && store.set_fuel(deadline.saturating_mul(FUEL_PER_MS)).is_ok() {
            return;
        }
        // The tick under way is no whole one.
        store.set_epoch_deadline(deadline.div_ceil(engine.epoch_tick_ms.max(1)).saturating_add(1));
    }

    /// What a call's failure means.
    pub(crate) fn failed(
        self,
        error: CallError,
        store: &mut Store<Guard>,
        bounds: &Bounds,
        engine: &EngineOptions,
    ) -> SessionError {
        let export = self.name;
        let (backtrace, was_called) = (error.backtrace(), !matches!(error, CallError::Instance(_)));
        let bound = |name: &'static str, detail: String| SessionError::Bound {
            name,
            limit: bounds.get(name).or_else(|| engine.get(name)).unwrap_or_default(),
            export,
            detail,
            backtrace: backtrace.clone().unwrap_or_default(),
        };
        let error = match error {
            CallError::Fault(fault) => return SessionError::Fault(fault),
            CallError::Contract(detail) => return SessionError::Contract { export, detail },
            CallError::Outputs(TooMuch::Count(count)) => {
                return bound("outputs_per_call", format!("it gave {count} outputs"));
            }
            CallError::Outputs(TooMuch::Bytes(bytes)) => {
                return bound("output_bytes_per_call", format!("it gave outputs of {bytes} bytes or more"));
            }
            CallError::Instance(error) | CallError::Wasm(error) => error,
        };
        if let Some((name, detail)) = store.data_mut().refused.take() {
            return bound(name, detail);
        }
        let reason = shown_line(&error.root_cause().to_string(), 500);
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => return bound(self.deadline, "it did not come to an end".to_owned()),
            Some(Trap::OutOfFuel) => {
                let (name, ms) = (self.deadline, bounds.get(self.deadline).unwrap_or_default());
                let detail =
                    format!("it did not come to an end in that many instructions, which stand for {name} = {ms}");
                let limit = ms.saturating_mul(FUEL_PER_MS);
                let backtrace = backtrace.unwrap_or_default();
                return SessionError::Bound { name: REPLAY_FUEL, limit, export, detail, backtrace };
            }
            Some(Trap::StackOverflow) => return bound("stack_bytes", "its calls were nested too deep".to_owned()),
            _ => {}
        }
        // wasmtime has no types for these.
        for (words, name) in [
            ("fuel allocated for hostcalls", "hostcall_fuel"),
            ("store handle limit", "component_handles"),
            ("instance count too high", "instances"),
        ] {
            if reason.contains(words) {
                return bound(name, reason);
            }
        }
        match backtrace {
            Some(backtrace) => SessionError::Trap { export, reason, backtrace },
            // It returned what is no value of its type: text that is not UTF-8, a list beyond its memory.
            None if was_called => SessionError::Contract { export, detail: reason },
            None => SessionError::Host { export, detail: reason },
        }
    }
}

impl CallError {
    /// Where the driver's code was; none: it was not running.
    fn backtrace(&self) -> Option<String> {
        let (Self::Instance(error) | Self::Wasm(error)) = self else { return None };
        error.downcast_ref::<WasmBacktrace>().map(|backtrace| shown(&backtrace.to_string(), BACKTRACE))
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
