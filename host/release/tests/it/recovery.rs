//! What a crash leaves, put right at the next start. A crash is made by setting the store and the spool to what it leaves.

use std::fs;

use crate::common::{Host, PDF, printer::FakePrinter};
use cardinal_domain::{
    event::EventKind,
    job::{Job, JobState},
    names::PrinterName,
    time::Timestamp,
};
use cardinal_store::Store;
use ipp::model::{JobState as Remote, Operation};

/// Sets the row to a state, as a crash a long time ago would leave it.
async fn set(store: &Store, job: &Job, state: JobState, printer: &str) {
    set_at(store, job, state, printer, Timestamp(0)).await;
}

async fn set_at(store: &Store, job: &Job, state: JobState, printer: &str, changed: Timestamp) {
    let printer = PrinterName::new(printer).unwrap();
    let set = store.change_job(job.id, |job| {
        job.state = state;
        job.printer = Some(printer);
        job.changed = changed;
        Ok(vec![])
    });
    set.await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_held_job_stays_and_a_released_one_waits_for_another_tap() {
    let host = Host::start().await;
    let (held, releasing) = (host.print("find-me", PDF).await, host.print("find-me", PDF).await);
    let host = host.restart(async |store, _| set(store, &releasing, JobState::Releasing, "west").await).await;
    let back = host.until(&releasing, JobState::Held).await;
    let reason = "the host restarted before it was sent; show the card again";
    assert_eq!((back.doubtful, back.reason.as_str()), (false, reason));
    assert_eq!(host.job(&held).await, held);
    assert_eq!(host.delivered().len(), 0);
    host.release_to(&back, "west").await;
    host.until(&back, JobState::Delivered).await;
}

#[tokio::test]
async fn what_was_released_a_moment_ago_goes_out_because_its_owner_still_stands_there() {
    let host = Host::start().await;
    let job = host.print("find-me", PDF).await;
    let host =
        host.restart(async |store, _| set_at(store, &job, JobState::Releasing, "west", Timestamp::now()).await).await;
    host.until(&job, JobState::Delivered).await;
    assert_eq!(host.delivered().len(), 1);
}

/// A power cut can take the last moments of the store: a job that it has as released may have been sent.
#[tokio::test]
async fn a_released_job_is_looked_up_before_anything_is_done() {
    for (queue, listed, state, sent) in [
        // It may have been cut off.
        ("find-me", true, JobState::Held, 0),
        ("find-me", false, JobState::Held, 0),
        ("through", true, JobState::Held, 0),
        ("through", false, JobState::Delivered, 1),
    ] {
        let host = Host::start().await;
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        host.printer("east", &format!("ipp://{nobody}/ipp/print")).await;
        host.queue(r#"{"name":"through","hold":false,"printer":"east"}"#).await;
        let job = host.print(queue, PDF).await;
        let printer = FakePrinter::start(&[]).await;
        let host = host
            .restart(async |store, _| {
                let job = store.job(job.id).await.unwrap().unwrap();
                if listed {
                    printer.has(&format!("[{}.{}] letter", job.id, job.attempt), Remote::Completed);
                }
                let uri = printer.uri().try_into().unwrap();
                let east = cardinal_domain::site::Printer { name: "east".parse().unwrap(), uri, certificate: None };
                store.apply(&[cardinal_domain::plan::Change::PutPrinter(east)], vec![]).await.unwrap();
                set(store, &job, JobState::Releasing, "east").await;
            })
            .await;
        let now = host.until(&job, state).await;
        assert_eq!(now.doubtful, listed, "{queue} {listed}: {}", now.reason);
        assert_eq!(printer.requests(), sent, "{queue} {listed}");
    }
}

#[tokio::test]
async fn a_released_job_whose_printer_cannot_be_asked_is_in_doubt() {
    let host = Host::start().await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    host.printer("east", &format!("ipp://{nobody}/ipp/print")).await;
    host.queue(r#"{"name":"through","hold":false,"printer":"east"}"#).await;
    let (tapped, passed) = (host.print("find-me", PDF).await, host.print("through", PDF).await);
    let host = host
        .restart(async |store, _| {
            for job in [&tapped, &passed] {
                set(store, job, JobState::Releasing, "east").await;
            }
        })
        .await;
    let held = host.until(&tapped, JobState::Held).await;
    assert!(held.doubtful && held.reason.contains("cannot be asked about it"), "{}", held.reason);
    // The one that passes on waits for its printer, and comes out once.
    assert_eq!(host.job(&passed).await.state, JobState::Releasing);
    let printer = FakePrinter::start_at(nobody, &[]).await;
    host.until(&passed, JobState::Delivered).await;
    assert_eq!(printer.requests(), 1);
}

#[tokio::test]
async fn a_spool_that_is_not_mounted_destroys_nothing() {
    let host = Host::start().await;
    let job = host.print("find-me", PDF).await;
    let (spool, away) = (host.folder.path().join("spool"), host.folder.path().join("away"));
    let host = host
        .restart(async |store, folder| {
            let options = || cardinal_release::ReleaseOptions {
                spool: spool.clone(),
                base: folder.to_owned(),
                authorities: None,
                limits: crate::common::limits(),
                serving: cardinal_release::Serving::default(),
            };
            fs::rename(&spool, &away).unwrap();
            // Not there at all, and an empty folder: both times it says what to look for, and changes nothing.
            for _ in 0..2 {
                let error = cardinal_release::Release::start(store.clone(), options()).await.err().unwrap().to_string();
                assert!(error.contains("1 jobs have their documents there: check that its disk is mounted"), "{error}");
                assert_eq!(store.job(job.id).await.unwrap().unwrap(), job);
            }
            // Told that they are lost for good, it cancels them; and should they come back after all, so do the jobs.
            fs::write(spool.join("cardinal-spool"), b"").unwrap();
            let started = cardinal_release::Release::start(store.clone(), options()).await.unwrap();
            let cancelled = store.job(job.id).await.unwrap().unwrap();
            assert_eq!((cancelled.state, cancelled.reason.contains("missing")), (JobState::Cancelled, true));
            started.shutdown().await;
            fs::remove_dir_all(&spool).unwrap();
            fs::rename(&away, &spool).unwrap();
        })
        .await;
    let back = host.job(&job).await;
    assert_eq!((back.state, back.doubtful), (JobState::Held, false), "{}", back.reason);
    assert_eq!(host.events(EventKind::JobRecovered).await.len(), 1);
    host.release_to(&back, "west").await;
    host.until(&back, JobState::Delivered).await;
}

#[tokio::test]
async fn bounds_that_cannot_be_are_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store.db"), cardinal_store::Durability::Process).await.unwrap();
    let limits = cardinal_release::ReleaseLimits { max_requests: 0, ..crate::common::limits() };
    let options = cardinal_release::ReleaseOptions {
        spool: folder.path().join("spool"),
        base: folder.path().to_owned(),
        authorities: None,
        limits,
        serving: Default::default(),
    };
    let error = cardinal_release::Release::start(store, options).await.err().unwrap().to_string();
    assert!(error.contains("[release]") && error.contains("max_requests = 0 is out of range"), "{error}");
}

#[tokio::test]
async fn the_printers_list_decides_about_jobs_under_way() {
    for (remote, sending, printing) in [
        // A printer takes a document that broke off for a whole one: its word counts once it has said that it took it.
        (Some(Remote::Completed), JobState::Held, JobState::Delivered),
        (Some(Remote::Aborted), JobState::Held, JobState::Held),
        (None, JobState::Held, JobState::Held),
    ] {
        for (under_way, state) in [(JobState::Sending, sending), (JobState::Printing, printing)] {
            let host = Host::start().await;
            let printer = FakePrinter::start(&[]).await;
            host.printer("east", &printer.uri()).await;
            let job = host.print("find-me", PDF).await;
            printer.has("somebody else's", Remote::Completed);
            if let Some(remote) = remote {
                printer.has(&format!("[{}.0] letter", job.id), remote);
            }
            let host = host.restart(async |store, _| set(store, &job, under_way, "east").await).await;
            let now = host.until(&job, state).await;
            assert_eq!(now.doubtful, state == JobState::Held, "{remote:?} {under_way}: {}", now.reason);
            assert_eq!(printer.requests(), 0);
        }
    }
}

#[tokio::test]
async fn a_printer_that_is_off_does_not_keep_the_host_from_starting() {
    let host = Host::start().await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    host.printer("east", &format!("ipp://{nobody}/ipp/print")).await;
    let job = host.print("find-me", PDF).await;
    let host = host.restart(async |store, _| set(store, &job, JobState::Sending, "east").await).await;
    assert_eq!(host.job(&job).await.state, JobState::Sending);
    let held = host.until(&job, JobState::Held).await;
    assert!(held.doubtful && held.reason.contains("cannot be asked about it"), "{}", held.reason);
    assert_eq!(host.spooled().len(), 2);
}

#[tokio::test]
async fn a_folder_has_the_file_or_there_is_doubt() {
    let host = Host::start().await;
    let (whole, part) = (host.print("find-me", PDF).await, host.print("find-me", PDF).await);
    let host = host
        .restart(async |store, folder| {
            let delivered = folder.join("delivered");
            fs::create_dir(&delivered).unwrap();
            fs::write(delivered.join(format!("{}-{}.pdf", whole.number, whole.id)), PDF).unwrap();
            fs::write(delivered.join(format!(".{}-{}.pdf.part", part.number, part.id)), b"%P").unwrap();
            set(store, &whole, JobState::Sending, "west").await;
            set(store, &part, JobState::Sending, "west").await;
        })
        .await;
    host.until(&whole, JobState::Delivered).await;
    assert!(host.until(&part, JobState::Held).await.doubtful);
    // The tap that follows replaces what the crash left.
    host.release_to(&part, "west").await;
    host.until(&part, JobState::Delivered).await;
    assert_eq!(host.delivered().len(), 2);
}

#[tokio::test]
async fn documents_without_a_row_come_back_and_halves_go() {
    let host = Host::start().await;
    let kept = host.print("find-me", PDF).await;
    let torn = host.print("find-me", PDF).await;
    let announced = host.send("find-me", &host.request(Operation::CreateJob, "find-me"), b"").await;
    let announced = host.store.job_by_number(crate::common::number(&announced)).await.unwrap().unwrap();
    let arrived = host.print("find-me", PDF).await;
    let over = host.print("find-me", PDF).await;
    let gone = host.print("find-me", PDF).await;
    let headless = host.print("find-me", PDF).await;
    // Another database has never heard of any of them.
    let other = tempfile::tempdir().unwrap();
    let lost = Store::open(&other.path().join("store.db"), cardinal_store::Durability::Process).await.unwrap();
    let spool = host.folder.path().join("spool");
    for part in ["doc", "json"] {
        fs::create_dir_all(other.path().join("spool")).unwrap();
        let name = format!("{}.{part}", kept.id);
        fs::copy(spool.join(&name), other.path().join("spool").join(&name)).unwrap();
    }
    fs::write(other.path().join("spool").join(format!("{}.doc", torn.id)), b"half").unwrap();
    fs::write(other.path().join("spool/notes.txt"), b"mine").unwrap();
    let options = cardinal_release::ReleaseOptions {
        spool: other.path().join("spool"),
        base: other.path().to_owned(),
        limits: crate::common::limits(),
        serving: cardinal_release::Serving::default(),
        authorities: None,
    };
    let again = cardinal_release::Release::start(lost.clone(), options).await.unwrap();
    let back = lost.job(kept.id).await.unwrap().unwrap();
    assert_eq!((back.state, back.number, back.doubtful), (JobState::Held, kept.number, true));
    assert!(lost.job(torn.id).await.unwrap().is_none());
    assert_eq!(fs::read_dir(other.path().join("spool")).unwrap().count(), 4);
    again.shutdown().await;

    let host = host
        .restart(async |store, folder| {
            let file = |job: &Job, part: &str| folder.join("spool").join(format!("{}.{part}", job.id));
            set(store, &arrived, JobState::Receiving, "west").await;
            set(store, &torn, JobState::Receiving, "west").await;
            fs::write(file(&torn, "json"), b"{\"version\":1,").unwrap();
            set(store, &over, JobState::Delivered, "west").await;
            fs::remove_file(file(&gone, "doc")).unwrap();
            fs::remove_file(file(&headless, "json")).unwrap();
        })
        .await;
    for (job, state, reason) in [
        (&kept, JobState::Held, "no user is named \"ada\""),
        (&arrived, JobState::Held, "no user is named \"ada\""),
        (&headless, JobState::Held, "no user is named \"ada\""),
        (&torn, JobState::Cancelled, "the host stopped before its document was whole"),
        (&announced, JobState::Cancelled, "the host stopped before its document was whole"),
        (&gone, JobState::Cancelled, "its document is missing from the spool"),
    ] {
        let now = host.job(job).await;
        assert_eq!((now.state, now.reason.as_str()), (state, reason));
    }
    assert_eq!(host.spooled().len(), 6);
    assert_eq!(host.events(EventKind::SpoolRubbish).await.len(), 1);
}

#[tokio::test]
async fn a_shutdown_leaves_a_job_that_the_next_start_takes_up() {
    let host = Host::start().await;
    let printer = FakePrinter::start(&[crate::common::printer::Next::End(Remote::Processing, "none", None)]).await;
    host.printer("east", &printer.uri()).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Printing).await;
    let host = host.restart(async |_, _| ()).await;
    assert_eq!(host.job(&job).await.state, JobState::Printing);
    printer.forget();
    assert!(host.until(&job, JobState::Held).await.doubtful);
    assert_eq!(printer.requests(), 1);
}
