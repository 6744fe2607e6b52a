//! How a session outlives the instance of its driver: it sleeps while nothing happens, and goes on in another version when
//! it is told to. The connection, what arrived on it, timers and cards under way know nothing of it.

use std::time::Duration;

use cardinal_domain::{
    driver::{Context, Input, Millis, Output},
    event::{EventBody, EventKind},
};
use cardinal_runtime::{Driver, MoveError, SessionError};
use tokio::{sync::oneshot, time::Instant};

use super::{Order, connection::End, hands::Hands};
use crate::readers::{self, Way};

/// How long a driver has nothing to do before it sleeps where instances are scarce.
const CROWDED: Duration = Duration::from_millis(100);

/// That a session is to go on in another version of its driver.
pub(super) struct Move {
    to: Driver,
    asker: Asker,
}

/// Who wants a session to go on in another version.
struct Asker {
    /// That it begins. Fails where it is not wanted any more.
    begins: oneshot::Sender<()>,
    /// What came of it.
    done: oneshot::Sender<Result<(), Stays>>,
}

/// A session that was told to go on in another version.
pub struct Moving {
    begins: oneshot::Receiver<()>,
    done: oneshot::Receiver<Result<(), Stays>>,
}

impl Move {
    pub(super) fn new(to: Driver) -> (Self, Moving) {
        let (asker, moving) = asked();
        (Self { to, asker }, moving)
    }
}

fn asked() -> (Asker, Moving) {
    let ((begins, begun), (done, came_of_it)) = (oneshot::channel(), oneshot::channel());
    (Asker { begins, done }, Moving { begins: begun, done: came_of_it })
}

impl Moving {
    /// What came of it. None: the session is gone, or came to no quiet point in this time; then it stays as it is, for sure.
    pub async fn begins_within(mut self, turn: Duration) -> Option<Result<(), Stays>> {
        if tokio::time::timeout(turn, &mut self.begins).await.is_err() {
            self.begins.close();
            self.begins.try_recv().ok()?;
        }
        // It has begun, and is bounded as every call of a driver is.
        self.done.await.ok()
    }
}

/// Why a session stays in its version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// Its driver cannot be saved now.
    #[error("its driver cannot be saved now")]
    NotNow,
    /// The other version wants a connection of another kind, or other settings.
    #[error("it needs a new connection: {0}")]
    NeedsConnection(String),
    /// The other version failed, or refused the state.
    #[error("{0}")]
    Failed(String),
}

/// What a driver is told of its reader again when its session goes on in a new instance.
pub(super) struct Origin {
    pub(super) way: Way,
    pub(super) callback: Option<String>,
    pub(super) memory: Vec<(String, Vec<u8>)>,
}

/// What a session does next.
pub(super) enum Step {
    Input(Input),
    Move(Box<Move>),
    /// Nothing happened; the driver may sleep.
    Doze,
}

impl Step {
    /// What an order comes to.
    pub(super) fn ordered(order: Order) -> Self {
        match order {
            Order::Command(command) => Self::Input(Input::Command(command.name, command.arguments)),
            Order::Move(to) => Self::Move(Box::new(to)),
        }
    }
}

