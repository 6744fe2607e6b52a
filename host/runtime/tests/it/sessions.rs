//! Sessions as a server has them: on the workers, waiting for room, saved and resumed.

use std::time::Duration;

use crate::common::{context, guest, hostile, line, options, runtime};
use cardinal_domain::driver::{Context, Input, Output};
use cardinal_runtime::{Accounts, Bounds, Compiler, EngineOptions, MoveError, Runtime, SessionError};

fn on_tokio<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn a_looping_driver_costs_a_worker_and_nobody_else() {
    let driver = hostile(&runtime());
    let bounds = Bounds { call_deadline_ms: 2_000, ..Bounds::default() };
    on_tokio(async {
        let mut looping = driver.open(context("dial", &[]), &bounds).await.unwrap();
        let mut neighbour = driver.open(context("dial", &[]), &bounds).await.unwrap();
        let mut endless = std::pin::pin!(looping.handle(0, line("loop")));
        // Started, and not to end while the neighbour works a hundred times on the other worker.
        assert!(tokio::time::timeout(Duration::from_millis(50), endless.as_mut()).await.is_err());
        for _ in 0..100 {
            let echoed = neighbour.handle(0, line("echo x")).await.unwrap();
            assert_eq!(echoed, [Output::Send(b"x".to_vec())]);
        }
        assert_eq!(endless.await.unwrap_err().bound(), Some("call_deadline_ms"));
    });
}

#[test]
fn state_ids_and_books_go_along_from_instance_to_instance() {
    let runtime = runtime();
    let driver = hostile(&runtime);
    let bounds = Bounds::default();
    on_tokio(async {
        let mut session = driver.open(context("dial", &[]), &bounds).await.unwrap();
        for _ in 0..3 {
            session.handle(10, line("echo x")).await.unwrap();
        }
        session.handle(20, line("timers 16")).await.unwrap();
        session.handle(30, line("card 1")).await.unwrap();
        let saved = session.save().await.unwrap();
        let books: Accounts = session.accounts().clone();
        drop(session);
        assert_eq!(runtime.live_sessions(), 0, "asleep, it costs no instance");

        let asleep = Context { saved, ..context("dial", &[]) };
        let mut session = driver.resume(asleep.clone(), books.clone(), &bounds).await.unwrap();
        assert_eq!(session.handle(40, Input::Resumed).await.unwrap(), [Output::Send(vec![3])]);
        assert!(matches!(session.handle(50, line("card 1")).await, Err(SessionError::Contract { .. })));

        let mut session = driver.resume(asleep, books, &bounds).await.unwrap();
        session.handle(60, Input::Timer(0)).await.unwrap();
        session.handle(70, line("timers 16")).await.unwrap();
        assert_eq!(session.handle(80, line("timers 17")).await.unwrap_err().bound(), Some("timers"));
    });
}

#[test]
fn a_full_host_makes_wait_and_does_not_fail() {
    let cache = tempfile::tempdir().unwrap();
    let options = EngineOptions { live_sessions: 1, ..options() };
    let runtime = Runtime::new(options, &cache.path().join("drivers"), Compiler::InProcess).unwrap();
    let driver = hostile(&runtime);
    let bounds = Bounds::default();
    on_tokio(async {
        let first = driver.open(context("dial", &[]), &bounds).await.unwrap();
        let mut second = std::pin::pin!(driver.open(context("dial", &[]), &bounds));
        assert!(tokio::time::timeout(Duration::from_millis(50), second.as_mut()).await.is_err());
        // A full pool does not keep a driver from being installed.
        runtime.load(&guest("cardinal-generic"), &bounds).unwrap();
        drop(first);
        second.await.unwrap();
    });
    // A crossed bound gives its place back, too; and a blocking caller waits as well.
    let mut session = driver.open_blocking(context("dial", &[]), &bounds).unwrap();
    let waiting = std::thread::spawn({
        let (driver, bounds) = (driver.clone(), bounds.clone());
        move || driver.open_blocking(context("dial", &[]), &bounds).map(drop)
    });
    session.handle_blocking(0, line("trap")).unwrap_err();
    assert_eq!(waiting.join().unwrap(), Ok(()));
}

#[test]
fn the_default_engine_holds_as_many_sessions_as_it_promises() {
    let cache = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(EngineOptions::default(), &cache.path().join("drivers"), Compiler::InProcess).unwrap();
    let driver = hostile(&runtime);
    let started = std::time::Instant::now();
    let mut sessions: Vec<_> = (0..EngineOptions::default().live_sessions)
        .map(|_| driver.open_blocking(context("dial", &[]), &Bounds::default()).unwrap())
        .collect();
    let opened = started.elapsed();
    for session in &mut sessions {
        crate::common::assert_works(session);
    }
    println!("{} sessions: {opened:?} to open, {:?} to call each once", sessions.len(), started.elapsed() - opened);
    assert_eq!(runtime.live_sessions(), sessions.len());
}

#[test]
fn bounds_beyond_the_engine_are_refused_at_the_door() {
    let driver = hostile(&runtime());
    let bounds = Bounds { memory_bytes: 1 << 40, ..Bounds::default() };
    let error = driver.open_blocking(context("dial", &[]), &bounds).unwrap_err();
    assert!(matches!(&error, SessionError::Host { detail, .. } if detail.contains("memory_bytes")), "{error}");
}

#[test]
fn an_abandoned_call_ends_the_session() {
    let runtime = runtime();
    let driver = hostile(&runtime);
    on_tokio(async {
        let mut session = driver.open(context("dial", &[]), &Bounds::default()).await.unwrap();
        let call = tokio::time::timeout(Duration::from_millis(20), session.handle(0, line("loop"))).await;
        assert!(call.is_err());
        assert!(session.has_ended());
        assert_eq!(session.handle(0, line("echo x")).await, Err(SessionError::Ended));
    });
}

