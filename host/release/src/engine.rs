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
    site::{Printer, Queue},
};
use cardinal_store::{Store, StoreError};
use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Announcement, ReleaseError, ReleaseLimits, ReleaseOptions,
    backends::tls::Clients,
    delivery::Work,
    ipp,
    line::Worker,
    options::Serving,
    permits::Permits,
    printers::{self, Printers},
    scan,
    sign_in::Guesses,
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
    pub(crate) engine: Arc<Engine>,
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
        let clients = Clients::new(options.limits.connect_timeout(), options.authorities.as_deref())?;
        let found = spool.list().map_err(spool_error)?;
        let engine = Arc::new(Engine {
            store,
            spool,
            base: options.base,
            clients,
            printers: Printers::default(),
            requests: Permits::new(size(options.limits.max_requests)),
            limits: options.limits,
            serving: options.serving,
            guesses: Guesses::default(),
            changes: ipp::Changes::default(),
            workers: Mutex::default(),
            asking: Mutex::default(),
            announced: Mutex::default(),
            refused: Mutex::default(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        scan::mend(&engine, found).await?;
        engine.spawn(printers::watch(Arc::clone(&engine)));
        Ok(Self { engine })
    }

    /// Jobs that were just committed as `releasing`: hands each to its printer's worker. Never blocks.
    pub fn deliver(&self, trace: TraceId, jobs: Vec<Job>) {
        for job in jobs {
            self.engine.hand_over(Work::new(trace, job.id), &job);
        }
    }

    /// A card at a device of this printer could not be decided about, because the store failed; should the jobs be committed
    /// as `releasing` all the same, they are delivered. Never blocks.
    pub fn look_again(&self, printer: &PrinterName) {
        self.engine.look_again(printer);
    }

    /// An operator releases a held job to a printer.
    ///
    /// # Errors
    /// There is no such job or printer, the job is not held, or the store failed.
    pub async fn release(&self, trace: TraceId, id: JobId, printer: PrinterName) -> Result<Job, ReleaseError> {
        self.engine.printer(&printer)?;
        let engine = Arc::clone(&self.engine);
        let released = self.engine.to_its_end(async move {
            let released = engine.change(trace, id, JobInput::Release { printer: printer.clone(), device: None }).await;
            match &released {
                Ok(job) => engine.hand_over(Work::new(trace, id), job),
                // It may be committed all the same, and only the store's answer lost.
                Err(ReleaseError::Store(_)) => engine.look_again(&printer),
                Err(_) => {}
            }
            released
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

    /// What DNS-SD says of a queue where a listener serves the router, over TLS or not, on this port. None: the queue takes
    /// no jobs there.
    pub fn announcement(&self, queue: &Queue, tls: bool, port: u16) -> Option<Announcement> {
        Announcement::of(queue, &self.engine.serving, tls, port)
    }

    /// Removes files of jobs at their end that a failure left in the spool: of how many jobs.
    ///
    /// # Errors
    /// The spool cannot be read, or the store failed.
    pub async fn sweep(&self) -> Result<usize, ReleaseError> {
        scan::sweep(&self.engine).await
    }

    /// Those of these jobs of which the spool has no file, so that their rows may go.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub async fn without_files(&self, ids: Vec<JobId>) -> Result<Vec<JobId>, ReleaseError> {
        scan::without_files(&self.engine, ids).await
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
    /// What clients are told of the host, and who checks their passwords.
    pub(crate) serving: Serving,
    /// Sign-ins that failed.
    pub(crate) guesses: Guesses,
    /// When queues last changed.
    pub(crate) changes: ipp::Changes,
    pub(crate) clients: Clients,
    /// What is known of the printers.
    pub(crate) printers: Printers,
    /// A permit for each IPP request being served.
    pub(crate) requests: Permits,
    workers: Mutex<HashMap<PrinterName, Worker>>,
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

    /// The same for something that has happened to this attempt at the job, whether the store takes it or not: it is told
    /// until it does. None: the job has moved on meanwhile, perhaps released anew, or the host is stopping.
    pub(crate) async fn commit(&self, trace: TraceId, job: &Job, input: JobInput) -> Option<Job> {
        let (id, attempt) = (job.id, job.attempt);
        self.commit_by(id, Some(attempt), trace, input).await
    }

    /// The same whichever attempt it is.
    pub(crate) async fn commit_any(&self, trace: TraceId, id: JobId, input: JobInput) -> Option<Job> {
        self.commit_by(id, None, trace, input).await
    }

    async fn commit_by(&self, id: JobId, attempt: Option<u32>, trace: TraceId, input: JobInput) -> Option<Job> {
        // A commit whose answer was lost may stand all the same.
        let mut doubt = false;
        loop {
            let step = |job: &mut Job| {
                if attempt.is_some_and(|attempt| attempt != job.attempt) {
                    let hint = "it was released anew meanwhile";
                    return Err(JobError { number: job.number, state: job.state, hint });
                }
                job_life::step(job, trace, input.clone())
            };
            match self.change_by(id, step).await {
                Ok(job) => return Some(job),
                Err(ReleaseError::Store(error)) => {
                    tracing::error!(job = %id, ?input, error = &error as &dyn std::error::Error, "a job cannot be changed");
                    doubt = true;
                }
                Err(error) => {
                    if doubt && let Ok(Some(job)) = self.store.job(id).await {
                        let same = attempt.is_none_or(|attempt| attempt == job.attempt);
                        if same && input.leads_to(job.state) {
                            return Some(job);
                        }
                    }
                    tracing::info!(job = %id, ?input, %error, "a job has moved on");
                    return None;
                }
            }
            self.stop.run_until_cancelled(tokio::time::sleep(COMMIT_AGAIN)).await?;
        }
    }

    /// Jobs may have been committed as `releasing` for this printer although whoever did it was told of an error: its worker
    /// looks into the store.
    pub(crate) fn look_again(self: &Arc<Self>, printer: &PrinterName) {
        let mut workers = lock(&self.workers);
        let worker = workers.entry(printer.clone()).or_insert_with(|| Worker::start(self, printer));
        worker.look_again();
    }

    /// Looks something up in the spool folder, off the runtime's own threads.
    pub(crate) async fn in_spool<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Spool) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, ReleaseError> {
        let engine = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || look(&engine.spool)).await?;
        looked.map_err(|source| ReleaseError::Spool { folder: self.spool.folder().to_owned(), source })
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
            Some(worker) => worker.give(work, self.limits.max_line).err(),
            None => Some(work),
        };
        // There was none, or it is gone. While the host stops a new one ends at once, and the next start takes the job up.
        if let Some(work) = work {
            let worker = Worker::start(self, printer);
            let _ = worker.give(work, self.limits.max_line);
            workers.insert(printer.clone(), worker);
        }
    }

    /// The printer of this name.
    pub(crate) fn printer(&self, name: &PrinterName) -> Result<Printer, ReleaseError> {
        let setup = self.store.setup();
        setup.printers.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = setup.printers.keys().map(PrinterName::as_str).collect();
            ReleaseError::NoSuchPrinter { printer: name.clone(), nearest: nearest(name.as_str(), &known) }
        })
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
                if let Some(printer) = self.passes_on(&job.queue).filter(|_| !job.on_hold()) {
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
        let west = Printer { name: "west".parse().unwrap(), uri, certificate: None };
        store.apply(&[Change::PutPrinter(west)], vec![]).await.unwrap();
        let (spool, base) = (folder.path().join("spool"), folder.path().to_owned());
        let limits = ReleaseLimits::default();
        let options = ReleaseOptions { spool, base, authorities: None, limits, serving: Serving::default() };
        let engine = Release::start(store, options).await.unwrap().engine;
        let job = a_job();
        engine.store.restore_job(&job, vec![]).await.unwrap();
        engine.spool.begin(job.id, 10).await.unwrap().finish().await.unwrap();
        (folder, engine, job)
    }

    #[tokio::test]
    async fn a_worker_that_is_gone_is_replaced() {
        let (_folder, engine, job) = an_engine().await;
        let west: PrinterName = "west".parse().unwrap();
        lock(&engine.workers).insert(west.clone(), Worker::gone());
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
