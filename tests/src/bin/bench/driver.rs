//! What running a driver as a component costs, beside the same driver compiled into this program.
//!
//! Both sides do the Generic driver's work on the same bytes in the same run, round by round in turn, so that a busy or slow
//! machine shifts both.

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use cardinal_domain::driver as host;
use cardinal_generic::Generic;
use cardinal_runtime::{Bounds, Compiler, Driver, DriverSession, EngineOptions, Runtime};
use cardinal_sdk::{self as sdk, Driver as _};
use cardinal_tests::program;

use crate::{memory, table::Table};

/// A card of ten digits and its line end, the usual thing that a reader sends.
const LINE: &[u8] = b"5235092385\n";
/// How many sessions are cycled through: far more than any cache holds.
const SESSIONS: usize = 10_000;
/// Cards in a row before their verdicts are given; a driver lets only so many wait.
const BATCH: u32 = 16;
/// Batches of one measurement on one session.
const BATCHES: u32 = 4_000;
/// Sessions that are put to sleep and woken in one measurement.
const SLEEPERS: u32 = 500;

/// Measures so many rounds.
pub(crate) fn run(rounds: usize) -> Result<()> {
    let wasm = fs::read(program::component("cardinal-generic")).context("reading the driver")?;
    let cache = tempfile::tempdir().context("making a folder for compiled code")?;
    let runtime = Runtime::new(EngineOptions::default(), &cache.path().join("compiled"), Compiler::InProcess)?;
    let begun = Instant::now();
    let driver = runtime.load(&wasm, &Bounds::default())?;
    let compiled = begun.elapsed();

    let mut table = Table::new("native", "component");
    // Before anything else: memory that was once used is not all given back, so only the first time tells.
    let (native, component) = (native_memory(), component_memory(&driver));
    table.add("memory of its own, each of 10,000", "bytes", Some(native.own), component.own);
    table.add("the same as RSS: the driver's image in each", "bytes", Some(native.resident), component.resident);
    for _ in 0..rounds {
        table.measure("a card, one session over and over", "ns", native_hot, || component_hot(&driver));
        table.measure("a card, cycling through 10,000 sessions", "ns", native_cycle, || component_cycle(&driver));
        table.measure("opening a session", "ns", native_open, || component_open(&driver));
        table.measure("saving its state", "ns", native_save, || component_save(&driver));
        table.measure("waking: open with the state, resumed", "ns", native_wake, || component_wake(&driver));
        table.add("a card by way of a worker thread", "ns", None, through_a_worker(&driver));
    }
    println!("{}; a card is {} bytes; compiled once in {compiled:.0?}", driver.label(), LINE.len());
    table.print();
    Ok(())
}

// The driver compiled into this program ---------------------------------------------------------------------------------

fn native() -> Generic {
    open_native(None)
}

fn open_native(saved: Option<Vec<u8>>) -> Generic {
    Generic::open(sdk::Context {
        mode: "generic".to_owned(),
        transport: "dial".to_owned(),
        settings: settings().into_iter().map(|(key, value)| sdk::Pair { key, value }).collect(),
        callback: None,
        memory: Vec::new(),
        saved,
    })
    .unwrap()
}

fn handle_native(session: &mut Generic, input: sdk::Input) -> usize {
    let mut outputs = sdk::Outputs::new();
    session.handle(0, input, &mut outputs).unwrap();
    black_box(outputs.into_vec()).len()
}

fn verdict_native(session: &mut Generic, swipe: u32) {
    let verdict = sdk::Verdict { swipe, code: "released".to_owned(), message: String::new() };
    handle_native(session, sdk::Input::Verdict(verdict));
}

fn native_hot() -> f64 {
    let mut session = native();
    batches(
        &mut session,
        |session| assert_eq!(handle_native(session, sdk::Input::Received(LINE.to_vec())), 1),
        verdict_native,
    )
}

fn native_cycle() -> f64 {
    let mut sessions: Vec<Generic> = (0..SESSIONS).map(|_| native()).collect();
    cycle(
        &mut sessions,
        |session| assert_eq!(handle_native(session, sdk::Input::Received(LINE.to_vec())), 1),
        verdict_native,
    )
}

fn native_open() -> f64 {
    let begun = Instant::now();
    let sessions: Vec<Generic> = (0..SLEEPERS).map(|_| native()).collect();
    let each = each(begun.elapsed(), SLEEPERS);
    drop(black_box(sessions));
    each
}

fn native_save() -> f64 {
    let session = native();
    let begun = Instant::now();
    for _ in 0..BATCHES {
        black_box(session.save()).unwrap();
    }
    each(begun.elapsed(), BATCHES)
}

fn native_wake() -> f64 {
    let saved = native().save();
    let begun = Instant::now();
    for _ in 0..SLEEPERS {
        let mut session = open_native(saved.clone());
        handle_native(&mut session, sdk::Input::Resumed);
        drop(black_box(session));
    }
    each(begun.elapsed(), SLEEPERS)
}

fn native_memory() -> Memory {
    let before = memory::Memory::of("self");
    let sessions: Vec<Generic> = (0..SESSIONS).map(|_| native()).collect();
    let grown = grown(&before);
    drop(black_box(sessions));
    grown
}

// The driver as a component ---------------------------------------------------------------------------------------------

