//! What is kept, and by which rules it is changed.

use cardinal_domain::{
    card::CardNumber,
    event::{EventBody, EventKind},
    job::{Job, JobState},
    job_life::{self, JobInput},
    names::{ReaderName, TraceId, UserName},
    plan::{Change, plan},
    site::{Site, User},
    strict_toml,
};
use cardinal_store::{EventFilter, Holder, JobFilter, Store, StoreError};

use crate::peer::{Peer, arrived, new_job, step, told, with_site};

on_both! {
    a_site_comes_back_after_a_restart
    the_database_itself_gives_a_card_to_one_user
    cards_can_be_swapped_between_users_in_one_go
    events_written_at_once_have_their_own_places_and_are_all_seen
    events_are_found_by_reader_user_kind_and_trace
    a_job_lives_and_only_by_its_rules
    an_unassigned_job_goes_to_its_owner_once_there_is_one
    owners_are_found_whatever_their_letters_and_while_their_job_arrives
    attempts_are_counted
    a_job_that_the_database_lost_comes_back_and_its_number_is_not_given_again
    a_queue_with_jobs_cannot_go
}

async fn a_site_comes_back_after_a_restart(peer: &Peer) {
    let (store, mut site) = with_site(peer).await;
    store.close().await;
    let store = peer.open().await;
    // Given back in the order of names.
    site.queue.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(store.site().await.unwrap(), site);
    assert_eq!(store.setup().readers.len(), 1);
    // And all of it can be pruned again.
    store.apply(&plan(&site, &Site::default(), true).unwrap().changes, Vec::new()).await.unwrap();
    assert_eq!(store.site().await.unwrap(), Site::default());
}

async fn the_database_itself_gives_a_card_to_one_user(peer: &Peer) {
    let (store, site) = with_site(peer).await;
    // Around the plan, which would have refused it.
    let thief =
        User { second_card: Some(CardNumber::new("4711").unwrap()), ..User::new(UserName::new("eve").unwrap()) };
    let printer = Change::RemoveReader(site.reader[0].clone());
    let error = store.apply(&[printer, Change::PutUser(thief)], Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("give a card to a user"), "{error}");
    // Nothing of it was applied.
    assert_eq!(store.setup().readers.len(), 1);
    let holder = store.holder(&CardNumber::new("4711").unwrap()).await.unwrap();
    assert_eq!(holder, Some(Holder { user: UserName::new("ada").unwrap(), held: Vec::new() }));
    assert_eq!(store.holder(&CardNumber::new("4712").unwrap()).await.unwrap(), None);
    assert_eq!(store.user(&UserName::new("eve").unwrap()).await.unwrap(), None);
}

async fn cards_can_be_swapped_between_users_in_one_go(peer: &Peer) {
    let (store, site) = with_site(peer).await;
    let mut swapped = site.clone();
    swapped.user[0].card = Some(CardNumber::new("EMP123").unwrap());
    swapped.user[0].second_card = None;
    swapped.user[1].card = Some(CardNumber::new("4711").unwrap());
    store.apply(&plan(&site, &swapped, false).unwrap().changes, Vec::new()).await.unwrap();
    assert_eq!(store.users().await.unwrap(), swapped.user);
    let holder = store.holder(&CardNumber::new("4711").unwrap()).await.unwrap();
    assert_eq!(holder.unwrap().user.as_str(), "bob");
}

async fn events_written_at_once_have_their_own_places_and_are_all_seen(peer: &Peer) {
    let store = peer.open().await;
    let mut watch = store.watch();
    let writers: Vec<_> = (0..20)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..10 {
                    store.record(vec![told(format!("{writer}.{n}"))]).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let all = store.events(&EventFilter { after: Some(0), limit: 1_000, ..EventFilter::default() }).await.unwrap();
    assert_eq!(all.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=200).collect::<Vec<_>>());
    for event in &all {
        assert_eq!(&watch.recv().await.unwrap(), event, "watchers see the order of the commits");
    }
    // Without a place to start from: the newest, oldest of them first.
    let newest = store.events(&EventFilter { limit: 2, ..EventFilter::default() }).await.unwrap();
    assert_eq!(newest.iter().map(|event| event.seq).collect::<Vec<_>>(), [199, 200]);
    assert_eq!(store.last_event().await.unwrap(), 200);
}

async fn events_are_found_by_reader_user_kind_and_trace(peer: &Peer) {
    let store = peer.open().await;
    let (reader, user) = (ReaderName::new("r").unwrap(), UserName::new("ada").unwrap());
    let of_reader = told("one".to_owned()).reader(&reader);
    let of_user = EventBody::new(TraceId::new(), EventKind::CardMatched, "two").user(&user).fact("a", "b");
    store.record(vec![of_reader.clone(), of_user.clone()]).await.unwrap();
    let found = async |filter: EventFilter| {
        let events = store.events(&EventFilter { limit: 10, ..filter }).await.unwrap();
        events.into_iter().map(|event| event.body).collect::<Vec<_>>()
    };
    assert_eq!(found(EventFilter { reader: Some(reader), ..EventFilter::default() }).await, vec![of_reader.clone()]);
    assert_eq!(found(EventFilter { user: Some(user), ..EventFilter::default() }).await, vec![of_user.clone()]);
    assert_eq!(
        found(EventFilter { trace: Some(of_user.trace), ..EventFilter::default() }).await,
        vec![of_user.clone()]
    );
    assert_eq!(found(EventFilter { kind: Some(EventKind::CardMatched), ..EventFilter::default() }).await, [of_user]);
    assert_eq!(found(EventFilter { after: Some(1), ..EventFilter::default() }).await.len(), 1);
}

