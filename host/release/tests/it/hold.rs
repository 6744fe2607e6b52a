//! Holding jobs, and releasing them by name.

use std::time::Duration;

use cardinal_domain::{
    event::EventKind,
    job::{Job, JobState},
    names::TraceId,
};
use ipp::{
    model::{DelimiterTag, Operation, StatusCode},
    request::IppRequestResponse,
    value::IppValue,
};

use crate::common::{Host, PDF, eventually, printer::FakePrinter, told, with, with_wish};

fn status(answer: &IppRequestResponse) -> StatusCode {
    answer.header().status_code()
}

fn keyword(word: &str) -> IppValue {
    IppValue::new_keyword(word).unwrap()
}

/// A request about a job.
fn about(host: &Host, operation: Operation, job: &Job) -> IppRequestResponse {
    let mut request = host.request(operation, job.queue.as_str());
    with(&mut request, "job-id", IppValue::Integer(job.number));
    request
}

async fn ask(host: &Host, operation: Operation, job: &Job) -> StatusCode {
    status(&host.send(job.queue.as_str(), &about(host, operation, job), b"").await)
}

/// Prints a job that is to wait until it is released.
async fn print_on_hold(host: &Host, queue: &str) -> Job {
    let mut print = host.request(Operation::PrintJob, queue);
    with_wish(&mut print, "job-hold-until", keyword("indefinite"));
    let answer = host.send(queue, &print, PDF).await;
    assert_eq!(status(&answer), StatusCode::SuccessfulOk);
    host.store.job_by_number(crate::common::number(&answer)).await.unwrap().unwrap()
}

/// The state and its reasons, as the owner is told them.
async fn state(host: &Host, job: &Job) -> (IppValue, String) {
    let answer = host.send(job.queue.as_str(), &about(host, Operation::GetJobAttributes, job), b"").await;
    let told = |name| told(&answer, DelimiterTag::JobAttributes, name).unwrap().clone();
    (told("job-state"), told("job-state-reasons").to_string())
}

#[tokio::test]
async fn a_job_on_hold_waits_also_over_a_restart_until_its_owner_releases_it() {
    let printer = FakePrinter::start(&[]).await;
    let host = Host::start().await;
    host.printer("east", &printer.uri()).await;
    host.queue(r#"{"name":"through","hold":false,"printer":"east"}"#).await;
    let job = print_on_hold(&host, "through").await;
    // One behind it goes out meanwhile.
    let next = host.print("through", PDF).await;
    host.until(&next, JobState::Delivered).await;
    assert_eq!(host.job(&job).await.state, JobState::Held);
    assert_eq!(state(&host, &job).await, (IppValue::Enum(4), "job-hold-until-specified".to_owned()));

    let host = host.restart(async |_, _| {}).await;
    assert!(host.job(&job).await.on_hold());
    let mut theirs = about(&host, Operation::ReleaseJob, &job).to_bytes().to_vec();
    let at = theirs.windows(3).position(|window| window == b"ada").unwrap();
    theirs[at..at + 3].copy_from_slice(b"eve");
    let answer = crate::common::parse(&host.post("through", theirs).await.bytes().await.unwrap());
    assert_eq!(status(&answer), StatusCode::ClientErrorNotAuthorized);
    assert_eq!(host.job(&job).await.state, JobState::Held);

    assert_eq!(ask(&host, Operation::ReleaseJob, &job).await, StatusCode::SuccessfulOk);
    host.until(&job, JobState::Delivered).await;
    // The printer was not told to hold it once more.
    let seen = printer.jobs();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|job| job.wishes.iter().all(|(name, _)| name != "job-hold-until")), "{seen:?}");
    assert_eq!(ask(&host, Operation::ReleaseJob, &job).await, StatusCode::ClientErrorNotPossible);
}

#[tokio::test]
async fn an_operator_releases_a_job_on_hold_and_anybody_who_owns_it_cancels_it() {
    let host = Host::start().await;
    let (one, two) = (print_on_hold(&host, "through").await, print_on_hold(&host, "through").await);
    host.release_to(&one, "west").await;
    assert!(!host.until(&one, JobState::Delivered).await.on_hold());
    assert_eq!(ask(&host, Operation::CancelJob, &two).await, StatusCode::SuccessfulOk);
    assert!(host.spooled().is_empty());
}

