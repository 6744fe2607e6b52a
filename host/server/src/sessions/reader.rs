//! One reader for as long as it is configured: connection after connection, for ever.

use std::{net::IpAddr, sync::Arc};

use cardinal_domain::{
    driver::Context,
    event::{EventBody, EventKind},
    names::TraceId,
    site::Reader,
};
use cardinal_runtime::{Driver, SessionError};
use tokio::{net::TcpStream, sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Command, Services,
    backoff::Backoff,
    clock::Clock,
    connection::{Connection, End},
    dial::dial,
    listen::Place,
    socket,
    status::StatusCell,
    taps::Taps,
};
use crate::readers::{Prepared, Way, prepare};

pub(super) struct ReaderTask {
    services: Arc<Services>,
    spec: Reader,
    stop: CancellationToken,
    commands: mpsc::Receiver<Command>,
    status: StatusCell,
    /// Whether the present outage was told of.
    told_unreachable: bool,
}

impl ReaderTask {
    pub(super) fn new(
        services: Arc<Services>,
        spec: Reader,
        stop: CancellationToken,
        commands: mpsc::Receiver<Command>,
        status: StatusCell,
    ) -> Self {
        Self { services, spec, stop, commands, status, told_unreachable: false }
    }

    /// Runs until stopped, or until it turns out that the reader cannot be run as configured.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(&self.spec.link);
        let mut place = None;
        let mut waiting: Option<TcpStream> = None;
        loop {
            // Looked up for each connection, so that a driver installed meanwhile is used from the next one on.
            let prepared = match prepare(&self.services, &self.spec) {
                Ok(prepared) => prepared,
                Err(problem) => return self.misconfigured(&problem).await,
            };
            self.status.runs(prepared.driver.label(), prepared.commands.clone());
            let stream = match (&prepared.way, waiting.take()) {
                (_, Some(stream)) => stream,
                (Way::Dial(address), None) => match self.dial(address, &mut backoff).await {
                    Some(stream) => stream,
                    None => return,
                },
                (Way::Listen(ours, theirs), None) => {
                    match self.next_caller(&mut place, *ours, *theirs, &mut backoff).await {
                        Some(stream) => stream,
                        None => return,
                    }
                }
            };
            let started = Instant::now();
            let end = match self.connection(prepared, stream, place.as_mut()).await {
                Ok(end) => end,
                Err(error) => End::Driver(error),
            };
            backoff.ended_after(started.elapsed());
            let listens = place.is_some();
            match end {
                End::Stopped => return,
                End::Replaced(stream) => waiting = Some(stream),
                // A terminal that dials chooses its own pace.
                End::Gone(_) if listens => {}
                End::Gone(_) | End::Closed(_) | End::Driver(_) => {
                    if !self.pause(&mut backoff).await {
                        return;
                    }
                }
            }
        }
    }

    /// Dials until it works; none: stopped.
    async fn dial(&mut self, address: &str, backoff: &mut Backoff) -> Option<TcpStream> {
        loop {
            let tried = tokio::select! {
                () = self.stop.cancelled() => return None,
                tried = dial(address, &self.spec.link) => tried,
            };
            match tried {
                Ok(stream) => return Some(stream),
                Err(error) => self.unreachable(&error.to_string()).await,
            }
            if !self.pause(backoff).await {
                return None;
            }
        }
    }

    /// Waits for the terminal to dial; none: stopped.
    async fn next_caller(
        &mut self,
        place: &mut Option<Place>,
        ours: std::net::SocketAddr,
        theirs: IpAddr,
        backoff: &mut Backoff,
    ) -> Option<TcpStream> {
        loop {
            if let Some(place) = place {
                return tokio::select! {
                    () = self.stop.cancelled() => None,
                    stream = place.next() => Some(stream),
                };
            }
            match Place::take(&self.services, ours, theirs).await {
                Ok(taken) => *place = Some(taken),
                Err(error) => {
                    self.unreachable(&error.to_string()).await;
                    if !self.pause(backoff).await {
                        return None;
                    }
                }
            }
        }
    }

    async fn connection(
        &mut self,
        prepared: Prepared,
        stream: TcpStream,
        place: Option<&mut Place>,
    ) -> Result<End, SessionError> {
        let trace = TraceId::new();
        let peer = stream.peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        if let Err(error) = socket::prepare(&stream, &self.spec.link) {
            tracing::warn!(reader = %self.spec.name, %error, "a dead peer will be noticed late: socket options were refused");
        }
        let driver: Driver = prepared.driver;
        let label = driver.label();
        let memory = match self.services.memory.recall(&self.spec.name).await {
            Ok(memory) => memory,
            Err(error) => {
                tracing::error!(reader = %self.spec.name, error = &*error, "what the driver had remembered cannot be read");
                Vec::new()
            }
        };
        let context = Context {
            mode: self.spec.mode.clone(),
            transport: prepared.way.name().to_owned(),
            settings: prepared.settings,
            callback: None,
            memory,
            saved: None,
        };
        self.told_unreachable = false;
        self.status.online(peer.clone());
        self.tell(trace, EventKind::ReaderConnected, format!("{} is connected ({peer})", self.spec.name), &label, &[])
            .await;
        let ended = match driver.open(context, &prepared.bounds).await {
            Ok(session) => {
                let connection = Connection {
                    services: &self.services,
                    spec: &self.spec,
                    status: &self.status,
                    trace,
                    session,
                    clock: Clock::new(),
                    taps: Taps::new(Arc::clone(&self.services), self.spec.name.clone()),
                    throttled: None,
                };
                Ok(connection.run(stream, place, &mut self.commands, &self.stop).await)
            }
            Err(error) => Err(error),
        };
        self.told_end(trace, &label, &ended).await;
        ended
    }

    /// Tells why a connection ended.
    async fn told_end(&self, trace: TraceId, label: &str, ended: &Result<End, SessionError>) {
        let name = &self.spec.name;
        let why = match ended {
            Ok(End::Gone(fault) | End::Closed(fault)) => fault.message.clone(),
            Ok(End::Replaced(_)) => "the terminal made a newer connection".to_owned(),
            Ok(End::Stopped) => "the host closed it".to_owned(),
            Ok(End::Driver(error)) | Err(error) => {
                let (kind, mut facts) = match error {
                    SessionError::Trap { backtrace, export, .. } => (
                        EventKind::DriverTrapped,
                        vec![("export", (*export).to_owned()), ("backtrace", backtrace.clone())],
                    ),
                    SessionError::Bound { name, limit, export, .. } => (
                        EventKind::DriverBound,
                        vec![
                            ("bound", (*name).to_owned()),
                            ("limit", limit.to_string()),
                            ("export", (*export).to_owned()),
                        ],
                    ),
                    _ => (EventKind::DriverFault, Vec::new()),
                };
                facts.retain(|(_, value)| !value.is_empty());
                let message = format!("reader {name}: {label}: {error}. Its connection is closed and made anew");
                self.tell(trace, kind, message, label, &facts).await;
                error.to_string()
            }
        };
        self.status.offline(&why);
        self.tell(trace, EventKind::ReaderDisconnected, format!("{name} is disconnected: {why}"), label, &[]).await;
    }

    async fn unreachable(&mut self, why: &str) {
        self.status.offline(why);
        if !self.told_unreachable {
            self.told_unreachable = true;
            let message = format!("{}: {why}; trying on", self.spec.name);
            self.tell(TraceId::new(), EventKind::ReaderUnreachable, message, &self.spec.driver.to_string(), &[]).await;
        }
    }

    async fn misconfigured(&self, problem: &str) {
        self.status.misconfigured(problem);
        let message = format!("{} cannot be run: {problem}", self.spec.name);
        self.tell(TraceId::new(), EventKind::ReaderMisconfigured, message, &self.spec.driver.to_string(), &[]).await;
    }

    /// Waits before the next try. False: stopped.
    async fn pause(&self, backoff: &mut Backoff) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(backoff.pause()) => true,
        }
    }

    async fn tell(&self, trace: TraceId, kind: EventKind, message: String, driver: &str, facts: &[(&str, String)]) {
        let mut event = EventBody::new(trace, kind, message)
            .reader(&self.spec.name)
            .device(&self.spec.device)
            .fact("driver", driver);
        for (key, value) in facts {
            event = event.fact(key, value.clone());
        }
        if let Err(error) = self.services.store.record(vec![event]).await {
            tracing::error!(reader = %self.spec.name, error = &error as &dyn std::error::Error, "an event was lost");
        }
    }
}
