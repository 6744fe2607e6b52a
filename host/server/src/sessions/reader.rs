//! One reader for as long as it is configured: connection after connection, for ever.

use std::{sync::Arc, time::Duration};

use cardinal_domain::{
    driver::{Context, Fault},
    event::{EventBody, EventKind},
    names::TraceId,
    site::{Device, Reader},
};
use cardinal_runtime::{Driver, DriverSession, SessionError};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Order, Services,
    backoff::Backoff,
    clock::Clock,
    connection::{Connection, End},
    dial::dial,
    fault::fault_event,
    going_on::Origin,
    hands::{Hands, flood_over},
    hidden::Hidden,
    http::HttpSession,
    listen::Place,
    socket,
    status::StatusCell,
    stream::Stream,
    taps::Taps,
    throttle::{Flood, Meter},
};
use crate::{
    calls::Callback,
    readers::{self, Listen, Prepared, Way},
};

/// How many connections a terminal that calls may make at once: restarts, a bad cable.
const CALLS_AT_ONCE: u64 = 10;

const SECOND: Duration = Duration::from_secs(1);

/// What an operator is warned of where a reader's calls are not encrypted.
const IN_CLEAR: &str =
    "it calls over plain HTTP: whoever listens on the network sees card numbers, and can show cards in its name";

pub(super) struct ReaderTask {
    services: Arc<Services>,
    spec: Arc<Reader>,
    stop: CancellationToken,
    orders: mpsc::Receiver<Box<Order>>,
    status: StatusCell,
    flood: Flood,
    /// Whether the present outage was told of.
    told_unreachable: bool,
}

impl ReaderTask {
    pub(super) fn new(
        services: Arc<Services>,
        spec: Arc<Reader>,
        stop: CancellationToken,
        orders: mpsc::Receiver<Box<Order>>,
        status: StatusCell,
    ) -> Self {
        let flood = Flood::new(services.config.sessions.calm_ms);
        Self { services, spec, stop, orders, status, flood, told_unreachable: false }
    }

    /// Runs until stopped, or until it turns out that the reader cannot be run as configured. Takes the place at a listener
    /// that the reader had as it was configured before, and where it was stopped gives its own for the next: what waits
    /// there may be cards.
    pub(super) async fn run(mut self, mut place: Option<Place>) -> Option<Place> {
        self.serve(&mut place).await;
        // However that came about: nobody is left who would see the flood end.
        if let Some(lasted) = self.flood.end() {
            self.unthrottled(lasted).await;
        }
        // Where it ended by itself nobody may come for long, and terminals are to see that nobody reads them.
        place.filter(|_| self.stop.is_cancelled())
    }

