//! The numbers that readers' secrets are derived from.

use cardinal_domain::{
    event::{EventBody, EventKind},
    names::{ReaderName, TraceId},
    plan::plan,
    site::Site,
    time::Timestamp,
};
use cardinal_store::{EventFilter, SecretNumber};

use crate::peer::{Peer, with_site};

on_both! {
    a_reader_has_one_secret_until_it_is_rotated
    a_number_is_never_given_again
    a_reader_that_is_not_there_has_no_secret
    whoever_asks_at_once_is_told_the_same
}

fn reader() -> ReaderName {
    ReaderName::new("r").unwrap()
}

fn numbers(of: &[SecretNumber]) -> Vec<(i64, Option<i64>)> {
    of.iter().map(|secret| (secret.number, secret.ends.map(|ends| ends.0))).collect()
}

async fn a_reader_has_one_secret_until_it_is_rotated(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    assert_eq!(store.secret_numbers().await.unwrap(), []);
    assert_eq!(numbers(&store.secret_numbers_of(&reader()).await.unwrap()), [(1, None)]);
    assert_eq!(numbers(&store.secret_numbers_of(&reader()).await.unwrap()), [(1, None)]);
    let told = || vec![EventBody::new(TraceId::new(), EventKind::ReaderRotated, "r").reader(&reader())];
    let rotated = store.rotate_secret(&reader(), Timestamp(1_000), Timestamp(5_000), told()).await.unwrap();
    assert_eq!(numbers(&rotated), [(1, Some(5_000)), (2, None)]);
    // A longer overlap does not bring back what ends before it.
    let rotated = store.rotate_secret(&reader(), Timestamp(2_000), Timestamp(9_000), told()).await.unwrap();
    assert_eq!(numbers(&rotated), [(1, Some(5_000)), (2, Some(9_000)), (3, None)]);
    // A shorter one ends them all, and what has ended is forgotten.
    let rotated = store.rotate_secret(&reader(), Timestamp(5_000), Timestamp(6_000), told()).await.unwrap();
    assert_eq!(numbers(&rotated), [(2, Some(6_000)), (3, Some(6_000)), (4, None)]);
    let rotated = store.rotate_secret(&reader(), Timestamp(5_500), Timestamp(5_500), told()).await.unwrap();
    assert_eq!(numbers(&rotated), [(5, None)]);
    store.close().await;

    let store = peer.open().await;
    assert_eq!(numbers(&store.secret_numbers().await.unwrap()), [(5, None)]);
    let filter = EventFilter { kind: Some(EventKind::ReaderRotated), limit: 10, ..EventFilter::default() };
    assert_eq!(store.events(&filter).await.unwrap().len(), 4);
}

async fn a_number_is_never_given_again(peer: &Peer) {
    let (store, site) = with_site(peer).await;
    assert_eq!(numbers(&store.secret_numbers_of(&reader()).await.unwrap()), [(1, None)]);
    let without = Site { reader: Vec::new(), ..site.clone() };
    store.apply(&plan(&site, &without, true).unwrap().changes, Vec::new()).await.unwrap();
    assert_eq!(store.secret_numbers().await.unwrap(), [], "they go with their reader");
    store.apply(&plan(&without, &site, false).unwrap().changes, Vec::new()).await.unwrap();
    assert_eq!(numbers(&store.secret_numbers_of(&reader()).await.unwrap()), [(2, None)]);
    // A reader that is changed keeps its own.
    let mut changed = site.clone();
    changed.reader[0].address = "h:2".to_owned();
    store.apply(&plan(&site, &changed, false).unwrap().changes, Vec::new()).await.unwrap();
    assert_eq!(numbers(&store.secret_numbers_of(&reader()).await.unwrap()), [(2, None)]);
}

async fn a_reader_that_is_not_there_has_no_secret(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let nobody = ReaderName::new("nobody").unwrap();
    assert!(store.secret_numbers_of(&nobody).await.is_err());
    assert!(store.rotate_secret(&nobody, Timestamp(0), Timestamp(0), Vec::new()).await.is_err());
    assert_eq!(store.secret_numbers().await.unwrap(), []);
}

async fn whoever_asks_at_once_is_told_the_same(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.secret_numbers_of(&reader()).await.unwrap() })
        })
        .collect();
    for asked in asking {
        assert_eq!(numbers(&asked.await.unwrap()), [(1, None)]);
    }
}
