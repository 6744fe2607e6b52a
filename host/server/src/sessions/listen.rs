//! Terminals that dial us: one listener for each address of ours, shared by the readers behind it.
//!
//! A terminal is known by the pair of our port and its source address, and by its token where readers have one. A newer
//! connection of the same terminal replaces the older: it rebooted, and the old connection is a corpse. What had arrived on
//! the older one is decided about first. A reader that is changed and still calls the same way keeps its place, and what
//! waits there; where it does not, or the host stops, what was not read is closed. Connections of nobody are closed and told
//! of at most once a minute each.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cardinal_store::Store;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    callers::Callers,
    routes::{Clash, Slot},
    stream::Stream,
};
use crate::{
    config::CallerLimits,
    readers::{Listen, Way},
    tls::Tls,
};

/// A port that was just given up is free a moment later.
const TRIES: u32 = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// All listeners of the host.
pub struct Listeners {
    store: Store,
    tls: Arc<Tls>,
    limits: CallerLimits,
    open: Mutex<HashMap<SocketAddr, Listener>>,
}

struct Listener {
    callers: Arc<Callers>,
    task: JoinHandle<()>,
}

/// Why a reader cannot listen.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenError {
    #[error("cannot listen on {0}: is the address this machine's, and the port free?")]
    Bind(SocketAddr, #[source] io::Error),
    #[error("another reader already listens on {0} for {1}; with a token each, readers can share an address")]
    Taken(SocketAddr, IpAddr),
    #[error("another reader that listens on {0} for {1} has the same token")]
    SameToken(SocketAddr, IpAddr),
    #[error("the other readers that listen on {0} say tls = {1}; a listen address speaks TLS or it does not")]
    Mixed(SocketAddr, bool),
}

/// A reader's place at a listener; given up when dropped.
pub(super) struct Place {
    services: Arc<super::Services>,
    way: Listen,
    slot: Arc<Slot>,
}

impl Listeners {
    pub fn new(store: Store, tls: Arc<Tls>, limits: CallerLimits) -> Self {
        Self { store, tls, limits, open: Mutex::default() }
    }
}

impl Place {
    /// A place for the reader that calls this way; the listener is opened if it is the first.
    pub(super) async fn take(services: &Arc<super::Services>, way: &Listen) -> Result<Self, ListenError> {
        let mut tries = 0;
        loop {
            let error = match services.listeners.join(way) {
                Ok(Some(slot)) => return Ok(Self { services: Arc::clone(services), way: way.clone(), slot }),
                // The readers of this port may be just changing, this one the first of them.
                Err(error) => error,
                Ok(None) => match TcpListener::bind(way.ours).await {
                    Ok(listener) => {
                        services.listeners.add(listener, way);
                        continue;
                    }
                    // Another reader of this port was faster, or the one before is just letting go.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => ListenError::Bind(way.ours, error),
                    Err(error) => return Err(ListenError::Bind(way.ours, error)),
                },
            };
            if tries >= TRIES {
                return Err(error);
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether a reader that calls this way finds its connections here.
    pub(super) fn serves(&self, way: &Way) -> bool {
        matches!(way, Way::Listen(listen) if *listen == self.way)
    }

    /// Waits until a connection of the terminal waits here.
    pub(super) async fn called(&self) {
        self.slot.called().await;
    }

    /// The terminal's connection to be served next, if one waits.
    pub(super) fn take_stream(&self) -> Option<Stream> {
        self.slot.take()
    }

    /// Gives back a connection that was not read, to be taken again.
    pub(super) fn give_back(&self, stream: Stream) {
        self.slot.give_back(stream);
    }
}

impl Listeners {
    /// A slot at the listener of this address; none where it is not open.
    fn join(&self, way: &Listen) -> Result<Option<Arc<Slot>>, ListenError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(listener) = open.get(&way.ours) else { return Ok(None) };
        let mut routes = listener.callers.routes.lock().unwrap_or_else(PoisonError::into_inner);
        match routes.join(way.theirs, way.tls, way.token.as_ref()) {
            Ok(slot) => Ok(Some(slot)),
            Err(Clash::Tls) => Err(ListenError::Mixed(way.ours, routes.tls)),
            Err(Clash::Address) => Err(ListenError::Taken(way.ours, way.theirs)),
            Err(Clash::Token) => Err(ListenError::SameToken(way.ours, way.theirs)),
        }
    }

    fn add(&self, listener: TcpListener, way: &Listen) {
        let tls = way.tls.then(|| Arc::clone(&self.tls));
        let callers = Arc::new(Callers::new(way.ours, tls, self.store.clone(), &self.limits));
        let task = tokio::spawn(Arc::clone(&callers).accept(listener));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(way.ours, Listener { callers, task });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.services.listeners.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = open.get(&self.way.ours) {
            let is_empty = {
                let mut routes = listener.callers.routes.lock().unwrap_or_else(PoisonError::into_inner);
                routes.leave(self.way.theirs, self.way.token.as_ref())
            };
            if is_empty {
                listener.task.abort();
                open.remove(&self.way.ours);
            }
        }
    }
}