    async fn serve(&mut self, place: &mut Option<Place>) {
        let mut backoff = Backoff::new(&self.spec.link);
        let per_minute = self.services.config.sessions.connections_per_minute;
        let mut calls = Meter::new(per_minute, SECOND * 60, CALLS_AT_ONCE);
        loop {
            // Only how it is reached is used of this: its driver may be another one by the time that it comes.
            let prepared = match readers::check(&self.services.drivers, &self.services.config, &self.spec) {
                Ok(prepared) => prepared,
                Err(problem) => return self.misconfigured(&problem).await,
            };
            self.status.runs(&prepared.driver, prepared.commands.clone());
            if let Some(why) = self.services.quarantine.held(&self.spec.name, prepared.driver.digest()) {
                // Nobody serves it: terminals are to see that.
                *place = None;
                if !self.quarantined(&prepared.driver, &why).await {
                    return;
                }
                continue;
            }
            // Given up before another is taken: it may be at the same address.
            if place.as_ref().is_some_and(|place| !place.serves(&prepared.way)) {
                *place = None;
            }
            let way = prepared.way;
            let stream = match &way {
                Way::Dial(address) => Some(self.dial(address, &mut backoff).await.map(Stream::from)),
                Way::Listen(way) => Some(self.next_caller(place, way, &mut backoff, &mut calls).await),
                Way::Http(_) => None,
            };
            let started = Instant::now();
            let ended = match stream {
                Some(Some(stream)) => self.connection(&way, stream, place.as_ref()).await,
                Some(None) => return,
                None => Box::pin(self.http(&way)).await,
            };
            let end = ended.unwrap_or_else(End::Driver);
            if let End::Driver(error) = &end {
                self.failed(error).await;
            }
            backoff.ended_after(started.elapsed());
            let listens = place.is_some();
            match end {
                End::Stopped if self.stop.is_cancelled() => return,
                End::Stopped | End::Replaced => {}
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
    async fn dial(&mut self, address: &str, backoff: &mut Backoff) -> Option<tokio::net::TcpStream> {
        loop {
            self.calm().await;
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

    /// Waits for the terminal to dial, and until it may have its next connection; none: stopped. A connection stays in its
    /// place until it is served: whoever calls again meanwhile has given it up, but not a card that came on it.
    async fn next_caller(
        &mut self,
        place: &mut Option<Place>,
        way: &Listen,
        backoff: &mut Backoff,
        calls: &mut Meter,
    ) -> Option<Stream> {
        loop {
            self.calm().await;
            if let Some(place) = place {
                let over_at = self.flood.over_at();
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return None,
                    () = place.called() => {
                        if !self.paced(calls).await {
                            return None;
                        }
                        if let Some(stream) = place.take_stream() {
                            return Some(stream);
                        }
                        continue;
                    }
                    () = tokio::time::sleep_until(over_at.unwrap_or_else(Instant::now)), if over_at.is_some() => continue,
                }
            }
            match Place::take(&self.services, way).await {
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

    /// Waits until the terminal that calls may have its next connection. False: stopped.
    async fn paced(&mut self, calls: &mut Meter) -> bool {
        calls.take(1);
        let Some(at) = calls.wait() else { return true };
        if self.flood.crossed() {
            self.status.throttled();
            let message = format!("{} calls again and again; its connections are taken more slowly", self.spec.name);
            let limit = self.services.config.sessions.connections_per_minute.to_string();
            let event = self.event(TraceId::new(), EventKind::ReaderThrottled, message);
            self.services.tell(event.fact("bound", "connections_per_minute").fact("limit", limit)).await;
        }
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep_until(at) => true,
        }
    }

    /// Tells that a flood is over, if it is, while no connection stands that would.
    async fn calm(&mut self) {
        if let Some(lasted) = self.flood.over() {
            self.unthrottled(lasted).await;
        }
    }

    async fn unthrottled(&self, lasted: Duration) {
        self.status.unthrottled();
        let (kind, message) = (EventKind::ReaderUnthrottled, flood_over(&self.spec.name, lasted));
        self.services.tell(self.event(TraceId::new(), kind, message)).await;
    }

    /// What a session begins with, looked up once it counts as connected: whoever chooses another version, or takes this one
    /// away, either comes before and is followed, or finds the session. None: it cannot begin like this any more.
    fn prepared(&self, way: &Way) -> Option<Prepared> {
        let prepared = readers::check(&self.services.drivers, &self.services.config, &self.spec).ok();
        let prepared = prepared.filter(|now| {
            now.way == *way && self.services.quarantine.held(&self.spec.name, now.driver.digest()).is_none()
        });
        match &prepared {
            Some(prepared) => self.status.runs(&prepared.driver, prepared.commands.clone()),
            None => self.status.offline("its driver was changed meanwhile"),
        }
        prepared
    }

    async fn connection(&mut self, way: &Way, stream: Stream, place: Option<&Place>) -> Result<End, SessionError> {
        let trace = TraceId::new();
        let peer = stream.socket().peer_addr().map(|peer| peer.to_string()).unwrap_or_default();
        if let Err(error) = socket::prepare(stream.socket(), &self.spec.link) {
            tracing::warn!(reader = %self.spec.name, %error, "a dead peer will be noticed late: socket options were refused");
        }
        self.told_unreachable = false;
        self.status.online(peer.clone());
        let Some(prepared) = self.prepared(way) else {
            if let Some(place) = place {
                place.give_back(stream);
            }
            return Ok(End::Stopped);
        };
        let label = prepared.driver.label();
        let event = self.event(trace, EventKind::ReaderConnected, format!("{} is connected ({peer})", self.spec.name));
        self.services.tell(event.fact("driver", &*label)).await;
        let ended = match Box::pin(self.open(prepared, None)).await {
            Ok(Some(opened)) => {
                let hands = hands(&self.services, &self.spec, &self.status, &mut self.flood, trace, opened);
                Ok(Connection { hands }.run(stream, place, &mut self.orders, &self.stop).await)
            }
            Ok(None) => {
                // Not read: it is for whoever has the place next.
                if let Some(place) = place {
                    place.give_back(stream);
                }
                Ok(End::Stopped)
            }
            Err(error) => {
                // Its driver has not seen it: should the host be able the next time, the card on it is read.
                if let (SessionError::Host { .. }, Some(place)) = (&error, place) {
                    place.give_back(stream);
                }
                Err(error)
            }
        };
        self.told_end(trace, &label, &ended).await;
        ended
    }

    /// A session over HTTP, from its beginning to its end.
    async fn http(&mut self, way: &Way) -> Result<End, SessionError> {
        let Way::Http(http) = way else { return Ok(End::Stopped) };
        self.calm().await;
        // First of all: a call that comes meanwhile, or came since the session before, waits for this one.
        let place = self.services.calls.take(&self.spec);
        let Callback { url: callback, secrets } = match self.services.calls.callback(&self.spec).await {
            Ok(callback) => callback,
            Err(error) => {
                let why = format!("{:#}", anyhow::Error::from(error));
                self.unreachable(&why).await;
                return Ok(End::Gone(Fault::new("no-callback", why)));
            }
        };
        let hidden = Hidden::of(secrets);
        self.told_unreachable = false;
        self.status.online(http.host.clone());
        let Some(prepared) = self.prepared(way) else { return Ok(End::Stopped) };
        let (trace, label) = (TraceId::new(), prepared.driver.label());
        self.status.warn(callback.starts_with("http://").then_some(IN_CLEAR));
        let message = format!("{} is in touch over HTTP ({})", self.spec.name, http.host);
        self.services.tell(self.event(trace, EventKind::ReaderConnected, message).fact("driver", &*label)).await;
        let ended = match self.open(prepared, Some(callback)).await {
            Ok(Some(opened)) => {
                let hands = hands(&self.services, &self.spec, &self.status, &mut self.flood, trace, opened);
                let hands = Hands { hidden, ..hands };
                Ok(HttpSession::new(hands, http.clone()).run(place, &mut self.orders, &self.stop).await)
            }
            Ok(None) => Ok(End::Stopped),
            Err(error) => Err(hidden.error(error)),
        };
        self.told_end(trace, &label, &ended).await;
        ended
    }

    /// The driver's session, with what it began from. None: stopped while the host was full.
    async fn open(&self, prepared: Prepared, callback: Option<String>) -> Result<Option<Opened>, SessionError> {
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
            settings: prepared.settings,
            callback: callback.clone(),
            memory: memory.clone(),
            saved: None,
        };
        let origin = Origin { way: prepared.way, callback, memory };
        tokio::select! {
            () = self.stop.cancelled() => Ok(None),
            opened = prepared.driver.open(context, &prepared.bounds) => {
                opened.map(|session| Some(Opened { session, device, origin }))
            }
        }
    }

    /// Tells why a connection ended.
    async fn told_end(&self, trace: TraceId, label: &str, ended: &Result<End, SessionError>) {
        let name = &self.spec.name;
        let why = match ended {
            Ok(End::Gone(fault) | End::Closed(fault)) => fault.message.clone(),
            Ok(End::Replaced) => "the terminal made a newer connection".to_owned(),
            Ok(End::Stopped) => "the host closed it".to_owned(),
            Ok(End::Driver(error)) | Err(error) => {
                self.services.tell(fault_event(&self.services, &self.spec, &self.status, trace, error).await).await;
                error.to_string()
            }
        };
        self.status.offline(&why);
        let event = self.event(trace, EventKind::ReaderDisconnected, format!("{name} is disconnected: {why}"));
        self.services.tell(event.fact("driver", label)).await;
    }

    /// The driver's session ended against its will: too often, and it is not started again.
    async fn failed(&self, error: &SessionError) {
        if matches!(error, SessionError::Host { .. }) {
            return;
        }
        let (label, digest) = self.status.failed();
        let (name, limits) = (&self.spec.name, &self.services.config.sessions);
        if let Some(why) = self.services.quarantine.failed(name, &digest, &error.to_string(), limits) {
            let message =
                format!("{label} is quarantined on {name}: {why}. `cardinal reader free {name}` starts it again");
            let event = self.event(TraceId::new(), EventKind::DriverQuarantined, message);
            self.services.tell(event.fact("driver", label)).await;
        }
    }

    /// Waits until its driver is freed, or another version of it is to run. False: stopped.
    async fn quarantined(&self, driver: &Driver, why: &str) -> bool {
        let name = &self.spec.name;
        self.status.quarantined(why);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = self.services.quarantine.freed() => {}
                () = tokio::time::sleep(SECOND) => {}
            }
            let is_same =
                || self.services.drivers.find_for(&self.spec).is_ok_and(|now| now.digest() == driver.digest());
            if self.services.quarantine.held(name, driver.digest()).is_none() || !is_same() {
                let message = format!("{name} is served again: it was freed, or has another driver");
                self.services.tell(self.event(TraceId::new(), EventKind::DriverFreed, message)).await;
                return true;
            }
        }
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

/// A driver's session that begins.
struct Opened {
    session: DriverSession,
    /// Where the reader stands.
    device: Device,
    origin: Origin,
}

/// A driver's session with everything that it works with.
fn hands<'t>(
    services: &'t Arc<Services>,
    spec: &'t Reader,
    status: &'t StatusCell,
    flood: &'t mut Flood,
    trace: TraceId,
    opened: Opened,
) -> Hands<'t> {
    let Opened { session, device, origin } = opened;
    let bytes = services.config.sessions.bytes_per_second;
    Hands {
        services,
        spec,
        status,
        trace,
        label: session.driver().label(),
        clock: Clock::new(),
        tape: services.recorder.tape(&spec.name),
        taps: Taps::new(Arc::clone(services), spec.name.clone(), device),
        bytes: Meter::new(bytes, SECOND, bytes),
        session,
        hidden: Hidden::default(),
        flood,
        origin,
        sleeps_at: None,
        moves: None,
    }
}
