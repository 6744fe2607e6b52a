//! Components made to hurt before they say a word: a describe that lies or never ends, start functions, nests and numbers
//! made to explode, state of somebody else. Each ends at a bound with a name, and a session beside it goes on.

use std::time::{Duration, Instant};

use crate::{
    common::{assert_works, context, guest, hostile, line, runtime},
    surgery::{COMPONENT, CORE_MODULE, MODULE, NESTED_COMPONENT, file, hostile_with, leb, sections, starting_with},
};
use cardinal_domain::driver::{Context, Input, Manifest};
use cardinal_runtime::{Accounts, Bounds, CompileError, InspectError, LoadError, MoveError, Runtime, SessionError};

/// Far more than anything here takes, and far less than for ever; a loaded machine needs the room.
const AT_MOST: Duration = Duration::from_secs(30);

/// Loads this, which must not work, while another session runs.
fn refused(runtime: &Runtime, wasm: &[u8]) -> LoadError {
    let mut neighbour = hostile(runtime).open_blocking(context("dial", &[]), &Bounds::default()).unwrap();
    let begun = Instant::now();
    let error = runtime.load(wasm, &Bounds::default()).expect_err("it hurts");
    assert!(begun.elapsed() < AT_MOST, "{:?}: {error:?}", begun.elapsed());
    assert_works(&mut neighbour);
    error
}

fn bound(error: &LoadError) -> Option<&'static str> {
    match error {
        LoadError::Describe(error) => error.bound(),
        LoadError::Compile(CompileError::Bound { name, .. }) => Some(name),
        LoadError::Inspect(InspectError::Declares { name, .. }) => Some(name),
        LoadError::Inspect(InspectError::TooLarge { .. }) => Some("component_bytes"),
        _ => None,
    }
}

/// The guest whose describe does this.
fn liar(deed: &str) -> Vec<u8> {
    const MARK: &[u8] = b"when asked: ";
    const ROOM: usize = 8;
    let mut wasm = guest("guest-liar");
    let from = [MARK, b"trap    "].concat();
    let places: Vec<usize> = (0..wasm.len()).filter(|&at| wasm[at..].starts_with(&from)).collect();
    let [place] = places[..] else { panic!("the deed is there {} times", places.len()) };
    let place = place + MARK.len();
    wasm[place..place + ROOM].copy_from_slice(format!("{deed:ROOM$}").as_bytes());
    wasm
}

#[test]
fn a_describe_that_never_ends_or_says_too_much_is_bounded() {
    let runtime = runtime();
    for (deed, name) in [
        ("loop", "describe_deadline_ms"),
        ("recurse", "stack_bytes"),
        ("memory", "memory_bytes"),
        ("megabyte", "hostcall_fuel"),
    ] {
        let error = refused(&runtime, &liar(deed));
        assert_eq!(bound(&error), Some(name), "{deed}: {error:?}");
    }
    for (deed, words) in [("long", "the summary"), ("modes", "modes")] {
        match refused(&runtime, &liar(deed)) {
            LoadError::Describe(SessionError::Contract { export: "describe", detail }) => {
                assert!(detail.contains(words) && detail.len() < 1_000, "{deed}: {detail}");
            }
            other => panic!("{deed}: {other:?}"),
        }
    }
    assert!(matches!(refused(&runtime, &liar("trap")), LoadError::Describe(SessionError::Trap { .. })));
    assert_eq!(runtime.load(&liar("honest"), &Bounds::default()).unwrap().label(), "test/liar@1.0.0");
    assert_eq!(runtime.live_sessions(), 0);
}

#[test]
fn a_describe_that_counts_how_often_it_was_asked_says_the_same_each_time() {
    // Each time it is asked in an instance that nobody asked before, in this runtime and in the next.
    let manifests: Vec<Manifest> = [runtime(), runtime()]
        .iter()
        .flat_map(|runtime| {
            [(); 2].map(|()| runtime.load(&liar("turn"), &Bounds::default()).unwrap().manifest().clone())
        })
        .collect();
    assert_eq!(manifests.len(), 4);
    assert!(manifests.iter().all(|manifest| manifest.version == "1.0.0"), "{manifests:?}");
}

