//! What a sync changes, on both databases.

use cardinal_domain::{
    card::CardNumber,
    names::{GroupName, UserName},
    site::{Origin, User},
    sync::{Change, Group},
    time::Timestamp,
};
use cardinal_store::{Store, StoreError, SyncRun};

use crate::peer::{Peer, arrived, new_job, step};

on_both! {
    a_plan_is_carried_out_whole_and_taken_back
    many_users_at_once
    a_plan_of_another_state_is_not_carried_out
    a_card_in_use_stops_all_of_it
    where_reading_begins_next_is_known_once_a_plan_is_carried_out
    runs_are_kept_and_forgotten
    jobs_of_who_was_removed_are_nobody_elses
    devices_follow_the_group_they_name
    a_plan_that_was_overtaken_waits_no_longer
}

fn run() -> SyncRun {
    SyncRun {
        number: 0,
        kind: "now".into(),
        outcome: "waits".into(),
        why: String::new(),
        began: Timestamp(1),
        ended: Timestamp(2),
        told: "{}".into(),
        digest: "d".into(),
        as_of: 0,
        marks: [("school".parse().unwrap(), "m1".to_owned())].into(),
        undoes: None,
        undone_by: None,
    }
}

fn name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn user(of: &str, card: &str) -> User {
    User {
        card: (!card.is_empty()).then(|| CardNumber::new(card).unwrap()),
        other_emails: vec!["a@x".into(), "b@x".into()],
        origin: Some(Origin { source: "school".parse().unwrap(), key: format!("k-{of}") }),
        ..User::new(name(of))
    }
}

fn group(of: &str, members: &[&str]) -> Group {
    Group {
        name: GroupName::new(of).unwrap(),
        origin: Origin { source: "school".parse().unwrap(), key: format!("g-{of}") },
        members: members.iter().map(|member| name(member)).collect(),
    }
}

fn why() -> String {
    "a test".into()
}

fn add(user: User) -> Change {
    Change::AddUser { user: Box::new(user), why: why() }
}

