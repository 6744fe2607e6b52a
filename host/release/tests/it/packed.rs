//! Documents that come packed by gzip, or in chunks.

use async_compression::tokio::write::GzipEncoder;
use cardinal_domain::job::JobState;
use cardinal_release::ReleaseLimits;
use ipp::{
    model::{Operation, StatusCode},
    value::IppValue,
};
use tokio::io::AsyncWriteExt as _;

use crate::common::{Host, PDF, number, with};

async fn gzip(document: &[u8]) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(document).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}

/// Prints these bytes as a packed document.
async fn print(host: &Host, packed: &[u8]) -> (StatusCode, i32) {
    let mut print = host.request(Operation::PrintJob, "find-me");
    with(&mut print, "compression", IppValue::new_keyword("gzip").unwrap());
    let answer = host.send("find-me", &print, packed).await;
    let status = answer.header().status_code();
    (status, if status.is_success() { number(&answer) } else { 0 })
}

#[tokio::test]
async fn a_packed_document_is_kept_and_delivered_unpacked() {
    let host = Host::start().await;
    let document: Vec<u8> = (0..1_000_000_u32).flat_map(|n| (n / 100).to_le_bytes()).collect();
    let (head, tail) = document.split_at(1_500_000);
    // In one piece, and as two members one after the other.
    for packed in [gzip(&document).await, [gzip(head).await, gzip(tail).await].concat()] {
        assert!(packed.len() < document.len() / 2);
        let (status, number) = print(&host, &packed).await;
        assert_eq!(status, StatusCode::SuccessfulOk);
        let job = host.store.job_by_number(number).await.unwrap().unwrap();
        assert_eq!(job.bytes, 4_000_000);
        host.release_to(&job, "west").await;
        host.until(&job, JobState::Delivered).await;
        let file = host.delivered().into_iter().find(|file| file.to_str().unwrap().contains(&job.id.to_string()));
        assert!(std::fs::read(file.unwrap()).unwrap() == document);
    }
}

#[tokio::test]
async fn also_in_a_second_operation() {
    let host = Host::start().await;
    let created = host.send("find-me", &host.request(Operation::CreateJob, "find-me"), b"").await;
    let mut send = host.request(Operation::SendDocument, "find-me");
    with(&mut send, "job-id", IppValue::Integer(number(&created)));
    with(&mut send, "last-document", IppValue::Boolean(true));
    with(&mut send, "compression", IppValue::new_keyword("gzip").unwrap());
    let answer = host.send("find-me", &send, &gzip(PDF).await).await;
    assert_eq!(answer.header().status_code(), StatusCode::SuccessfulOk);
    assert_eq!(host.jobs().await[0].bytes, PDF.len() as u64);
}

#[tokio::test]
async fn a_bomb_counts_for_what_it_is_unpacked() {
    let host = Host::start_with(ReleaseLimits { max_document_bytes: 10_000_000, ..crate::common::limits() }).await;
    let bomb = gzip(&vec![0; 50_000_000]).await;
    assert!(bomb.len() < 100_000);
    assert_eq!(print(&host, &bomb).await.0, StatusCode::ClientErrorRequestEntityTooLong);
    assert_eq!(host.jobs().await[0].reason, "the document is larger than 10000000 bytes");
    assert!(host.spooled().is_empty());
}

#[tokio::test]
async fn what_is_no_gzip_or_breaks_off_leaves_nothing() {
    let host = Host::start().await;
    let document: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let packed = gzip(&document).await;
    let mut flipped = packed.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let mut wrong_sum = packed.clone();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 0xff;
    let trailing = [&packed[..], b"and more"].concat();
    let broken = [PDF, &packed[..5], &packed[..middle], &packed[..packed.len() - 1], &flipped, &wrong_sum, &trailing];
    for (index, broken) in broken.into_iter().enumerate() {
        assert_eq!(print(&host, broken).await.0, StatusCode::ClientErrorCompressionError, "{index}");
    }
    assert_eq!(print(&host, &gzip(b"").await).await.0, StatusCode::ClientErrorBadRequest);
    assert!(host.jobs().await.iter().all(|job| job.state == JobState::Cancelled));
    assert!(host.spooled().is_empty());
    assert_eq!(print(&host, &packed).await.0, StatusCode::SuccessfulOk);
}

#[tokio::test]
async fn chunks_of_any_size_are_one_document() {
    let host = Host::start().await;
    let document: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    let body = [&host.request(Operation::PrintJob, "find-me").to_bytes()[..], &document].concat();
    for size in [1_usize, 7, 4096, 150_000] {
        // Every byte of the head by itself, as far as that does not take all day.
        let (slow, rest) = body.split_at(if size == 1 { 300 } else { 0 });
        let chunks: Vec<_> = slow.chunks(size).chain(rest.chunks(size.max(100))).map(<[u8]>::to_vec).collect();
        let chunks = futures_util::stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        let url = format!("http://{}/queues/find-me", host.address);
        let post = reqwest::Client::new().post(url).header("content-type", "application/ipp");
        let answer = post.body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
        let answer = crate::common::parse(&answer.bytes().await.unwrap());
        let job = host.store.job_by_number(number(&answer)).await.unwrap().unwrap();
        assert_eq!((job.state, job.bytes), (JobState::Held, 200_000));
    }
    let sums: std::collections::BTreeSet<_> = host.jobs().await.into_iter().map(|job| job.sha256).collect();
    assert_eq!(sums.len(), 1);
}
