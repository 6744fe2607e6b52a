//! Many writes share one commit, and none of them notices.

use std::{future::poll_fn, pin::pin, sync::mpsc, task::Poll};

use cardinal_domain::{
    event::{Event, EventBody},
    job::{Job, JobState},
    job_life::{self, JobInput},
    names::{JobId, TraceId},
    plan::plan,
    site::Site,
};
use cardinal_store::{EventFilter, JobFilter, Store, StoreError};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::peer::{Peer, arrived, new_job, step, told, with_site};

on_both! {
    fifty_at_once_lose_nothing_and_keep_their_order
    what_is_refused_in_the_middle_of_a_batch_harms_nobody_else
    a_commit_that_fails_fails_all_who_share_it
    nobody_is_refused_because_of_what_never_was
    a_write_that_is_dropped_at_any_point_is_whole_or_not_there
    a_dropped_write_leaves_nothing_open
    many_changes_of_one_job_are_one_after_the_other
}

/// Every event that there is, and that places are given without a gap.
async fn stored(store: &Store) -> Vec<Event> {
    let all = store.events(&EventFilter { after: Some(0), limit: 100_000, ..EventFilter::default() }).await.unwrap();
    assert_eq!(all.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..).take(all.len()).collect::<Vec<_>>());
    all
}

async fn messages(store: &Store) -> Vec<String> {
    stored(store).await.into_iter().map(|event| event.body.message).collect()
}

