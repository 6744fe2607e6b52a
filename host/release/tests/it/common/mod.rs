//! A release engine on loopback, a printer that does as it is told, and a client.

pub(crate) mod hostile;
pub(crate) mod printer;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cardinal_domain::{
    event::EventKind,
    fingerprint::Fingerprint,
    job::{Job, JobState},
    names::{PrinterName, TraceId},
    plan::Change,
    site::{Printer, Queue},
};
use cardinal_release::{PrinterStatus, Release, ReleaseLimits, ReleaseOptions, Serving};
use cardinal_store::{Durability, EventFilter, JobFilter, Store};
use ipp::{
    attribute::IppAttribute,
    model::{DelimiterTag, IppVersion, Operation},
    parser::IppParser,
    reader::IppReader,
    request::IppRequestResponse,
    value::IppValue,
};
use tempfile::TempDir;

pub(crate) const PDF: &[u8] = b"%PDF-1.4\nnot much of a document\n%%EOF\n";

/// Times short enough for tests.
pub(crate) fn limits() -> ReleaseLimits {
    ReleaseLimits {
        head_timeout_s: 1,
        stall_timeout_s: 2,
        send_stall_timeout_s: 2,
        multiple_operation_timeout_s: 1,
        connect_timeout_s: 1,
        answer_timeout_s: 2,
        poll_first_ms: 20,
        poll_longest_ms: 100,
        poll_slow_ms: 100,
        silence_timeout_s: 1,
        busy_timeout_s: 3,
        retry_first_ms: 50,
        retry_longest_ms: 200,
        ready_timeout_s: 2,
        shutdown_timeout_s: 2,
        ..ReleaseLimits::default()
    }
}

