//! What is old goes, and nothing else.

use cardinal_domain::{
    event::EventBody,
    job::{Job, JobState},
    job_life::JobInput,
    names::JobId,
    time::Timestamp,
};
use cardinal_store::{EventFilter, EventLimit, JobFilter, JobLimit, Store};

use crate::peer::{Peer, arrived, new_job, step, told, with_site};

on_both! {
    old_events_go_by_age_and_by_number
    events_of_an_open_job_stay
    only_jobs_at_their_end_go
    the_newest_jobs_are_those_that_ended_last
    space_is_given_back
    taps_go_on_while_it_cleans
}

const NEVER: i64 = 1_000_000;
const OF_OLD: Timestamp = Timestamp(1_000);
/// Before this all of old is old, and nothing of now.
const YESTERDAY: Timestamp = Timestamp(2_000);

async fn clean(store: &Store, limit: EventLimit) -> u64 {
    let (mut gone, mut next) = (0, Some(0));
    while let Some(after) = next {
        let cleaned = store.clean_events(limit, after).await.unwrap();
        gone += cleaned.gone;
        next = cleaned.next;
    }
    gone
}

async fn messages(store: &Store) -> Vec<String> {
    let all = store.events(&EventFilter { after: Some(0), limit: 100_000, ..EventFilter::default() }).await.unwrap();
    all.into_iter().map(|event| event.body.message).collect()
}

fn of_old(message: String) -> EventBody {
    EventBody { at: OF_OLD, ..told(message) }
}

async fn old_events_go_by_age_and_by_number(peer: &Peer) {
    let store = peer.open().await;
    // More than a batch, and a clock that once went back.
    store.record((0..1_300).map(|n| of_old(format!("old {n}"))).collect()).await.unwrap();
    store.record((0..700).map(|n| told(format!("new {n}"))).collect()).await.unwrap();
    store.record(vec![of_old("odd".into()), told("last".into())]).await.unwrap();
    assert_eq!(clean(&store, EventLimit { before: Timestamp(500), keep: NEVER }).await, 0);
    assert_eq!(messages(&store).await.len(), 2_002);
    assert_eq!(clean(&store, EventLimit { before: YESTERDAY, keep: NEVER }).await, 1_300);
    let left = messages(&store).await;
    assert_eq!((left.len(), left[0].as_str()), (702, "new 0"));
    assert_eq!(clean(&store, EventLimit { before: Timestamp(0), keep: 10 }).await, 692);
    assert_eq!(messages(&store).await.len(), 10);
    // Places are never given again, even when all are gone.
    assert_eq!(clean(&store, EventLimit { before: Timestamp(i64::MAX), keep: 10 }).await, 10);
    store.record(vec![told("next".into())]).await.unwrap();
    assert_eq!(store.last_event().await.unwrap(), 2_003);
}

async fn events_of_an_open_job_stay(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let (held, ended) = (held(&store).await, held(&store).await);
    let of = |job: &Job| EventBody { job: Some(job.id), ..of_old(format!("of {}", job.number)) };
    store.record(vec![of(&held), of(&ended), of_old("nobody's".into())]).await.unwrap();
    let trace = store.trace_of_job(held.id).await.unwrap();
    end(&store, &ended).await;
    clean(&store, EventLimit { before: Timestamp(i64::MAX), keep: 1 }).await;
    let left = messages(&store).await;
    assert!(left.contains(&"of 1".to_owned()), "{left:?}");
    assert!(!left.contains(&"of 2".to_owned()) && !left.contains(&"nobody's".to_owned()), "{left:?}");
    assert_eq!(store.trace_of_job(held.id).await.unwrap(), trace, "a held job's trace is found");
}

async fn held(store: &Store) -> Job {
    let job = store.announce_job(new_job("ada")).await.unwrap();
    step(store, job.id, arrived()).await
}

async fn end(store: &Store, job: &Job) {
    step(store, job.id, JobInput::Cancel { reason: "test".to_owned() }).await;
}

