//! A worker for each printer, and the line of jobs before it: jobs go out in order, and one printer's trouble delays no
//! other.
//!
//! The line holds hints only; the store has the jobs. So it may be bounded without losing one: what found no room is read
//! from the store once the line is empty. Jobs of queues that do not hold wait apart for their next try; released jobs never
//! wait behind them. A released job whose turn does not come is held again, so that it comes out neither hours later with
//! nobody there nor never.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use cardinal_domain::{
    bounds::size,
    job::{Job, JobState},
    job_life::JobInput,
    names::{JobId, PrinterName, TraceId},
};
use cardinal_store::JobFilter;
use tokio::{
    sync::{
        Notify,
        mpsc::{self, UnboundedReceiver, UnboundedSender},
    },
    time::Instant,
};

use crate::{
    delivery::{Attempt, Work, attempt, by_itself, guarded, since_released, waits_in_turn},
    engine::Engine,
    options::Pauses,
};

/// How long to wait before the store is asked again for what it could not tell.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// A printer's worker, as the engine sees it.
pub(crate) struct Worker {
    sender: UnboundedSender<Work>,
    gauge: Arc<Gauge>,
}

/// How full the line is.
#[derive(Default)]
struct Gauge {
    waiting: AtomicUsize,
    /// There may be a job in the store that is not in the line.
    more: AtomicBool,
    /// Wakes a worker that waits for jobs.
    wake: Notify,
}

impl Worker {
    /// Starts the worker of a printer; it runs until the host stops.
    pub(crate) fn start(engine: &Arc<Engine>, printer: &PrinterName) -> Self {
        let (sender, came) = mpsc::unbounded_channel();
        let gauge = Arc::new(Gauge::default());
        let line = Line {
            engine: Arc::clone(engine),
            printer: printer.clone(),
            came,
            gauge: Arc::clone(&gauge),
            waiting: VecDeque::new(),
            again: VecDeque::new(),
            pauses: engine.limits.retrying(),
            next_try: Instant::now(),
        };
        engine.spawn(line.work());
        Self { sender, gauge }
    }

    /// Puts a job into the line. Err: the worker is gone.
    pub(crate) fn give(&self, work: Work, most: u64) -> Result<(), Work> {
        // What was found at the start is no more than what was open then, and must be looked up before it is sent.
        if !work.taken_up && self.gauge.waiting.load(Ordering::SeqCst) >= size(most) {
            self.gauge.more.store(true, Ordering::SeqCst);
            // The worker looks for more when its line has run empty. Either it sees this, or we see that it is empty.
            if self.gauge.waiting.load(Ordering::SeqCst) > 0 && !self.sender.is_closed() {
                return Ok(());
            }
        }
        self.gauge.waiting.fetch_add(1, Ordering::SeqCst);
        self.sender.send(work).map_err(|unsent| unsent.0)
    }

    /// There may be a job in the store that nobody put into the line.
    pub(crate) fn look_again(&self) {
        self.gauge.more.store(true, Ordering::SeqCst);
        self.gauge.wake.notify_one();
    }

    /// One that has ended.
    #[cfg(test)]
    pub(crate) fn gone() -> Self {
        Self { sender: mpsc::unbounded_channel().0, gauge: Arc::default() }
    }
}

/// A job in the line.
struct Waiting {
    work: Work,
    /// Until when its turn must have come. None: it may wait.
    until: Option<Instant>,
}

struct Line {
    engine: Arc<Engine>,
    printer: PrinterName,
    came: UnboundedReceiver<Work>,
    gauge: Arc<Gauge>,
    waiting: VecDeque<Waiting>,
    /// Jobs to be tried again, oldest first; while there are any, later ones of their kind queue up behind them.
    again: VecDeque<Work>,
    pauses: Pauses,
    next_try: Instant,
}

impl Line {
    async fn work(mut self) {
        let stop = self.engine.stop.clone();
        while !stop.is_cancelled() {
            while let Ok(work) = self.came.try_recv() {
                self.push(work);
            }
            if let Some(next) = self.waiting.pop_front() {
                self.gauge.waiting.fetch_sub(1, Ordering::SeqCst);
                self.first_try(next.work).await;
                continue;
            }
            if self.gauge.more.swap(false, Ordering::SeqCst) && self.refill().await {
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                work = self.came.recv() => match work {
                    Some(work) => self.push(work),
                    None => return,
                },
                () = self.gauge.wake.notified() => {}
                () = tokio::time::sleep_until(self.next_try), if !self.again.is_empty() => self.next_try().await,
            }
        }
    }

    async fn first_try(&mut self, work: Work) {
        if !self.again.is_empty() && waits_in_turn(&self.engine, work).await {
            self.again.push_back(work);
        } else if self.attempt(work).await == Attempt::Again {
            self.again.push_back(work);
            self.next_try = Instant::now() + self.pauses.next();
        }
    }

