//! The store in PostgreSQL, and how long things are kept: what people see is the same, also when the database is away.

use cardinal_domain::{
    event::EventKind,
    job::{Job, JobState},
};
use cardinal_tests::{
    document,
    host::Host,
    ipp_client, ipptool,
    postgres::{self, Database, PASSWORD, Postgres},
    process::Process,
    program,
    site::{SIGNS, folder_site, reader},
    terminal::{Terminal as _, listening},
    wait,
    wait::LIMIT,
};

/// A new host on this database, not running yet.
async fn host_on(database: &Database) -> Host {
    let mut host = Host::init().await;
    host.set("CARDINAL_STORE__URL", &database.url);
    host
}

/// A database of its own. The first one starts the server, which takes a while.
async fn database() -> Database {
    tokio::task::spawn_blocking(postgres::database).await.unwrap()
}

#[tokio::test]
async fn a_job_is_held_in_postgresql_and_outlives_a_killed_host() {
    let (database, terminal) = tokio::join!(database(), listening());
    let mut host = host_on(&database).await;
    host.set("CARDINAL_LOG__FILTER", "debug");
    host.serve().await;
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    assert!(!host.folder().join("data/cardinal.db").exists(), "nothing is kept in SQLite beside it");
    let exported = host.cli("export").await.ok();
    assert!(exported.contains("floor-2-east"), "{exported}");
    assert!(
        host.apply_with(&exported, &["--dry-run"]).await.ok().contains("nothing"),
        "what is exported is what is there"
    );

    let printed = document::arbitrary(200_000, 9);
    let number = ipp_client::print(&host.queue("find-me"), "ada", &printed).await;
    let found: Vec<Job> = host.cli("job list --json --search LETTER").await.json();
    assert_eq!(found.iter().map(|job| job.number).collect::<Vec<_>>(), [number]);
    let page: Vec<Job> = host.cli(&format!("job list --json --before {number}")).await.json();
    assert!(page.is_empty(), "{page:?}");
    host.kill().await;

    host.serve().await;
    assert_eq!(host.api().job(number).await.state, JobState::Held);
    assert_eq!(host.cli("export").await.ok(), exported);
    terminal.was_connected(2).await;
    terminal.shows_and_hears("4711", "[released]").await;
    assert_eq!(document::out(&host.folder().join("delivered"), 1).await, [printed]);
    host.api().job_in(number, JobState::Delivered).await;
    assert_eq!(database.run("SELECT state FROM job"), "delivered");
    assert!(host.terminate().await.success());
    assert!(!host.log().contains(PASSWORD), "the password stands in the log");
}

#[tokio::test]
async fn while_the_database_is_away_people_are_told_so_and_nothing_is_half_done() {
    let server = tokio::task::spawn_blocking(|| {
        let server = Postgres::start();
        let database = server.database();
        (server, database)
    });
    let ((mut server, database), terminal) = (server.await.unwrap(), listening().await);
    let mut host = host_on(&database).await;
    host.serve().await;
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    let number = ipp_client::print(&host.queue("find-me"), "ada", &document::arbitrary(1_000, 1)).await;

    server = tokio::task::spawn_blocking(|| {
        server.stop();
        server
    })
    .await
    .unwrap();
    terminal.shows_and_hears("4711", "[failed]").await;
    let document = program::in_workspace("examples/hello.pdf");
    let refused = ipptool::print(&host.queue("find-me"), "ada", &document).await;
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stdout.contains("server-error-temporary-error"), "a client is to come again: {refused:?}");
    let listed = host.cli("job list").await.refused();
    assert!(listed.contains("cannot be reached; check that the database runs"), "{listed}");
    assert!(!listed.contains(PASSWORD) && !host.log().contains(PASSWORD));

    server = tokio::task::spawn_blocking(|| {
        server.resume();
        server
    })
    .await
    .unwrap();
    // All is as before: the one job, held; and everything works without a restart.
    let jobs = host.api().jobs().await;
    assert_eq!(jobs.iter().map(|job| (job.number, job.state)).collect::<Vec<_>>(), [(number, JobState::Held)]);
    ipptool::print(&host.queue("find-me"), "ada", &document).await.ok();
    terminal.shows_and_hears("4711", "[released]").await;
    assert_eq!(document::out(&host.folder().join("delivered"), 2).await.len(), 2);
    assert!(host.terminate().await.success());
    drop(server);
}