#[tokio::test]
async fn a_job_that_waits_for_its_printer_is_taken_back() {
    // A printer that is off.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = Host::start().await;
    host.printer("east", &format!("ipp://{address}/ipp/print")).await;
    host.queue(r#"{"name":"through","hold":false,"printer":"east"}"#).await;
    let job = host.print("through", PDF).await;
    eventually("it is tried again", async || !host.events(EventKind::JobRetried).await.is_empty()).await;
    // The try under way may have it just now.
    eventually("it is taken back", async || ask(&host, Operation::HoldJob, &job).await == StatusCode::SuccessfulOk)
        .await;
    let held = host.job(&job).await;
    assert_eq!((held.state, held.on_hold()), (JobState::Held, true));
    assert!(host.events(EventKind::JobOnHold).await[0].contains("ada put it on hold"));

    let printer = FakePrinter::start_at(address, &[]).await;
    assert_eq!(ask(&host, Operation::ReleaseJob, &job).await, StatusCode::SuccessfulOk);
    host.until(&job, JobState::Delivered).await;
    assert_eq!(printer.jobs().len(), 1);
    assert_eq!(ask(&host, Operation::HoldJob, &job).await, StatusCode::ClientErrorNotPossible);
}

#[tokio::test]
async fn in_a_hold_queue_no_release_by_name_prints() {
    let host = Host::start().await;
    let job = print_on_hold(&host, "find-me").await;
    assert!(state(&host, &job).await.1.contains("job-hold-until-specified"));
    for _ in 0..2 {
        // Accepted, as RFC 8011 §4.3.6 asks where there are other reasons to wait, and it goes on waiting.
        assert_eq!(ask(&host, Operation::ReleaseJob, &job).await, StatusCode::SuccessfulOk);
        let now = host.job(&job).await;
        assert_eq!((now.state, now.on_hold()), (JobState::Held, false));
        assert_eq!(
            state(&host, &job).await,
            (IppValue::Enum(4), "[job-held-for-release, job-release-wait]".to_owned())
        );
    }
    assert_eq!(ask(&host, Operation::HoldJob, &job).await, StatusCode::SuccessfulOk);
    assert!(host.job(&job).await.on_hold());
    // As a tap does.
    host.release_to(&job, "west").await;
    host.until(&job, JobState::Delivered).await;
    assert_eq!(host.delivered().len(), 1);
}

#[tokio::test]
async fn an_announced_job_can_be_held_before_its_document_comes() {
    let host = Host::start().await;
    let created = host.send("through", &host.request(Operation::CreateJob, "through"), b"").await;
    let job = host.store.job_by_number(crate::common::number(&created)).await.unwrap().unwrap();
    assert_eq!(ask(&host, Operation::HoldJob, &job).await, StatusCode::SuccessfulOk);
    let mut send = about(&host, Operation::SendDocument, &job);
    with(&mut send, "last-document", IppValue::Boolean(true));
    assert_eq!(status(&host.send("through", &send, PDF).await), StatusCode::SuccessfulOk);
    assert_eq!(host.job(&job).await.state, JobState::Held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_released_while_its_document_arrives_is_printed() {
    let host = Host::start().await;
    let other = host.print("find-me", PDF).await;
    let before = host.spooled().len();
    let created = host.send("through", &host.request(Operation::CreateJob, "through"), b"").await;
    let job = host.store.job_by_number(crate::common::number(&created)).await.unwrap().unwrap();
    assert_eq!(ask(&host, Operation::HoldJob, &job).await, StatusCode::SuccessfulOk);
    let mut send = about(&host, Operation::SendDocument, &job);
    with(&mut send, "last-document", IppValue::Boolean(true));

    // Somebody keeps the store from writing, so that the two queue up behind each other, the document first.
    let (go, gate) = std::sync::mpsc::channel();
    let (has_begun, begun) = tokio::sync::oneshot::channel();
    let (store, id) = (host.store.clone(), other.id);
    let busy = tokio::spawn(async move {
        let rule = move |_: &mut Job| {
            has_begun.send(()).unwrap();
            tokio::task::block_in_place(|| gate.recv()).unwrap();
            Ok(vec![])
        };
        store.change_job(id, rule).await.unwrap().unwrap().unwrap()
    });
    begun.await.unwrap();
    let on_disk = async || eventually("it is on disk", async || host.spooled().len() == before * 2).await;
    let release = async {
        on_disk().await;
        ask(&host, Operation::ReleaseJob, &job).await
    };
    let go_on = async {
        on_disk().await;
        // Nothing tells that both have read what they want and wait to write; too short a time only finds less.
        tokio::time::sleep(Duration::from_millis(500)).await;
        go.send(()).unwrap();
    };
    let (sent, released, ()) = tokio::join!(host.send("through", &send, PDF), release, go_on);
    busy.await.unwrap();
    assert_eq!((status(&sent), released), (StatusCode::SuccessfulOk, StatusCode::SuccessfulOk));
    host.until(&job, JobState::Delivered).await;
}

#[tokio::test]
async fn other_times_than_indefinite_are_refused_and_no_hold_releases() {
    let host = Host::start().await;
    let job = print_on_hold(&host, "through").await;
    let until = |word: &str| {
        let mut hold = about(&host, Operation::HoldJob, &job);
        with(&mut hold, "job-hold-until", keyword(word));
        hold
    };
    let answer = host.send("through", &until("weekend"), b"").await;
    assert_eq!(status(&answer), StatusCode::ClientErrorAttributesOrValuesNotSupported);
    assert!(told(&answer, DelimiterTag::UnsupportedAttributes, "job-hold-until").is_some());
    assert_eq!(host.job(&job).await.state, JobState::Held);
    assert_eq!(status(&host.send("through", &until("no-hold"), b"").await), StatusCode::SuccessfulOk);
    host.until(&job, JobState::Delivered).await;
}

#[tokio::test]
async fn what_may_have_printed_is_not_sent_again_by_name() {
    let host = Host::start().await;
    let job = print_on_hold(&host, "through").await;
    let doubt = host.store.change_job(job.id, |job| {
        job.doubtful = true;
        Ok(vec![])
    });
    doubt.await.unwrap().unwrap().unwrap();
    assert_eq!(ask(&host, Operation::ReleaseJob, &job).await, StatusCode::ClientErrorNotPossible);
    assert_eq!(host.job(&job).await.state, JobState::Held);
    host.release.cancel(TraceId::new(), job.id, "not wanted").await.unwrap();
}
