//! One connection with a reader, from `connected` to its end: what happens becomes inputs, what the driver answers is
//! carried out.

use std::{io, sync::Arc, time::Duration};

use cardinal_domain::{
    bounds::size,
    driver::{Fault, Health, Input, LogLevel, Millis, Output},
    event::{EventBody, EventKind, Level},
    names::{ReaderName, TraceId},
    site::Reader,
};
use cardinal_runtime::{DriverSession, SessionError};
use rand::Rng as _;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Command, Services,
    clock::{Clock, Due},
    listen::Place,
    status::StatusCell,
    stream::Stream,
    taps::{Decided, Taps},
    throttle::{Flood, Meter},
};

/// What one read counts for at least, in bytes: each is a call of the driver.
const LEAST_READ: u64 = 64;
/// How long saying goodbye may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a connection ended.
pub(super) enum End {
    /// The reader closed it, or the network did.
    Gone(Fault),
    /// A newer connection of the same terminal waits in its place.
    Replaced,
    /// The host or the configuration wants it closed.
    Stopped,
    /// The driver asked for it.
    Closed(Fault),
    /// The driver's session is over: a trap, a bound, a fault.
    Driver(SessionError),
}

pub(super) struct Connection<'t> {
    pub(super) services: &'t Arc<Services>,
    pub(super) spec: &'t Reader,
    pub(super) status: &'t StatusCell,
    /// Of everything on this connection but its cards.
    pub(super) trace: TraceId,
    /// The driver with its version.
    pub(super) label: String,
    pub(super) session: DriverSession,
    pub(super) clock: Clock,
    pub(super) taps: Taps,
    /// What may be read now.
    pub(super) bytes: Meter,
    /// The reader's: it goes on over connections.
    pub(super) flood: &'t mut Flood,
}

