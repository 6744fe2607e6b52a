//! One reader for as long as it is configured: connection after connection, for ever.

use std::{net::IpAddr, sync::Arc};

use cardinal_domain::{
    driver::Context,
    event::{EventBody, EventKind},
    names::TraceId,
    site::{Device, Reader},
};
use cardinal_runtime::{Driver, DriverSession, SessionError};
use tokio::{net::TcpStream, sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Command, Services,
    backoff::Backoff,
    clock::Clock,
    connection::{Connection, End, failure},
    dial::dial,
    listen::Place,
    socket,
    status::StatusCell,
    taps::Taps,
};
use crate::readers::{self, Prepared, Way};

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
            let prepared = match readers::check(&self.services.drivers, &self.services.config, &self.spec) {
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
                    self.unreachable(&format!("{:#}", anyhow::Error::from(error))).await;
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
        let driver = &prepared.driver;
        let label = driver.label();
        self.told_unreachable = false;
        self.status.online(peer.clone());
        let event = self.event(trace, EventKind::ReaderConnected, format!("{} is connected ({peer})", self.spec.name));
        self.services.tell(event.fact("driver", &*label)).await;
        let ended = match self.open(driver, &prepared).await {
            Ok(Some((session, device))) => {
                let connection = Connection {
                    services: &self.services,
                    spec: &self.spec,
                    status: &self.status,
                    trace,
                    label: label.clone(),
                    session,
                    clock: Clock::new(),
                    taps: Taps::new(Arc::clone(&self.services), self.spec.name.clone(), device),
                    throttled: None,
                };
                Ok(connection.run(stream, place, &mut self.commands, &self.stop).await)
            }
            Ok(None) => Ok(End::Stopped),
            Err(error) => Err(error),
        };
        self.told_end(trace, &label, &ended).await;
        ended
    }

    /// The driver's session, and the device that the reader stands at. None: stopped while the host was full.
    async fn open(
        &self,
        driver: &Driver,
        prepared: &Prepared,
    ) -> Result<Option<(DriverSession, Device)>, SessionError> {
        let failed = |detail: String| SessionError::Host { export: "open", detail };
        // Without what it was promised to be reminded of, a driver might agree on new keys with its reader.
        let memory =
            self.services.memory.recall(&self.spec.name).await.map_err(|error| failed(format!("{error:#}")))?;
        let setup = self.services.store.setup();
        let device = setup.devices.get(&self.spec.device).cloned();
        let device = device.ok_or_else(|| failed(format!("device {} was removed", self.spec.device)))?;
        let context = Context {
            mode: self.spec.mode.clone(),
            transport: prepared.way.name().to_owned(),
            settings: prepared.settings.clone(),
            callback: None,
            memory,
            saved: None,
        };
        tokio::select! {
            () = self.stop.cancelled() => Ok(None),
            opened = driver.open(context, &prepared.bounds) => opened.map(|session| Some((session, device))),
        }
    }

    /// Tells why a connection ended.
    async fn told_end(&self, trace: TraceId, label: &str, ended: &Result<End, SessionError>) {
        let name = &self.spec.name;
        let why = match ended {
            Ok(End::Gone(fault) | End::Closed(fault)) => fault.message.clone(),
            Ok(End::Replaced(_)) => "the terminal made a newer connection".to_owned(),
            Ok(End::Stopped) => "the host closed it".to_owned(),
            Ok(End::Driver(error)) | Err(error) => {
                let event = failure(name, label, trace, error).reader(name).device(&self.spec.device);
                self.services.tell(event.fact("driver", label)).await;
                error.to_string()
            }
        };
        self.status.offline(&why);
        let event = self.event(trace, EventKind::ReaderDisconnected, format!("{name} is disconnected: {why}"));
        self.services.tell(event.fact("driver", label)).await;
    }

    async fn unreachable(&mut self, why: &str) {
        self.status.offline(why);
        if !self.told_unreachable {
            self.told_unreachable = true;
            let message = format!("{}: {why}; trying on", self.spec.name);
            self.services.tell(self.event(TraceId::new(), EventKind::ReaderUnreachable, message)).await;
        }
    }

    async fn misconfigured(&self, problem: &str) {
        self.status.misconfigured(problem);
        let message = format!("{} cannot be run: {problem}", self.spec.name);
        self.services.tell(self.event(TraceId::new(), EventKind::ReaderMisconfigured, message)).await;
    }

    /// Waits before the next try. False: stopped.
    async fn pause(&self, backoff: &mut Backoff) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(backoff.pause()) => true,
        }
    }

    fn event(&self, trace: TraceId, kind: EventKind, message: String) -> EventBody {
        EventBody::new(trace, kind, message).reader(&self.spec.name).device(&self.spec.device)
    }
}