async fn a_job_lives_and_only_by_its_rules(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let job = store.announce_job(new_job("ADA")).await.unwrap();
    assert_eq!((job.number, job.user.as_ref().map(UserName::as_str)), (1, Some("ada")));
    let held = step(&store, job.id, arrived()).await;
    assert_eq!(held.state, JobState::Held);
    assert_eq!(store.job(job.id).await.unwrap().unwrap(), held);
    assert_eq!(store.job_by_number(1).await.unwrap().unwrap(), held);
    assert_eq!(waiting(&store, "4711").await, vec![held.clone()]);
    // What the rules refuse changes nothing and tells nothing.
    let before = store.last_event().await.unwrap();
    let refused = store.change_job(job.id, |job| job_life::step(job, TraceId::new(), JobInput::Done)).await.unwrap();
    assert!(refused.unwrap().is_err());
    assert_eq!(store.job(job.id).await.unwrap().unwrap(), held);
    assert_eq!(store.last_event().await.unwrap(), before);
    step(&store, job.id, JobInput::Cancel { reason: "test".to_owned() }).await;
    let open = JobFilter { open: true, limit: 10, ..JobFilter::default() };
    assert_eq!(store.jobs(&open).await.unwrap(), []);
    assert_eq!(store.jobs(&JobFilter { open: false, ..open }).await.unwrap().len(), 1);
}

async fn an_unassigned_job_goes_to_its_owner_once_there_is_one(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let job = store.announce_job(new_job("Eve")).await.unwrap();
    assert_eq!(step(&store, job.id, arrived()).await.user, None);
    let site: Site = strict_toml::parse("user = [{ name = 'eve', card = '77' }]").unwrap();
    store.apply(&plan(&Site::default(), &site, false).unwrap().changes, Vec::new()).await.unwrap();
    assert_eq!(waiting(&store, "77").await.len(), 1);
}

/// What waits for whoever has this card.
async fn waiting(store: &Store, card: &str) -> Vec<Job> {
    store.holder(&CardNumber::new(card).unwrap()).await.unwrap().unwrap().held
}

async fn owners_are_found_whatever_their_letters_and_while_their_job_arrives(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let held = store.announce_job(new_job("\u{dc}NAL")).await.unwrap();
    step(&store, held.id, arrived()).await;
    let receiving = store.announce_job(new_job("\u{dc}nal")).await.unwrap();
    // No user name at all: nobody's for ever, and no error.
    let nobody = store.announce_job(new_job("a/b")).await.unwrap();
    let site: Site = strict_toml::parse("user = [{ name = '\u{fc}nal', card = '77' }]").unwrap();
    store.apply(&plan(&Site::default(), &site, false).unwrap().changes, Vec::new()).await.unwrap();
    assert_eq!(store.job(receiving.id).await.unwrap().unwrap().reason, receiving.reason);
    let user = UserName::new("\u{fc}nal").unwrap();
    assert_eq!(step(&store, receiving.id, arrived()).await.user, Some(user.clone()));
    assert_eq!(step(&store, nobody.id, arrived()).await.user, None);
    let numbers: Vec<_> = waiting(&store, "77").await.iter().map(|job| job.number).collect();
    assert_eq!(numbers, [held.number, receiving.number]);
}

async fn attempts_are_counted(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let job = store.announce_job(new_job("ada")).await.unwrap();
    step(&store, job.id, arrived()).await;
    for attempt in 1..3 {
        let printer = "east".parse().unwrap();
        assert_eq!(step(&store, job.id, JobInput::Release { printer, device: None }).await.attempt, attempt);
        assert_eq!(store.job(job.id).await.unwrap().unwrap().attempt, attempt);
        let failed = JobInput::Failed { reason: "off".to_owned(), maybe_printed: false, retry: false };
        step(&store, job.id, failed).await;
    }
}

async fn a_job_that_the_database_lost_comes_back_and_its_number_is_not_given_again(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    for _ in 0..3 {
        store.announce_job(new_job("ada")).await.unwrap();
    }
    let last = store.announce_job(new_job("ada")).await.unwrap();
    let held = step(&store, last.id, arrived()).await;

    let other = peer.another();
    let (store, _) = with_site(&other).await;
    assert!(store.restore_job(&held, vec![told("back".to_owned())]).await.unwrap());
    assert!(!store.restore_job(&held, Vec::new()).await.unwrap(), "once is enough");
    assert_eq!(store.job(held.id).await.unwrap().unwrap(), held);
    assert_eq!(store.announce_job(new_job("ada")).await.unwrap().number, held.number + 1);
}

async fn a_queue_with_jobs_cannot_go(peer: &Peer) {
    let (store, site) = with_site(peer).await;
    let job = store.announce_job(new_job("ada")).await.unwrap();
    let without = Site { queue: Vec::new(), device: Vec::new(), reader: Vec::new(), ..site.clone() };
    let changes = plan(&site, &without, true).unwrap().changes;
    let error = store.apply(&changes, Vec::new()).await.unwrap_err();
    assert!(matches!(error, StoreError::QueueInUse { jobs: 1, .. }), "{error}");
    step(&store, job.id, JobInput::Cancel { reason: "test".to_owned() }).await;
    store.apply(&changes, Vec::new()).await.unwrap();
    let error = store.announce_job(new_job("ada")).await.unwrap_err();
    assert!(matches!(error, StoreError::NoQueue { .. }), "{error}");
    assert!(store.jobs(&JobFilter { open: true, limit: 10, ..JobFilter::default() }).await.unwrap().is_empty());
}