async fn only_jobs_at_their_end_go(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    let mut open = Vec::new();
    for state in JobState::ALL.into_iter().filter(|state| !state.is_final()) {
        let job = Job { state, ..held(&store).await };
        // Set past the rules: each state once.
        store
            .change_job(job.id, |job| {
                job.state = state;
                job.changed = OF_OLD;
                Ok(Vec::new())
            })
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        open.push(job.id);
    }
    for n in 0..20 {
        let job = held(&store).await;
        end(&store, &job).await;
        if n < 10 {
            store
                .change_job(job.id, |job| {
                    job.changed = OF_OLD;
                    Ok(Vec::new())
                })
                .await
                .unwrap()
                .unwrap()
                .unwrap();
        }
    }
    let old =
        async |limit| store.old_jobs(limit, 0).await.unwrap().into_iter().map(|(id, _)| id).collect::<Vec<JobId>>();
    assert_eq!(old(JobLimit { before: Timestamp(0), keep: NEVER }).await, []);
    let by_age = old(JobLimit { before: YESTERDAY, keep: NEVER }).await;
    assert_eq!(by_age.len(), 10);
    assert_eq!(store.delete_ended_jobs(&by_age).await.unwrap(), 10);
    let by_number = old(JobLimit { before: Timestamp(0), keep: 3 }).await;
    assert_eq!(by_number.len(), 7);
    // Asked to delete what is open, it does not.
    assert_eq!(store.delete_ended_jobs(&[&open[..], &by_number].concat()).await.unwrap(), 7);
    let everything = old(JobLimit { before: Timestamp(i64::MAX), keep: 0 }).await;
    assert_eq!(everything.len(), 3);
    store.delete_ended_jobs(&everything).await.unwrap();
    let left = store.jobs(&JobFilter { limit: 100, ..JobFilter::default() }).await.unwrap();
    assert_eq!(left.iter().rev().map(|job| job.id).collect::<Vec<_>>(), open);
    // A number is never given again.
    assert_eq!(held(&store).await.number, 26);
}

async fn the_newest_jobs_are_those_that_ended_last(peer: &Peer) {
    let (store, _) = with_site(peer).await;
    // The first job is held for long, and ends last; the last two end at one moment.
    let mut jobs = Vec::new();
    for at in [9_000, 1_000, 2_000, 3_000, 3_000] {
        let job = held(&store).await;
        end(&store, &job).await;
        let ended = store.change_job(job.id, |job| {
            job.changed = Timestamp(at);
            Ok(Vec::new())
        });
        ended.await.unwrap().unwrap().unwrap();
        jobs.push((job.id, i64::from(job.number)));
    }
    let limit = JobLimit { before: Timestamp(0), keep: 2 };
    let old = store.old_jobs(limit, 0).await.unwrap();
    assert_eq!(old, jobs[1..4]);
    // What goes does not let more go in this round, nor in the next.
    assert_eq!(store.delete_ended_jobs(&[old[0].0]).await.unwrap(), 1);
    assert_eq!(store.old_jobs(limit, old[0].1).await.unwrap(), jobs[2..4]);
    assert_eq!(store.old_jobs(limit, 0).await.unwrap(), jobs[2..4]);
    assert_eq!(store.old_jobs(JobLimit { before: Timestamp(0), keep: 9 }, 0).await.unwrap(), []);
}

async fn space_is_given_back(peer: &Peer) {
    let Peer::Sqlite(folder) = peer else {
        // PostgreSQL sees to it by itself.
        assert!(!peer.open().await.shrink().await.unwrap());
        return;
    };
    let store = peer.open().await;
    for _ in 0..20 {
        store.record((0..500).map(|n| of_old(format!("{n} {}", "x".repeat(500)))).collect()).await.unwrap();
    }
    clean(&store, EventLimit { before: Timestamp(i64::MAX), keep: 1 }).await;
    while store.shrink().await.unwrap() {}
    store.close().await;
    let size = std::fs::metadata(folder.path().join("cardinal.db")).unwrap().len();
    assert!(size < 1 << 20, "{size} bytes are left of 5 MB");
}

async fn taps_go_on_while_it_cleans(peer: &Peer) {
    let store = peer.open().await;
    for _ in 0..10 {
        store.record((0..1_000).map(|n| of_old(format!("{n}"))).collect()).await.unwrap();
    }
    let cleaning = clean(&store, EventLimit { before: YESTERDAY, keep: NEVER });
    let tapping = async {
        for n in 0..200 {
            store.record(vec![told(format!("tap {n}"))]).await.unwrap();
        }
    };
    let (gone, ()) = tokio::join!(cleaning, tapping);
    assert_eq!(gone, 10_000);
    assert_eq!(messages(&store).await, (0..200).map(|n| format!("tap {n}")).collect::<Vec<_>>());
}
