//! A driver does its worst, one bound or rule at a time. Each time the error names it, the session is over, and a session
//! beside it on the same engine goes on as if nothing had been.

use std::time::{Duration, Instant};

use crate::common::{assert_works, context, hostile, line, runtime};
use cardinal_domain::driver::{Call, Context, Fault, Health, Input, Output, Status};
use cardinal_runtime::{Bounds, Driver, SessionError};

/// Gives a fresh session this line, and checks all that must hold whatever goes wrong.
fn worst(driver: &Driver, transport: &str, deed: &str) -> SessionError {
    let bounds = Bounds::default();
    let mut neighbour = driver.open_blocking(context("dial", &[]), &bounds).unwrap();
    let mut session = driver.open_blocking(context(transport, &[]), &bounds).unwrap();
    assert_works(&mut session);
    let error = match session.handle_blocking(0, line(deed)) {
        Err(error) => error,
        Ok(outputs) => panic!("{deed}: nothing went wrong: {} outputs", outputs.len()),
    };
    assert!(session.has_ended(), "{deed}");
    assert_eq!(session.handle_blocking(0, line("echo x")), Err(SessionError::Ended), "{deed}");
    assert_eq!(session.save_blocking(), Err(SessionError::Ended), "{deed}");
    assert_works(&mut neighbour);
    assert_works(&mut driver.open_blocking(context("dial", &[]), &bounds).unwrap());
    error
}

#[test]
fn every_bound_is_named_when_it_is_crossed() {
    let runtime = runtime();
    let driver = hostile(&runtime);
    for (transport, deed, bound) in [
        ("dial", "loop", "call_deadline_ms"),
        ("dial", "memory", "memory_bytes"),
        ("dial", "recurse", "stack_bytes"),
        ("dial", "outputs 257", "outputs_per_call"),
        ("dial", "bytes 262145", "output_bytes_per_call"),
        ("dial", "bytes 1100000", "hostcall_fuel"),
        ("dial", "timers 17", "timers"),
        ("dial", "logs 61", "log_lines_per_minute"),
        ("dial", "statuses 121", "reports_per_minute"),
        ("dial", "typed 121", "reports_per_minute"),
        ("dial", "memories 121", "reports_per_minute"),
        ("http", "answers 121", "reports_per_minute"),
        ("dial", "remember 4097", "remembered_bytes"),
        ("http", "fetches 5", "fetches_in_flight"),
        ("dial", "cards 201", "swipes_waiting"),
    ] {
        let error = worst(&driver, transport, deed);
        assert_eq!(error.bound(), Some(bound), "{deed}: {error}");
        let text = error.to_string();
        assert!(text.contains(bound) && text.contains("in handle"), "{text}");
    }
    assert_eq!(runtime.live_sessions(), 0);
}

#[test]
fn just_within_the_bounds_all_is_well() {
    let runtime = runtime();
    let driver = hostile(&runtime);
    let mut session = driver.open_blocking(context("http", &[]), &Bounds::default()).unwrap();
    for deed in [
        "outputs 256",
        "bytes 262144",
        "timers 16",
        "logs 60",
        "statuses 119",
        "remember 4093",
        "fetches 4",
        "cards 200",
        "keepalive 100",
    ] {
        assert!(session.handle_blocking(0, line(deed)).is_ok(), "{deed}");
    }
    assert_works(&mut session);
}

#[test]
fn a_flood_of_reports_is_stopped_across_calls_and_sleep() {
    let driver = hostile(&runtime());
    let mut session = driver.open_blocking(context("dial", &[]), &Bounds::default()).unwrap();
    for _ in 0..2 {
        assert_eq!(session.handle_blocking(59_999, line("statuses 60")).map(|outputs| outputs.len()), Ok(60));
        let saved = session.save_blocking().unwrap();
        let context = Context { saved, ..context("dial", &[]) };
        session = driver.resume_blocking(context, session.accounts().clone(), &Bounds::default()).unwrap();
    }
    let mut next_minute = session.accounts().clone();
    assert_eq!(session.handle_blocking(59_999, line("statuses 1")).unwrap_err().bound(), Some("reports_per_minute"));
    let online = Output::Status(Status { health: Health::Online, reason: String::new(), facts: Vec::new() });
    assert!(next_minute.outputs(60_000, vec![online], &Bounds::default()).is_ok());
}

