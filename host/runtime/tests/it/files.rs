//! Files that are no drivers, each turned away with a reason, and the child that compiles those that are.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::common::{assert_works, context, guest, hostile, options, runtime};
use cardinal_runtime::{
    Bounds, CompileCommand, CompileError, Compiler, Driver, InspectError, LoadError, Runtime, RuntimeError,
    SessionError,
};

fn inspected(wasm: &[u8]) -> InspectError {
    match runtime().load(wasm, &Bounds::default()) {
        Err(LoadError::Inspect(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn replace(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut file = file.to_vec();
    let found: Vec<_> = (0..file.len() - from.len()).filter(|&at| file[at..].starts_with(from.as_bytes())).collect();
    assert!(!found.is_empty());
    for at in found {
        file[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    file
}

#[test]
fn a_sound_driver_says_what_it_is() {
    let wasm = guest("guest-hostile");
    let driver = hostile(&runtime());
    assert_eq!(driver.label(), "test/hostile@1.0.0");
    assert_eq!(driver.digest().len(), 64);
    let inspection = driver.inspection();
    assert_eq!((inspection.generation(), inspection.bytes), (1, wasm.len() as u64));
    assert_eq!(inspection.contract.to_string(), "1.0.0");
    assert_eq!(driver.manifest().modes[0].transports.len(), 3);
}

#[test]
fn a_file_cut_anywhere_is_refused_in_words() {
    let wasm = guest("guest-hostile");
    let bounds = Bounds::default();
    let runtime = runtime();
    for length in (0..wasm.len()).step_by(1_021) {
        match runtime.load(&wasm[..length], &bounds) {
            Err(LoadError::Inspect(
                InspectError::Invalid { .. } | InspectError::NotWasm | InspectError::NoContract,
            )) => {}
            other => panic!("cut at {length}: {other:?}"),
        }
    }
    assert!(inspected(&wasm[..wasm.len() / 2]).to_string().contains("damaged, cut short"));
}

#[test]
fn a_changed_byte_is_refused_or_harmless() {
    let wasm = guest("guest-liar");
    for at in (8..wasm.len()).step_by(97) {
        let mut wasm = wasm.clone();
        wasm[at] ^= 0x55;
        // What passes is a valid component still; nothing may panic.
        let _ = cardinal_runtime::inspect::inspect(&wasm, &Bounds::default());
    }
}

#[test]
fn each_wrong_file_has_its_own_words() {
    assert_eq!(inspected(b"#!/bin/sh\n"), InspectError::NotWasm);
    assert_eq!(inspected(&wat::parse_str("(module)").unwrap()), InspectError::CoreModule);
    assert_eq!(inspected(&wat::parse_str("(component)").unwrap()), InspectError::NoContract);
    let wants = wat::parse_str(
        r#"(component
            (import "wasi:filesystem/types@0.2.0" (instance))
            (import "wasi:cli/environment@0.2.0" (instance))
            (instance $d)
            (export "cardinal:reader/driver@1.0.0" (instance $d)))"#,
    );
    let error = inspected(&wants.unwrap());
    assert_eq!(
        error.to_string(),
        "a driver may import nothing, this one wants: wasi:filesystem/types@0.2.0, wasi:cli/environment@0.2.0; it must be built without WASI (target wasm32-unknown-unknown)"
    );
    let small = Bounds { component_bytes: 1_000, ..Bounds::default() };
    let error = runtime().load(&guest("guest-hostile"), &small).unwrap_err();
    assert!(matches!(error, LoadError::Inspect(InspectError::TooLarge { limit: 1_000, .. })), "{error:?}");
}

/// A component with this inside, under the name of a driver.
fn with_inside(parts: &str) -> Vec<u8> {
    let text = format!(r#"(component {parts} (instance $d) (export "cardinal:reader/driver@1.0.0" (instance $d)))"#);
    wat::parse_str(text).unwrap()
}

#[test]
fn what_a_file_asks_for_is_told_and_bounded_before_it_is_compiled() {
    let declared = hostile(&runtime()).inspection().declared;
    assert!((65_536..=4 << 20).contains(&declared.memory_bytes), "{declared:?}");
    assert!((1..=4_096).contains(&declared.table_elements) && (1..=4).contains(&declared.instances), "{declared:?}");

    let instance = "(core instance (instantiate $m))";
    for (parts, name, asked) in [
        ("(core module $m (memory 65536))".to_owned(), "memory_bytes", 4 << 30),
        ("(core module (memory 40)) (core module (memory 40))".to_owned(), "memory_bytes", 80 * 65_536),
        ("(component (core module (memory 65536)))".to_owned(), "memory_bytes", 4 << 30),
        ("(core module (table 9000000 funcref))".to_owned(), "table_elements", 9_000_000),
        (format!("(core module $m) {}", instance.repeat(5)), "instances", 5),
    ] {
        match inspected(&with_inside(&parts)) {
            InspectError::Declares { name: bound, asked: said, .. } => {
                assert_eq!((bound, said), (name, asked), "{parts}")
            }
            other => panic!("{parts}: {other:?}"),
        }
    }
    let large = Bounds { memory_bytes: 8 << 20, ..Bounds::default() };
    let two = with_inside("(core module (memory 40)) (core module (memory 40))");
    assert_eq!(cardinal_runtime::inspect::inspect(&two, &large).unwrap().declared.memory_bytes, 80 * 65_536);
}

#[test]
fn a_number_is_no_reason_to_take_memory() {
    // Sections that say they are 4 GiB long, or have four thousand million entries, in a file of a few bytes.
    for section in 0..=12_u8 {
        for lie in [
            &[0xff_u8, 0xff, 0xff, 0xff, 0x0f][..],
            &[5, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[6, 1, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ] {
            for header in [b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0"] {
                let file = [&header[..], &[section], lie].concat();
                cardinal_runtime::inspect::inspect(&file, &Bounds::default()).unwrap_err();
            }
        }
    }
}

#[test]
fn another_generation_is_named_and_a_later_minor_is_welcome() {
    let wasm = guest("guest-hostile");
    let two = inspected(&replace(&wasm, "cardinal:reader/driver@1.0.0", "cardinal:reader/driver@2.0.0"));
    assert_eq!(
        two.to_string(),
        "this driver was built for cardinal:reader/driver@2.0.0, this host serves generation 1; get a build of the driver for it, or another version of Cardinal"
    );
    let later = replace(&wasm, "cardinal:reader/driver@1.0.0", "cardinal:reader/driver@1.3.0");
    let driver = runtime().load(&later, &Bounds::default()).unwrap();
    assert_eq!(driver.inspection().contract.to_string(), "1.3.0");
    assert_works(&mut driver.open_blocking(context("dial", &[]), &Bounds::default()).unwrap());
}

#[test]
fn a_name_without_the_exports_is_no_driver() {
    let hollow = wat::parse_str(r#"(component (instance $d) (export "cardinal:reader/driver@1.0.0" (instance $d)))"#);
    let error = runtime().load(&hollow.unwrap(), &Bounds::default()).unwrap_err();
    assert!(matches!(&error, LoadError::Contract(why) if why.contains("describe")), "{error:?}");
}

#[test]
fn a_describe_that_traps_is_told_and_stops_nobody() {
    let runtime = runtime();
    let mut neighbour = hostile(&runtime).open_blocking(context("dial", &[]), &Bounds::default()).unwrap();
    let error = runtime.load(&guest("guest-liar"), &Bounds::default()).unwrap_err();
    assert!(matches!(error, LoadError::Describe(SessionError::Trap { export: "describe", .. })), "{error:?}");
    assert_works(&mut neighbour);
}

/// A runtime whose compile command is a line of shell.
fn with_child(script: &str) -> (tempfile::TempDir, Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let compiler = Compiler::Child(CompileCommand {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into(), "compile".into()],
    });
    let runtime = Runtime::new(options(), &folder.path().join("drivers"), compiler).unwrap();
    (folder, runtime)
}

fn compiled(result: Result<Driver, LoadError>) -> CompileError {
    match result {
        Err(LoadError::Compile(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_child_that_hangs_is_killed_at_the_limit() {
    let (_folder, runtime) = with_child("exec /bin/sleep 600");
    let bounds = Bounds { compile_seconds: 1, ..Bounds::default() };
    let error = compiled(runtime.load(&guest("guest-hostile"), &bounds));
    assert!(matches!(error, CompileError::Bound { name: "compile_seconds", limit: 1, .. }), "{error:?}");
}

#[test]
fn processor_time_is_bounded_too() {
    let (_folder, runtime) = with_child("ulimit -St 1; while :; do :; done");
    let error = compiled(runtime.load(&guest("guest-hostile"), &Bounds::default()));
    assert!(matches!(error, CompileError::Bound { name: "compile_seconds", .. }), "{error:?}");
}

#[test]
fn a_file_is_read_no_further_than_it_may_be_long() {
    let runtime = runtime();
    let load = |path: &str| runtime.load_file(path.as_ref(), &Bounds::default());
    assert!(matches!(load("/dev/zero"), Err(LoadError::Inspect(InspectError::TooLarge { .. }))));
    assert!(matches!(load("/no/such/file"), Err(LoadError::Read { .. })));
}

#[test]
fn a_child_that_fails_or_lies_is_no_way_in() {
    let wasm = guest("guest-hostile");
    let (_folder, runtime) =
        with_child("while :; do echo 'the disk is on fire'; done | /usr/bin/head -c 100000 >&2; exit 3");
    match compiled(runtime.load(&wasm, &Bounds::default())) {
        CompileError::Failed { status, message } => {
            assert!(status.contains('3') && message.starts_with("the disk is on fire\n"), "{status} {message}");
            assert!(message.len() < 3_000, "bounded");
        }
        other => panic!("{other:?}"),
    }
    for lie in ["exit 0", "echo 0123456789abcdef"] {
        let (folder, runtime) = with_child(lie);
        let error = compiled(runtime.load(&wasm, &Bounds::default()));
        assert!(matches!(error, CompileError::OtherBuild { .. }), "{error:?}");
        // wasmtime would have kept what it compiled.
        let modules = folder.path().join("drivers/code/modules");
        assert!(!modules.exists(), "compiled in this process");
    }
    let folder = tempfile::tempdir().unwrap();
    let missing = Compiler::Child(CompileCommand { program: "/no/such/program".into(), args: Vec::new() });
    let runtime = Runtime::new(options(), &folder.path().join("drivers"), missing).unwrap();
    assert!(matches!(compiled(runtime.load(&wasm, &Bounds::default())), CompileError::Start { .. }));
}

#[test]
fn compiling_is_bounded_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(options(), &folder.path().join("drivers"), crate::common::compiler()).unwrap();
    // Less than the child needs for itself.
    let bounds = Bounds { compile_memory_bytes: 16 << 20, ..Bounds::default() };
    let error = compiled(runtime.load(&guest("guest-hostile"), &bounds));
    assert!(matches!(error, CompileError::Bound { name: "compile_memory_bytes", .. }), "{error:?}");
    // The same file with room: nothing of the failure stays behind.
    assert!(runtime.load(&guest("guest-hostile"), &Bounds::default()).is_ok());
    let mut left: Vec<_> =
        fs::read_dir(folder.path().join("drivers")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["code", "receipts"]);
}

#[test]
fn what_was_compiled_before_needs_no_child_unless_bounds_or_files_changed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("drivers");
    let (wasm, bounds) = (guest("guest-hostile"), Bounds::default());
    Runtime::new(options(), &cache, crate::common::compiler()).unwrap().load(&wasm, &bounds).unwrap();
    let missing = Compiler::Child(CompileCommand { program: "/no/such/program".into(), args: Vec::new() });
    let again = Runtime::new(options(), &cache, missing).unwrap();
    assert_works(&mut again.load(&wasm, &bounds).unwrap().open_blocking(context("dial", &[]), &bounds).unwrap());
    let tighter = Bounds { compile_seconds: bounds.compile_seconds - 1, ..bounds.clone() };
    let other = replace(&wasm, "cardinal:reader/driver@1.0.0", "cardinal:reader/driver@1.3.0");
    let receipt = fs::read_dir(cache.join("receipts")).unwrap().next().unwrap().unwrap().path();
    let start = |loaded| matches!(compiled(loaded), CompileError::Start { .. });
    assert!(start(again.load(&wasm, &tighter)) && start(again.load(&other, &bounds)));
    for wrong in ["", "0123456789abcdef 1 1"] {
        fs::write(&receipt, wrong).unwrap();
        assert!(start(again.load(&wasm, &bounds)), "{wrong:?}");
    }
}

#[test]
fn the_folder_of_compiled_drivers_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("drivers");
    Runtime::new(options(), &cache, Compiler::InProcess).unwrap();
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    match Runtime::new(options(), &cache, Compiler::InProcess) {
        Err(RuntimeError::Engine(error)) => assert!(error.to_string().contains("chmod 700"), "{error}"),
        other => panic!("{:?}", other.map(|_| ())),
    }
}
