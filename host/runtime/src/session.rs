//! One reader's session inside a driver: a store of its own, called one input at a time under its bounds.
//!
//! A call runs on the runtime's workers and the store travels with it; the `…_blocking` twins do the same work on the
//! caller's thread. After anything but success the store is dropped, never used again: a driver is not reopened in the
//! middle of a stream. Sleep and a change of version are in [`crate::moving`]; carrying outputs out and deciding when to
//! sleep are the server's business.

use std::sync::Arc;

use cardinal_domain::driver::{Context, Id, Input, Millis, Output};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::Store;

use crate::{
    Driver,
    accounts::{Accounts, Passed, Refused},
    bounds::Bounds,
    error::SessionError,
    generations::{Instance, OutputBounds},
    guard::{self, Export, Guard},
    workers::Lost,
};

/// A session of a driver. Dropping it drops the instance.
pub struct DriverSession {
    pub(crate) driver: Driver,
    pub(crate) bounds: Arc<Bounds>,
    pub(crate) accounts: Accounts,
    pub(crate) late: Vec<Id>,
    pub(crate) state: State,
}

/// Where a session's state is.
pub(crate) enum State {
    /// In an instance.
    Live(Box<Live>),
    /// Saved; there is no instance.
    Asleep(Box<[u8]>),
    /// Nowhere: it is over, or its call is under way.
    Ended,
}

/// What travels to a worker and back.
pub(crate) struct Live {
    store: Store<Guard>,
    instance: Instance,
    bounds: Arc<Bounds>,
    driver: Driver,
    // Last, so that the pool has room again before the next session is let in.
    pub(crate) permit: OwnedSemaphorePermit,
}

pub(crate) type Returned<T> = Result<(Box<Live>, T), SessionError>;

impl Driver {
    /// Opens a new session. Waits while the host has as many live sessions as it may.
    ///
    /// # Errors
    /// Why there is no session; nothing stays behind.
    pub async fn open(&self, context: Context, bounds: &Bounds) -> Result<DriverSession, SessionError> {
        let accounts = Accounts::new(&context);
        self.resume(context, accounts, bounds).await
    }

    /// Goes on with a session whose state is `context.saved`, with the books of the one that was saved: after sleep, or
    /// in another version of the driver. The driver is to be told `resumed` next.
    ///
    /// # Errors
    /// Why this driver cannot go on; the session that was saved is untouched.
    pub async fn resume(
        &self,
        context: Context,
        accounts: Accounts,
        bounds: &Bounds,
    ) -> Result<DriverSession, SessionError> {
        let (driver, bounds) = (self.clone(), Arc::new(bounds.clone()));
        let permit = self.permits().clone().acquire_owned().await.map_err(|_| SessionError::Ended)?;
        let opening = {
            let (driver, bounds) = (driver.clone(), bounds.clone());
            move || Live::open(driver, bounds, context, permit)
        };
        let live = self.workers().run(opening).await.map_err(|lost| lost_in(guard::OPEN, lost))??;
        Ok(DriverSession { driver, bounds, accounts, late: Vec::new(), state: State::Live(live) })
    }

    /// [`open`](Self::open) on this thread, which must not be one of an async runtime.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_blocking(&self, context: Context, bounds: &Bounds) -> Result<DriverSession, SessionError> {
        let accounts = Accounts::new(&context);
        self.resume_blocking(context, accounts, bounds)
    }

    /// [`resume`](Self::resume) on this thread, which must not be one of an async runtime.
    ///
    /// # Errors
    /// As `resume`.
    pub fn resume_blocking(
        &self,
        context: Context,
        accounts: Accounts,
        bounds: &Bounds,
    ) -> Result<DriverSession, SessionError> {
        let (driver, bounds) = (self.clone(), Arc::new(bounds.clone()));
        let permit = acquire_blocking(self.permits())?;
        let live = Live::open(driver.clone(), bounds.clone(), context, permit)?;
        Ok(DriverSession { driver, bounds, accounts, late: Vec::new(), state: State::Live(live) })
    }
}

impl DriverSession {
    /// Gives the driver one input and takes its outputs, which are within all bounds and to be carried out in order.
    /// A call that is abandoned (its future dropped) ends the session.
    ///
    /// # Errors
    /// Why the session is over.
    pub async fn handle(&mut self, now: Millis, input: Input) -> Result<Vec<Output>, SessionError> {
        let live = self.take()?;
        self.accounts.input(&input);
        let returned = self.driver.workers().run(move || live.handle(now, input)).await;
        self.settle(now, returned.map_err(|lost| lost_in(guard::HANDLE, lost))?)
    }

    /// [`handle`](Self::handle) on this thread.
    ///
    /// # Errors
    /// As `handle`.
    pub fn handle_blocking(&mut self, now: Millis, input: Input) -> Result<Vec<Output>, SessionError> {
        let live = self.take()?;
        self.accounts.input(&input);
        self.settle(now, live.handle(now, input))
    }