impl Hands<'_> {
    /// When the driver may sleep, if nothing happens until then; none: not at all.
    pub(super) fn sleeps_at(&self) -> Option<Instant> {
        self.sleeps_at.filter(|_| !self.session.is_asleep() && self.taps.len() == 0 && self.session.accounts().quiet())
    }

    /// Something happened.
    pub(super) fn stay_awake(&mut self) {
        let after = Duration::from_millis(self.services.config.sessions.sleep_after_ms);
        let after = if self.services.drivers.is_crowded() { after.min(CROWDED) } else { after };
        self.sleeps_at = Instant::now().checked_add(after);
    }

    /// Lets the driver sleep if it is time.
    pub(super) async fn doze(&mut self) -> Result<(), End> {
        if self.sleeps_at().is_some_and(|at| at <= Instant::now()) {
            // One that cannot be saved now is asked again only after something has happened.
            self.sleeps_at = None;
            let asleep = Box::pin(self.session.sleep()).await.map_err(|error| End::Driver(self.hidden.error(error)))?;
            self.status.asleep(asleep);
        }
        Ok(())
    }

    /// What the driver answers to being woken; nothing where it is awake.
    pub(super) async fn wake(&mut self, now: Millis) -> Result<Vec<Output>, SessionError> {
        if !self.session.is_asleep() {
            return Ok(Vec::new());
        }
        Box::pin(async {
            let driver = self.session.driver().clone();
            let prepared = readers::prepare(driver, &self.services.config, self.spec);
            // Nothing of that has changed since it was opened; it runs by now.
            let settings = prepared.map_err(|detail| SessionError::Host { export: "open", detail })?.settings;
            let outputs = self.session.wake(self.context(settings), now).await;
            self.record_wake(now, &outputs);
            self.status.asleep(false);
            outputs
        })
        .await
    }

    /// Goes on in another version of the driver, if this is a quiet point; otherwise that waits for one.
    pub(super) async fn move_to(&mut self, to: Box<Move>) -> Result<(Millis, Vec<Output>), End> {
        let now = self.clock.now();
        if !self.session.accounts().quiet() {
            self.moves = Some(to);
            return Ok((now, Vec::new()));
        }
        let Move { to, asker: Asker { begins, done } } = *to;
        if begins.send(()).is_err() {
            return Ok((now, Vec::new()));
        }
        let moved = self.go_on_in(&to, now).await;
        let (came_of_it, outputs) = match moved {
            Ok(outputs) => (Ok(()), Ok((now, outputs))),
            Err(Ok(stays)) => (Err(stays), Ok((now, Vec::new()))),
            Err(Err(error)) => {
                let error = self.hidden.error(error);
                (Err(Stays::Failed(error.to_string())), Err(End::Driver(error)))
            }
        };
        // Whoever wanted it may be gone.
        let _ = done.send(came_of_it);
        self.stay_awake();
        outputs
    }

    /// What the other version answers to `resumed`; why not; or why the session is over.
    async fn go_on_in(&mut self, to: &Driver, now: Millis) -> Result<Vec<Output>, Result<Stays, SessionError>> {
        let (id, version) = (to.manifest().id(), &to.manifest().version);
        if self.spec.driver.id != id || self.spec.driver.version.as_ref().is_some_and(|pinned| pinned != version) {
            // It was given another driver meanwhile, or a version of its own.
            return Err(Ok(Stays::NotNow));
        }
        if !self.services.drivers.may_run(to.digest()) {
            return Err(Ok(Stays::Failed(format!("{} may not run any more", to.label()))));
        }
        let prepared = readers::prepare(to.clone(), &self.services.config, self.spec)
            .map_err(|problem| Ok(Stays::NeedsConnection(problem)))?;
        if prepared.way != self.origin.way {
            return Err(Ok(Stays::NeedsConnection("it is reached in another way".to_owned())));
        }
        let context = self.context(prepared.settings);
        let before = self.label.clone();
        match self.session.move_to(to, context, &prepared.bounds, now).await {
            Ok(outputs) => {
                self.label = to.label();
                self.status.runs(to, prepared.commands);
                Ok(self.hide(outputs))
            }
            Err(MoveError::NotNow) => Err(Ok(Stays::NotNow)),
            Err(MoveError::Kept(error)) => {
                let error = self.hidden.error(error);
                let message = format!("{} stays with {before}: {} cannot go on: {error}", self.spec.name, to.label());
                let event = EventBody::new(self.trace, EventKind::DriverKept, message);
                self.tell(event.fact("refused", to.label())).await;
                Err(Ok(Stays::Failed(error.to_string())))
            }
            Err(MoveError::Over(error)) => Err(Err(error)),
        }
    }

    /// What the driver was told at the start, as it is now.
    fn context(&self, settings: Vec<(String, String)>) -> Context {
        Context {
            mode: self.spec.mode.clone(),
            transport: self.origin.way.name().to_owned(),
            settings,
            callback: self.origin.callback.clone(),
            memory: self.origin.memory.clone(),
            saved: None,
        }
    }
}

impl Origin {
    /// What is told again from now on.
    pub(super) fn remember(&mut self, key: &str, bytes: &[u8]) {
        self.memory.retain(|(known, _)| known != key);
        if !bytes.is_empty() {
            self.memory.push((key.to_owned(), bytes.to_vec()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_on_a_move_knows_that_it_never_begins() {
        let (asker, moving) = asked();
        assert!(moving.begins_within(TURN).await.is_none());
        assert!(asker.begins.send(()).is_err());
        // What has begun is waited for, however long it takes.
        let (asker, moving) = asked();
        assert!(asker.begins.send(()).is_ok());
        tokio::spawn(async move {
            tokio::time::sleep(10 * TURN).await;
            asker.done.send(Ok(()))
        });
        assert_eq!(moving.begins_within(TURN).await, Some(Ok(())));
        let (asker, moving) = asked();
        drop(asker);
        assert!(moving.begins_within(TURN).await.is_none(), "the session is gone");
    }
}
