//! Readers' sessions: one tokio task a reader, which owns its connection or its HTTP exchanges, its timers and its
//! driver session.
//!
//! [`Sessions`] starts, stops and restarts these tasks as the site changes; a reader that did not change is not touched. A
//! session knows no protocol: it gives the driver inputs and carries out outputs. What becomes of a card is the desk's
//! business, who gets the jobs the release engine's.

mod backoff;
mod callers;
mod clock;
mod connection;
mod dial;
mod fault;
mod first_line;
mod going_on;
mod hands;
mod hidden;
mod http;
mod listen;
mod open_calls;
mod quarantine;
mod reader;
mod recording;
mod refused;
mod routes;
mod socket;
mod status;
mod stream;
mod taps;
mod throttle;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use cardinal_desk::Desk;
use cardinal_domain::{bounds::size, driver::Pair, event::EventBody, names::ReaderName, site::Reader};
use cardinal_release::Release;
use cardinal_runtime::Driver;
use cardinal_store::{Setup, Store};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub use self::{
    dial::with_port,
    going_on::{Moving, Stays},
    listen::Listeners,
    quarantine::Quarantine,
    refused::{Refused, Tell},
    throttle::{Flood, Meter},
};
pub use status::{Phase, ReaderStatus};

use self::{going_on::Move, listen::Place, reader::ReaderTask, status::StatusCell};
use crate::{calls::Calls, config::Config, drivers::Drivers, fetch::Fetcher, memory::Memory, recorder::Recorder};

/// What every session needs.
pub struct Services {
    pub config: Config,
    pub store: Store,
    pub desk: Desk,
    pub release: Release,
    pub drivers: Drivers,
    pub memory: Memory,
    pub listeners: Listeners,
    pub quarantine: Quarantine,
    pub calls: Arc<Calls>,
    pub fetcher: Arc<Fetcher>,
    pub recorder: Recorder,
}

impl Services {
    /// Stores an event of a session. One that the store does not take is in the log at least.
    pub async fn tell(&self, event: EventBody) {
        let said = event.message.clone();
        // Boxed, also in other places of a session: what is rare has no room in the task of each reader.
        if let Err(error) = Box::pin(self.store.record(vec![event])).await {
            tracing::error!(said, error = &error as &dyn std::error::Error, "an event was lost");
        }
    }
}

/// An operator's command for a reader's driver.
pub struct Command {
    pub name: String,
    pub arguments: Vec<Pair>,
}

/// What a running session is to do besides its reader's business.
enum Order {
    Command(Command),
    Move(Move),
}

/// The sessions of all readers.
pub struct Sessions {
    services: Arc<Services>,
    running: RwLock<BTreeMap<ReaderName, Running>>,
    /// One change of the running sessions at a time; in it the tasks that are ending and belong to no reader any more.
    changing: Mutex<Changing>,
}

#[derive(Default)]
struct Changing {
    ending: Vec<JoinHandle<()>>,
    /// The setup that the running sessions are those of; held, so that no later one lies at its place.
    setup: Option<Arc<Setup>>,
    /// The host stops: nothing is started any more.
    stopped: bool,
}

struct Running {
    spec: Arc<Reader>,
    stop: CancellationToken,
    /// Where it was stopped it gives its place at a listener.
    task: JoinHandle<Option<Place>>,
    // Boxed: a channel makes room for 32 at once.
    orders: mpsc::Sender<Box<Order>>,
    status: StatusCell,
}

impl Running {
    /// None: it is not connected, or has too much to do already.
    fn order(&self, order: Order) -> Option<()> {
        (self.status.get().phase == Phase::Online).then(|| self.orders.try_send(Box::new(order)).ok())?
    }
}

/// Why a command did not reach a driver.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("there is no reader {0:?}, or it is not enabled")]
    NoReader(String),
    #[error("reader {0:?} has no connection now, or too many commands wait for it; try again when it is online")]
    NotConnected(String),
    #[error("reader {reader:?} has no command {command:?}; its mode has: {known}")]
    Unknown { reader: String, command: String, known: String },
}

impl Sessions {
    pub fn new(services: Arc<Services>) -> Self {
        Self { services, running: RwLock::default(), changing: Mutex::default() }
    }

    /// Makes the running sessions those of the setup as it is now: starts new readers, ends removed ones, restarts changed
    /// ones. Does not wait for a session that ends: its successor does, because a terminal takes one server at a time.
    pub async fn reconcile(&self) {
        self.change_over(&mut *self.changing.lock().await);
    }

