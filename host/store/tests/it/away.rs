//! PostgreSQL's own ways: it goes away and comes back, it belongs to one host, and it knows a password.

use std::error::Error as _;

use cardinal_domain::{card::CardNumber, names::UserName, plan::Change, site::User};
use cardinal_store::{Durability, EventFilter, Place, Store, StoreError};
use futures_util::future::join_all;

use crate::{
    peer::{Peer, arrived, new_job, step, told, with_site},
    postgres::{self, PASSWORD, Postgres},
};

/// Everything that a log or a person may come to see of an error.
fn shown(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(" {cause} {cause:?}"));
        source = cause.source();
    }
    text
}

#[tokio::test]
async fn what_cannot_be_opened_says_what_to_check() {
    let nowhere = std::path::Path::new("/nowhere/at/all.db");
    let error = Store::open(nowhere, Durability::Power).await.err().unwrap();
    assert!(error.to_string().contains("check that the folder exists"), "{error}");

    let url = postgres::database().url;
    let wrong = Place::from_url(&url.replace(PASSWORD, "another-secret")).unwrap();
    let error = Store::open(wrong, Durability::Process).await.err().unwrap();
    assert!(error.to_string().contains("the user and password in store.url"), "{error}");
    assert!(shown(&error).contains("password authentication failed"), "{}", shown(&error));
    assert!(!shown(&error).contains("another-secret"), "{}", shown(&error));

    let absent = Place::from_url("postgres://u:s3cret@127.0.0.1:9/cardinal").unwrap();
    let error = Store::open(absent, Durability::Process).await.err().unwrap();
    assert!(error.to_string().contains("\"cardinal\" on 127.0.0.1:9"), "{error}");
    assert!(!shown(&error).contains("s3cret"), "{}", shown(&error));
}

#[tokio::test]
async fn a_database_belongs_to_one_host() {
    let peer = Peer::postgres();
    let store = peer.open().await;
    let error = Store::open(peer.place(), Durability::Process).await.err().unwrap();
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    assert!(error.to_string().contains("another Cardinal host already works on database"), "{error}");
    assert!(error.to_string().contains("from 127.0.0.1"), "{error}");
    // The first is none the worse for it, and makes room when it ends.
    store.record(vec![told("still here".into())]).await.unwrap();
    store.close().await;
    peer.open().await.record(vec![told("next".into())]).await.unwrap();
    let error = store.record(vec![told("late".into())]).await.unwrap_err();
    assert!(matches!(error, StoreError::Closed { .. }), "{error}");
}

#[tokio::test]
async fn a_host_that_lost_its_lock_writes_nothing_any_more() {
    let Peer::Postgres(database) = Peer::postgres() else { panic!() };
    let peer = Peer::Postgres(database.clone());
    let first = peer.open().await;
    first.record(vec![told("one".into())]).await.unwrap();
    // Its session is ended, and somebody else is quicker with the lock.
    let sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.run(sessions);
    let second = peer.open().await;
    let error = first.record(vec![told("two".into())]).await.unwrap_err();
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    second.record(vec![told("three".into())]).await.unwrap();
    let config = Change::Config("ext-device.card-no-regex".into(), Some("(.{7})".into()));
    second.apply(&[config], Vec::new()).await.unwrap();
    let setup = second.setup();
    assert_ne!(first.setup(), setup);
    second.close().await;
    // Once the other is gone it goes on, from what the other left.
    first.record(vec![told("four".into())]).await.unwrap();
    assert_eq!(first.setup(), setup);
    let all = first.events(&EventFilter { limit: 10, ..EventFilter::default() }).await.unwrap();
    assert_eq!(all.iter().map(|event| event.body.message.as_str()).collect::<Vec<_>>(), ["one", "three", "four"]);
}

#[tokio::test]
async fn lost_connections_are_replaced_and_nobody_notices() {
    let Peer::Postgres(database) = Peer::postgres() else { panic!() };
    let peer = Peer::Postgres(database.clone());
    let (store, site) = with_site(&peer).await;
    // All connections that read are there.
    join_all((0..20).map(|_| store.users())).await;
    let sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let ended: u32 = database.run(sessions).parse().unwrap();
    assert!(ended > 2, "{ended}");
    for users in join_all((0..20).map(|_| store.users())).await {
        assert_eq!(users.unwrap(), site.user);
    }
    database.run(sessions);
    let job = store.announce_job(new_job("ada")).await.unwrap();
    step(&store, job.id, arrived()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_fails_what_is_asked_and_comes_back_whole() {
    let mut server = Postgres::start();
    let place = Place::from_url(&server.database().url).unwrap();
    let store = Store::open(place, Durability::Process).await.unwrap();
    let mut watch = store.watch();
    // Writers all the while; what each was answered is remembered.
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut stored = Vec::new();
                for n in 0.. {
                    let message = format!("{writer}.{n}");
                    match store.record(vec![told(message.clone())]).await {
                        Ok(()) => stored.push(message),
                        Err(error) => return (stored, error),
                    }
                }
                unreachable!()
            })
        })
        .collect();
    for _ in 0..200 {
        watch.recv().await.unwrap();
    }
    let server = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    });
    let mut server = server.await.unwrap();
    let mut answered = Vec::new();
    for writer in writers {
        let (stored, error) = writer.await.unwrap();
        answered.extend(stored);
        assert!(error.to_string().contains("check that the database runs"), "{error}");
        assert!(!shown(&error).contains(PASSWORD));
    }
    let error = store.users().await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }) && error.to_string().contains("127.0.0.1"), "{error}");
    let error = store.record(vec![told("lost".into())]).await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }), "{error}");

    let _server = tokio::task::spawn_blocking(move || {
        server.resume();
        server
    })
    .await
    .unwrap();
    store.record(vec![told("back".into())]).await.unwrap();
    let all = store.events(&EventFilter { after: Some(0), limit: 1_000_000, ..EventFilter::default() }).await.unwrap();
    let messages: std::collections::HashSet<_> = all.iter().map(|event| event.body.message.as_str()).collect();
    assert!(answered.iter().all(|message| messages.contains(message.as_str())), "what was answered is stored");
    assert!(messages.contains("back") && !messages.contains("lost"));
    assert_eq!(all.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..).take(all.len()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cards_number_is_in_no_error_and_not_in_the_servers_log() {
    let peer = Peer::postgres();
    let (store, _) = with_site(&peer).await;
    let thief = User { card: Some(CardNumber::new("EMP123").unwrap()), ..User::new(UserName::new("eve").unwrap()) };
    let error = store.apply(&[Change::PutUser(thief)], Vec::new()).await.unwrap_err();
    assert!(matches!(error, StoreError::CardTaken { .. }), "{error}");
    assert!(!shown(&error).contains("EMP123"));
    assert!(!postgres::shared_log().contains("EMP123"), "{}", postgres::shared_log());
}