impl Connection<'_> {
    /// Runs the connection to its end. Every card that was read has been decided about when this returns.
    pub(super) async fn run(
        mut self,
        mut stream: Stream,
        place: Option<&Place>,
        commands: &mut mpsc::Receiver<Box<Command>>,
        stop: &CancellationToken,
    ) -> End {
        let most_waiting = size(self.services.config.sessions.cards_waiting);
        // What was meant for an earlier connection is none of this one's business.
        while commands.try_recv().is_ok() {}
        let mut buffer = vec![0; size(self.session.bounds().input_bytes).max(1)];
        let mut random = vec![0; 32];
        rand::rng().fill_bytes(&mut random);
        let mut input = Some(Input::Connected(random));
        let end = loop {
            if let Some(input) = input.take()
                && let Err(end) = self.input(input, Some(&mut stream)).await
            {
                break end;
            }
            // A flood stays in the socket, where it slows its sender down.
            let (is_full, paced) = (self.taps.len() >= most_waiting, self.bytes.wait());
            if is_full || paced.is_some() {
                self.throttled(is_full).await;
            } else if let Some(lasted) = self.flood.over() {
                self.unthrottled(lasted).await;
            }
            let due = [self.clock.next(), paced, self.flood.over_at()].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break End::Stopped,
                () = called_again(place) => break End::Replaced,
                Some(decided) = self.taps.next() => input = Some(Input::Verdict(decided.verdict)),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    match self.clock.take_due() {
                        Some(Due::Timer(id)) => input = Some(Input::Timer(id)),
                        Some(Due::Keepalive(bytes)) => {
                            if let Err(end) = self.send(&mut stream, &bytes).await {
                                break end;
                            }
                        }
                        None => {}
                    }
                }
                Some(command) = commands.recv() => input = Some(Input::Command(command.name, command.arguments)),
                received = stream.read(&mut buffer), if !is_full && paced.is_none() => match received {
                    Ok(0) => break End::Gone(Fault::new("closed", "the reader closed the connection")),
                    Ok(length) => {
                        self.bytes.take(u64::try_from(length).unwrap_or(u64::MAX).max(LEAST_READ));
                        input = Some(Input::Received(buffer.get(..length).unwrap_or_default().to_vec()));
                    }
                    Err(error) => break End::Gone(Fault::new("lost", lost(&error))),
                },
            }
        };
        Box::pin(self.finish(end, &mut buffer, &mut stream)).await
    }

    /// Gives the driver one input and carries out what it answers.
    async fn input(&mut self, input: Input, mut write: Option<&mut Stream>) -> Result<(), End> {
        let now = self.clock.now();
        let outputs = self.session.handle(now, input).await.map_err(End::Driver)?;
        for id in self.session.take_late_answers() {
            let message = format!("the driver of {} answered call {id}, which is no longer open", self.spec.name);
            self.tell(EventBody::new(self.trace, EventKind::DriverLate, message)).await;
        }
        let mut carried_out = Ok(());
        for output in outputs {
            match Box::pin(self.carry_out(now, output, write.as_deref_mut())).await {
                // A card counts although the reader went away before it could be answered.
                Err(gone @ End::Gone(_)) => (carried_out, write) = (Err(gone), None),
                other => other?,
            }
        }
        carried_out
    }

    async fn carry_out(&mut self, now: Millis, output: Output, write: Option<&mut Stream>) -> Result<(), End> {
        match output {
            Output::Send(bytes) => {
                if let Some(write) = write {
                    self.send(write, &bytes).await?;
                }
            }
            Output::Card(read) => {
                self.status.card();
                self.taps.push(read);
            }
            Output::Keepalive(keepalive) => self.clock.keep_alive(keepalive),
            Output::SetTimer(id, after) => self.clock.set(id, now, after),
            Output::CancelTimer(id) => self.clock.cancel(id),
            Output::Status(report) => {
                if self.status.reported(&report, size(self.services.config.sessions.facts)) {
                    let level = match report.health {
                        Health::Online => Level::Info,
                        Health::Degraded => Level::Warning,
                        Health::Error => Level::Error,
                    };
                    let why = if report.reason.is_empty() { String::new() } else { format!(": {}", report.reason) };
                    let message = format!("{} is {}{why}", self.spec.name, report.health);
                    self.tell(EventBody::new(self.trace, EventKind::ReaderStatus, message).level(level)).await;
                }
            }
            Output::Log(level, line) => self.log(level, &line).await,
            Output::Remember(key, bytes) => {
                let remembering = self.services.memory.remember(&self.spec.name, &key, &bytes);
                if let Err(error) = Box::pin(remembering).await {
                    tracing::error!(reader = %self.spec.name, error = &*error, "what a driver wanted remembered was lost");
                }
            }
            Output::Close(fault) => return Err(End::Closed(fault)),
            // No device asks for typed text yet; what was typed may be a PIN, so it is not told.
            Output::Typed(..) => {
                let message = format!("something was typed at {}, but nothing was asked for", self.spec.name);
                self.tell(EventBody::new(self.trace, EventKind::ReaderLog, message).level(Level::Warning)).await;
            }
            // The runtime refuses these outside HTTP modes, which this host does not start.
            Output::Fetch(_) | Output::Answer(..) => {}
        }
        Ok(())
    }

    /// A reader that takes nothing for as long as a dead one would is taken for dead.
    async fn send(&mut self, stream: &mut Stream, bytes: &[u8]) -> Result<(), End> {
        let patience = Duration::from_millis(self.spec.link.dead_after_ms);
        let gone = |why: String| End::Gone(Fault::new("lost", why));
        match tokio::time::timeout(patience, stream.send(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(gone(lost(&error))),
            Err(_) => Err(gone(format!("the reader took nothing for {patience:?}"))),
        }
    }

    /// Takes what had arrived, decides about every card, tells the driver that it is over, and lets go of the connection.
    async fn finish(mut self, mut end: End, buffer: &mut [u8], stream: &mut Stream) -> End {
        // Nothing more comes: what there is may be decided about as fast as it can be.
        self.taps.hurry();
        let over = matches!(end, End::Closed(_) | End::Driver(_));
        // Whoever only stopped talking may still listen, and an orderly end leaves time to tell the person.
        let listens = !over && !matches!(&end, End::Gone(fault) if fault.code == "lost");
        if !over && let Err(other) = self.take_the_rest(buffer, stream, listens).await {
            end = worse(end, other);
        } else if listens {
            while let Some(decided) = self.taps.next().await {
                if let Err(other) = self.input(Input::Verdict(decided.verdict), Some(&mut *stream)).await {
                    end = worse(end, other);
                    break;
                }
            }
        }
        let farewell = match &end {
            End::Gone(fault) => Some(fault.clone()),
            End::Replaced => Some(Fault::new("replaced", "the terminal made a newer connection")),
            End::Stopped => Some(Fault::new("shutdown", "the host closes the connection")),
            End::Closed(_) | End::Driver(_) => None,
        };
        if let Some(fault) = farewell
            && let Err(End::Driver(error)) = self.input(Input::Disconnected(fault), None).await
        {
            self.tell(failure(&self.spec.name, &self.label, self.trace, &error)).await;
        }
        // Closed before the rest is waited for, so that the reader can call again.
        let _ = tokio::time::timeout(FAREWELL, stream.close()).await;
        while let Some(Decided { verdict, trace }) = self.taps.next().await {
            let message = format!("{} was gone before its verdict ({}) could be told", self.spec.name, verdict.code);
            self.tell(EventBody::new(trace, EventKind::VerdictLate, message)).await;
        }
        end
    }

    /// Gives the driver the bytes that had arrived before the end, and tells the reader what comes of them if it listens.
    async fn take_the_rest(&mut self, buffer: &mut [u8], stream: &mut Stream, listens: bool) -> Result<(), End> {
        let limits = &self.services.config.sessions;
        let (most_waiting, most) = (size(limits.cards_waiting), size(limits.rest_bytes));
        let mut taken = 0;
        while taken < most {
            if self.taps.len() >= most_waiting {
                let Some(decided) = self.taps.next().await else { continue };
                self.input(Input::Verdict(decided.verdict), listens.then_some(&mut *stream)).await?;
                continue;
            }
            // None: nothing more, or an error that the end already tells of.
            let Some(length) = stream.read_now(buffer) else { break };
            taken += length;
            let bytes = buffer.get(..length).unwrap_or_default().to_vec();
            self.input(Input::Received(bytes), listens.then_some(&mut *stream)).await?;
        }
        Ok(())
    }

    async fn log(&mut self, level: LogLevel, line: &str) {
        let level = match level {
            // For the driver's author, who runs it with the test kit; a site's events have no use for it.
            LogLevel::Debug => return tracing::debug!(reader = %self.spec.name, line, "driver"),
            LogLevel::Info => Level::Info,
            LogLevel::Warn => Level::Warning,
            LogLevel::Error => Level::Error,
        };
        self.tell(EventBody::new(self.trace, EventKind::ReaderLog, line).level(level)).await;
    }

    /// A bound was crossed: told at the beginning of a flood.
    async fn throttled(&mut self, cards: bool) {
        if !self.flood.crossed() {
            return;
        }
        self.status.throttled();
        let (name, limits) = (&self.spec.name, &self.services.config.sessions);
        let (message, bound, limit) = if cards {
            let message = format!("{name} shows cards faster than they are decided about; it is read more slowly");
            (message, "cards_waiting", limits.cards_waiting)
        } else {
            let message = format!("{name} sends more than is taken from one reader; it is read more slowly");
            (message, "bytes_per_second", limits.bytes_per_second)
        };
        let event = EventBody::new(self.trace, EventKind::ReaderThrottled, message);
        self.tell(event.fact("bound", bound).fact("limit", limit.to_string())).await;
    }

    async fn unthrottled(&mut self, lasted: Duration) {
        self.status.unthrottled();
        let message = flood_over(&self.spec.name, lasted);
        self.tell(EventBody::new(self.trace, EventKind::ReaderUnthrottled, message)).await;
    }

    async fn tell(&mut self, event: EventBody) {
        self.services.tell(event.reader(&self.spec.name).device(&self.spec.device).fact("driver", &*self.label)).await;
    }
}

