//! The engine: what all parts share, and the verbs of an operator.
//!
//! It owns the one way a job is changed ([`Engine::change`]): the pure rule decides, the store commits, and only then is
//! anything done, such as removing the files of a job at its end.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cardinal_domain::{
    bounds::size,
    event::{EventBody, EventKind},
    job::{Job, JobState},
    job_life::{self, JobError, JobInput},
    names::{JobId, PrinterName, QueueName, TraceId},
    nearest::nearest,
};
use cardinal_store::{Store, StoreError};
use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ReleaseError, ReleaseLimits, ReleaseOptions,
    delivery::{self, Work},
    ipp,
    permits::Permits,
    scan,
    spool::{self, Spool},
};

/// A client that may not print is told of once in so long.
const REFUSED_EVERY: Duration = Duration::from_secs(60);
/// How many such clients are remembered.
const MOST_REFUSED: usize = 1024;
/// How many questions a printer is asked at the same time.
const QUESTIONS: usize = 2;
/// How long to wait before the store is asked again to commit what has already happened.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);

/// The release engine. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Release {
    engine: Arc<Engine>,
}

impl Release {
    /// Opens the spool, mends what a crash left (design: what a client was told is taken is there again, and nothing is
    /// printed twice), and takes up the deliveries that were under way. No printer is waited for.
    ///
    /// # Errors
    /// A bound is out of range, the spool folder cannot be used or is not the one with the documents, or the store failed.
    pub async fn start(store: Store, options: ReleaseOptions) -> Result<Self, ReleaseError> {
        options.limits.check()?;
        let spool_error = |source| ReleaseError::Spool { folder: options.spool.clone(), source };
        let spool = Spool::open(&options.spool).map_err(spool_error)?;
        if !spool.is_marked().map_err(spool_error)? {
            let jobs = scan::with_documents(&store).await?;
            if jobs > 0 {
                return Err(ReleaseError::SpoolAbsent { folder: options.spool, marker: spool::MARKER, jobs });
            }
            spool.mark().map_err(spool_error)?;
        }
        // The HTTP client takes the process's; an error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(options.limits.connect_timeout())
            // A printer chooses no other address for us, and no environment variable a way through somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // A connection that died while idle would look like one lost in the middle of a document.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(ReleaseError::Client)?;
        let found = spool.list().map_err(spool_error)?;
        let engine = Arc::new(Engine {
            store,
            spool,
            base: options.base,
            client,
            requests: Permits::new(size(options.limits.max_requests)),
            limits: options.limits,
            workers: Mutex::default(),
            asking: Mutex::default(),
            announced: Mutex::default(),
            refused: Mutex::default(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        scan::mend(&engine, found).await?;
        Ok(Self { engine })
    }

    /// Jobs that were just committed as `releasing`: hands each to its printer's worker. Never blocks.
    pub fn deliver(&self, trace: TraceId, jobs: Vec<Job>) {
        for job in jobs {
            self.engine.hand_over(Work::new(trace, job.id), &job);
        }
    }

    /// An operator releases a held job to a printer.
    ///
    /// # Errors
    /// There is no such job or printer, the job is not held, or the store failed.
    pub async fn release(&self, trace: TraceId, id: JobId, printer: PrinterName) -> Result<Job, ReleaseError> {
        let setup = self.engine.store.setup();
        if !setup.printers.contains_key(&printer) {
            let known: Vec<_> = setup.printers.keys().map(PrinterName::as_str).collect();
            let nearest = nearest(printer.as_str(), &known);
            return Err(ReleaseError::NoSuchPrinter { printer, nearest });
        }
        let engine = Arc::clone(&self.engine);
        let released = self.engine.to_its_end(async move {
            let job = engine.change(trace, id, JobInput::Release { printer, device: None }).await?;
            engine.hand_over(Work::new(trace, id), &job);
            Ok(job)
        });
        released.await?
    }

    /// Cancels a job and removes its document.
    ///
    /// # Errors
    /// There is no such job, its printer has it already, or the store failed.
    pub async fn cancel(&self, trace: TraceId, id: JobId, reason: &str) -> Result<Job, ReleaseError> {
        let engine = Arc::clone(&self.engine);
        let input = JobInput::Cancel { reason: reason.to_owned() };
        self.engine.to_its_end(async move { engine.change(trace, id, input).await }).await?
    }

    /// The IPP server: `POST /queues/{name}`. Serve it with connection info (`SocketAddr`), and close it before
    /// [`Release::shutdown`].
    pub fn router(&self) -> axum::Router {
        ipp::router(Arc::clone(&self.engine))
    }

    /// Orderly end: no new jobs, transfers under way may end (bounded). What is not at its end by then is taken up at the
    /// next start.
    pub async fn shutdown(&self) {
        let engine = &self.engine;
        engine.stop.cancel();
        engine.tasks.close();
        if tokio::time::timeout(engine.limits.shutdown_timeout(), engine.tasks.wait()).await.is_err() {
            tracing::warn!("a transfer did not end in time; its printer will be asked about it at the next start");
            engine.abort.cancel();
            engine.tasks.wait().await;
        }
    }
}

/// What all parts share.
pub(crate) struct Engine {
    pub(crate) store: Store,
    pub(crate) spool: Spool,
    pub(crate) base: PathBuf,
    pub(crate) limits: ReleaseLimits,
    pub(crate) client: reqwest::Client,
    /// A permit for each IPP request being served.
    pub(crate) requests: Permits,
    workers: Mutex<HashMap<PrinterName, mpsc::UnboundedSender<Work>>>,
    /// Permits to ask a printer something.
    asking: Mutex<HashMap<PrinterName, Arc<Semaphore>>>,
    /// Jobs that were announced by Create-Job and whose document may still come.
    pub(crate) announced: Mutex<HashSet<JobId>>,
    /// When a client that may not print was last told of.
    refused: Mutex<HashMap<IpAddr, Instant>>,
    /// No new work.
    pub(crate) stop: CancellationToken,
    /// Nothing at all any more.
    abort: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// A lock whose holder panicked guards nothing that could be half-done here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Runs a task that a shutdown waits for, and in the end breaks off.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            let _ = abort.run_until_cancelled(work).await;
        });
    }

