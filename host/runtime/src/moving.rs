//! Sleep, and going on in another version: a session's state leaves its instance as bytes and comes back in a new one.
//!
//! ```text
//! live ──sleep: save──▶ asleep ──wake: open(saved), resumed──▶ live
//! live or asleep ──move_to: save, open(saved) and resumed in the other version──▶ live there, or as it was before
//! ```
//!
//! Both are for quiet points alone ([`crate::Accounts::quiet`]). The session's books stay with it; the driver that is told
//! `resumed` may answer like to any input.

use std::{sync::Arc, time::Duration};

use cardinal_domain::driver::{Context, Id, Input, Millis, Output};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    Driver, DriverSession,
    accounts::{Accounts, Passed},
    bounds::Bounds,
    error::SessionError,
    guard,
    session::{Live, State, lost_in, refused},
};

/// How long a session that sleeps waits for room when it is to go on in another version.
const ROOM: Duration = Duration::from_secs(1);

/// Why a session does not run another version.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Its driver gives its state away at no time, or not now; or the host is full. The session goes on.
    #[error("its driver cannot be saved now, or the host is full")]
    NotNow,
    /// The other version failed or refused the state; the session goes on in the one that it ran before.
    #[error("the other version cannot go on with it: {0}")]
    Kept(#[source] SessionError),
    /// The session is over: its driver failed when it was to be saved.
    #[error("{0}")]
    Over(#[source] SessionError),
}

/// A session as it goes on in a new instance.
struct Resumed {
    live: Box<Live>,
    accounts: Accounts,
    outputs: Vec<Output>,
    late: Vec<Id>,
}

impl DriverSession {
    /// Saves the session and lets its instance go. False: its driver cannot be saved now, and the session stays as it is.
    ///
    /// # Errors
    /// Why the session is over.
    pub async fn sleep(&mut self) -> Result<bool, SessionError> {
        if self.is_asleep() {
            return Ok(true);
        }
        let Some(saved) = self.save().await? else { return Ok(false) };
        self.state = State::Asleep(saved.into());
        Ok(true)
    }

    /// Whether it is saved and has no instance. Before its next input it must be woken.
    pub fn is_asleep(&self) -> bool {
        matches!(self.state, State::Asleep(_))
    }

    /// Goes on with a session that sleeps, in a new instance of the same driver: what that answers to `resumed`, to be
    /// carried out. Waits while the host has as many live sessions as it may. `context` is that of its start but for what
    /// was remembered since; `saved` is filled in. One that is awake answers nothing.
    ///
    /// # Errors
    /// Why the session is over.
    pub async fn wake(&mut self, context: Context, now: Millis) -> Result<Vec<Output>, SessionError> {
        let State::Asleep(saved) = &self.state else { return Ok(Vec::new()) };
        let context = Context { saved: Some(saved.to_vec()), ..context };
        let permit = self.driver.permits().clone().acquire_owned().await.map_err(|_| SessionError::Ended)?;
        let (driver, bounds, accounts) = (self.driver.clone(), Arc::clone(&self.bounds), self.accounts.clone());
        match resume(driver, context, accounts, bounds, now, permit).await {
            Ok(resumed) => Ok(self.go_on(resumed)),
            Err(error) => {
                self.state = State::Ended;
                Err(error)
            }
        }
    }

    /// Goes on in another version of the driver: what that answers to `resumed`, to be carried out. `context` is as for
    /// [`wake`](Self::wake), with the settings as that version has them.
    ///
    /// # Errors
    /// Why not, and whether the session goes on without.
    pub async fn move_to(
        &mut self,
        driver: &Driver,
        context: Context,
        bounds: &Bounds,
        now: Millis,
    ) -> Result<Vec<Output>, MoveError> {
        let closed = |_| MoveError::Kept(SessionError::Ended);
        let (saved, permit) = if let State::Asleep(saved) = &self.state {
            // Its reader is not read meanwhile, so not for long; it can be asked again.
            let permit = tokio::time::timeout(ROOM, driver.permits().clone().acquire_owned()).await;
            (saved.to_vec(), permit.map_err(|_| MoveError::NotNow)?.map_err(closed)?)
        } else {
            // First: without room nothing is begun, and the driver that runs is not called in vain.
            let permit = driver.moves().clone().acquire_owned().await.map_err(closed)?;
            let saved = self.save().await.map_err(MoveError::Over)?;
            (saved.ok_or(MoveError::NotNow)?, permit)
        };
        let context = Context { saved: Some(saved), ..context };
        let bounds = Arc::new(bounds.clone());
        let resumed = resume(driver.clone(), context, self.accounts.clone(), Arc::clone(&bounds), now, permit).await;
        let mut resumed = resumed.map_err(MoveError::Kept)?;
        if let State::Live(before) = &mut self.state {
            // The place in the pool stays the session's; what was lent for the move goes back with the instance before.
            std::mem::swap(&mut before.permit, &mut resumed.live.permit);
        }
        let outputs = self.go_on(resumed);
        (self.driver, self.bounds) = (driver.clone(), bounds);
        Ok(outputs)
    }

    fn go_on(&mut self, resumed: Resumed) -> Vec<Output> {
        let Resumed { live, accounts, outputs, late } = resumed;
        self.state = State::Live(live);
        self.accounts = accounts;
        self.late.extend(late);
        outputs
    }
}

/// Opens the saved session and tells it that it goes on, in one visit to a worker.
async fn resume(
    driver: Driver,
    context: Context,
    mut accounts: Accounts,
    bounds: Arc<Bounds>,
    now: Millis,
    permit: OwnedSemaphorePermit,
) -> Result<Resumed, SessionError> {
    let opening = {
        let (driver, bounds) = (driver.clone(), Arc::clone(&bounds));
        move || Live::open(driver, bounds, context, permit)?.handle(now, Input::Resumed)
    };
    let (live, outputs) = driver.workers().run(opening).await.map_err(|lost| lost_in(guard::OPEN, lost))??;
    let Passed { outputs, late } = accounts.outputs(now, outputs, &bounds).map_err(refused)?;
    Ok(Resumed { live, accounts, outputs, late })
}