/// That a flood is over, in words.
pub(super) fn flood_over(reader: &ReaderName, lasted: Duration) -> String {
    format!("the flood of {reader} is over; it lasted {lasted:.1?}")
}

/// Why a connection was lost, in words.
fn lost(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        // Many small devices do. It is no orderly end: anybody on the way can cut a connection there.
        return "the reader hung up without TLS's goodbye (close_notify)".to_owned();
    }
    format!("the connection was lost: {error}")
}

/// Of two reasons the one that says more: a driver that failed while the end was on its way.
fn worse(end: End, other: End) -> End {
    match (&end, &other) {
        (End::Stopped | End::Replaced, End::Gone(_)) => end,
        _ => other,
    }
}

/// The event of a driver's session that is over against its will.
pub(super) fn failure(reader: &ReaderName, label: &str, trace: TraceId, error: &SessionError) -> EventBody {
    let message = format!("reader {reader}: {label}: {error}. Its connection is closed and made anew");
    let event = |kind| EventBody::new(trace, kind, message);
    match error {
        SessionError::Trap { backtrace, export, .. } => {
            let event = event(EventKind::DriverTrapped).fact("export", *export);
            if backtrace.is_empty() { event } else { event.fact("backtrace", backtrace.clone()) }
        }
        SessionError::Bound { name, limit, export, .. } => {
            event(EventKind::DriverBound).fact("bound", *name).fact("limit", limit.to_string()).fact("export", *export)
        }
        _ => event(EventKind::DriverFault),
    }
}

/// Waits for a newer connection of the terminal; never for a reader that is dialled.
async fn called_again(place: Option<&Place>) {
    match place {
        Some(place) => place.called().await,
        None => std::future::pending().await,
    }
}