pub(crate) struct Host {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) release: Release,
    pub(crate) address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Host {
    pub(crate) async fn start() -> Self {
        Self::start_with(limits()).await
    }

    /// Queue `find-me` holds, queue `through` passes on to the folder printer `west`.
    pub(crate) async fn start_with(limits: ReleaseLimits) -> Self {
        Self::start_serving(limits, Serving::default()).await
    }

    /// The same with what the server around it tells.
    pub(crate) async fn start_serving(limits: ReleaseLimits, serving: Serving) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db"), Durability::Process).await.unwrap();
        let host = Self::over(folder, store, limits, serving).await;
        host.printer("west", "folder:./delivered").await;
        host.queue(r#"{"name":"find-me"}"#).await;
        host.queue(r#"{"name":"through","hold":false,"printer":"west"}"#).await;
        host
    }

    async fn over(folder: TempDir, store: Store, limits: ReleaseLimits, serving: Serving) -> Self {
        let (spool, base) = (folder.path().join("spool"), folder.path().to_owned());
        let authorities = std::fs::exists(folder.path().join("ca.pem")).unwrap().then(|| folder.path().join("ca.pem"));
        let options = ReleaseOptions { spool, base, authorities, limits, serving };
        let release = Release::start(store.clone(), options).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = release.router().into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { folder, store, release, address, server }
    }

    /// Ends the host orderly, lets `meanwhile` happen to its store and files, and starts it again.
    pub(crate) async fn restart(self, meanwhile: impl AsyncFnOnce(&Store, &Path)) -> Self {
        self.server.abort();
        self.release.shutdown().await;
        meanwhile(&self.store, self.folder.path()).await;
        Self::over(self.folder, self.store, limits(), Serving::default()).await
    }

    pub(crate) async fn printer(&self, name: &str, uri: &str) {
        self.pinned(name, uri, None).await;
    }

    pub(crate) async fn pinned(&self, name: &str, uri: &str, certificate: Option<Fingerprint>) {
        let printer = Printer { name: name.parse().unwrap(), uri: uri.to_owned().try_into().unwrap(), certificate };
        self.store.apply(&[Change::PutPrinter(printer)], vec![]).await.unwrap();
    }

    /// How a printer is, as of the last look.
    pub(crate) fn status(&self, printer: &str) -> PrinterStatus {
        let setup = self.store.setup();
        self.release.printer_status(&setup.printers[&PrinterName::new(printer).unwrap()])
    }

    pub(crate) async fn queue(&self, json: &str) {
        let queue: Queue = serde_json::from_str(json).unwrap();
        self.store.apply(&[Change::PutQueue(queue)], vec![]).await.unwrap();
    }

    pub(crate) fn uri(&self, queue: &str) -> String {
        format!("ipp://{}/queues/{queue}", self.address)
    }

    /// A request for this queue, with the owner `ada`.
    pub(crate) fn request(&self, operation: Operation, queue: &str) -> IppRequestResponse {
        let mut request =
            IppRequestResponse::new(IppVersion::v2_0(), operation, Some(self.uri(queue).parse().unwrap())).unwrap();
        with(&mut request, "requesting-user-name", IppValue::new_name_without_language("ada").unwrap());
        request
    }

    pub(crate) async fn send(&self, queue: &str, request: &IppRequestResponse, document: &[u8]) -> IppRequestResponse {
        let answer = self.post(queue, [&request.to_bytes()[..], document].concat()).await;
        assert_eq!(answer.status(), 200);
        parse(&answer.bytes().await.unwrap())
    }

    pub(crate) async fn post(&self, queue: &str, body: Vec<u8>) -> reqwest::Response {
        let url = format!("http://{}/queues/{queue}", self.address);
        let request = reqwest::Client::new().post(url).header("content-type", "application/ipp");
        request.body(body).send().await.unwrap()
    }

    /// Prints with Print-Job and gives the job as the store has it.
    pub(crate) async fn print(&self, queue: &str, document: &[u8]) -> Job {
        let mut request = self.request(Operation::PrintJob, queue);
        with(&mut request, "job-name", IppValue::new_name_without_language("letter").unwrap());
        with(&mut request, "document-format", IppValue::new_mime_media_type("application/pdf").unwrap());
        let answer = self.send(queue, &request, document).await;
        assert_eq!(answer.header().operation_or_status, 0, "{:?}", answer.attributes());
        self.store.job_by_number(number(&answer)).await.unwrap().unwrap()
    }

    pub(crate) async fn release_to(&self, job: &Job, printer: &str) {
        let printer = PrinterName::new(printer).unwrap();
        self.release.release(TraceId::new(), job.id, printer).await.unwrap();
    }

    pub(crate) async fn job(&self, job: &Job) -> Job {
        self.store.job(job.id).await.unwrap().unwrap()
    }

    /// Waits until the job is where it should be, and fails with where it is instead.
    pub(crate) async fn until(&self, job: &Job, state: JobState) -> Job {
        let begun = Instant::now();
        loop {
            let now = self.job(job).await;
            if now.state == state {
                return now;
            }
            assert!(begun.elapsed() < Duration::from_secs(15), "still {}: {}", now.state, now.reason);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn jobs(&self) -> Vec<Job> {
        self.store.jobs(&JobFilter { limit: 1000, ..JobFilter::default() }).await.unwrap()
    }

    pub(crate) async fn events(&self, kind: EventKind) -> Vec<String> {
        let filter = EventFilter { kind: Some(kind), limit: 1000, ..EventFilter::default() };
        let events = self.store.events(&filter).await.unwrap();
        events.into_iter().map(|event| event.body.message).collect()
    }

    pub(crate) fn spooled(&self) -> Vec<PathBuf> {
        let mut files = files(&self.folder.path().join("spool"));
        files.retain(|file| !file.ends_with("cardinal-spool"));
        files
    }

    pub(crate) fn delivered(&self) -> Vec<PathBuf> {
        files(&self.folder.path().join("delivered"))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Waits until it is so.
pub(crate) async fn eventually(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(15), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn with(request: &mut IppRequestResponse, name: &str, value: IppValue) {
    let attribute = IppAttribute::with_name(name, value).unwrap();
    request.attributes_mut().add(DelimiterTag::OperationAttributes, attribute);
}

pub(crate) fn with_wish(request: &mut IppRequestResponse, name: &str, value: IppValue) {
    request.attributes_mut().add(DelimiterTag::JobAttributes, IppAttribute::with_name(name, value).unwrap());
}

pub(crate) fn parse(bytes: &[u8]) -> IppRequestResponse {
    IppParser::new(IppReader::new(std::io::Cursor::new(bytes.to_vec()))).parse().unwrap()
}

pub(crate) fn told<'a>(answer: &'a IppRequestResponse, group: DelimiterTag, name: &str) -> Option<&'a IppValue> {
    answer.attributes().first_of(group)?.get(name).map(IppAttribute::value)
}

pub(crate) fn number(answer: &IppRequestResponse) -> i32 {
    *told(answer, DelimiterTag::JobAttributes, "job-id").unwrap().as_integer().unwrap()
}
