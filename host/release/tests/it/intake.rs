//! Jobs coming in, and whatever else comes in.

use std::{net::SocketAddr, time::Duration};

use crate::common::{Host, PDF, eventually, number, told, with, with_wish};
use axum::extract::connect_info::MockConnectInfo;
use cardinal_domain::{event::EventKind, job::JobState};
use cardinal_release::ReleaseLimits;
use ipp::{
    model::{DelimiterTag, IppVersion, Operation, StatusCode},
    value::IppValue,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower::ServiceExt as _;

fn status(answer: &ipp::request::IppRequestResponse) -> StatusCode {
    answer.header().status_code()
}

#[tokio::test]
async fn a_printed_job_is_held_and_comes_out_when_released() {
    let host = Host::start().await;
    let document: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let job = host.print("find-me", &document).await;
    assert_eq!((job.state, job.bytes, job.owner.as_str()), (JobState::Held, 3_000_000, "ada"));
    assert_eq!(host.spooled().len(), 2);
    assert_eq!(host.events(EventKind::JobHeld).await.len(), 1);

    host.release_to(&job, "west").await;
    host.until(&job, JobState::Delivered).await;
    let delivered = host.delivered();
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].file_name().unwrap().to_str().unwrap(), format!("{}-{}.pdf", job.number, job.id));
    assert!(std::fs::read(&delivered[0]).unwrap() == document);
    eventually("the spool is empty", async || host.spooled().is_empty()).await;
}

#[tokio::test]
async fn a_queue_that_does_not_hold_passes_on() {
    let host = Host::start().await;
    let job = host.print("through", PDF).await;
    host.until(&job, JobState::Delivered).await;
    assert_eq!(host.delivered().len(), 1);
}

#[tokio::test]
async fn the_document_may_come_in_a_second_operation() {
    let host = Host::start().await;
    let mut create = host.request(Operation::CreateJob, "find-me");
    with_wish(&mut create, "copies", IppValue::Integer(2));
    let created = host.send("find-me", &create, b"").await;
    let id = number(&created);
    let send = |last: Option<bool>, user: &str| {
        let mut send = host.request(Operation::SendDocument, "find-me");
        with(&mut send, "job-id", IppValue::Integer(id));
        with(&mut send, "document-format", IppValue::new_mime_media_type("image/jpeg").unwrap());
        if let Some(last) = last {
            with(&mut send, "last-document", IppValue::Boolean(last));
        }
        if user != "ada" {
            let group = send.attributes_mut().first_of_mut(DelimiterTag::OperationAttributes).unwrap();
            group.attributes_mut().retain(|one| one.name().as_str() != "requesting-user-name");
            with(&mut send, "requesting-user-name", IppValue::new_name_without_language(user).unwrap());
        }
        send
    };
    for (request, expected) in [
        (send(None, "ada"), StatusCode::ClientErrorBadRequest),
        (send(Some(false), "ada"), StatusCode::ServerErrorMultipleDocumentJobsNotSupported),
        (send(Some(true), "mallory"), StatusCode::ClientErrorNotAuthorized),
        (send(Some(true), "ada"), StatusCode::SuccessfulOk),
        (send(Some(true), "ada"), StatusCode::ClientErrorNotPossible),
    ] {
        assert_eq!(status(&host.send("find-me", &request, PDF).await), expected);
    }
    let job = host.store.job_by_number(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.format.as_str()), (JobState::Held, "image/jpeg"));
    assert_eq!(job.options.get("copies").map(String::as_str), Some("2"));
}

