//! Each bound of a store, crossed by a few lines of WebAssembly text, and named.

use wasmtime::{
    Engine, Instance, Module, Store,
    component::{Component, Linker},
};

use super::*;
use crate::engine;

struct Bench {
    _folder: tempfile::TempDir,
    engine: Engine,
    options: EngineOptions,
    bounds: Bounds,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions { live_sessions: 4, ..EngineOptions::default() };
    let cache = engine::cache(&folder.path().join("drivers")).unwrap();
    let engine = engine::for_running(&cache, &options).unwrap();
    Bench { _folder: folder, engine, options, bounds: Bounds { instances: 2, ..Bounds::default() } }
}

impl Bench {
    fn failed(&self, store: &mut Store<Guard>, error: wasmtime::Error) -> SessionError {
        OPEN.failed(CallError::Instance(error), store, &self.bounds, &self.options)
    }

    fn store(&self) -> Store<Guard> {
        let mut store = store(&self.engine, &self.bounds);
        OPEN.start(&mut store, &self.bounds, &self.options);
        store
    }

    /// How a core module's start function fails.
    fn start(&self, body: &str) -> SessionError {
        let module = Module::new(&self.engine, wat::parse_str(format!("(module {body})")).unwrap()).unwrap();
        let mut store = self.store();
        let error = Instance::new(&mut store, &module, &[]).unwrap_err();
        self.failed(&mut store, error)
    }

    /// How a component's instantiation fails.
    fn component(&self, body: &str) -> SessionError {
        let component = Component::new(&self.engine, wat::parse_str(format!("(component {body})")).unwrap()).unwrap();
        let mut store = self.store();
        let error = Linker::new(&self.engine).instantiate(&mut store, &component).unwrap_err();
        self.failed(&mut store, error)
    }
}

#[test]
fn every_bound_of_a_store_has_its_name() {
    let bench = bench();
    let name = |error: SessionError| error.bound().unwrap_or_else(|| panic!("no bound: {error}"));
    assert_eq!(name(bench.start("(memory 65)")), "memory_bytes");
    assert_eq!(name(bench.start("(memory 1) (func (drop (memory.grow (i32.const 64)))) (start 0)")), "memory_bytes");
    assert_eq!(name(bench.start("(table 5000 funcref)")), "table_elements");
    assert_eq!(
        name(bench.start("(table 1 funcref) (func (drop (table.grow 0 (ref.null func) (i32.const 5000)))) (start 0)")),
        "table_elements"
    );
    assert_eq!(name(bench.start("(func (loop (br 0))) (start 0)")), "open_deadline_ms");
    assert_eq!(name(bench.start("(func (call 0)) (start 0)")), "stack_bytes");
    let handles = r#"
        (type $r (resource (rep i32)))
        (core func $new (canon resource.new $r))
        (core module $m
            (import "" "new" (func (param i32) (result i32)))
            (func (loop (drop (call 0 (i32.const 0))) (br 0)))
            (start 1))
        (core instance (instantiate $m (with "" (instance (export "new" (func $new))))))"#;
    assert_eq!(name(bench.component(handles)), "component_handles");
    let crowd = format!("(core module $m) {}", "(core instance (instantiate $m))".repeat(3));
    assert_eq!(name(bench.component(&crowd)), "instances");
    let memories = "(core module $m (memory 1)) (core instance (instantiate $m)) (core instance (instantiate $m))";
    let component = wat::parse_str(format!("(component {memories})")).unwrap();
    assert!(Component::new(&bench.engine, component).is_err(), "two memories");
}

#[test]
fn a_trap_is_no_bound_and_has_a_backtrace() {
    let error = bench().start("(func $inner unreachable) (func $outer (call $inner)) (start $outer)");
    match &error {
        SessionError::Trap { export: "open", reason, backtrace } => {
            assert!(reason.contains("unreachable"), "{reason}");
            assert!(backtrace.contains("inner") && backtrace.contains("outer"), "{backtrace}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(error.bound(), None);
}

#[test]
fn the_engine_takes_nothing_that_is_switched_off() {
    let bench = bench();
    for (feature, body) in [
        ("memory64", "(memory i64 1)"),
        ("threads", "(memory 1 1 shared)"),
        ("multi-memory", "(memory 1) (memory 1)"),
        ("gc", "(type (struct (field i32)))"),
        ("exceptions", "(tag)"),
        ("tail calls", "(func (return_call 0))"),
        ("relaxed simd", "(func (param v128) (drop (i32x4.relaxed_trunc_f32x4_s (local.get 0))))"),
    ] {
        let module = wat::parse_str(format!("(module {body})")).unwrap();
        assert!(Module::new(&bench.engine, module).is_err(), "{feature}");
    }
}

#[test]
fn where_fuel_is_counted_a_loop_ends_after_the_same_work_each_time() {
    let options = EngineOptions::default();
    let mut bench = Bench { engine: engine::for_replaying(None, &options).unwrap(), options, ..bench() };
    bench.bounds.open_deadline_ms = 3;
    for _ in 0..2 {
        match bench.start("(func (loop (br 0))) (start 0)") {
            SessionError::Bound { name: "replay_fuel", limit: 3_000_000, export: "open", detail, .. } => {
                assert!(detail.ends_with("which stand for open_deadline_ms = 3"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.start("(memory 65)").bound(), Some("memory_bytes"));
}