/// With a queue to print to.
async fn opened(peer: &Peer) -> Store {
    let store = peer.open().await;
    let queue = serde_json::from_str(r#"{"name":"find-me"}"#).unwrap();
    store.apply(&[cardinal_domain::plan::Change::PutQueue(queue)], Vec::new()).await.unwrap();
    store
}

async fn kept(store: &Store, run: SyncRun, changes: &[Change]) -> SyncRun {
    let number = store.keep_sync(&run, changes, false, Vec::new()).await.unwrap();
    store.sync_runs(number + 1, 1).await.unwrap().pop().unwrap()
}

async fn apply(store: &Store, changes: &[Change]) -> i64 {
    let as_of = store.people().await.unwrap().as_of;
    let run = kept(store, SyncRun { as_of, ..run() }, changes).await;
    assert!(store.carry_out_sync(&run, changes, "{}", Vec::new()).await.unwrap());
    run.number
}

async fn a_plan_is_carried_out_whole_and_taken_back(peer: &Peer) {
    let store = opened(peer).await;
    let first = [
        add(user("ada", "11")),
        add(user("bob", "22")),
        add(user("eve", "33")),
        Change::AddGroup { group: group("staff", &["ada", "eve"]), why: why() },
    ];
    apply(&store, &first).await;
    let before = store.people().await.unwrap();
    let job = store.announce_job(new_job("ada")).await.unwrap();
    step(&store, job.id, arrived()).await;
    // Ada and Bob change their names and their cards, Eve goes, the group gets another name.
    let (ada, bob) = (before.users[0].clone(), before.users[1].clone());
    let rename = |from: &str, to: &str| Change::RenameUser { from: name(from), to: name(to), why: why() };
    let change = |of: &str, old: &User, card: &str| {
        let before = User { name: name(of), ..old.clone() };
        let after = User { card: Some(CardNumber::new(card).unwrap()), ..before.clone() };
        Change::UpdateUser { before: Box::new(before), after: Box::new(after), why: why() }
    };
    let origin = group("staff", &[]).origin;
    let regroup = |from: &str, to: &str| Change::ChangeGroup {
        from: GroupName::new(from).unwrap(),
        from_origin: origin.clone(),
        to: GroupName::new(to).unwrap(),
        origin: origin.clone(),
        why: why(),
    };
    let members = |of: &str, left: &[&str], joined: &[&str]| Change::Members {
        group: GroupName::new(of).unwrap(),
        left: left.iter().map(|left| name(left)).collect(),
        joined: joined.iter().map(|joined| name(joined)).collect(),
        why: why(),
    };
    let second = [
        Change::RemoveUser { user: Box::new(before.users[2].clone()), why: why() },
        rename("ada", "bob"),
        rename("bob", "ada"),
        change("bob", &ada, "22"),
        change("ada", &bob, "11"),
        add(user("fay", "")),
        regroup("staff", "all staff"),
        members("all staff", &["eve"], &["fay"]),
    ];
    let number = apply(&store, &second).await;
    let after = store.people().await.unwrap();
    let told: Vec<_> = after
        .users
        .iter()
        .map(|user| {
            (
                user.name.as_str(),
                user.origin.as_ref().unwrap().key.as_str(),
                user.card.as_ref().map_or("", |card| card.reveal()),
            )
        })
        .collect();
    assert_eq!(told, [("ada", "k-bob", "11"), ("bob", "k-ada", "22"), ("fay", "k-fay", "")]);
    assert_eq!(
        after.groups,
        [Group {
            members: vec![name("bob"), name("fay")],
            name: GroupName::new("all staff").unwrap(),
            ..group("staff", &[])
        }]
    );
    assert!(store.is_member(&name("bob"), &[group("x", &[]).name, after.groups[0].name.clone()]).await.unwrap());
    assert!(!store.is_member(&name("ada"), &[after.groups[0].name.clone()]).await.unwrap());
    assert!(!store.is_member(&name("bob"), &[]).await.unwrap());
    let job = store.job(job.id).await.unwrap().unwrap();
    assert_eq!(job.user.as_ref().unwrap().as_str(), "bob", "her job went along");
    assert_eq!(store.sync_changes(number, 0, usize::MAX).await.unwrap(), second);

    let back = [
        Change::RemoveUser { user: Box::new(user("fay", "")), why: why() },
        rename("bob", "ada"),
        rename("ada", "bob"),
        change("ada", &ada, "11"),
        change("bob", &bob, "22"),
        add(before.users[2].clone()),
        regroup("all staff", "staff"),
        members("staff", &[], &["eve"]),
    ];
    let undo = kept(&store, SyncRun { as_of: after.as_of, undoes: Some(number), ..run() }, &back).await;
    assert!(store.carry_out_sync(&undo, &back, "{}", Vec::new()).await.unwrap());
    let restored = store.people().await.unwrap();
    assert_eq!((&restored.users, &restored.groups), (&before.users, &before.groups));
    assert_eq!(store.sync_runs(i64::MAX, 10).await.unwrap()[1].undone_by, Some(number + 1));
}

async fn many_users_at_once(peer: &Peer) {
    let store = opened(peer).await;
    let users: Vec<_> = (0..4_321).map(|at| user(&format!("u{at:04}"), &format!("7{at}"))).collect();
    let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
    let mut changes: Vec<_> = users.iter().cloned().map(add).collect();
    changes.push(Change::AddGroup { group: group("all", &names), why: why() });
    let job = store.announce_job(new_job("u0007")).await.unwrap();
    step(&store, job.id, arrived()).await;
    let number = apply(&store, &changes).await;
    let people = store.people().await.unwrap();
    assert_eq!(people.users, users);
    assert_eq!(people.groups[0].members.len(), 4_321);
    assert_eq!(store.job(job.id).await.unwrap().unwrap().user.unwrap().as_str(), "u0007", "a job waited for its owner");
    assert_eq!(store.sync_changes(number, 0, usize::MAX).await.unwrap().len(), changes.len());
    assert_eq!(store.sync_changes(number, 1_999, 402).await.unwrap(), changes[1_999..2_401]);
    let gone = users.into_iter().map(|user| Change::RemoveUser { user: Box::new(user), why: why() });
    apply(&store, &gone.collect::<Vec<_>>()).await;
    let people = store.people().await.unwrap();
    assert_eq!((people.users.len(), people.groups[0].members.len()), (0, 0));
}

async fn a_plan_of_another_state_is_not_carried_out(peer: &Peer) {
    let store = peer.open().await;
    let as_of = store.people().await.unwrap().as_of;
    store.apply(&[cardinal_domain::plan::Change::PutUser(user("bob", ""))], Vec::new()).await.unwrap();
    let changes = [add(user("ada", ""))];
    let run = kept(&store, SyncRun { as_of, ..run() }, &changes).await;
    assert!(!store.carry_out_sync(&run, &changes, "{}", Vec::new()).await.unwrap());
    assert!(store.end_sync(run.number, "stale", "changed", Vec::new()).await.unwrap());
    assert_eq!(store.sync_runs(i64::MAX, 1).await.unwrap()[0].outcome, "stale");
    let people = store.people().await.unwrap();
    assert_eq!((people.users.len(), people.as_of), (1, as_of + 1), "and nothing is counted for it");
}

async fn a_card_in_use_stops_all_of_it(peer: &Peer) {
    let store = peer.open().await;
    apply(&store, &[add(user("ada", "11"))]).await;
    let as_of = store.people().await.unwrap().as_of;
    let changes = [add(user("bob", "22")), add(user("eve", "11"))];
    let run = kept(&store, SyncRun { as_of, ..run() }, &changes).await;
    let error = store.carry_out_sync(&run, &changes, "{}", Vec::new()).await.unwrap_err();
    assert!(matches!(&error, StoreError::CardTaken { user } if user == "eve"), "{error}");
    assert_eq!(store.people().await.unwrap().users.len(), 1);
    assert_eq!(store.sync_runs(i64::MAX, 10).await.unwrap()[0].outcome, "waits");
}

async fn where_reading_begins_next_is_known_once_a_plan_is_carried_out(peer: &Peer) {
    let store = peer.open().await;
    let school = "school".parse().unwrap();
    let source = serde_json::from_str(r#"{"name":"school","kind":"file","from":"x"}"#).unwrap();
    let put = [cardinal_domain::plan::Change::PutSource(source)];
    store.apply(&put, Vec::new()).await.unwrap();
    assert_eq!(store.sync_mark(&school).await.unwrap(), None);
    apply(&store, &[]).await;
    assert_eq!(store.sync_mark(&school).await.unwrap().as_deref(), Some("m1"));
    assert_eq!(store.setup().sources.len(), 1);
    // Another configuration may mean another directory.
    store.apply(&put, Vec::new()).await.unwrap();
    assert_eq!(store.sync_mark(&school).await.unwrap(), None);
}

async fn runs_are_kept_and_forgotten(peer: &Peer) {
    let store = peer.open().await;
    for kind in ["test", "now", "nightly"] {
        let run = SyncRun { kind: kind.into(), outcome: "failed".into(), why: "away".into(), ..run() };
        store.keep_sync(&run, &[add(user("ada", ""))], false, Vec::new()).await.unwrap();
    }
    let runs = store.sync_runs(3, 1).await.unwrap();
    assert_eq!((runs.len(), runs[0].number, runs[0].kind.as_str(), runs[0].why.as_str()), (1, 2, "now", "away"));
    assert_eq!(store.forget_syncs(1).await.unwrap(), 2);
    assert_eq!(store.sync_runs(i64::MAX, 10).await.unwrap()[0].number, 3);
    assert_eq!(store.sync_changes(2, 0, usize::MAX).await.unwrap(), []);
    assert!(store.people().await.unwrap().users.is_empty());
    // What can be undone stays, however many runs change nothing.
    let applied = apply(&store, &[add(user("ada", ""))]).await;
    for _ in 0..3 {
        let run = SyncRun { outcome: "nothing".into(), ..run() };
        store.keep_sync(&run, &[], false, Vec::new()).await.unwrap();
        store.forget_syncs(1).await.unwrap();
    }
    assert_eq!(store.sync_changes(applied, 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.last_sync_to_undo().await.unwrap().unwrap().number, applied);
    // Its answer was lost, and it is told as what it is.
    assert!(!store.end_sync(applied, "failed", "x", Vec::new()).await.unwrap());
}

async fn jobs_of_who_was_removed_are_nobody_elses(peer: &Peer) {
    let store = opened(peer).await;
    apply(&store, &[add(user("ada", "11")), add(user("bob", "22"))]).await;
    let job = store.announce_job(new_job("ada")).await.unwrap();
    step(&store, job.id, arrived()).await;
    let ada = store.people().await.unwrap().users[0].clone();
    let removal = apply(&store, &[Change::RemoveUser { user: Box::new(ada.clone()), why: why() }]).await;
    let archived = store.archived_users(10).await.unwrap();
    assert_eq!((archived.len(), archived[0].sync, &archived[0].user), (1, removal, &ada));
    // She comes back by an undo, with her job.
    let as_of = store.people().await.unwrap().as_of;
    let back = [add(ada.clone())];
    let undo = kept(&store, SyncRun { as_of, undoes: Some(removal), ..run() }, &back).await;
    assert!(store.carry_out_sync(&undo, &back, "{}", Vec::new()).await.unwrap());
    let held =
        async |card: &str| store.holder(&CardNumber::new(card).unwrap()).await.unwrap().map(|holder| holder.held.len());
    assert_eq!((held("11").await, store.archived_users(10).await.unwrap().len()), (Some(1), 0));
    // Somebody else with her name has not, by a new account or by a rename.
    apply(&store, &[Change::RemoveUser { user: Box::new(ada), why: why() }]).await;
    apply(&store, &[Change::RenameUser { from: name("bob"), to: name("ada"), why: why() }]).await;
    assert_eq!(held("22").await, Some(0));
    let job = store.job(job.id).await.unwrap().unwrap();
    assert_eq!((job.user, job.reason.as_str()), (None, "its owner was removed"));
    // A job that came under the new name before the rename did is theirs.
    let early = store.announce_job(new_job("countess")).await.unwrap();
    step(&store, early.id, arrived()).await;
    apply(&store, &[Change::RenameUser { from: name("ada"), to: name("countess"), why: why() }]).await;
    assert_eq!(held("22").await, Some(1));
}

async fn devices_follow_the_group_they_name(peer: &Peer) {
    let store = opened(peer).await;
    let printer = serde_json::from_str(r#"{"name":"east","uri":"folder:./x"}"#).unwrap();
    let device =
        serde_json::from_str(r#"{"name":"d","printer":"east","on_card":"release-all","groups":["staff","x"]}"#)
            .unwrap();
    let put = [cardinal_domain::plan::Change::PutPrinter(printer), cardinal_domain::plan::Change::PutDevice(device)];
    store.apply(&put, Vec::new()).await.unwrap();
    apply(&store, &[Change::AddGroup { group: group("staff", &[]), why: why() }]).await;
    let origin = group("staff", &[]).origin;
    let (from, to) = (group("staff", &[]).name, group("all staff", &[]).name);
    let renamed = Change::ChangeGroup { from, from_origin: origin.clone(), to, origin, why: why() };
    apply(&store, &[renamed]).await;
    let named = |store: &Store| {
        let setup = store.setup();
        let device = setup.devices.values().next().unwrap();
        device.groups.iter().map(|group| group.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(named(&store), ["all staff", "x"]);
    store.close().await;
    assert_eq!(named(&peer.open().await), ["all staff", "x"]);
}

async fn a_plan_that_was_overtaken_waits_no_longer(peer: &Peer) {
    let store = peer.open().await;
    apply(&store, &[add(user("bob", ""))]).await;
    let as_of = store.people().await.unwrap().as_of;
    let changes = [add(user("ada", ""))];
    let waits = kept(&store, SyncRun { as_of, ..run() }, &changes).await;
    // A run that finds nothing to do leaves it as it is.
    let empty = kept(&store, SyncRun { as_of, ..run() }, &[]).await;
    assert!(store.carry_out_sync(&empty, &[], "{}", Vec::new()).await.unwrap());
    assert_eq!(store.people().await.unwrap().as_of, as_of);
    let outcome = async |number: i64| store.sync_runs(number + 1, 1).await.unwrap().pop().unwrap().outcome;
    assert_eq!(outcome(waits.number).await, "waits");
    let run = SyncRun { outcome: "nothing".into(), ..run() };
    store.keep_sync(&run, &[], true, Vec::new()).await.unwrap();
    assert_eq!((outcome(waits.number).await, outcome(empty.number).await), ("stale".into(), "nothing".into()));
}
