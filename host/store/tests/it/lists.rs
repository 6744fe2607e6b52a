//! Lists of jobs: searched, a page at a time, and quick with many.

use std::collections::BTreeMap;

use cardinal_domain::{job::NewJob, names::QueueName};
use cardinal_store::{JobFilter, Store};
use sqlx::{Connection as _, Executor as _};

use crate::peer::{Peer, arrived, new_job, step, with_site};

on_both! {
    jobs_are_found_by_their_owner_user_and_name
    pages_follow_each_other
    a_hundred_thousand_held_jobs_are_listed_by_index
    texts_with_a_nul_are_kept
}

async fn found(store: &Store, search: &str) -> Vec<i32> {
    let filter = JobFilter { search: Some(search.to_owned()), limit: 10, ..JobFilter::default() };
    store.jobs(&filter).await.unwrap().iter().map(|job| job.number).collect()
}

async fn jobs_are_found_by_their_owner_user_and_name(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    for (owner, name) in [("ADA", "Übersicht 50%"), ("mallory", "letter_1"), ("ΟΔΥΣΣΕΥΣ", "LetterX1"), ("x", "a!b%c")]
    {
        store.announce_job(NewJob { name: name.to_owned(), ..new_job(owner) }).await.unwrap();
    }
    let signed_in = NewJob { signed_in: Some("bob".parse().unwrap()), ..new_job("laptop") };
    store.announce_job(NewJob { name: "slides".to_owned(), ..signed_in }).await.unwrap();
    // Whatever the case, also of letters beyond ASCII, and alike on both databases.
    for (search, numbers) in [
        ("ada", vec![1]),
        ("übers", vec![1]),
        ("ÜBERS", vec![1]),
        ("50%", vec![1]),
        ("LETTER", vec![3, 2]),
        ("letter_", vec![2]),
        ("οδυσσευ", vec![3]),
        ("!b%", vec![4]),
        ("BOB", vec![5]),
        ("nobody", vec![]),
        ("'; DROP TABLE job; --", vec![]),
        ("", vec![5, 4, 3, 2, 1]),
    ] {
        assert_eq!(found(&store, search).await, numbers, "{search}");
    }
}

async fn pages_follow_each_other(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    for n in 0..25 {
        store.announce_job(new_job(if n % 5 == 0 { "bob" } else { "ada" })).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let filter = JobFilter { search: Some("ada".into()), before, open: true, limit: 7, ..JobFilter::default() };
        let page = store.jobs(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.number);
        seen.extend(page.iter().map(|job| job.number));
    }
    assert_eq!(seen, (1..=25).rev().filter(|number| number % 5 != 1).collect::<Vec<_>>());
}

async fn texts_with_a_nul_are_kept(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let new = NewJob {
        name: "a\0b".to_owned(),
        options: BTreeMap::from([("media".to_owned(), "x\0y".to_owned())]),
        ..new_job("a\0da")
    };
    let job = store.announce_job(new).await.unwrap();
    let job = step(&store, job.id, arrived()).await;
    assert_eq!(store.job(job.id).await.unwrap().unwrap().name, "a\u{fffd}b");
    assert_eq!(store.job(job.id).await.unwrap().unwrap().options, job.options);
}

/// Fills the table as so many people would who print and do not come.
async fn many_jobs(peer: &Peer) {
    let series = if peer.is_postgres() {
        "SELECT n FROM generate_series(1000, 101000) s(n)"
    } else {
        "WITH RECURSIVE s(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM s WHERE n < 101000) SELECT n FROM s"
    };
    let fill = format!(
        "INSERT INTO job (id, number, queue, owner, owner_name, user_name, name, format, bytes, sha256, options, state, \
         reason, doubtful, attempt, created, changed, folded) SELECT '018f0000-0000-7000-8000-' || \
         substr('000000000000' || n, -12 + length('000000000000' || n) + 1), n, CASE WHEN n % 50 = 0 THEN 'small' ELSE 'find-me' END, \
         'user' || (n % 500), 'user' || (n % 500), 'user' || (n % 500), 'Document ' || n, 'application/pdf', 100000, \
         '0000000000000000000000000000000000000000000000000000000000000000', '{{}}', 'held', \
         'waits for its owner''s card', 0, 0, n, n, 'user' || (n % 500) || 'document ' || n FROM ({series}) x"
    )
    .replace("substr('000000000000' || n, -12 + length('000000000000' || n) + 1)", "substr(CAST(1000000000000 + n AS TEXT), 2)")
    .replace("'{{}}'", "'{}'");
    let mut connection = peer.connect().await;
    connection.execute(sqlx::query(sqlx::AssertSqlSafe(fill))).await.unwrap();
    if peer.is_postgres() {
        connection.execute("ANALYZE job").await.unwrap();
    }
    connection.close().await.unwrap();
}

async fn a_hundred_thousand_held_jobs_are_listed_by_index(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    many_jobs(peer).await;
    let open = "state NOT IN ('delivered', 'cancelled')";
    for condition in [
        open.to_owned(),
        format!("queue = 'small' AND {open}"),
        format!("user_name = 'user7' AND {open}"),
        "state = 'held'".to_owned(),
        "user_name = 'user7' AND state = 'held'".to_owned(),
    ] {
        let query = format!("SELECT * FROM job WHERE number < 99000 AND {condition} ORDER BY number DESC LIMIT 100");
        let plan = peer.explain(&query).await;
        assert!(plan.to_lowercase().contains("index"), "{condition}:\n{plan}");
        assert!(!plan.contains("Seq Scan") && !plan.contains("SCAN job\n"), "{condition}:\n{plan}");
    }
    let small: QueueName = "small".parse().unwrap();
    let limit = 100;
    let all = JobFilter { open: true, limit, ..JobFilter::default() };
    for filter in [
        all.clone(),
        JobFilter { queue: Some(small.clone()), ..all.clone() },
        JobFilter { user: Some("user7".parse().unwrap()), ..all.clone() },
        JobFilter { before: Some(50_000), ..all.clone() },
        JobFilter { search: Some("Document".into()), ..all.clone() },
        // The worst: found at the far end, or not at all.
        JobFilter { search: Some("document 1000".into()), before: Some(9_000), ..all.clone() },
        JobFilter { search: Some("nowhere".into()), ..all.clone() },
    ] {
        let jobs = store.jobs(&filter).await.unwrap();
        assert!(jobs.is_sorted_by(|a, b| a.number > b.number));
    }
    assert_eq!(store.open_jobs(&small).await.unwrap(), 2_001);
}