fn context(saved: Option<Vec<u8>>) -> host::Context {
    host::Context {
        mode: "generic".to_owned(),
        transport: "dial".to_owned(),
        settings: settings(),
        saved,
        ..host::Context::default()
    }
}

fn open(driver: &Driver) -> DriverSession {
    driver.open_blocking(context(None), &Bounds::default()).unwrap()
}

fn card(session: &mut DriverSession) {
    let outputs = session.handle_blocking(0, host::Input::Received(LINE.to_vec())).unwrap();
    assert_eq!(black_box(outputs).len(), 1);
}

fn released(swipe: u32) -> host::Input {
    host::Input::Verdict(host::Verdict { swipe, code: host::VerdictCode::Released, message: String::new() })
}

fn verdict(session: &mut DriverSession, swipe: u32) {
    session.handle_blocking(0, released(swipe)).unwrap();
}

fn component_hot(driver: &Driver) -> f64 {
    batches(&mut open(driver), card, verdict)
}

fn component_cycle(driver: &Driver) -> f64 {
    let mut sessions: Vec<DriverSession> = (0..SESSIONS).map(|_| open(driver)).collect();
    cycle(&mut sessions, card, verdict)
}

fn component_open(driver: &Driver) -> f64 {
    let begun = Instant::now();
    let sessions: Vec<DriverSession> = (0..SLEEPERS).map(|_| open(driver)).collect();
    let each = each(begun.elapsed(), SLEEPERS);
    drop(sessions);
    each
}

fn component_save(driver: &Driver) -> f64 {
    let mut session = open(driver);
    let begun = Instant::now();
    for _ in 0..BATCHES {
        black_box(session.save_blocking()).unwrap().unwrap();
    }
    each(begun.elapsed(), BATCHES)
}

fn component_wake(driver: &Driver) -> f64 {
    let mut asleep = open(driver);
    let saved = asleep.save_blocking().unwrap();
    let accounts = asleep.accounts().clone();
    drop(asleep);
    let begun = Instant::now();
    for _ in 0..SLEEPERS {
        let context = context(saved.clone());
        let mut session = driver.resume_blocking(context, accounts.clone(), &Bounds::default()).unwrap();
        black_box(session.handle_blocking(0, host::Input::Resumed)).unwrap();
    }
    each(begun.elapsed(), SLEEPERS)
}

fn component_memory(driver: &Driver) -> Memory {
    let before = memory::Memory::of("self");
    // Each has read a card: what an open alone touches is less than a session in use has.
    let sessions: Vec<DriverSession> = (0..SESSIONS)
        .map(|_| {
            let mut session = open(driver);
            card(&mut session);
            session
        })
        .collect();
    let grown = grown(&before);
    drop(sessions);
    grown
}

/// As a host calls it: the session travels to a worker thread and back.
fn through_a_worker(driver: &Driver) -> f64 {
    const CARDS: u32 = 5_000;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut session = driver.open(context(None), &Bounds::default()).await.unwrap();
        let mut took = Duration::ZERO;
        for swipe in 1..=CARDS {
            let begun = Instant::now();
            let outputs = session.handle(0, host::Input::Received(LINE.to_vec())).await.unwrap();
            took += begun.elapsed();
            assert_eq!(black_box(outputs).len(), 1);
            session.handle(0, released(swipe)).await.unwrap();
        }
        each(took, CARDS)
    })
}

// Measuring -------------------------------------------------------------------------------------------------------------

/// What an administrator's reader has set, as a host hands it over.
fn settings() -> Vec<(String, String)> {
    let manifest = Generic::manifest();
    let mode = manifest.modes.into_iter().next().unwrap();
    mode.settings.into_iter().filter_map(|setting| Some((setting.key, setting.default?))).collect()
}

/// Cards in batches on one session; only the cards are timed, not their verdicts.
fn batches<S>(session: &mut S, mut card: impl FnMut(&mut S), mut verdict: impl FnMut(&mut S, u32)) -> f64 {
    let mut took = Duration::ZERO;
    for batch in 0..BATCHES {
        let begun = Instant::now();
        for _ in 0..BATCH {
            card(session);
        }
        took += begun.elapsed();
        (1..=BATCH).for_each(|swipe| verdict(session, batch * BATCH + swipe));
    }
    each(took, BATCHES * BATCH)
}

/// A card on each session in turn, several times around; only the cards are timed.
fn cycle<S>(sessions: &mut [S], mut card: impl FnMut(&mut S), mut verdict: impl FnMut(&mut S, u32)) -> f64 {
    const TURNS: u32 = 4;
    let mut took = Duration::ZERO;
    for turn in 1..=TURNS {
        let begun = Instant::now();
        sessions.iter_mut().for_each(&mut card);
        took += begun.elapsed();
        sessions.iter_mut().for_each(|session| verdict(session, turn));
    }
    each(took, TURNS) / sessions.len() as f64
}

/// Nanoseconds for each of so many.
fn each(took: Duration, count: u32) -> f64 {
    took.as_secs_f64() * 1e9 / f64::from(count)
}

/// What a session adds to this process: what is its own, and all with shared pages counted in each, in bytes.
struct Memory {
    own: f64,
    resident: f64,
}

fn grown(before: &memory::Memory) -> Memory {
    let now = memory::Memory::of("self");
    let each = |now: f64, then: f64| (now - then) / SESSIONS as f64;
    Memory { own: each(now.own, before.own), resident: each(now.resident, before.resident) }
}
