//! From a connection that was accepted to the session it belongs to: the caller's address, the TLS handshake, the token.
//!
//! Whoever calls from an address that no reader has is closed at once. The rest is done in a task for each caller, so many
//! at a time and within bounded time, so that nobody holds up the listener.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cardinal_domain::{
    bounds::size,
    event::{EventBody, EventKind},
    names::TraceId,
};
use cardinal_store::Store;
use tokio::net::{TcpListener, TcpStream};

use super::{
    first_line::FirstLine,
    refused::{Refused, Tell},
    routes::{Caller, MOST_WAITING, Routes, Slot},
    stream::Stream,
};
use crate::{
    config::CallerLimits,
    tls::{Crowd, Tls},
};

/// How long to wait after a failed accept (no file descriptors left, as a rule).
const AFTER_ERROR: Duration = Duration::from_millis(200);

/// What one listener does with callers.
pub(super) struct Callers {
    pub(super) routes: Mutex<Routes>,
    ours: SocketAddr,
    /// None: plain.
    tls: Option<Arc<Tls>>,
    store: Store,
    limit: Duration,
    crowd: Arc<Crowd>,
    refused: Mutex<Refused>,
}

impl Callers {
    pub(super) fn new(ours: SocketAddr, tls: Option<Arc<Tls>>, store: Store, limits: &CallerLimits) -> Self {
        Self {
            routes: Mutex::new(Routes::new(tls.is_some())),
            ours,
            tls,
            store,
            limit: Duration::from_millis(limits.greeting_ms),
            crowd: Arc::new(Crowd::new(limits)),
            refused: Mutex::new(Refused::new(size(limits.refused_told))),
        }
    }

    /// Accepts for ever.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.came(stream, peer.ip().to_canonical()),
                Err(error) => {
                    tracing::warn!(ours = %self.ours, %error, "a terminal could not be accepted");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    fn came(self: &Arc<Self>, stream: TcpStream, address: IpAddr) {
        match self.caller(address) {
            Caller::Nobody => {
                let ours = self.ours;
                self.refuse(
                    address,
                    &format!(
                        "no reader has that address; add one with listen = \"{ours}\" and address = \"{address}\""
                    ),
                );
            }
            Caller::Known(slot) if self.tls.is_none() => self.hand_over(&slot, stream.into(), address),
            Caller::Known(_) | Caller::Unsaid => {
                let Some(entered) = self.crowd.enter(address) else {
                    return self.refuse(address, "too many callers have not said yet who they are; it may call again");
                };
                let own = Arc::clone(self);
                tokio::spawn(async move {
                    match own.greet(stream, address).await {
                        Ok((slot, stream)) => own.hand_over(&slot, stream, address),
                        Err(why) => own.refuse(address, &why),
                    }
                    drop(entered);
                });
            }
        }
    }

    fn hand_over(&self, slot: &Slot, stream: Stream, address: IpAddr) {
        if !slot.put(stream) {
            self.refuse(
                address,
                &format!(
                    "{MOST_WAITING} connections of it wait to be read already, and this one was closed unread: a card \
                     shown on it must be shown again (connections_per_minute in [sessions] says how fast they are taken)"
                ),
            );
        }
    }

    /// TLS and the first line, as far as they are wanted: whose connection it is.
    async fn greet(&self, stream: TcpStream, address: IpAddr) -> Result<(Arc<Slot>, Stream), String> {
        let mut stream = match &self.tls {
            Some(tls) => tls.handshake(stream, self.limit).await?.into(),
            None => Stream::from(stream),
        };
        // Asked again: the readers may have changed meanwhile.
        match self.caller(address) {
            Caller::Nobody => Err("its reader was removed".to_owned()),
            Caller::Known(slot) => Ok((slot, stream)),
            Caller::Unsaid => {
                let limit = self.limit;
                let whole = tokio::time::timeout(limit, first_line(&mut stream)).await;
                let (line, rest, after_cr) = whole.map_err(|_| {
                    format!("its first line, which must be its token, was not whole within {limit:?}")
                })??;
                let slot = self.routes.lock().unwrap_or_else(PoisonError::into_inner).by_token(address, &line);
                let slot = slot.ok_or("its first line is no token of a reader with this address")?;
                Ok((slot, stream.behind_a_line(rest, after_cr)))
            }
        }
    }

    fn caller(&self, address: IpAddr) -> Caller {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).caller(address)
    }

    /// Tells of a caller that was turned away, at most once a minute for an address. Never what it said: that may be a
    /// token with a slip in it.
    fn refuse(&self, address: IpAddr, why: &str) {
        let ours = self.ours;
        let told = self.refused.lock().unwrap_or_else(PoisonError::into_inner).caller(address, Instant::now());
        let event = |message| EventBody::new(TraceId::new(), EventKind::TerminalRefused, message);
        let event = match told {
            None => return,
            Some(Tell::This { before: 0 }) => {
                event(format!("a terminal at {address} dialled {ours}, but {why}")).fact("address", address.to_string())
            }
            Some(Tell::This { before }) => event(format!(
                "a terminal at {address} dialled {ours}, but {why} ({before} times more since last told)"
            ))
            .fact("address", address.to_string())
            .fact("suppressed", before.to_string()),
            Some(Tell::Others(count)) => {
                event(format!("{count} more calls to {ours} were refused, from too many addresses to tell of each"))
                    .fact("suppressed", count.to_string())
            }
        };
        let store = self.store.clone();
        // Not here: the store may be slow, and callers keep coming. There are no more of these than addresses are told of.
        tokio::spawn(async move {
            if let Err(error) = store.record(vec![event]).await {
                tracing::error!(error = &error as &dyn std::error::Error, "an event was lost");
            }
        });
    }
}

/// The first line, what came behind it, and whether it ended in CR.
async fn first_line(stream: &mut Stream) -> Result<(Vec<u8>, Vec<u8>, bool), String> {
    let mut line = FirstLine::default();
    let mut buffer = [0; 256];
    loop {
        let length = stream.read(&mut buffer).await.map_err(|error| format!("the connection was lost: {error}"))?;
        if length == 0 {
            return Err("it hung up before its first line, which must be its token, was whole".to_owned());
        }
        let piece = buffer.get(..length).unwrap_or_default();
        match line.take(piece) {
            Ok(None) => {}
            Ok(Some(whole)) => return Ok((whole.line, whole.rest, whole.after_cr)),
            Err(_) => return Err("its first line, which must be its token, is longer than any token".to_owned()),
        }
    }
}