    /// The driver's state, for going on elsewhere; none if it cannot be had now. The session goes on either way.
    ///
    /// # Errors
    /// Why the session is over.
    pub async fn save(&mut self) -> Result<Option<Vec<u8>>, SessionError> {
        let live = self.take()?;
        let returned = self.driver.workers().run(move || live.save()).await;
        self.restore(returned.map_err(|lost| lost_in(guard::SAVE, lost))?)
    }

    /// [`save`](Self::save) on this thread.
    ///
    /// # Errors
    /// As `save`.
    pub fn save_blocking(&mut self) -> Result<Option<Vec<u8>>, SessionError> {
        let returned = self.take()?.save();
        self.restore(returned)
    }

    /// The session's books, to be taken along to [`Driver::resume`].
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The driver that runs this session.
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// The bounds it runs under.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Calls answered when they were no longer open, since last asked. Their answers were dropped.
    pub fn take_late_answers(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.late)
    }

    /// Whether the session is over.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    pub(crate) fn take(&mut self) -> Result<Box<Live>, SessionError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Live(live) => Ok(live),
            State::Asleep(saved) => {
                self.state = State::Asleep(saved);
                let detail = "it sleeps, and was not woken".to_owned();
                Err(SessionError::Host { export: guard::HANDLE.name, detail })
            }
            State::Ended => Err(SessionError::Ended),
        }
    }

    fn restore<T>(&mut self, returned: Returned<T>) -> Result<T, SessionError> {
        let (live, answer) = returned?;
        self.state = State::Live(live);
        Ok(answer)
    }

    fn settle(&mut self, now: Millis, returned: Returned<Vec<Output>>) -> Result<Vec<Output>, SessionError> {
        let (live, outputs) = returned?;
        let Passed { outputs, late } = self.accounts.outputs(now, outputs, &self.bounds).map_err(refused)?;
        self.late.extend(late);
        self.state = State::Live(live);
        Ok(outputs)
    }
}

impl Live {
    pub(crate) fn open(
        driver: Driver,
        bounds: Arc<Bounds>,
        context: Context,
        permit: OwnedSemaphorePermit,
    ) -> Result<Box<Self>, SessionError> {
        bounds
            .check(driver.options())
            .map_err(|error| SessionError::Host { export: guard::OPEN.name, detail: error.to_string() })?;
        let mut store = guard::store(driver.engine(), &bounds);
        guard::OPEN.start(&mut store, &bounds, driver.options());
        match driver.prepared().open(&mut store, context) {
            Ok(instance) => Ok(Box::new(Self { store, instance, bounds, driver, permit })),
            Err(error) => Err(guard::OPEN.failed(error, &mut store, &bounds, driver.options())),
        }
    }

    pub(crate) fn handle(mut self: Box<Self>, now: Millis, input: Input) -> Returned<Vec<Output>> {
        let most = OutputBounds { count: self.bounds.outputs_per_call, bytes: self.bounds.output_bytes_per_call };
        guard::HANDLE.start(&mut self.store, &self.bounds, self.driver.options());
        match self.instance.handle(&mut self.store, now, input, most) {
            Ok(outputs) => Ok((self, outputs)),
            Err(error) => Err(guard::HANDLE.failed(error, &mut self.store, &self.bounds, self.driver.options())),
        }
    }

    pub(crate) fn save(mut self: Box<Self>) -> Returned<Option<Vec<u8>>> {
        guard::SAVE.start(&mut self.store, &self.bounds, self.driver.options());
        let saved = match self.instance.save(&mut self.store) {
            Ok(saved) => saved,
            Err(error) => return Err(guard::SAVE.failed(error, &mut self.store, &self.bounds, self.driver.options())),
        };
        let (bytes, limit) = (saved.as_ref().map_or(0, Vec::len) as u64, self.bounds.saved_bytes);
        if bytes > limit {
            let detail = format!("it saved {bytes} bytes");
            return Err(SessionError::Bound {
                name: "saved_bytes",
                limit,
                export: guard::SAVE.name,
                detail,
                backtrace: String::new(),
            });
        }
        Ok((self, saved))
    }
}

pub(crate) fn lost_in(export: Export, _: Lost) -> SessionError {
    SessionError::Host { export: export.name, detail: "the call was lost; the host's log says why".to_owned() }
}

pub(crate) fn refused(refused: Refused) -> SessionError {
    let export = guard::HANDLE.name;
    match refused {
        Refused::Bound(name, limit, detail) => {
            SessionError::Bound { name, limit, export, detail, backtrace: String::new() }
        }
        Refused::Contract(detail) => SessionError::Contract { export, detail },
    }
}

/// A permit without an async runtime around. Waiting is rare: only a full host makes one wait.
fn acquire_blocking(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, SessionError> {
    if let Ok(permit) = permits.clone().try_acquire_owned() {
        return Ok(permit);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| SessionError::Host { export: guard::OPEN.name, detail: error.to_string() })?;
    runtime.block_on(permits.clone().acquire_owned()).map_err(|_| SessionError::Ended)
}