#[tokio::test]
async fn an_announced_job_without_a_document_ends() {
    let host = Host::start().await;
    let create = host.request(Operation::CreateJob, "find-me");
    let (late, closed, empty) = (
        number(&host.send("find-me", &create, b"").await),
        number(&host.send("find-me", &create, b"").await),
        number(&host.send("find-me", &create, b"").await),
    );
    let mut close = host.request(Operation::CloseJob, "find-me");
    with(&mut close, "job-id", IppValue::Integer(closed));
    assert_eq!(status(&host.send("find-me", &close, b"").await), StatusCode::SuccessfulOk);
    let mut send = host.request(Operation::SendDocument, "find-me");
    with(&mut send, "job-id", IppValue::Integer(empty));
    with(&mut send, "last-document", IppValue::Boolean(true));
    assert_eq!(status(&host.send("find-me", &send, b"").await), StatusCode::ClientErrorBadRequest);
    for (number, reason) in [
        (late, "its document did not come in time"),
        (closed, "it was closed without a document"),
        (empty, "its document is empty"),
    ] {
        let job = host.store.job_by_number(number).await.unwrap().unwrap();
        assert_eq!(host.until(&job, JobState::Cancelled).await.reason, reason);
    }
    assert!(host.spooled().is_empty());
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let host = Host::start().await;
    let head = host.request(Operation::PrintJob, "find-me").to_bytes();
    for chunked in [false, true] {
        let mut client = TcpStream::connect(host.address).await.unwrap();
        let framing = if chunked {
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", head.len() + 70_000)
        } else {
            format!("Content-Length: {}\r\n\r\n", head.len() + 100_000)
        };
        let http =
            format!("POST /queues/find-me HTTP/1.1\r\nHost: {}\r\nContent-Type: application/ipp\r\n", host.address);
        client.write_all(format!("{http}{framing}").as_bytes()).await.unwrap();
        client.write_all(&head).await.unwrap();
        client.write_all(&[b'x'; 70_000]).await.unwrap();
        if chunked {
            // A whole chunk, and no end.
            client.write_all(b"\r\n").await.unwrap();
        }
        eventually("the document arrives", async || host.spooled().len() == 1).await;
        assert_eq!(host.jobs().await[0].state, JobState::Receiving);
        drop(client);
        eventually("the row is cancelled", async || host.jobs().await[0].state == JobState::Cancelled).await;
        assert_eq!(host.jobs().await[0].reason, "the client went away before its document was whole");
        eventually("the files are gone", async || host.spooled().is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_dropped_anywhere_leaves_no_job_half_way() {
    let limits = ReleaseLimits { multiple_operation_timeout_s: 1, ..crate::common::limits() };
    let host = Host::start_with(limits).await;
    let client: SocketAddr = "127.0.0.1:9".parse().unwrap();
    for round in 0..40 {
        for operation in [Operation::PrintJob, Operation::CreateJob, Operation::CancelMyJobs] {
            let router = host.release.router().layer(MockConnectInfo(client));
            let document = if operation == Operation::PrintJob { PDF } else { b"" };
            let body = [&host.request(operation, "through").to_bytes()[..], document].concat();
            let request = axum::http::Request::post("/queues/through").header("host", "h");
            let request = request.header("content-type", "application/ipp").body(axum::body::Body::from(body)).unwrap();
            // As when the connection goes: the handler is dropped wherever it stands.
            let _ = tokio::time::timeout(Duration::from_micros(round * 150), router.oneshot(request)).await;
        }
    }
    eventually("every job is at an end", async || host.jobs().await.iter().all(|job| job.state.is_final())).await;
    assert!(host.spooled().is_empty());
}

#[tokio::test]
async fn a_client_that_stops_sending_is_given_up() {
    let host = Host::start().await;
    let head = host.request(Operation::PrintJob, "find-me").to_bytes();
    let mut client = TcpStream::connect(host.address).await.unwrap();
    let http = format!(
        "POST /queues/find-me HTTP/1.1\r\nHost: h\r\nContent-Type: application/ipp\r\nContent-Length: {}\r\n\r\n",
        head.len() + 100
    );
    client.write_all(http.as_bytes()).await.unwrap();
    client.write_all(&head).await.unwrap();
    client.write_all(b"%PDF").await.unwrap();
    eventually("the row is cancelled", async || host.jobs().await.first().is_some_and(|job| job.state.is_final()))
        .await;
    assert_eq!(host.jobs().await[0].reason, "the client stopped sending its document");
    assert!(host.spooled().is_empty());
}

#[tokio::test]
async fn a_document_that_is_too_large_leaves_nothing() {
    let host = Host::start_with(ReleaseLimits { max_document_bytes: 100_000, ..crate::common::limits() }).await;
    let print = host.request(Operation::PrintJob, "find-me");
    let answer = host.send("find-me", &print, &vec![b'x'; 3_000_000]).await;
    assert_eq!(status(&answer), StatusCode::ClientErrorRequestEntityTooLong);
    assert_eq!(host.jobs().await[0].reason, "the document is larger than 100000 bytes");
    assert!(host.spooled().is_empty());
    host.print("find-me", &[b'x'; 100_000]).await;
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_refuses() {
    let host = Host::start().await;
    std::fs::remove_dir_all(host.folder.path().join("spool")).unwrap();
    let print = host.request(Operation::PrintJob, "find-me");
    let answer = host.send("find-me", &print, PDF).await;
    assert_eq!(status(&answer), StatusCode::ServerErrorTemporaryError);
    let job = host.jobs().await.remove(0);
    assert_eq!(job.state, JobState::Cancelled);
    assert!(job.reason.starts_with("the spool cannot be written"), "{}", job.reason);
}

#[tokio::test]
async fn only_its_owner_cancels_a_job() {
    let host = Host::start().await;
    let job = host.print("find-me", PDF).await;
    let mut cancel = host.request(Operation::CancelJob, "find-me");
    with(&mut cancel, "job-id", IppValue::Integer(job.number));
    let mut theirs = cancel.to_bytes().to_vec();
    let at = theirs.windows(3).position(|window| window == b"ada").unwrap();
    theirs[at..at + 3].copy_from_slice(b"eve");
    let answer = crate::common::parse(&host.post("find-me", theirs).await.bytes().await.unwrap());
    assert_eq!(status(&answer), StatusCode::ClientErrorNotAuthorized);
    assert_eq!(host.job(&job).await.state, JobState::Held);
    assert_eq!(status(&host.send("find-me", &cancel, b"").await), StatusCode::SuccessfulOk);
    assert_eq!(host.job(&job).await.state, JobState::Cancelled);
    assert!(host.spooled().is_empty());
    assert_eq!(status(&host.send("find-me", &cancel, b"").await), StatusCode::ClientErrorNotPossible);

    let (one, two) = (host.print("find-me", PDF).await, host.print("find-me", PDF).await);
    let mine = host.request(Operation::CancelMyJobs, "find-me");
    assert_eq!(status(&host.send("find-me", &mine, b"").await), StatusCode::SuccessfulOk);
    for job in [one, two] {
        assert_eq!(host.job(&job).await.state, JobState::Cancelled);
    }
}

#[tokio::test]
async fn jobs_are_told() {
    let host = Host::start().await;
    let held = host.print("find-me", PDF).await;
    let gone = host.print("find-me", PDF).await;
    host.release.cancel(cardinal_domain::names::TraceId::new(), gone.id, "not wanted").await.unwrap();
    let list = async |which: &str, all: bool| {
        let mut list = host.request(Operation::GetJobs, "find-me");
        with(&mut list, "which-jobs", IppValue::new_keyword(which).unwrap());
        if all {
            with(&mut list, "requested-attributes", IppValue::new_keyword("all").unwrap());
        }
        let answer = host.send("find-me", &list, b"").await;
        assert_eq!(status(&answer), StatusCode::SuccessfulOk);
        answer
    };
    let job = DelimiterTag::JobAttributes;
    let answer = list("not-completed", true).await;
    assert_eq!(answer.attributes().groups_of(job).count(), 1);
    assert_eq!(number(&answer), held.number);
    assert_eq!(told(&answer, job, "job-state"), Some(&IppValue::Enum(4)));
    assert_eq!(told(&answer, job, "job-state-message").unwrap().to_string(), "no user is named \"ada\"");
    let answer = list("completed", false).await;
    assert_eq!(number(&answer), gone.number);
    assert!(told(&answer, job, "job-name").is_none());

    // By its own address, through its own path.
    let mut ask = host.request(Operation::GetJobAttributes, "find-me");
    let operation = ask.attributes_mut().first_of_mut(DelimiterTag::OperationAttributes).unwrap();
    operation.attributes_mut().retain(|one| one.name().as_str() != "printer-uri");
    with(&mut ask, "job-uri", IppValue::new_uri(format!("{}/jobs/{}", host.uri("find-me"), held.number)).unwrap());
    let answer = host.send(&format!("find-me/jobs/{}", held.number), &ask, b"").await;
    assert_eq!(number(&answer), held.number);
    // Not through another queue.
    let answer = host.send("through", &ask, b"").await;
    assert_eq!(status(&answer), StatusCode::ClientErrorNotFound);
}

#[tokio::test]
async fn what_cannot_be_had_is_told() {
    let host = Host::start().await;
    let mut print = host.request(Operation::PrintJob, "find-me");
    with_wish(&mut print, "copies", IppValue::Integer(3));
    with_wish(&mut print, "sides", IppValue::new_keyword("three-sided").unwrap());
    with_wish(&mut print, "x-scent", IppValue::new_keyword("rose").unwrap());
    let answer = host.send("find-me", &print, PDF).await;
    assert_eq!(status(&answer), StatusCode::SuccessfulOkIgnoredOrSubstitutedAttributes);
    assert!(told(&answer, DelimiterTag::UnsupportedAttributes, "sides").is_some());
    assert!(told(&answer, DelimiterTag::UnsupportedAttributes, "x-scent").is_some());
    assert_eq!(host.jobs().await[0].options.len(), 1);
    with(&mut print, "ipp-attribute-fidelity", IppValue::Boolean(true));
    let answer = host.send("find-me", &print, PDF).await;
    assert_eq!(status(&answer), StatusCode::ClientErrorAttributesOrValuesNotSupported);
    assert_eq!(host.jobs().await.len(), 1);
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let host = Host::start().await;
    let mut wrong = Vec::new();
    let mut request = host.request(Operation::PrintJob, "find-me");
    request.header_mut().version = IppVersion(0x0300);
    wrong.push((request, StatusCode::ServerErrorVersionNotSupported));
    let mut request = host.request(Operation::GetJobs, "find-me");
    request.header_mut().request_id = 0;
    wrong.push((request, StatusCode::ClientErrorBadRequest));
    wrong.push((host.request(Operation::PausePrinter, "find-me"), StatusCode::ServerErrorOperationNotSupported));
    // Access is decided for the path; another queue inside the request does not count.
    wrong.push((host.request(Operation::PrintJob, "through"), StatusCode::ClientErrorNotFound));
    wrong.push((host.request(Operation::PrintJob, "find-me"), StatusCode::ClientErrorBadRequest));
    let mut request = host.request(Operation::PrintJob, "find-me");
    with(&mut request, "document-format", IppValue::new_mime_media_type("text/x-python").unwrap());
    wrong.push((request, StatusCode::ClientErrorDocumentFormatNotSupported));
    let mut request = host.request(Operation::PrintJob, "find-me");
    with(&mut request, "compression", IppValue::new_keyword("deflate").unwrap());
    wrong.push((request, StatusCode::ClientErrorCompressionNotSupported));
    for (request, expected) in wrong {
        assert_eq!(status(&host.send("find-me", &request, b"").await), expected);
    }
    let request = host.request(Operation::GetPrinterAttributes, "nowhere");
    assert_eq!(status(&host.send("nowhere", &request, b"").await), StatusCode::ClientErrorNotFound);
    assert!(host.jobs().await.is_empty());
}

#[tokio::test]
async fn rubbish_does_no_harm() {
    let host = Host::start().await;
    let good = [&host.request(Operation::PrintJob, "find-me").to_bytes()[..], PDF].concat();
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, u8::try_from(random(256)).unwrap()),
            }
        }
        let status = host.post("find-me", bytes).await.status();
        assert!(status == 200 || status.is_client_error(), "{status}");
    }
    let job = host.print("find-me", PDF).await;
    assert_eq!(job.state, JobState::Held);
    let held = host.jobs().await.iter().filter(|job| job.state == JobState::Held).count();
    assert_eq!(host.spooled().len(), 2 * held);
}

