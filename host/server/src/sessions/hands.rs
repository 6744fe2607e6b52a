//! A driver at work for one reader: it is given what happened, and what it answers is carried out as far as that is the same
//! whatever way the reader is reached. The rest is handed back to whoever knows the way.

use std::{sync::Arc, time::Duration};

use cardinal_domain::{
    bounds::size,
    driver::{Health, Input, LogLevel, Millis, Output},
    event::{EventBody, EventKind, Level},
    names::{ReaderName, TraceId},
    site::Reader,
};
use cardinal_runtime::DriverSession;
use rand::Rng as _;
use tokio::time::Instant;

use super::{
    Services,
    clock::Clock,
    connection::End,
    going_on::{Move, Origin, Step},
    hidden::Hidden,
    status::StatusCell,
    taps::{Decided, Taps},
    throttle::{Flood, Meter},
};
use crate::recorder::Tape;

pub(super) struct Hands<'t> {
    pub(super) services: &'t Arc<Services>,
    pub(super) spec: &'t Reader,
    pub(super) status: &'t StatusCell,
    /// Of everything in this session but its cards.
    pub(super) trace: TraceId,
    /// The driver with its version.
    pub(super) label: String,
    pub(super) session: DriverSession,
    /// What its words must not hold.
    pub(super) hidden: Hidden,
    pub(super) clock: Clock,
    /// The flight recorder's.
    pub(super) tape: Tape,
    pub(super) taps: Taps,
    /// What may be read now.
    pub(super) bytes: Meter,
    /// The reader's: it goes on over connections.
    pub(super) flood: &'t mut Flood,
    pub(super) origin: Origin,
    /// When the driver may sleep; none: it was asked and cannot, or has not begun.
    pub(super) sleeps_at: Option<Instant>,
    /// A change of version that waits for a quiet point.
    pub(super) moves: Option<Box<Move>>,
}

/// What keeps a session from taking more of its reader.
pub(super) struct Pressure {
    /// As many cards wait as may.
    pub(super) is_full: bool,
    /// So much was taken that the next has to wait until then.
    pub(super) paced: Option<Instant>,
}

impl Pressure {
    pub(super) fn is_none(&self) -> bool {
        !self.is_full && self.paced.is_none()
    }
}

impl Hands<'_> {
    /// The first input of a session.
    pub(super) fn connected() -> Step {
        let mut random = vec![0; 32];
        rand::rng().fill_bytes(&mut random);
        Step::Input(Input::Connected(random))
    }

    /// What is to be done before anything new is waited for.
    pub(super) fn pending(&mut self) -> Option<Step> {
        let is_quiet = self.moves.is_some() && self.session.accounts().quiet();
        if is_quiet { self.moves.take().map(Step::Move) } else { None }
    }

    /// Takes one step: what the driver answers, and the reading of the clock that its times count from.
    pub(super) async fn step(&mut self, step: Step) -> Result<(Millis, Vec<Output>), End> {
        match step {
            Step::Input(input) => self.handle(input).await,
            Step::Move(to) => Box::pin(self.move_to(to)).await,
            Step::Doze => self.doze().await.map(|()| (self.clock.now(), Vec::new())),
        }
    }

    /// Gives the driver one input: what it answers, and the reading of the clock that its times count from.
    async fn handle(&mut self, input: Input) -> Result<(Millis, Vec<Output>), End> {
        let now = self.clock.now();
        if let Input::Verdict(verdict) = &input {
            self.status.decided(verdict.code);
        }
        let mut outputs = self.wake(now).await.map_err(|error| End::Driver(self.hidden.error(error)))?;
        self.record_input(now, &input).await?;
        let handled = self.session.handle(now, input).await;
        self.record_answer(&handled);
        outputs.extend(handled.map_err(|error| End::Driver(self.hidden.error(error)))?);
        self.stay_awake();
        for id in self.session.take_late_answers() {
            let message = format!("the driver of {} answered call {id}, which is no longer open", self.spec.name);
            self.tell(EventBody::new(self.trace, EventKind::DriverLate, message)).await;
        }
        Ok((now, self.hide(outputs)))
    }

    pub(super) fn hide(&self, outputs: Vec<Output>) -> Vec<Output> {
        outputs.into_iter().map(|output| self.hidden.output(output)).collect()
    }

    /// Carries out one output. One that needs the way to the reader is handed back.
    pub(super) async fn carry_out(&mut self, now: Millis, output: Output) -> Result<Option<Output>, End> {
        match output {
            Output::Send(_) | Output::Keepalive(_) | Output::Fetch(_) | Output::Answer(..) => return Ok(Some(output)),
            Output::Card(read) => {
                self.status.card(&read);
                self.taps.push(read);
            }
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
                self.origin.remember(&key, &bytes);
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
        }
        Ok(None)
    }

    /// Whether more may be taken of the reader now. A flood stays with its sender, where it slows him down.
    pub(super) async fn pressure(&mut self) -> Pressure {
        let most_waiting = size(self.services.config.sessions.cards_waiting);
        let pressure = Pressure { is_full: self.taps.len() >= most_waiting, paced: self.bytes.wait() };
        if !pressure.is_none() {
            self.throttled(pressure.is_full).await;
        } else if let Some(lasted) = self.flood.over() {
            self.unthrottled(lasted).await;
        }
        pressure
    }

    /// Waits for the cards that are left when nobody can be told of them any more.
    pub(super) async fn forsake(&mut self) {
        while let Some(Decided { verdict, trace }) = self.taps.next().await {
            let message = format!("{} was gone before its verdict ({}) could be told", self.spec.name, verdict.code);
            self.tell(EventBody::new(trace, EventKind::VerdictLate, message)).await;
        }
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

    pub(super) async fn tell(&mut self, event: EventBody) {
        self.services.tell(event.reader(&self.spec.name).device(&self.spec.device).fact("driver", &*self.label)).await;
    }
}

/// That a flood is over, in words.
pub(super) fn flood_over(reader: &ReaderName, lasted: Duration) -> String {
    format!("the flood of {reader} is over; it lasted {lasted:.1?}")
}