async fn fifty_at_once_lose_nothing_and_keep_their_order(peer: &Peer) {
    let store = peer.open().await;
    let mut watch = store.watch();
    let writers = (0..50).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..20 {
                // Two each time: one write's events stay together.
                let pair = ["a", "b"].map(|half| told(format!("{writer}.{n}.{half}")));
                store.record(pair.into()).await.unwrap();
                // Answered means stored: another connection sees it at once.
                if n % 10 == 0 {
                    let found = store.events(&EventFilter { limit: 10_000, ..EventFilter::default() }).await.unwrap();
                    assert!(found.iter().any(|event| event.body.message == format!("{writer}.{n}.b")));
                }
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    let all = stored(&store).await;
    assert_eq!(all.len(), 2_000);
    for pair in all.chunks(2) {
        assert_eq!(pair[0].body.message.replace(".a", ".b"), pair[1].body.message);
    }
    for writer in 0..50 {
        let own: Vec<_> = all.iter().filter(|e| e.body.message.starts_with(&format!("{writer}."))).collect();
        let wanted: Vec<_> = (0..20).flat_map(|n| ["a", "b"].map(|half| format!("{writer}.{n}.{half}"))).collect();
        assert_eq!(own.iter().map(|event| event.body.message.clone()).collect::<Vec<_>>(), wanted);
    }
    for event in &all {
        assert_eq!(&watch.recv().await.unwrap(), event, "watchers see the order of the commits");
    }
}

/// The database refuses events of one message at once, and lets the commit fail for another.
async fn refusing(peer: &Peer) {
    if peer.is_postgres() {
        peer.run(
            "CREATE TABLE parent (id BIGINT PRIMARY KEY);
             CREATE TABLE child (parent BIGINT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.message = 'refused' THEN RAISE EXCEPTION 'no'; END IF;
               IF NEW.message = 'poison' THEN INSERT INTO child VALUES (1); END IF;
               RETURN NEW;
             END $$;
             CREATE TRIGGER poison AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION poison();",
        )
        .await;
    } else {
        peer.run(
            "CREATE TABLE parent (id BIGINT PRIMARY KEY);
             CREATE TABLE child (parent BIGINT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER refused AFTER INSERT ON event WHEN NEW.message = 'refused'
               BEGIN SELECT RAISE(ABORT, 'no'); END;
             CREATE TRIGGER poison AFTER INSERT ON event WHEN NEW.message = 'poison'
               BEGIN INSERT INTO child VALUES (1); END;",
        )
        .await;
    }
}

async fn what_is_refused_in_the_middle_of_a_batch_harms_nobody_else(peer: &Peer) {
    let store = peer.open().await;
    refusing(peer).await;
    let writes = (0..100).map(|n| {
        let store = store.clone();
        async move {
            let refused = n % 5 == 2;
            // The first half of what is refused is taken back with it.
            let events =
                if refused { vec![told(format!("{n}")), told("refused".into())] } else { vec![told(format!("{n}"))] };
            assert_eq!(store.record(events).await.is_err(), refused, "{n}");
        }
    });
    join_all(writes).await;
    let mut kept: Vec<u32> = messages(&store).await.iter().map(|message| message.parse().unwrap()).collect();
    kept.sort_unstable();
    assert_eq!(kept, (0..100).filter(|n| n % 5 != 2).collect::<Vec<_>>());
}

async fn a_commit_that_fails_fails_all_who_share_it(peer: &Peer) {
    let store = peer.open().await;
    refusing(peer).await;
    let mut watch = store.watch();
    // All of these are polled before the first commit, so they share it.
    let answers = join_all((0..10).map(|n| {
        let store = store.clone();
        async move { store.record(vec![told(if n == 4 { "poison".into() } else { format!("{n}") })]).await }
    }))
    .await;
    let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(failed.len() > 1, "the poisoned commit was shared: {answers:?}");
    assert_eq!(messages(&store).await.len(), 10 - failed.len(), "nothing of a commit that failed is stored");
    assert!(failed.iter().all(|error| error.to_string() == "the store could not store events"), "{failed:?}");
    // And the next ones are as if nothing had been.
    store.record(vec![told("after".into())]).await.unwrap();
    let all = stored(&store).await;
    assert_eq!(all.last().unwrap().body.message, "after");
    for event in &all {
        assert_eq!(&watch.recv().await.unwrap(), event, "watchers are told of what is stored, and of nothing else");
    }
    assert!(watch.try_recv().is_err());
}

/// A write that is at work until it is told to go on: all who come meanwhile stand in line, and share its commit.
async fn stand_in_front(store: &Store, id: JobId) -> mpsc::Sender<()> {
    let (go, gone) = mpsc::channel();
    let (tell, at_work) = oneshot::channel();
    let store = store.clone();
    tokio::spawn(async move {
        let rule = move |_: &mut _| {
            tell.send(()).unwrap();
            gone.recv().unwrap();
            Ok(Vec::new())
        };
        store.change_job(id, rule).await
    });
    at_work.await.unwrap();
    go
}

async fn nobody_is_refused_because_of_what_never_was(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    refusing(peer).await;
    let job = store.announce_job(new_job("ada")).await.unwrap();
    step(&store, job.id, arrived()).await;
    let release = JobInput::Release { printer: "east".parse().unwrap(), device: None };
    let tap = || store.change_job(job.id, |job| job_life::step(job, TraceId::new(), release.clone()));
    let poison = || store.record(vec![told("poison".into())]);
    let go = stand_in_front(&store, job.id).await;
    let (first, poisoned, second, ()) = tokio::join!(tap(), poison(), tap(), async { go.send(()).unwrap() });
    assert!(first.is_err() && poisoned.is_err(), "{first:?} {poisoned:?}");
    assert!(second.is_err(), "the first release, for which it was refused, never was: {second:?}");
    assert_eq!(store.job(job.id).await.unwrap().unwrap().state, JobState::Held);

    let lost = Job { id: JobId::new(), number: 7, ..job };
    let restore = || store.restore_job(&lost, Vec::new());
    let go = stand_in_front(&store, job.id).await;
    let (first, poisoned, second, ()) = tokio::join!(restore(), poison(), restore(), async { go.send(()).unwrap() });
    assert!(first.is_err() && poisoned.is_err(), "{first:?} {poisoned:?}");
    assert!(second.is_err(), "it is not there: {second:?}");
    assert!(store.job(lost.id).await.unwrap().is_none());
    // Without the poison the second one is refused, and for good reason.
    let (first, second) = tokio::join!(tap(), tap());
    assert!(first.unwrap().unwrap().is_ok() && second.unwrap().unwrap().is_err());
    let (first, second) = tokio::join!(restore(), restore());
    assert!(first.unwrap() && !second.unwrap());
    // A queue cannot go because of its jobs: of those that are there.
    let (store, site) = (&store, store.site().await.unwrap());
    let without = Site { queue: Vec::new(), device: Vec::new(), reader: Vec::new(), ..site.clone() };
    let changes = plan(&site, &without, true).unwrap().changes;
    let go = stand_in_front(store, job.id).await;
    let (announced, poisoned, applied, ()) =
        tokio::join!(store.announce_job(new_job("ada")), poison(), store.apply(&changes, Vec::new()), async {
            go.send(()).unwrap()
        });
    assert!(announced.is_err() && poisoned.is_err(), "{announced:?} {poisoned:?}");
    assert!(matches!(applied, Err(StoreError::QueueInUse { jobs: 2, .. })), "{applied:?}");
}

/// Drops a future after so many polls. None: it was dropped.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

async fn a_write_that_is_dropped_at_any_point_is_whole_or_not_there(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let job = store.announce_job(new_job("ada")).await.unwrap();
    step(&store, job.id, arrived()).await;
    let mut finished = 0;
    for times in 0..400 {
        let from = store.last_event().await.unwrap();
        let held = store.job(job.id).await.unwrap().unwrap();
        // A change of a job with its events: alone at even times, in the middle of others' writes at odd ones.
        let rule = |job: &mut Job| {
            job.attempt += 1;
            Ok((0..3).map(|part| told(format!("{times} part {part}"))).collect())
        };
        let dropped = polled(store.change_job(job.id, rule), times / 2);
        let (before, after) = ([told(format!("{times} before"))], [told(format!("{times} after"))]);
        let outcome = if times % 2 == 1 {
            let (before, outcome, after) =
                tokio::join!(store.record(before.into()), dropped, store.record(after.into()));
            before.unwrap();
            after.unwrap();
            outcome
        } else {
            dropped.await
        };
        // Whatever became of it, the next one is served.
        store.record(vec![told(format!("{times} next"))]).await.unwrap();
        let told = stored(&store).await;
        let count = |what: &str| told.iter().filter(|e| e.body.message.starts_with(&format!("{times} {what}"))).count();
        let parts = count("part");
        let now = store.job(job.id).await.unwrap().unwrap();
        assert!(parts == 0 || parts == 3, "half of a write is stored after {} polls", times / 2);
        assert_eq!(now.attempt - held.attempt == 1, parts == 3, "the job and its events are one");
        assert_eq!((count("before"), count("after"), count("next")), (times % 2, times % 2, 1));
        assert!(store.last_event().await.unwrap() > from);
        if let Some(outcome) = outcome {
            outcome.unwrap().unwrap().unwrap();
            assert_eq!(parts, 3, "answered means stored");
            finished += 1;
            // Some rounds more, for luck with the other threads.
            if finished > 20 {
                return;
            }
        }
    }
    panic!("it never came to its end");
}

async fn a_dropped_write_leaves_nothing_open(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let job = store.announce_job(new_job("ada")).await.unwrap();
    for times in 1..12 {
        let rule = |_: &mut Job| Ok(Vec::<EventBody>::new());
        drop(polled(store.change_job(job.id, rule), times).await);
        // Nobody comes after it, and all the same somebody else may write: the transaction is closed.
        let update = "UPDATE counter SET value = value WHERE name = 'site'";
        tokio::time::timeout(std::time::Duration::from_secs(10), peer.run(update)).await.unwrap();
    }
}

async fn many_changes_of_one_job_are_one_after_the_other(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let job = store.announce_job(new_job("ada")).await.unwrap();
    step(&store, job.id, arrived()).await;
    // Forty taps at once for one job: one gets it.
    let taps = (0..40).map(|_| {
        let store = store.clone();
        async move {
            let release = JobInput::Release { printer: "east".parse().unwrap(), device: None };
            let rule = |job: &mut _| job_life::step(job, TraceId::new(), release.clone());
            store.change_jobs(&[job.id], rule, |_| vec![told("tap".into())]).await.unwrap().len()
        }
    });
    assert_eq!(join_all(taps).await.iter().sum::<usize>(), 1);
    let releasing = JobFilter { state: Some(JobState::Releasing), limit: 10, ..JobFilter::default() };
    assert_eq!(store.jobs(&releasing).await.unwrap().len(), 1);
    assert_eq!(messages(&store).await.iter().filter(|message| *message == "tap").count(), 40);
}
