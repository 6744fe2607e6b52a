//! Terminals that dial us: one listener for each address of ours, shared by the readers behind it.
//!
//! A terminal is known by the pair of our port and its source address. A newer connection of the same pair replaces the
//! older: the terminal rebooted, and the old connection is a corpse. Connections of nobody are closed and told of at most
//! once a minute each.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
};
use cardinal_store::Store;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// How often a terminal at an unknown address is told of.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How many unknown addresses are remembered as told.
const MOST_TOLD: usize = 1024;
/// How long to wait after a failed accept (no file descriptors left, as a rule).
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// A port that was just given up is free a moment later.
const BIND_TRIES: u32 = 25;
const BIND_PAUSE: Duration = Duration::from_millis(20);

type Routes = Arc<Mutex<HashMap<IpAddr, Arc<Slot>>>>;

/// Where a terminal's newest connection waits for its session.
#[derive(Default)]
struct Slot {
    newest: Mutex<Option<TcpStream>>,
    came: Notify,
}

/// All listeners of the host.
pub struct Listeners {
    store: Store,
    open: Mutex<HashMap<SocketAddr, Listener>>,
}

struct Listener {
    routes: Routes,
    task: JoinHandle<()>,
}

/// Why a reader cannot listen.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    #[error("cannot listen on {0}: is the address this machine's, and the port free?")]
    Bind(SocketAddr, #[source] io::Error),
    #[error("another reader already listens on {0} for {1}")]
    Taken(SocketAddr, IpAddr),
}

/// A reader's place at a listener; given up when dropped.
pub(super) struct Place {
    listeners: Arc<super::Services>,
    ours: SocketAddr,
    theirs: IpAddr,
    slot: Arc<Slot>,
}

impl Listeners {
    pub fn new(store: Store) -> Self {
        Self { store, open: Mutex::default() }
    }
}

impl Place {
    /// A place for the reader that calls from `theirs`; the listener is opened if it is the first.
    pub(super) async fn take(
        services: &Arc<super::Services>,
        ours: SocketAddr,
        theirs: IpAddr,
    ) -> Result<Self, ListenError> {
        let mut tries = 0;
        loop {
            if let Some(slot) = services.listeners.join(ours, theirs)? {
                return Ok(Self { listeners: Arc::clone(services), ours, theirs, slot });
            }
            match TcpListener::bind(ours).await {
                Ok(listener) => services.listeners.add(listener, ours),
                // Another reader of this port was faster, or the one before is just letting go.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < BIND_TRIES => {
                    tries += 1;
                    tokio::time::sleep(BIND_PAUSE).await;
                }
                Err(error) => return Err(ListenError::Bind(ours, error)),
            }
        }
    }

    /// The terminal's newest connection.
    pub(super) async fn next(&mut self) -> TcpStream {
        loop {
            if let Some(stream) = self.slot.newest.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return stream;
            }
            self.slot.came.notified().await;
        }
    }
}

impl Listeners {
    /// A slot at the listener of this address; none where it is not open.
    fn join(&self, ours: SocketAddr, theirs: IpAddr) -> Result<Option<Arc<Slot>>, ListenError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(listener) = open.get(&ours) else { return Ok(None) };
        let mut routes = listener.routes.lock().unwrap_or_else(PoisonError::into_inner);
        match routes.entry(theirs) {
            Entry::Occupied(_) => Err(ListenError::Taken(ours, theirs)),
            Entry::Vacant(place) => Ok(Some(Arc::clone(place.insert(Arc::default())))),
        }
    }

    fn add(&self, listener: TcpListener, ours: SocketAddr) {
        let routes = Routes::default();
        let task = tokio::spawn(accept(listener, Arc::clone(&routes), self.store.clone(), ours));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(ours, Listener { routes, task });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.listeners.listeners.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = open.get(&self.ours) {
            let empty = {
                let mut routes = listener.routes.lock().unwrap_or_else(PoisonError::into_inner);
                routes.remove(&self.theirs);
                routes.is_empty()
            };
            if empty {
                listener.task.abort();
                open.remove(&self.ours);
            }
        }
    }
}

async fn accept(listener: TcpListener, routes: Routes, store: Store, ours: SocketAddr) {
    let mut told: HashMap<IpAddr, Instant> = HashMap::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%ours, %error, "a terminal could not be accepted");
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        let route = routes.lock().unwrap_or_else(PoisonError::into_inner).get(&address).cloned();
        if let Some(route) = route {
            // One that waits is older, and so a corpse.
            *route.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
            route.came.notify_one();
            continue;
        }
        drop(stream);
        let now = Instant::now();
        if told.get(&address).is_none_or(|last| now.duration_since(*last) >= TELL_EVERY) {
            if told.len() >= MOST_TOLD {
                told.retain(|_, last| now.duration_since(*last) < TELL_EVERY);
            }
            if told.len() < MOST_TOLD {
                told.insert(address, now);
                let message = format!(
                    "a terminal at {address} dialled {ours}, but no reader has that address; add one with listen = \"{ours}\" and address = \"{address}\""
                );
                let event = EventBody::new(TraceId::new(), EventKind::TerminalRefused, message);
                if let Err(error) = store.record(vec![event.fact("address", address.to_string())]).await {
                    tracing::error!(error = &error as &dyn std::error::Error, "an event was lost");
                }
            }
        }
    }
}
