//! The host's API: asking, and waiting until something has happened.

use std::{collections::BTreeMap, net::SocketAddr};

use cardinal_domain::{
    driver::Health,
    event::{Event, EventKind},
    job::{Job, JobState},
};
use reqwest::{Client, Method, Response};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::wait::{self, LIMIT};

/// A running host's API, with the owner's token.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    /// Where it is.
    pub address: SocketAddr,
    token: String,
}

/// How a reader is; what the tests look at.
#[derive(Debug, Clone, Deserialize)]
pub struct Reader {
    /// `misconfigured`, `connecting` or `online`.
    pub phase: String,
    /// The driver with its version.
    pub driver: String,
    /// Whether its driver sleeps.
    pub asleep: bool,
    /// How many connections there were since it was configured or the host started.
    pub connects: u64,
    /// How many cards it showed.
    pub cards: u64,
    /// Since when it is read more slowly.
    pub throttled: Option<String>,
    /// How often it was.
    pub throttles: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// How its driver says that it is.
    pub health: Option<Health>,
    /// Why.
    pub reason: String,
    /// What its driver knows of it.
    pub facts: BTreeMap<String, String>,
    /// When it was last heard of.
    pub last_seen: Option<String>,
    /// The last card, masked.
    pub last_card_masked: Option<String>,
    /// What an operator is warned of.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct ReaderView {
    status: Option<Reader>,
}

impl Api {
    /// The API at this address.
    pub fn new(address: SocketAddr, token: &str) -> Self {
        // The one that the host takes, too. An error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().expect("an HTTP client");
        Self { client, address, token: token.to_owned() }
    }

    /// A request without the token.
    pub async fn without_token(&self, method: &str, path: &str, authorization: Option<&str>) -> Response {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        let request = authorization.into_iter().fold(request, |request, value| request.header("authorization", value));
        request.send().await.expect("the API answers")
    }

    async fn open(&self, path: &str) -> Response {
        let request = self.client.get(format!("http://{}/api/v1/{path}", self.address)).bearer_auth(&self.token);
        let response = request.send().await.unwrap_or_else(|error| panic!("the API does not answer {path}: {error}"));
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response
    }

    /// What it answers.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.open(path).await.json().await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What it answers to this body. Panics where it refuses.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> T {
        let request = self.client.post(format!("http://{}/api/v1/{path}", self.address)).bearer_auth(&self.token);
        let response = request.json(body).send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response.json().await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Every event so far, the oldest first.
    pub async fn events(&self) -> Vec<Event> {
        self.get("event?limit=10000").await
    }

    /// Every event of this kind so far.
    pub async fn events_of(&self, kind: EventKind) -> Vec<Event> {
        self.get(&format!("event?limit=10000&kind={kind}")).await
    }

    /// The place of the newest event, for [`event_after`](Self::event_after).
    pub async fn now(&self) -> i64 {
        self.events().await.last().map_or(0, |event| event.seq)
    }

    /// The first event of this kind in the host's life; waits for it.
    pub async fn event(&self, kind: EventKind) -> Event {
        self.event_after(0, kind, |_| true).await
    }

    /// The first event of this kind behind this place that is as wished; waits for it on the stream of events.
    pub async fn event_after(&self, after: i64, kind: EventKind, wish: impl Fn(&Event) -> bool) -> Event {
        let waiting = async {
            let mut stream = self.open(&format!("event/stream?after={after}&kind={kind}")).await;
            let mut pending = Vec::new();
            loop {
                let chunk = stream.chunk().await.expect("the stream goes on").expect("the stream has no end");
                pending.extend_from_slice(&chunk);
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    let event: Event = serde_json::from_slice(&line).expect("an event a line");
                    if wish(&event) {
                        return event;
                    }
                }
            }
        };
        match tokio::time::timeout(LIMIT, waiting).await {
            Ok(event) => event,
            Err(_) => panic!("waited {LIMIT:?} in vain for an event {kind}; there were:\n{}", self.told().await),
        }
    }

    /// Tells each event behind this place as it is committed, until the host is gone.
    pub async fn follow(&self, after: i64, mut tell: impl FnMut(Event)) {
        let mut stream = self.open(&format!("event/stream?after={after}")).await;
        let mut pending = Vec::new();
        while let Ok(Some(chunk)) = stream.chunk().await {
            pending.extend_from_slice(&chunk);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                tell(serde_json::from_slice(&line).expect("an event a line"));
            }
        }
    }

    /// The events so far, for people.
    async fn told(&self) -> String {
        let line = |event: &Event| format!("  {:>4} {:20} {}", event.seq, event.body.kind, event.body.message);
        self.events().await.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// A job.
    pub async fn job(&self, number: i32) -> Job {
        self.get(&format!("job/{number}")).await
    }

    /// Every job there ever was.
    pub async fn jobs(&self) -> Vec<Job> {
        self.get("job?all=true&limit=10000").await
    }

    /// The job once it stands there; waits for it.
    pub async fn job_in(&self, number: i32, state: JobState) -> Job {
        let what = format!("job {number} to be {state}");
        wait::until(&what, async || Some(self.job(number).await).filter(|job| job.state == state)).await
    }

    /// The only job of this host, once it is there.
    pub async fn only_job(&self) -> Job {
        let job = wait::until("a job", async || self.jobs().await.pop()).await;
        assert_eq!(self.jobs().await.len(), 1);
        job
    }

    /// How a reader is.
    pub async fn reader(&self, name: &str) -> Reader {
        let view: ReaderView = self.get(&format!("reader/{name}")).await;
        view.status.expect("the reader is in use")
    }

    /// The reader once it is as wished; waits for it.
    pub async fn reader_until(&self, name: &str, what: &str, wish: impl Fn(&Reader) -> bool) -> Reader {
        let what = format!("reader {name} to be {what}");
        wait::until(&what, async || Some(self.reader(name).await).filter(&wish)).await
    }

    /// The reader once it is connected.
    pub async fn online(&self, name: &str) -> Reader {
        self.reader_until(name, "online", |reader| reader.phase == "online").await
    }
}
