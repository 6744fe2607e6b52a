//! Clients that print all the time, whether the host is there or not, and remember what they were told.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ipp::{
    attribute::IppAttribute,
    model::{DelimiterTag, IppVersion, Operation},
    payload::IppPayload,
    prelude::{AsyncIppClient, Uri},
    request::IppRequestResponse,
    value::IppValue,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::watch;

use super::{
    history::{Submission, Told},
    printer::sha256,
};
use crate::{document, wait::LIMIT};

/// How a client hands its document over.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// In one request, or announced with Create-Job and sent with Send-Document.
    one_request: bool,
    bytes: usize,
    /// The pause between two pieces; none: as fast as it goes.
    pause: Option<Duration>,
}

/// A piece of a document that is sent slowly, in bytes.
const PIECE: usize = 48 << 10;

/// What all clients write down.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients {
    told: Arc<Mutex<Vec<Submission>>>,
    next: Arc<AtomicU32>,
    sending: Arc<AtomicU32>,
}

impl Clients {
    /// What was tried so far.
    pub(super) fn submissions(&self) -> Vec<Submission> {
        self.told.lock().expect("no client panicked").clone()
    }

    /// How many have a request under way.
    pub(super) fn sending(&self) -> u32 {
        self.sending.load(Ordering::Relaxed)
    }

    /// One client: prints for these users in turn, while there is an address and until there will be none any more.
    pub(super) async fn run(
        self,
        mut rng: StdRng,
        users: &'static [&'static str],
        mut host: watch::Receiver<Option<SocketAddr>>,
    ) {
        loop {
            let Ok(address) = host.wait_for(Option::is_some).await.map(|address| *address) else { return };
            let Some(address) = address else { continue };
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let way = match rng.random_range(0..10) {
                0..=4 => Way { one_request: true, bytes: rng.random_range(200..30_000), pause: None },
                5..=6 => Way { one_request: false, bytes: rng.random_range(200..30_000), pause: None },
                7 => Way { one_request: true, bytes: rng.random_range(1_000_000..4_000_000), pause: None },
                _ => {
                    let pause = Some(Duration::from_millis(rng.random_range(1..15)));
                    Way { one_request: rng.random(), bytes: rng.random_range(200_000..1_000_000), pause }
                }
            };
            let seed = rng.random();
            let document = document::arbitrary(way.bytes, seed);
            let user = users.get(rng.random_range(0..users.len())).copied().unwrap_or("ada");
            let title = format!("document {number}");
            let sha256 = sha256(&document);
            self.sending.fetch_add(1, Ordering::Relaxed);
            let told = print(address, user, &title, document, way).await;
            self.sending.fetch_sub(1, Ordering::Relaxed);
            let failed = told == Told::Nothing;
            let submission = Submission { title, user: user.to_owned(), sha256, document: (way.bytes, seed), told };
            self.told.lock().expect("no client panicked").push(submission);
            // Between two documents; and a host that is gone is not asked over and over.
            let pause = if failed { 50 } else { rng.random_range(5..120) };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

/// The random numbers of one client.
pub(super) fn rng(seed: u64, which: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ which.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

async fn print(host: SocketAddr, user: &str, title: &str, document: Vec<u8>, way: Way) -> Told {
    let queue: Uri = format!("ipp://{host}/queues/find-me").parse().expect("an address");
    let send = async |operation, attributes: &[(&str, IppValue)], document| {
        let client = AsyncIppClient::builder(queue.clone()).request_timeout(LIMIT).build();
        let mut request =
            IppRequestResponse::new(IppVersion::v1_1(), operation, Some(queue.clone())).expect("a request");
        let user = IppValue::new_name_without_language(user).expect("a name");
        for (name, value) in [("requesting-user-name", user)].iter().chain(attributes) {
            let attribute = IppAttribute::with_name(*name, value.clone()).expect("an attribute");
            request.attributes_mut().add(DelimiterTag::OperationAttributes, attribute);
        }
        if let Some(document) = document {
            *request.payload_mut() = payload(document, way.pause);
        }
        let Ok(answer) = client.send(request).await else { return Err(Told::Nothing) };
        let status = answer.header().status_code();
        if !status.is_success() {
            return Err(Told::Refused(status.to_string()));
        }
        let mut jobs = answer.attributes().groups_of(DelimiterTag::JobAttributes);
        let number = jobs.next().and_then(|job| job.get("job-id")?.value().as_integer().copied());
        number.ok_or(Told::Refused("success without a job-id".to_owned()))
    };
    let title = ("job-name", IppValue::new_name_without_language(title).expect("a name"));
    let format = ("document-format", IppValue::new_mime_media_type("application/pdf").expect("a type"));
    let taken = if way.one_request {
        send(Operation::PrintJob, &[title, format], Some(document)).await
    } else {
        match send(Operation::CreateJob, &[title], None).await {
            // Announced is not taken: only the answer to Send-Document is a promise.
            Ok(number) => {
                let which = [("job-id", IppValue::Integer(number)), format, ("last-document", IppValue::Boolean(true))];
                send(Operation::SendDocument, &which, Some(document)).await
            }
            Err(told) => Err(told),
        }
    };
    taken.map_or_else(|told| told, Told::Taken)
}

fn payload(document: Vec<u8>, pause: Option<Duration>) -> IppPayload {
    let Some(pause) = pause else { return IppPayload::new(std::io::Cursor::new(document)) };
    let pieces: Vec<_> = document.chunks(PIECE).map(<[u8]>::to_vec).collect();
    let slowly = stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, std::io::Error>(piece)
    });
    IppPayload::new_async(Box::pin(slowly).into_async_read())
}