    async fn next_try(&mut self) {
        let Some(work) = self.again.front().copied() else { return };
        if self.attempt(work).await == Attempt::Again {
            self.next_try = Instant::now() + self.pauses.next();
        } else {
            self.again.pop_front();
            self.pauses.reset();
            self.next_try = Instant::now();
        }
    }

    /// Tries to deliver a job, and meanwhile sees to the line. Whatever asks the store is a task of its own: awaited here, it
    /// would wait in turn behind the attempt, which is not polled meanwhile.
    async fn attempt(&mut self, work: Work) -> Attempt {
        let (engine, printer) = (Arc::clone(&self.engine), self.printer.clone());
        // Boxed, so that a worker that waits for jobs is small.
        let mut attempt = Box::pin(guarded(&engine, work, attempt(&engine, &printer, work)));
        loop {
            let until = self.waiting.iter().find_map(|waiting| waiting.until);
            let late = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut attempt => return done,
                Some(work) = self.came.recv() => self.push(work),
                () = late => self.too_late(),
            }
        }
    }

    fn push(&mut self, work: Work) {
        // Whoever asks why it does not come out is told, also while its turn has not come.
        if let Some(reason) = self.engine.printers.waiting(&self.printer) {
            let engine = Arc::clone(&self.engine);
            self.engine.spawn(async move { engine.tell_waiting(work.id, &reason).await });
        }
        let until = (!work.taken_up).then(|| Instant::now() + self.engine.limits.turn_timeout());
        self.waiting.push_back(Waiting { work, until });
    }

    /// The first job in the line that may not wait any longer leaves it, and is held again.
    fn too_late(&mut self) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.until.is_some()) else { return };
        let Some(Waiting { work, .. }) = self.waiting.remove(at) else { return };
        self.gauge.waiting.fetch_sub(1, Ordering::SeqCst);
        let (engine, printer) = (Arc::clone(&self.engine), self.printer.clone());
        self.engine.spawn(async move { give_up(&engine, &printer, work).await });
    }

    /// Jobs that found no room in the line, oldest first. False: there are none.
    async fn refill(&mut self) -> bool {
        let filter = JobFilter { state: Some(JobState::Releasing), limit: i64::MAX, ..JobFilter::default() };
        let jobs = match self.engine.store.jobs(&filter).await {
            Ok(jobs) => jobs,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the jobs in line cannot be read");
                self.gauge.more.store(true, Ordering::SeqCst);
                self.engine.stop.run_until_cancelled(tokio::time::sleep(READ_AGAIN)).await;
                return true;
            }
        };
        let known: HashSet<JobId> = self.again.iter().map(|work| work.id).collect();
        let most = size(self.engine.limits.max_line);
        let printer = self.printer.clone();
        let mut missed =
            jobs.iter().rev().filter(|job| job.printer.as_ref() == Some(&printer) && !known.contains(&job.id));
        for job in missed.by_ref().take(most) {
            // The trace is for telling only.
            let trace = self.engine.trace_of(job.id).await.unwrap_or_else(|_| TraceId::new());
            self.gauge.waiting.fetch_add(1, Ordering::SeqCst);
            self.push(Work::new(trace, job.id));
        }
        if missed.next().is_some() {
            self.gauge.more.store(true, Ordering::SeqCst);
        }
        !self.waiting.is_empty()
    }
}

/// Holds a job again whose turn did not come in time. One that was released anew meanwhile, or that nobody waits for, goes
/// to the end of the line.
async fn give_up(engine: &Arc<Engine>, printer: &PrinterName, work: Work) {
    let job = loop {
        match engine.store.job(work.id).await {
            Ok(job) => break job,
            Err(error) => {
                tracing::error!(job = %work.id, error = &error as &dyn std::error::Error, "a job cannot be read");
                tokio::time::sleep(READ_AGAIN).await;
            }
        }
    };
    let Some(job) = job.filter(|job| job.state == JobState::Releasing && job.printer.as_ref() == Some(printer)) else {
        return;
    };
    if by_itself(engine, &job) || !turn_is_over(engine, &job) {
        engine.hand_over(work, &job);
        return;
    }
    engine.commit(work.trace, &job, turn_missed(printer)).await;
}

/// Whether a released job waits for so long that nobody may be there any more.
pub(crate) fn turn_is_over(engine: &Engine, job: &Job) -> bool {
    since_released(job).is_some_and(|since| since >= engine.limits.turn_timeout())
}

/// What then happens to it.
pub(crate) fn turn_missed(printer: &PrinterName) -> JobInput {
    let title = printer.as_str();
    let reason = format!("printer {title:?} was busy with other jobs for too long; show the card again");
    JobInput::Failed { reason, maybe_printed: false, retry: false }
}
