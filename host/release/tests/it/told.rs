//! What a queue tells: of itself, and of other people's jobs.

use cardinal_domain::event::EventKind;
use ipp::{
    model::{DelimiterTag, Operation, StatusCode},
    request::IppRequestResponse,
    value::IppValue,
};

use crate::common::{Host, PDF, told, with};

fn printer(answer: &IppRequestResponse, name: &str) -> IppValue {
    told(answer, DelimiterTag::PrinterAttributes, name).unwrap_or_else(|| panic!("no {name}")).clone()
}

fn request_as(host: &Host, user: &str, operation: Operation) -> IppRequestResponse {
    let mut request = host.request(operation, "find-me");
    let group = request.attributes_mut().first_of_mut(DelimiterTag::OperationAttributes).unwrap();
    group.attributes_mut().retain(|one| one.name().as_str() != "requesting-user-name");
    with(&mut request, "requesting-user-name", IppValue::new_name_without_language(user).unwrap());
    request
}

#[tokio::test]
async fn others_learn_that_there_is_a_job_and_not_whose_or_what() {
    let host = Host::start().await;
    let job = host.print("find-me", PDF).await;
    for (user, is_told) in [("ada", true), ("eve", false)] {
        let mut list = request_as(&host, user, Operation::GetJobs);
        with(&mut list, "requested-attributes", IppValue::new_keyword("all").unwrap());
        let mut one = request_as(&host, user, Operation::GetJobAttributes);
        with(&mut one, "job-id", IppValue::Integer(job.number));
        for request in [list, one] {
            let answer = host.send("find-me", &request, b"").await;
            let told = |name| told(&answer, DelimiterTag::JobAttributes, name);
            assert_eq!(told("job-id"), Some(&IppValue::Integer(job.number)));
            assert_eq!(told("job-state"), Some(&IppValue::Enum(4)));
            for private in ["job-name", "job-originating-user-name", "job-state-message"] {
                assert_eq!(told(private).is_some(), is_told, "{private} to {user}");
            }
            let all = format!("{:?}", answer.attributes());
            assert_eq!((all.contains("letter"), all.contains("\"ada\"")), (is_told, is_told), "{all}");
        }
    }
}

#[tokio::test]
async fn jobs_can_be_named_one_by_one() {
    let host = Host::start().await;
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(host.print("find-me", PDF).await.number);
    }
    let ids = |ids: &[i32]| IppValue::Array(ids.iter().map(|id| IppValue::Integer(*id)).collect());
    let mut list = host.request(Operation::GetJobs, "find-me");
    with(&mut list, "job-ids", ids(&jobs[1..]));
    let answer = host.send("find-me", &list, b"").await;
    assert_eq!(answer.attributes().groups_of(DelimiterTag::JobAttributes).count(), 2);

    let cancel = async |user: &str, named: &[i32]| {
        let mut cancel = request_as(&host, user, Operation::CancelMyJobs);
        with(&mut cancel, "job-ids", ids(named));
        host.send("find-me", &cancel, b"").await
    };
    // All or nothing, and the wrong ones are named.
    for (user, named, expected, wrong) in [
        ("eve", [jobs[0], jobs[1]], StatusCode::ClientErrorNotAuthorized, ids(&jobs[..2])),
        ("ada", [jobs[0], 99], StatusCode::ClientErrorNotFound, IppValue::Integer(99)),
    ] {
        let answer = cancel(user, &named).await;
        assert_eq!(answer.header().status_code(), expected);
        assert_eq!(told(&answer, DelimiterTag::UnsupportedAttributes, "job-ids"), Some(&wrong));
        assert!(host.jobs().await.iter().all(|job| !job.state.is_final()));
    }
    assert_eq!(cancel("ada", &jobs[..2]).await.header().status_code(), StatusCode::SuccessfulOk);
    assert_eq!(host.jobs().await.iter().filter(|job| job.state.is_final()).count(), 2);
    let mut all = host.request(Operation::GetJobs, "find-me");
    with(&mut all, "which-jobs", IppValue::new_keyword("all").unwrap());
    let answer = host.send("find-me", &all, b"").await;
    assert_eq!(answer.attributes().groups_of(DelimiterTag::JobAttributes).count(), 3);
}

#[tokio::test]
async fn a_queue_says_what_it_is_and_shows_its_icons() {
    let host = Host::start().await;
    let ask = async || host.send("find-me", &host.request(Operation::GetPrinterAttributes, "find-me"), b"").await;
    let answer = ask().await;
    let uuid = printer(&answer, "printer-uuid").to_string();
    assert_eq!(printer(&ask().await, "printer-uuid").to_string(), uuid);
    assert!(told(&answer, DelimiterTag::PrinterAttributes, "media-col-database").is_none());
    let IppValue::Array(icons) = printer(&answer, "printer-icons") else { panic!("three icons") };
    assert_eq!(icons.len(), 3);
    for (icon, pixels) in icons.iter().zip([48_u32, 128, 512]) {
        let png = reqwest::get(icon.to_string()).await.unwrap();
        assert_eq!(png.headers()["content-type"], "image/png");
        let png = png.bytes().await.unwrap();
        assert_eq!((&png[..8], &png[16..20]), (&b"\x89PNG\r\n\x1a\n"[..], &pixels.to_be_bytes()[..]));
    }
    let missing = reqwest::get(format!("http://{}/queues/find-me/icon/49.png", host.address)).await.unwrap();
    assert_eq!(missing.status(), 404);
    let page = reqwest::get(printer(&answer, "printer-more-info").to_string()).await.unwrap();
    assert!(page.text().await.unwrap().contains("Cardinal print queue"));

    // A change of the queue is one that clients can see.
    let before = printer(&answer, "printer-config-change-time");
    assert_eq!(printer(&ask().await, "printer-config-change-time"), before);
    assert!(printer(&answer, "printer-config-change-date-time").to_string().starts_with("20"));
}

#[tokio::test]
async fn a_queue_that_is_asked_which_one_it_is_tells_an_event() {
    let host = Host::start().await;
    let mut identify = host.request(Operation::IdentifyPrinter, "find-me");
    with(&mut identify, "message", IppValue::new_text_without_language("over\u{1b}[31m here").unwrap());
    let answer = host.send("find-me", &identify, b"").await;
    assert_eq!(answer.header().status_code(), StatusCode::SuccessfulOk);
    let events = host.events(EventKind::PrinterIdentify).await;
    assert_eq!(events, ["ada asks which printer find-me is: \"over[31m here\""]);
    with(&mut identify, "identify-actions", IppValue::new_keyword("flash").unwrap());
    let answer = host.send("find-me", &identify, b"").await;
    assert_eq!(answer.header().status_code(), StatusCode::SuccessfulOkIgnoredOrSubstitutedAttributes);
    assert!(told(&answer, DelimiterTag::UnsupportedAttributes, "identify-actions").is_some());
}
