//! Requests that nobody means well with. Each is refused or served as far as it goes, leaves nothing behind, and the next
//! client is served as if nothing had been.

use axum::extract::connect_info::MockConnectInfo;
use cardinal_domain::job::JobState;
use ipp::{
    model::{Operation, StatusCode},
    value::IppValue,
};
use std::net::SocketAddr;
use tower::ServiceExt as _;

use crate::common::{Host, PDF, with_wish};

/// Gives a request to the router without a socket between, and tells the HTTP status.
async fn post(host: &Host, body: Vec<u8>) -> u16 {
    let client: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let router = host.release.router().layer(MockConnectInfo(client));
    let request = axum::http::Request::post("/queues/find-me").header("host", "h");
    let request = request.header("content-type", "application/ipp").body(axum::body::Body::from(body)).unwrap();
    router.oneshot(request).await.unwrap().status().as_u16()
}

fn attribute(tag: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u16::try_from(part.len()).unwrap().to_be_bytes();
    [&[tag], &length(name)[..], name, &length(value), value].concat()
}

/// A Print-Job's head without its end.
fn head(host: &Host) -> Vec<u8> {
    let mut head = host.request(Operation::PrintJob, "find-me").to_bytes().to_vec();
    assert_eq!(head.pop(), Some(3));
    head
}

#[tokio::test]
async fn cut_at_every_byte_it_is_no_job() {
    let host = Host::start().await;
    let mut print = host.request(Operation::PrintJob, "find-me");
    let size = IppValue::Collection([("x-dimension".try_into().unwrap(), IppValue::Integer(21000))].into());
    let sheet = IppValue::Collection([("media-size".try_into().unwrap(), size)].into());
    with_wish(&mut print, "media-col", sheet);
    let head = print.to_bytes();
    for length in 0..head.len() {
        assert_eq!(post(&host, head[..length].to_vec()).await, 400, "cut at {length}");
    }
    // Whole, but without a document.
    assert_eq!(post(&host, head.to_vec()).await, 200);
    assert!(host.jobs().await.is_empty());
    assert_eq!(post(&host, [&head[..], PDF].concat()).await, 200);
    assert_eq!(host.jobs().await.len(), 1);
}

#[tokio::test]
async fn lengths_that_lie_are_believed_no_further_than_there_are_bytes() {
    let host = Host::start().await;
    let good = [head(&host), attribute(0x42, b"job-name", b"letter"), vec![3]].concat();
    // Each pair of bytes might be a length: none may do harm, whatever it says.
    for at in 8..good.len() - 1 {
        for length in [0_u16, 1, 0x7fff, 0xffff] {
            let mut lying = good.clone();
            lying[at..at + 2].copy_from_slice(&length.to_be_bytes());
            let status = post(&host, lying).await;
            assert!(matches!(status, 200 | 400 | 413), "{status} for {length} at {at}");
        }
    }
    assert!(host.jobs().await.iter().all(|job| job.state == JobState::Cancelled));
    assert!(host.spooled().is_empty());
    host.print("find-me", PDF).await;
}

#[tokio::test]
async fn collections_without_end_are_no_request() {
    let host = Host::start().await;
    let deeper = [attribute(0x4a, b"", b"x"), attribute(0x34, b"", b"")].concat();
    for depth in [7, 8, 1_000, 20_000] {
        let begun = [head(&host), vec![2], attribute(0x34, b"media-col", b""), deeper.repeat(depth)].concat();
        assert!(matches!(post(&host, begun.clone()).await, 400 | 413), "{depth} deep, never ended");
        assert!(matches!(post(&host, [begun, vec![3]].concat()).await, 400 | 413), "{depth} deep, cut off");
    }
    assert!(host.jobs().await.is_empty());
}

#[tokio::test]
async fn ten_thousand_attributes_are_read_or_refused_and_kept_by_nobody() {
    let host = Host::start().await;
    let many = |count: usize| {
        let names = (0..count).flat_map(|number| attribute(0x44, format!("x-{number}").as_bytes(), b"rose"));
        [head(&host), vec![2], names.collect(), vec![3], PDF.to_vec()].concat()
    };
    // Within the bound for a head: a job like any other, with none of them.
    let answer = host.post("find-me", many(10_000)).await.bytes().await.unwrap();
    let answer = crate::common::parse(&answer);
    assert_eq!(answer.header().status_code(), StatusCode::SuccessfulOkIgnoredOrSubstitutedAttributes);
    assert!(host.jobs().await[0].options.is_empty());
    assert_eq!(post(&host, many(30_000)).await, 413);
    assert_eq!(host.jobs().await.len(), 1);
}

#[tokio::test]
async fn one_attribute_with_ten_thousand_values_is_not_taken() {
    let host = Host::start().await;
    let more = attribute(0x23, b"", &[0, 0, 0, 4]).repeat(10_000);
    let body = [head(&host), vec![2], attribute(0x23, b"finishings", &[0, 0, 0, 4]), more, vec![3], PDF.to_vec()];
    let answer = crate::common::parse(&host.post("find-me", body.concat()).await.bytes().await.unwrap());
    assert_eq!(answer.header().status_code(), StatusCode::SuccessfulOkIgnoredOrSubstitutedAttributes);
    assert!(host.jobs().await[0].options.is_empty());
}