#[tokio::test]
async fn a_second_host_on_the_same_database_is_refused_with_words() {
    let database = database().await;
    let mut first = host_on(&database).await;
    first.serve().await;
    let second = host_on(&database).await;
    let said = refused(&second).await;
    assert!(said.contains("another Cardinal host already works on database"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    // The first has noticed nothing.
    first.apply(&folder_site()).await;
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_with_words() {
    let mut host = Host::init().await;
    host.set("CARDINAL_STORE__URL", "sqlite:///tmp/s3cret.db");
    let said = refused(&host).await;
    assert!(said.contains("SQLite needs no address") && !said.contains("s3cret"), "{said}");
}

/// What a host says that does not come up.
async fn refused(host: &Host) -> String {
    let log = host.folder().join("refused.log");
    let mut process = Process::start("the host", &mut host.serve_command(), &log);
    assert!(!process.wait().await.success());
    process.said()
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_held_stays() {
    let mut host = Host::init().await;
    for (name, value) in [("EVENTS", "30"), ("JOBS", "2"), ("CHECK_EVERY_S", "1")] {
        host.set(&format!("CARDINAL_RETENTION__{name}"), value);
    }
    host.serve().await;
    host.apply(&folder_site()).await;
    let print = async || ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    let held = print().await;
    for _ in 0..8 {
        let number = print().await;
        host.cli(&format!("job cancel {number}")).await.ok();
    }
    let cleaned = host.api().event(EventKind::RetentionCleaned).await;
    assert!(cleaned.body.facts.contains_key("jobs"), "{cleaned:?}");
    let jobs =
        wait::until("old jobs to be gone", async || Some(host.api().jobs().await).filter(|jobs| jobs.len() == 3)).await;
    assert_eq!(jobs.last().map(|job| (job.number, job.state)), Some((held, JobState::Held)));
    // The document is there, and so is its story.
    let spooled = std::fs::read_dir(host.folder().join("data/spool")).unwrap().flatten();
    assert_eq!(spooled.filter(|file| file.path().extension().is_some_and(|end| end == "doc")).count(), 1);
    let of_held = host.api().events_of(EventKind::JobHeld).await;
    assert!(of_held.iter().any(|event| event.body.job == Some(jobs[2].id)), "the oldest of all is kept");
}

#[tokio::test]
async fn what_was_changed_while_the_connection_was_lost_is_seen_by_readers_and_by_apply() {
    let (database, terminal) = tokio::join!(database(), listening());
    let mut host = host_on(&database).await;
    host.serve().await;
    let site = folder_site() + &reader("r", terminal.address(), SIGNS);
    host.apply(&site).await;
    terminal.is_connected().await;

    // By another host, say, that had the database for a while.
    let changed_by_another = async |change: &str| {
        database.run(change);
        database.run(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    };
    changed_by_another("DELETE FROM reader").await;
    // The first thing that is stored again.
    ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    let gone = terminal.wait_for(LIMIT, |record| record.server.is_none()).await;
    gone.unwrap_or_else(|error| panic!("its reader is gone, and its session is not: {error}"));

    host.apply(&site).await;
    terminal.was_connected(2).await;
    changed_by_another("DELETE FROM reader; UPDATE users SET full_name = 'Somebody'").await;
    let planned = host.apply_with(&site, &["--dry-run"]).await.ok();
    assert!(planned.contains("reader r"), "{planned}");
    changed_by_another("DELETE FROM reader").await;
    host.apply(&site).await;
    assert_eq!(database.run("SELECT count(*) FROM reader"), "1");
    terminal.was_connected(2).await;
    assert!(host.terminate().await.success());
}