    /// Runs what must not end half-way, such as between a commit and what it is for, even if whoever asked goes away: the
    /// handler of an HTTP request is dropped with its connection.
    pub(crate) fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.tasks.spawn(work)
    }

    /// What the work gives, or None if it panicked: a mistake with one job must not end the worker of a whole printer.
    pub(crate) async fn without_panic<T>(work: impl Future<Output = T> + Send) -> Option<T> {
        // What it was at is told to be in doubt, and nothing else is shared with it but locks, which see to themselves.
        std::panic::AssertUnwindSafe(work).catch_unwind().await.ok()
    }

    /// A permit to ask this printer something. Small printers serve few connections, and have better to do.
    pub(crate) async fn may_ask(&self, printer: &PrinterName) -> Option<OwnedSemaphorePermit> {
        let asking = {
            let mut all = lock(&self.asking);
            Arc::clone(all.entry(printer.clone()).or_insert_with(|| Arc::new(Semaphore::new(QUESTIONS))))
        };
        asking.acquire_owned().await.ok()
    }

    /// Tells the job what happened, commits what follows, and removes the files of a job that is at its end.
    pub(crate) async fn change(&self, trace: TraceId, id: JobId, input: JobInput) -> Result<Job, ReleaseError> {
        self.change_by(id, |job| job_life::step(job, trace, input)).await
    }

    pub(crate) async fn change_by(
        &self,
        id: JobId,
        rule: impl FnOnce(&mut Job) -> Result<Vec<EventBody>, JobError> + Send,
    ) -> Result<Job, ReleaseError> {
        let job = self.store.change_job(id, rule).await?.ok_or(ReleaseError::NoSuchJob { id })??;
        if job.state.is_final() {
            self.remove_files(id).await;
        }
        Ok(job)
    }

    /// The same for something that has happened whether the store takes it or not: it is told until it does. None: the job
    /// has moved on meanwhile, or the host is stopping.
    pub(crate) async fn commit(&self, trace: TraceId, id: JobId, input: JobInput) -> Option<Job> {
        loop {
            match self.change(trace, id, input.clone()).await {
                Ok(job) => return Some(job),
                Err(ReleaseError::Store(error)) => {
                    tracing::error!(job = %id, ?input, error = &error as &dyn std::error::Error, "a job cannot be changed");
                }
                Err(error) => {
                    tracing::info!(job = %id, ?input, %error, "a job has moved on");
                    return None;
                }
            }
            self.stop.run_until_cancelled(tokio::time::sleep(COMMIT_AGAIN)).await?;
        }
    }

    /// Files that cannot be removed now are removed at the next start.
    pub(crate) async fn remove_files(&self, id: JobId) {
        if let Err(error) = self.spool.remove(id).await {
            tracing::error!(job = %id, %error, "a job's files cannot be removed");
        }
    }

    /// Gives a job to its printer's worker, which is started if it is not running.
    pub(crate) fn hand_over(self: &Arc<Self>, work: Work, job: &Job) {
        let Some(printer) = &job.printer else {
            tracing::error!(job = %job.id, "a job without a printer was to be delivered");
            return;
        };
        let mut workers = lock(&self.workers);
        let work = match workers.get(printer) {
            Some(worker) => worker.send(work).err().map(|unsent| unsent.0),
            None => Some(work),
        };
        // There was none, or it is gone. While the host stops a new one ends at once, and the next start takes the job up.
        if let Some(work) = work {
            let (sender, receiver) = mpsc::unbounded_channel();
            let _ = sender.send(work);
            self.spawn(delivery::worker(Arc::clone(self), printer.clone(), receiver));
            workers.insert(printer.clone(), sender);
        }
    }

    /// Whether jobs of this queue pass straight on, and where to.
    pub(crate) fn passes_on(&self, queue: &QueueName) -> Option<PrinterName> {
        self.store.setup().queues.get(queue).filter(|queue| !queue.hold).and_then(|queue| queue.printer.clone())
    }

    /// A job's document is whole and on disk: it is held, or with a queue that does not hold goes straight on. Both steps
    /// are one commit, so that no crash leaves a job waiting for nobody.
    pub(crate) async fn arrived(self: &Arc<Self>, work: Work, bytes: u64, sha256: String) -> Result<Job, ReleaseError> {
        let job = self
            .change_by(work.id, |job| {
                let mut events = job_life::step(job, work.trace, JobInput::Arrived { bytes, sha256 })?;
                if let Some(printer) = self.passes_on(&job.queue) {
                    events.extend(job_life::step(job, work.trace, JobInput::Release { printer, device: None })?);
                }
                Ok(events)
            })
            .await?;
        if job.state == JobState::Releasing {
            self.hand_over(work, &job);
        }
        Ok(job)
    }

    /// An event for a client that may not print, at most one a minute for each address.
    pub(crate) async fn tell_refused(&self, client: IpAddr, queue: &QueueName, known: bool) {
        {
            let mut refused = lock(&self.refused);
            if refused.get(&client).is_some_and(|told| told.elapsed() < REFUSED_EVERY) {
                return;
            }
            if refused.len() >= MOST_REFUSED {
                refused.retain(|_, told| told.elapsed() < REFUSED_EVERY);
                if refused.len() >= MOST_REFUSED {
                    return;
                }
            }
            refused.insert(client, Instant::now());
        }
        let message = if known {
            format!("{client} may not print to {queue}; add its network to the queue's `allow` list if it should")
        } else {
            format!("{client} may not print to {queue}: there is no such queue")
        };
        let event = EventBody::new(TraceId::new(), EventKind::JobRefused, message)
            .fact("queue", queue.to_string())
            .fact("client", client.to_string());
        self.record(vec![event]).await;
    }

    /// Stores events that nothing depends on.
    pub(crate) async fn record(&self, events: Vec<EventBody>) {
        if let Err(error) = self.store.record(events).await {
            tracing::error!(error = &error as &dyn std::error::Error, "events cannot be stored");
        }
    }

    /// The trace of a job's life, for what goes on after a restart.
    pub(crate) async fn trace_of(&self, id: JobId) -> Result<TraceId, StoreError> {
        self.store.trace_of_job(id).await
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use cardinal_domain::{job::NewJob, plan::Change};
    use cardinal_store::Durability;

    use super::*;

    /// An engine with the folder printer `west`, and a held job.
    pub(crate) async fn an_engine() -> (tempfile::TempDir, Arc<Engine>, Job) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db"), Durability::Process).await.unwrap();
        let uri = "folder:./delivered".to_owned().try_into().unwrap();
        let west = cardinal_domain::site::Printer { name: "west".parse().unwrap(), uri };
        store.apply(&[Change::PutPrinter(west)], vec![]).await.unwrap();
        let (spool, base) = (folder.path().join("spool"), folder.path().to_owned());
        let limits = ReleaseLimits::default();
        let engine = Release::start(store, ReleaseOptions { spool, base, limits }).await.unwrap().engine;
        let job = a_job();
        engine.store.restore_job(&job, vec![]).await.unwrap();
        engine.spool.begin(job.id, 10).await.unwrap().finish().await.unwrap();
        (folder, engine, job)
    }

    #[tokio::test]
    async fn a_worker_that_is_gone_is_replaced() {
        let (_folder, engine, job) = an_engine().await;
        let west: PrinterName = "west".parse().unwrap();
        lock(&engine.workers).insert(west.clone(), mpsc::unbounded_channel().0);
        let release = Release { engine };
        release.release(TraceId::new(), job.id, west).await.unwrap();
        let delivered = async {
            while release.engine.store.job(job.id).await.unwrap().unwrap().state != JobState::Delivered {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), delivered).await.unwrap();
    }

    pub(crate) fn a_job() -> Job {
        let new = NewJob {
            queue: QueueName::new("find-me").unwrap(),
            owner: "ada".to_owned(),
            signed_in: None,
            name: "letter".to_owned(),
            format: "application/pdf".to_owned(),
            options: BTreeMap::new(),
        };
        Job { bytes: 5, sha256: "00".to_owned(), state: JobState::Held, ..new.announced(7, None) }
    }
}