#[tokio::test]
async fn http_is_checked_first() {
    let host = Host::start().await;
    let client = reqwest::Client::new();
    let url = format!("http://{}/queues/find-me", host.address);
    let post = |kind: &'static str| client.post(&url).header("content-type", kind).body("x");
    assert_eq!(post("text/plain").send().await.unwrap().status(), 415);
    assert_eq!(post("application/ipp").send().await.unwrap().status(), 400);
    assert_eq!(post("application/ipp").header("origin", "http://evil").send().await.unwrap().status(), 403);
    assert_eq!(post("application/ipp").header("host", "a/b").send().await.unwrap().status(), 400);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);

    let mut slow = TcpStream::connect(host.address).await.unwrap();
    let http =
        "POST /queues/find-me HTTP/1.1\r\nHost: h\r\nContent-Type: application/ipp\r\nContent-Length: 99\r\n\r\n\x02";
    slow.write_all(http.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(5), slow.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn other_networks_are_let_in_by_the_list_alone() {
    let host = Host::start().await;
    host.queue(r#"{"name":"find-me","allow":["10.1.0.0/16"]}"#).await;
    for (client, expected) in [("10.1.2.3:9", 200), ("192.0.2.1:9", 403), ("192.0.2.1:9", 403)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = host.release.router().layer(MockConnectInfo(client.parse::<SocketAddr>().unwrap()));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let request = host.request(Operation::GetJobs, "find-me").to_bytes().to_vec();
        let post = reqwest::Client::new().post(format!("http://{address}/queues/find-me"));
        let answer = post.header("content-type", "application/ipp").body(request).send().await.unwrap();
        assert_eq!(answer.status(), expected, "{client}");
        server.abort();
    }
    // Which queues there are is not told to those who are not let in; the request is not read.
    for (client, expected) in [("198.51.100.7:9", 403), ("127.0.0.1:9", 200)] {
        let router = host.release.router().layer(MockConnectInfo(client.parse::<SocketAddr>().unwrap()));
        let request = axum::http::Request::post("/queues/nowhere").header("host", "h");
        let body = host.request(Operation::GetJobs, "nowhere").to_bytes();
        let request = request.header("content-type", "application/ipp").body(axum::body::Body::from(body)).unwrap();
        assert_eq!(router.oneshot(request).await.unwrap().status(), expected, "{client}");
    }
    let refused = host.events(EventKind::JobRefused).await;
    assert!(refused.last().unwrap().contains("no such queue"), "{refused:?}");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].contains("192.0.2.1") && refused[0].contains("allow"), "{refused:?}");
}