#[test]
fn many_sessions_at_once_keep_to_themselves() {
    let driver = hostile(&runtime());
    on_tokio(async {
        let tasks: Vec<_> = (0..40_u8)
            .map(|number| {
                let driver = driver.clone();
                async move {
                    let mut session = driver.open(context("dial", &[]), &Bounds::default()).await.unwrap();
                    for _ in 0..number {
                        session.handle(0, line("echo x")).await.unwrap();
                    }
                    if number % 5 == 0 {
                        session.handle(0, line("trap")).await.unwrap_err();
                    } else {
                        assert_eq!(session.save().await.unwrap(), Some(vec![number]));
                    }
                }
            })
            .map(|task| Box::pin(task) as std::pin::Pin<Box<dyn Future<Output = ()>>>)
            .collect();
        let local = tokio::task::LocalSet::new();
        let tasks: Vec<_> = tasks.into_iter().map(|task| local.spawn_local(task)).collect();
        local.await;
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_session_that_sleeps_costs_no_instance_and_goes_on_where_it_was() {
    let runtime = runtime();
    let driver = hostile(&runtime);
    on_tokio(async {
        let context = || context("dial", &[]);
        let mut session = driver.open(context(), &Bounds::default()).await.unwrap();
        session.handle(10, line("echo x")).await.unwrap();
        session.handle(20, line("card 7")).await.unwrap();
        assert_eq!(session.wake(context(), 25).await.unwrap(), [], "it is awake");
        assert!(session.sleep().await.unwrap());
        assert!(session.is_asleep() && !session.has_ended());
        assert_eq!(runtime.live_sessions(), 0);
        assert!(session.handle(30, line("echo x")).await.is_err(), "it must be woken first");
        assert_eq!(session.wake(context(), 40).await.unwrap(), [Output::Send(vec![1])]);
        session.handle(50, line("echo x")).await.unwrap();
        assert_eq!(session.save().await.unwrap(), Some(vec![2]));
        // Its books went along: that swipe still waits.
        assert!(matches!(session.handle(60, line("card 7")).await, Err(SessionError::Contract { .. })));

        let mut wakeful =
            driver.open(crate::common::context("dial", &[("save", "never")]), &Bounds::default()).await.unwrap();
        assert!(!wakeful.sleep().await.unwrap());
        assert_eq!(wakeful.handle(10, line("echo x")).await.unwrap(), [Output::Send(b"x".to_vec())]);
        let mut failing =
            driver.open(crate::common::context("dial", &[("save", "trap")]), &Bounds::default()).await.unwrap();
        assert!(matches!(failing.sleep().await, Err(SessionError::Trap { .. })));
        assert!(failing.has_ended());
    });
}

#[test]
fn a_session_moves_or_stays_whole() {
    let cache = tempfile::tempdir().unwrap();
    // A full pool does not keep a session from its move.
    let options = EngineOptions { live_sessions: 1, ..options() };
    let runtime = Runtime::new(options, &cache.path().join("drivers"), Compiler::InProcess).unwrap();
    let driver = hostile(&runtime);
    let bounds = Bounds { call_deadline_ms: 200, open_deadline_ms: 200, ..Bounds::default() };
    on_tokio(async {
        let with = |deed: &str| context("dial", &[("open", deed)]);
        let mut session = driver.open(with("nothing"), &bounds).await.unwrap();
        session.handle(10, line("echo x")).await.unwrap();
        session.handle(20, line("card 7")).await.unwrap();
        for deed in ["fault", "trap", "loop", "memory", "recurse"] {
            let kept = session.move_to(&driver, with(deed), &bounds, 30).await.unwrap_err();
            assert!(matches!(kept, MoveError::Kept(_)), "{deed}: {kept:?}");
            assert_eq!(session.handle(30, line("echo x")).await.unwrap(), [Output::Send(b"x".to_vec())], "{deed}");
        }
        assert_eq!(session.move_to(&driver, with("nothing"), &bounds, 40).await.unwrap(), [Output::Send(vec![6])]);
        assert_eq!(runtime.live_sessions(), 1);
        assert!(matches!(session.handle(50, line("card 7")).await, Err(SessionError::Contract { .. })));
        assert_eq!(runtime.live_sessions(), 0);

        // Asleep it moves as well, and stays asleep where the other version fails.
        let mut session = driver.open(with("nothing"), &bounds).await.unwrap();
        session.handle(10, line("echo x")).await.unwrap();
        session.sleep().await.unwrap();
        assert!(matches!(session.move_to(&driver, with("fault"), &bounds, 20).await, Err(MoveError::Kept(_))));
        assert!(session.is_asleep());
        assert_eq!(session.move_to(&driver, with("nothing"), &bounds, 30).await.unwrap(), [Output::Send(vec![1])]);
        drop(session);

        let never = || context("dial", &[("save", "never")]);
        let mut session = driver.open(never(), &bounds).await.unwrap();
        assert!(matches!(session.move_to(&driver, never(), &bounds, 10).await, Err(MoveError::NotNow)));
        assert_eq!(session.handle(20, line("echo x")).await.unwrap(), [Output::Send(b"x".to_vec())]);
        drop(session);
        let mut session = driver.open(context("dial", &[("save", "trap")]), &bounds).await.unwrap();
        assert!(matches!(session.move_to(&driver, with("nothing"), &bounds, 10).await, Err(MoveError::Over(_))));
        assert_eq!(runtime.live_sessions(), 0);
    });
}