#[test]
fn a_start_function_runs_under_the_bounds_of_describe() {
    let runtime = runtime();
    // A start function is no harm by itself.
    let harmless = runtime.load(&starting_with(|_| Vec::new()), &Bounds::default()).unwrap();
    assert_works(&mut harmless.open_blocking(context("dial", &[]), &Bounds::default()).unwrap());

    // i32.const of some sixty million, of a sort that needs no care for its sign.
    let many = [&[0x41][..], &leb(60_000_000)].concat();
    let pages = [0x41, 0x80, 0x80, 0x02];
    for (what, wasm, name) in [
        ("loop", starting_with(|_| vec![0x03, 0x40, 0x0c, 0x00, 0x0b]), "describe_deadline_ms"),
        ("recursion", starting_with(|function| [vec![0x10], leb(function)].concat()), "stack_bytes"),
        ("memory bomb", starting_with(|_| [&pages[..], &[0x40, 0x00, 0x1a]].concat()), "memory_bytes"),
        (
            "table bomb",
            starting_with(|_| [&[0xd0, 0x70][..], &many, &[0xfc, 0x0f, 0x00, 0x1a]].concat()),
            "table_elements",
        ),
    ] {
        let error = refused(&runtime, &wasm);
        assert_eq!(bound(&error), Some(name), "{what}: {error:?}");
    }
    match refused(&runtime, &starting_with(|_| vec![0x00])) {
        LoadError::Describe(SessionError::Trap { export: "describe", reason, .. }) => {
            assert!(reason.contains("unreachable"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

/// So many components, each inside the one before.
fn nest(depth: usize) -> Vec<u8> {
    // From the inside out, each byte written once: what stands before the innermost, turned round.
    let mut length = COMPONENT.len();
    let mut before: Vec<Vec<u8>> = Vec::new();
    for _ in 0..depth {
        let header = [COMPONENT, &[NESTED_COMPONENT], &leb(length)].concat();
        length += header.len();
        before.push(header);
    }
    before.reverse();
    [before.concat(), COMPONENT.to_vec()].concat()
}

#[test]
fn a_thousand_modules_side_by_side_or_inside_each_other_take_no_harm() {
    let runtime = runtime();
    let modules = |count| hostile_with((0..count).map(|_| (CORE_MODULE, MODULE.to_vec())));
    match refused(&runtime, &modules(1_000)) {
        LoadError::Inspect(InspectError::Invalid { message, .. }) => {
            assert!(message.contains("modules count exceeds limit of 1000"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // As many as may be, and none of them does anything.
    let driver = runtime.load(&modules(990), &Bounds::default()).unwrap();
    assert_works(&mut driver.open_blocking(context("dial", &[]), &Bounds::default()).unwrap());

    // Parsing a nest takes time by the square of its depth, and happens in this process.
    for depth in [20, 1_000, 100_000] {
        let begun = Instant::now();
        let error = refused(&runtime, &hostile_with([(NESTED_COMPONENT, nest(depth))]));
        println!("{depth} components inside each other: {:?}", begun.elapsed());
        assert!(matches!(error, LoadError::Inspect(InspectError::Nested { .. })), "{depth}: {error:?}");
    }
    let driver = runtime.load(&hostile_with([(NESTED_COMPONENT, nest(10))]), &Bounds::default()).unwrap();
    assert_works(&mut driver.open_blocking(context("dial", &[]), &Bounds::default()).unwrap());
}

/// So many types of components, each declared inside the one before.
fn nested_types(depth: usize) -> Vec<u8> {
    // A component type with one declaration, a type.
    let types = [0x41, 0x01, 0x01].repeat(depth);
    [&leb(1)[..], &types, &[0x41, 0x00]].concat()
}

#[test]
fn types_inside_types_do_not_take_the_stack() {
    let runtime = runtime();
    for depth in [1_000, 100_000, 2_000_000] {
        let error = refused(&runtime, &hostile_with([(7, nested_types(depth))]));
        assert!(matches!(error, LoadError::Inspect(InspectError::Nested { .. })), "{depth}: {error:?}");
    }
    // Also where a part has them, and among others.
    let inside = file(COMPONENT, &[(7, nested_types(1)), (7, nested_types(500_000))]);
    let error = refused(&runtime, &hostile_with([(NESTED_COMPONENT, inside)]));
    assert!(matches!(error, LoadError::Inspect(InspectError::Nested { .. })), "{error:?}");
    assert!(runtime.load(&hostile_with([(7, nested_types(10))]), &Bounds::default()).is_ok());
}

/// A component in which each level has the one below twice, and the lowest an instance of a core module.
fn doubling(levels: usize) -> Vec<u8> {
    let level = |level: usize| {
        format!(
            "(component $c{level} (alias outer $top $c{0} (component $c)) (instance (instantiate $c)) (instance (instantiate $c)))",
            level - 1
        )
    };
    let levels_text: String = (1..=levels).map(level).collect();
    with_driver(&format!(
        "(component $c0 (core module $m) (core instance (instantiate $m))) {levels_text} (instance (instantiate $c{levels}))"
    ))
}

/// A component of these parts, with the export of a driver.
fn with_driver(parts: &str) -> Vec<u8> {
    let text =
        format!(r#"(component $top {parts} (instance $d) (export "cardinal:reader/driver@1.0.0" (instance $d)))"#);
    wat::parse_str(text).unwrap()
}

#[test]
fn instances_that_double_are_bounded_by_name() {
    let runtime = runtime();
    for levels in [3, 10, 20, 60] {
        let wasm = doubling(levels);
        assert!(wasm.len() < 8_000, "{}", wasm.len());
        let begun = Instant::now();
        let error = refused(&runtime, &wasm);
        println!("{levels} levels, {} bytes: {:?}: {error}", wasm.len(), begun.elapsed());
        match error {
            LoadError::Inspect(InspectError::Parts { .. }) if levels > 3 => {}
            error => assert_eq!(bound(&error), Some("instances"), "{levels}: {error:?}"),
        }
    }
}

/// A component of so many exports, with so many instances of it: each instance has all their names again.
fn exports_again_and_again(exports: usize, instances: usize) -> Vec<u8> {
    let exports: String = (0..exports).map(|number| format!("(export \"a{number}\" (core module $m))")).collect();
    let instances = "(instance (instantiate $c))".repeat(instances);
    with_driver(&format!("(component $c (core module $m) {exports}) {instances}"))
}

#[test]
fn what_is_repeated_by_a_word_is_refused_before_it_is_spelled_out() {
    let runtime = runtime();
    let begun = Instant::now();
    let error = refused(&runtime, &exports_again_and_again(5_000, 500));
    println!("5,000 exports of 500 instances: {:?}", begun.elapsed());
    assert!(matches!(error, LoadError::Inspect(InspectError::Parts { .. })), "{error:?}");
}

#[test]
fn huge_numbers_in_a_sound_frame_are_refused_by_name() {
    let runtime = runtime();
    // A function that says it has four thousand million locals, in a module that is sound otherwise.
    let locals = [&leb(1)[..], &leb(0xffff_ffff), &[0x7f]].concat();
    let body = [&locals[..], &[0x0b]].concat();
    let code = [leb(1), leb(body.len()), body].concat();
    let module = file(MODULE, &[(1, vec![1, 0x60, 0, 0]), (3, vec![1, 0]), (10, code)]);
    match refused(&runtime, &hostile_with([(CORE_MODULE, module)])) {
        LoadError::Inspect(InspectError::Invalid { message, .. }) => assert!(message.contains("locals"), "{message}"),
        other => panic!("{other:?}"),
    }
    for (module, name) in [
        ("(module (memory 65536 65536))", "memory_bytes"),
        ("(module (table 4294967295 funcref))", "table_elements"),
        ("(module (memory 0 65536) (data (i32.const 0) \"x\"))", "none"),
    ] {
        let module = wat::parse_str(module).unwrap();
        let wasm = hostile_with([(CORE_MODULE, module)]);
        match name {
            // What it may grow to is no harm until it does.
            "none" => drop(runtime.load(&wasm, &Bounds::default()).unwrap()),
            name => assert_eq!(bound(&refused(&runtime, &wasm)), Some(name)),
        }
    }
    // Eight megabytes of nothing, and one byte more.
    let filled = |bytes: usize| hostile_with([(0, [leb(1), b"x".to_vec(), vec![0; bytes]].concat())]);
    assert!(runtime.load(&filled(4 << 20), &Bounds::default()).is_ok());
    assert_eq!(bound(&refused(&runtime, &filled(8 << 20))), Some("component_bytes"));
}

/// A mode that each driver can be opened in, and what it wants there.
fn opening(package: &str) -> Context {
    match package {
        "cardinal-rfideas-241" => {
            let callback = Some("https://host.example:8443/r/a-secret-that-is-long-enough".to_owned());
            Context { mode: "rfideas-241-client".to_owned(), callback, ..context("http", &[]) }
        }
        "cardinal-springcore" => Context { mode: "springcore-tcp".to_owned(), ..context("dial", &[]) },
        _ => Context { mode: "generic".to_owned(), ..context("dial", &[]) },
    }
}

#[test]
fn the_state_of_another_driver_is_a_fault_and_the_session_stays_where_it_was() {
    const DRIVERS: [&str; 3] = ["cardinal-generic", "cardinal-springcore", "cardinal-rfideas-241"];
    let runtime = runtime();
    let bounds = Bounds::default();
    let drivers = DRIVERS.map(|package| {
        let driver = runtime.load(&guest(package), &bounds).unwrap();
        // The settings that the host fills in.
        let mode = driver.manifest().modes.iter().find(|mode| mode.id == opening(package).mode).unwrap();
        let defaults = mode.settings.iter().filter_map(|setting| Some((setting.key.clone(), setting.default.clone()?)));
        let context = Context { settings: defaults.collect(), ..opening(package) };
        (driver, context)
    });
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (from, mine) in &drivers {
        let mut session = from.open_blocking(mine.clone(), &bounds).unwrap();
        let saved = session.save_blocking().unwrap().expect("nothing is under way");
        // Its own state is taken, and cut anywhere it is not.
        let resumed = |saved: &[u8]| {
            let context = Context { saved: Some(saved.to_vec()), ..mine.clone() };
            from.resume_blocking(context, Accounts::default(), &bounds)
        };
        assert!(resumed(&saved).is_ok(), "{}", from.label());
        for length in 0..saved.len() {
            assert!(
                matches!(resumed(&saved[..length]), Err(SessionError::Fault(_))),
                "{} cut at {length}",
                from.label()
            );
        }
        let later = [&[0xff], saved.get(1..).unwrap_or_default()].concat();
        assert!(matches!(resumed(&later), Err(SessionError::Fault(_))), "{} of a later version", from.label());
        for (to, theirs) in drivers.iter().filter(|(to, _)| to.digest() != from.digest()) {
            let moved = tokio.block_on(session.move_to(to, theirs.clone(), &bounds, 10));
            assert!(matches!(&moved, Err(MoveError::Kept(SessionError::Fault(_)))), "{} {moved:?}", to.label());
            assert!(session.handle_blocking(20, Input::Timer(9)).is_ok(), "it goes on in {}", from.label());
            assert_eq!(session.driver().digest(), from.digest());
        }
    }
}

#[test]
fn too_much_state_ends_the_session_by_name_wherever_it_is_asked_for() {
    let runtime = runtime();
    let driver = hostile(&runtime);
    let bounds = Bounds::default();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    tokio.block_on(async {
        for (deed, name) in [
            ("huge", "saved_bytes"),
            ("enormous", "hostcall_fuel"),
            ("loop", "call_deadline_ms"),
            ("memory", "memory_bytes"),
        ] {
            let open = || async { driver.open(context("dial", &[("save", deed)]), &bounds).await.unwrap() };
            let mut sleeper = open().await;
            assert_eq!(sleeper.sleep().await.unwrap_err().bound(), Some(name), "{deed}");
            assert!(sleeper.has_ended() && !sleeper.is_asleep());
            let mut mover = open().await;
            match mover.move_to(&driver, context("dial", &[]), &bounds, 10).await {
                Err(MoveError::Over(error)) => assert_eq!(error.bound(), Some(name), "{deed}"),
                other => panic!("{deed}: {other:?}"),
            }
            assert!(mover.has_ended() && mover.handle(20, line("echo x")).await.is_err());
        }
    });
    assert_eq!(runtime.live_sessions(), 0);
}

#[test]
fn a_component_cut_at_every_kilobyte_is_no_driver() {
    let runtime = runtime();
    for package in ["guest-hostile", "cardinal-generic"] {
        let wasm = guest(package);
        let ends = sections(&wasm).len();
        assert!(ends > 3);
        for length in (0..wasm.len()).step_by(1_000) {
            let error = runtime.load(&wasm[..length], &Bounds::default()).expect_err("half a driver");
            assert!(matches!(error, LoadError::Inspect(_)), "{package} cut at {length}: {error:?}");
        }
    }
}