#[test]
fn a_broken_contract_is_told_from_a_crossed_bound() {
    let driver = hostile(&runtime());
    for (transport, deed, words) in [
        ("dial", "fetches 1", "transport is not http"),
        ("dial", "answers 1", "transport is not http"),
        ("dial", "keepalive 99", "at least 100 ms"),
        ("dial", "bits 9", "9 bits in 1 bytes"),
        ("dial", "blank-card", "neither number nor bits"),
        ("dial", "long-log 4001", "more than 4000 characters"),
        ("dial", "lie", "utf-8"),
        ("dial", "level", "\"loud\""),
        ("dial", "health", "\"poorly\""),
        ("http", "header", "control character"),
    ] {
        let error = worst(&driver, transport, deed);
        assert!(matches!(error, SessionError::Contract { export: "handle", .. }), "{deed}: {error:?}");
        assert!(error.to_string().contains(words), "{deed}: {error}");
    }
    let mut session = driver.open_blocking(context("dial", &[]), &Bounds::default()).unwrap();
    session.handle_blocking(0, line("card 7")).unwrap();
    let twice = session.handle_blocking(0, line("card 7")).unwrap_err();
    assert!(twice.to_string().contains("the id 7 for a new swipe"), "{twice}");
}

#[test]
fn a_fault_is_the_drivers_own_words() {
    let error = worst(&hostile(&runtime()), "dial", "fault");
    assert_eq!(error, SessionError::Fault(Fault::new("told-so", "it was told to fail")));
}

#[test]
fn a_trap_names_the_export_and_where_it_was() {
    let error = worst(&hostile(&runtime()), "dial", "trap");
    match error {
        SessionError::Trap { export: "handle", reason, backtrace } => {
            assert!(reason.contains("unreachable"), "{reason}");
            assert!(backtrace.contains("guest_hostile"), "{backtrace}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn open_is_bounded_as_well() {
    let runtime = runtime();
    let driver = hostile(&runtime);
    let mut neighbour = driver.open_blocking(context("dial", &[]), &Bounds::default()).unwrap();
    let open = |deed| driver.open_blocking(context("dial", &[("open", deed)]), &Bounds::default()).unwrap_err();
    assert!(matches!(open("trap"), SessionError::Trap { export: "open", .. }));
    assert_eq!(open("loop").bound(), Some("open_deadline_ms"));
    assert_eq!(open("memory").bound(), Some("memory_bytes"));
    assert_eq!(open("recurse").bound(), Some("stack_bytes"));
    assert!(matches!(open("fault"), SessionError::Fault(_)));
    assert_works(&mut neighbour);
    assert_eq!(runtime.live_sessions(), 1);
}

#[test]
fn save_is_bounded_as_well() {
    let driver = hostile(&runtime());
    let mut neighbour = driver.open_blocking(context("dial", &[]), &Bounds::default()).unwrap();
    let save = |deed| {
        let mut session = driver.open_blocking(context("dial", &[("save", deed)]), &Bounds::default()).unwrap();
        let saved = session.save_blocking();
        assert_eq!(session.has_ended(), saved.is_err());
        saved
    };
    assert!(matches!(save("trap"), Err(SessionError::Trap { export: "save", .. })));
    assert_eq!(save("loop").unwrap_err().bound(), Some("call_deadline_ms"));
    assert_eq!(save("huge").unwrap_err().bound(), Some("saved_bytes"));
    assert_eq!(save("enormous").unwrap_err().bound(), Some("hostcall_fuel"));
    assert_eq!(save("never"), Ok(None));
    assert_works(&mut neighbour);
}

#[test]
fn the_deadline_is_time_on_the_clock() {
    let driver = hostile(&runtime());
    let bounds = Bounds { call_deadline_ms: 60, ..Bounds::default() };
    let mut session = driver.open_blocking(context("dial", &[]), &bounds).unwrap();
    let started = Instant::now();
    let error = session.handle_blocking(0, line("loop")).unwrap_err();
    assert_eq!(error.bound(), Some("call_deadline_ms"));
    assert!(error.to_string().contains("(60)"), "{error}");
    // Never early; how late depends on how busy the machine is.
    assert!(started.elapsed() >= Duration::from_millis(60), "{:?}", started.elapsed());
}

#[test]
fn a_late_answer_is_dropped() {
    let driver = hostile(&runtime());
    let mut session = driver.open_blocking(context("http", &[]), &Bounds::default()).unwrap();
    let call = Call {
        id: 3,
        method: "POST".to_owned(),
        path: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    session.handle_blocking(0, Input::Called(call)).unwrap();
    assert!(!session.accounts().quiet());
    assert!(matches!(session.handle_blocking(0, line("answer 3")).unwrap()[..], [Output::Answer(3, _)]));
    assert_eq!(session.handle_blocking(0, line("answer 3")), Ok(Vec::new()));
    assert_eq!(session.take_late_answers(), [3]);
    assert!(session.accounts().quiet());
}