    /// The same where the setup is another than the running sessions are those of.
    pub async fn follow_setup(&self) {
        let mut changing = self.changing.lock().await;
        let setup = self.services.store.setup();
        if !changing.setup.as_ref().is_some_and(|known| Arc::ptr_eq(known, &setup)) {
            self.change_over(&mut changing);
        }
    }

    /// Follows the setup until the host stops, also where no `apply` of ours changed it: the store reads it anew behind a
    /// lost connection.
    pub async fn follow(&self, stop: &CancellationToken) {
        let mut setups = self.services.store.setups();
        while let Some(Ok(())) = stop.run_until_cancelled(setups.changed()).await {
            self.follow_setup().await;
        }
    }

    fn change_over(&self, changing: &mut Changing) {
        let setup = if changing.stopped { Arc::default() } else { self.services.store.setup() };
        changing.setup = Some(Arc::clone(&setup));
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = BTreeMap::new();
        let gone: Vec<_> = running
            .iter()
            // A task that ended by itself waits for a change; any change may be the one.
            .filter(|(name, session)| setup.readers.get(*name) != Some(&session.spec) || session.task.is_finished())
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            // Who changed it has mended it, for all we know.
            self.services.quarantine.free(&name);
            if let Some(session) = running.remove(&name) {
                session.stop.cancel();
                before.insert(name, session.task);
            }
        }
        for (name, spec) in setup.readers.iter().filter(|(_, spec)| spec.enabled) {
            if !running.contains_key(name) {
                running.insert(name.clone(), self.start(spec, before.remove(name)));
            }
        }
        changing.ending.retain(|task| !task.is_finished());
        // Their places are given up as soon as they have ended.
        changing.ending.extend(before.into_values().map(|task| tokio::spawn(async move { drop(task.await) })));
    }

    fn start(&self, spec: &Arc<Reader>, before: Option<JoinHandle<Option<Place>>>) -> Running {
        let (orders, receiver) = mpsc::channel(size(self.services.config.sessions.commands_waiting));
        let stop = CancellationToken::new();
        let status = StatusCell::new(spec);
        let task =
            ReaderTask::new(Arc::clone(&self.services), Arc::clone(spec), stop.clone(), receiver, status.clone());
        let task = tokio::spawn(async move {
            let place = match before {
                Some(before) => before.await.ok().flatten(),
                None => None,
            };
            task.run(place).await
        });
        Running { spec: Arc::clone(spec), stop, task, orders, status }
    }

    /// Ends a reader's session in an orderly way and starts another: something that it was told at its start has changed.
    pub async fn restart(&self, reader: &ReaderName) {
        let changing = self.changing.lock().await;
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        // One that ends is waited for by the shutdown, and stays where that finds it.
        if changing.stopped {
            return;
        }
        let Some(session) = running.remove(reader) else { return };
        session.stop.cancel();
        running.insert(reader.clone(), self.start(&session.spec, Some(session.task)));
    }

    /// Ends all sessions in an orderly way: cards already shown get their verdict, connections are closed.
    pub async fn shutdown(&self) {
        self.changing.lock().await.stopped = true;
        self.reconcile().await;
        let ending = std::mem::take(&mut self.changing.lock().await.ending);
        for task in ending {
            let _ = task.await;
        }
    }

    /// How a reader is; none if it is not running.
    pub fn status(&self, reader: &ReaderName) -> Option<ReaderStatus> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        running.get(reader).map(|session| session.status.get())
    }

    /// Gives a reader's driver an operator's command.
    pub fn command(&self, reader: &ReaderName, command: Command) -> Result<(), CommandError> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        let session = running.get(reader).ok_or_else(|| CommandError::NoReader(reader.to_string()))?;
        let known = session.status.commands();
        if !known.contains(&command.name) {
            let (reader, command) = (reader.to_string(), command.name);
            return Err(CommandError::Unknown { reader, command, known: known.join(", ") });
        }
        session.order(Order::Command(command)).ok_or_else(|| CommandError::NotConnected(reader.to_string()))
    }

    /// The digest of the driver in a reader's session, empty where that is just looked up; none: it has no session now.
    pub fn runs(&self, reader: &ReaderName) -> Option<String> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        running.get(reader)?.status.digest()
    }

    /// Has a reader's session go on in this version of its driver, at its next quiet point. None: it has no session now, and
    /// takes the version that it is to run with its next one.
    pub fn move_to(&self, reader: &ReaderName, driver: Driver) -> Option<Moving> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        let (order, moving) = Move::new(driver);
        running.get(reader)?.order(Order::Move(order))?;
        Some(moving)
    }
}
