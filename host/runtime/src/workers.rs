//! The threads that run drivers.
//!
//! They are not tokio's: a driver that loops costs one of these for one deadline, and never a socket. The queue holds at
//! most one job a live session, because a session has one call at a time and needs a permit to live; so it needs no bound
//! of its own. A job that panics is lost, its thread goes on.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// What the threads need besides the stack of a driver's call.
const HOST_STACK_BYTES: usize = 1 << 20;

/// The threads, until this is dropped. Jobs under way then finish, jobs in the queue are lost.
pub(crate) struct Workers {
    queue: Arc<Queue>,
}

/// The job panicked, or the workers were dropped.
#[derive(Debug)]
pub(crate) struct Lost;

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    // A job runs outside the lock and a push cannot panic half way, so a poisoned lock guards sound data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Workers {
    /// This many threads, each with room for a driver's stack of this size.
    pub(crate) fn start(threads: usize, stack_bytes: usize) -> io::Result<Self> {
        // Made first, so that an error half way closes the queue and ends the threads there are.
        let workers = Self { queue: Arc::default() };
        for index in 0..threads {
            let queue = workers.queue.clone();
            thread::Builder::new()
                .name(format!("driver-{index}"))
                .stack_size(stack_bytes.saturating_add(HOST_STACK_BYTES))
                .spawn(move || {
                    while let Some(job) = queue.next() {
                        if catch_unwind(AssertUnwindSafe(job)).is_err() {
                            tracing::error!("a driver call panicked in the host; its session is lost");
                        }
                    }
                })?;
        }
        Ok(workers)
    }

    /// Runs a job on one of the threads. It is queued at once, and runs even if nobody waits for it any more.
    pub(crate) fn run<T, J>(&self, job: J) -> impl Future<Output = Result<T, Lost>> + Send + use<T, J>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.queue.lock().jobs.push_back(Box::new(move || {
            // Nobody waiting is no error: the session task was dropped.
            let _ = sender.send(job());
        }));
        self.queue.wake.notify_one();
        async move { receiver.await.map_err(|_| Lost) }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.closed = true;
        let lost = std::mem::take(&mut state.jobs);
        drop(state);
        drop(lost);
        self.queue.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_panic_costs_a_job_and_not_a_thread() {
        let workers = Workers::start(1, 1 << 16).unwrap();
        assert!(wait(workers.run(|| panic!("a test's panic"))).is_err());
        assert_eq!(wait(workers.run(|| 7)).unwrap(), 7);
    }

    #[test]
    fn all_jobs_run_and_dropping_ends_the_wait() {
        let workers = Workers::start(3, 1 << 16).unwrap();
        let answers: Vec<_> = (0..100).map(|n| workers.run(move || n * 2)).collect();
        let sum: u32 = answers.into_iter().map(|answer| wait(answer).unwrap()).sum();
        assert_eq!(sum, 9_900);
        let none = Workers::start(0, 1 << 16).unwrap();
        let answer = none.run(|| ());
        drop(none);
        assert!(wait(answer).is_err());
    }
}
