//! A print client in a few lines, for tests that are not about clients.

use std::{fs::File, io::Cursor, path::Path};

use ipp::prelude::{AsyncIppClient, DelimiterTag, IppAttribute, IppOperationBuilder, IppPayload, IppValue, Uri};

use crate::wait::LIMIT;

/// Prints a document to a queue as this user, and gives the job's number. Panics where it is not taken.
pub async fn print(queue: &str, user: &str, document: &[u8]) -> i32 {
    print_with(queue, user, document, None).await
}

/// The same with a wish, such as `sides`.
pub async fn print_with(queue: &str, user: &str, document: &[u8], wish: Option<(&str, &str)>) -> i32 {
    print_payload(queue, user, IppPayload::new(Cursor::new(document.to_owned())), wish).await
}

/// The same with a file that is read as it is sent.
pub async fn print_file(queue: &str, user: &str, file: &Path) -> i32 {
    print_payload(queue, user, IppPayload::new(File::open(file).expect("a document")), None).await
}

async fn print_payload(queue: &str, user: &str, payload: IppPayload, wish: Option<(&str, &str)>) -> i32 {
    let uri: Uri = queue.parse().expect("an address");
    let wish = wish.map(|(name, word)| {
        IppAttribute::with_name(name, IppValue::new_keyword(word).expect("a keyword")).expect("an attribute")
    });
    let operation = IppOperationBuilder::print_job(uri.clone(), payload)
        .user_name(user)
        .job_title("a letter")
        .document_format("application/pdf")
        .attributes(wish)
        .build()
        .expect("an operation");
    let client = AsyncIppClient::builder(uri).request_timeout(LIMIT).build();
    let answer = client.send(operation).await.unwrap_or_else(|error| panic!("{queue} does not answer: {error}"));
    let status = answer.header().status_code();
    assert!(status.is_success(), "{queue} did not take the job: {status}");
    let mut jobs = answer.attributes().groups_of(DelimiterTag::JobAttributes);
    let number = jobs.next().and_then(|job| job.get("job-id").map(|attribute| attribute.value().clone()));
    match number {
        Some(IppValue::Integer(number)) => number,
        other => panic!("{queue} gave no job-id: {other:?}"),
    }
}
