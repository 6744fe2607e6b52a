//! A database of a version before is brought up to date with all that is in it.

use cardinal_domain::job::JobState;
use cardinal_store::JobFilter;
use sqlx::{
    Connection as _, Executor as _, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::peer::{Peer, arrived, new_job, step};

on_both! {
    a_filled_database_of_the_version_before_is_brought_up_to_date
    a_database_of_a_newer_version_is_refused
}

async fn a_filled_database_of_the_version_before_is_brought_up_to_date(peer: &Peer) {
    let mut connection = peer.connect().await;
    if !peer.is_postgres() {
        connection.execute("PRAGMA journal_mode = WAL").await.unwrap();
    }
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let before = Migrator::with_migrations(vec![
        migration(1, "first", include_str!("../../migrations/0001_first.sql")),
        migration(2, "sign in", include_str!("../../migrations/0002_sign_in.sql")),
    ]);
    before.run(&mut connection).await.unwrap();
    let rows = "INSERT INTO job (id, number, queue, owner, owner_name, user_name, name, format, bytes, sha256, options, \
                state, reason, doubtful, attempt, created, changed) SELECT \
                '018f0000-0000-7000-8000-' || substr(CAST(1000000000000 + n AS TEXT), 2), n, 'find-me', 'ÄDA', 'äda', \
                NULL, 'Brief ' || n, 'application/pdf', 1, '00', '{}', 'held', '', 0, 0, n, n FROM ";
    let series = if peer.is_postgres() {
        "generate_series(1, 2500) s(n)"
    } else {
        "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2500) SELECT n FROM s) x"
    };
    connection.execute(sqlx::query(sqlx::AssertSqlSafe(format!("{rows}{series}")))).await.unwrap();
    let queue = r#"INSERT INTO queue (name, spec) VALUES ('find-me', '{"name":"find-me"}')"#;
    connection.execute(queue).await.unwrap();
    connection.execute("UPDATE counter SET value = 2500 WHERE name = 'job'").await.unwrap();
    connection.execute("INSERT INTO users (name, full_name, email) VALUES ('ada', 'Ada', '')").await.unwrap();
    connection.execute("INSERT INTO card (number, user_name, slot) VALUES ('4711', 'ada', 1)").await.unwrap();
    connection.close().await.unwrap();

    // Twice: the second time there is nothing to do.
    for round in 0..2 {
        let store = peer.open().await;
        let filter = JobFilter { search: Some("äda".into()), limit: 10_000, ..JobFilter::default() };
        let jobs = store.jobs(&filter).await.unwrap();
        assert_eq!(jobs.len(), 2_500, "jobs of before are found, in round {round}");
        assert!(jobs.iter().all(|job| job.state == JobState::Held && job.owner == "ÄDA"));
        let brief = JobFilter { search: Some("BRIEF 2500".into()), ..filter };
        assert_eq!(store.jobs(&brief).await.unwrap().len(), 1);
        let new = store.announce_job(new_job("ada")).await.unwrap();
        assert_eq!(new.number, 2_501 + round);
        let ada = store.users().await.unwrap().pop().unwrap();
        assert_eq!((ada.full_name.as_str(), ada.second_card.unwrap().reveal()), ("Ada", "4711"));
        step(&store, new.id, arrived()).await;
        store.close().await;
    }
}

async fn a_database_of_a_newer_version_is_refused(peer: &Peer) {
    peer.open().await.close().await;
    peer.run("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 3").await;
    let error = cardinal_store::Store::open(peer.place(), cardinal_store::Durability::Process).await.err().unwrap();
    assert!(error.to_string().contains("was it written by a newer Cardinal?"), "{error}");
}
