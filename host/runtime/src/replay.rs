//! What a driver makes of a trace. The clock and every input come from the trace, so the answer is the same each time.
//!
//! Whatever can run a driver is a [`Subject`]: the component here, under fuel ([`Runtime::for_replay`](crate::Runtime)), and
//! plain Rust in the test kit. [`replay`] gives what the driver answered, [`Difference`] where that is not what the trace
//! expects, and [`folder`] does both for a folder of traces. None of them judges what is right: the trace does.

mod difference;
pub mod folder;

use cardinal_domain::{
    driver::{Context, Fault, Input, Manifest, Millis, Output},
    settings,
    trace::{Event, Outcome, Step, Trace},
};

pub use self::difference::Difference;
use crate::{Bounds, Driver, DriverSession, SessionError};

/// A driver that traces can be run with.
pub trait Subject {
    /// How it runs, for messages: `natively` or `as a component`.
    fn how(&self) -> &'static str;

    /// What the driver says of itself.
    ///
    /// # Errors
    /// A manifest that no host would take, in words.
    fn manifest(&self) -> Result<Manifest, String>;

    /// A new session.
    ///
    /// # Errors
    /// A fault of the driver, or something worse.
    fn open(&self, context: Context) -> Result<Box<dyn Session>, Stop>;
}

/// A session of a [`Subject`].
pub trait Session {
    /// One input.
    ///
    /// # Errors
    /// A fault of the driver, or something worse. The session is over.
    fn handle(&mut self, now: Millis, input: Input) -> Result<Vec<Output>, Stop>;

    /// The driver's state, if it can be saved now.
    ///
    /// # Errors
    /// Something went wrong. The session is over.
    fn save(&mut self) -> Result<Option<Vec<u8>>, Stop>;

    /// Goes on in a new instance, opened with what was saved.
    ///
    /// # Errors
    /// A fault of the driver, or something worse. The session is over.
    fn reopen(&mut self, context: Context) -> Result<(), Stop>;
}

/// Why a session ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The driver said so.
    Fault(Fault),
    /// A trap, a crossed bound or a broken contract, in words.
    Broken(String),
}

/// Why a trace could not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The driver says things of itself that no host would take.
    #[error("the manifest cannot be used: {0}")]
    Manifest(String),
    /// The trace is not for this driver, or its settings are not.
    #[error("the trace does not fit the driver: {0}")]
    Unfit(String),
    /// A trap, a crossed bound or a broken contract where nothing can be told of it in a trace.
    #[error("the session broke: {0}")]
    Broken(String),
}

/// Runs the trace's events and gives the same trace with the outcomes that this driver had. It ends where the session does.
///
/// # Errors
/// A trace that is not for this driver, or a driver that breaks when it is opened.
pub fn replay(trace: &Trace, subject: &dyn Subject) -> Result<Trace, ReplayError> {
    let mut context = context(trace, subject)?;
    let mut answered = Trace {
        driver: trace.driver.clone(),
        mode: trace.mode.clone(),
        transport: trace.transport.clone(),
        settings: trace.settings.clone(),
        callback: trace.callback.clone(),
        memory: trace.memory.clone(),
        saved: trace.saved.clone(),
        refused: None,
        steps: Vec::new(),
    };
    let mut session = match subject.open(context.clone()) {
        Ok(session) => session,
        Err(Stop::Fault(fault)) => {
            answered.refused = Some(fault);
            return Ok(answered);
        }
        Err(Stop::Broken(why)) => return Err(ReplayError::Broken(why)),
    };
    for step in &trace.steps {
        let outcome = match take(session.as_mut(), &mut context, step) {
            Ok(outcome) => outcome,
            Err(Stop::Fault(fault)) => Outcome::Fault(fault),
            Err(Stop::Broken(why)) => Outcome::Broken(why),
        };
        let over = outcome.is_end();
        answered.steps.push(Step { outcome, ..step.clone() });
        if over {
            break;
        }
    }
    Ok(answered)
}

fn take(session: &mut dyn Session, context: &mut Context, step: &Step) -> Result<Outcome, Stop> {
    let input = match &step.event {
        Event::Input(input) => input.clone(),
        Event::Save => match session.save()? {
            None => return Ok(Outcome::NotNow),
            Some(saved) => {
                context.saved = Some(saved);
                session.reopen(context.clone())?;
                Input::Resumed
            }
        },
    };
    let outputs = session.handle(step.at, input)?;
    for output in &outputs {
        if let Output::Remember(key, bytes) = output {
            remember(&mut context.memory, key, bytes);
        }
    }
    Ok(Outcome::Outputs(outputs))
}

/// What a host tells the driver again when it opens the session anew: the newest of each key, empty ones forgotten.
fn remember(memory: &mut Vec<(String, Vec<u8>)>, key: &str, bytes: &[u8]) {
    memory.retain(|(known, _)| known != key);
    if !bytes.is_empty() {
        memory.push((key.to_owned(), bytes.to_vec()));
    }
}

/// What the session is opened with: the trace's settings, checked against the mode and filled in as a host does.
fn context(trace: &Trace, subject: &dyn Subject) -> Result<Context, ReplayError> {
    let manifest = subject.manifest().map_err(ReplayError::Manifest)?;
    let unfit = |why: String| Err(ReplayError::Unfit(why));
    if let Some(driver) = &trace.driver
        && *driver != manifest.id()
    {
        return unfit(format!("it is for {driver:?}, this is {:?}", manifest.id()));
    }
    let Some(mode) = manifest.mode(&trace.mode) else {
        let modes: Vec<_> = manifest.modes.iter().map(|mode| mode.id.as_str()).collect();
        return unfit(format!("there is no mode {:?}; there are: {}", trace.mode, modes.join(", ")));
    };
    if mode.transports.iter().all(|transport| transport.name() != trace.transport) {
        return unfit(format!("mode {:?} has no transport {:?}", mode.id, trace.transport));
    }
    match settings::check(mode, &trace.settings) {
        Ok(settings) => Ok(trace.context(settings)),
        Err(error) => unfit(error.to_string()),
    }
}

/// The component, under the bounds that hosts give by default.
impl Subject for Driver {
    fn how(&self) -> &'static str {
        "as a component"
    }

    fn manifest(&self) -> Result<Manifest, String> {
        Ok(Self::manifest(self).clone())
    }

    fn open(&self, context: Context) -> Result<Box<dyn Session>, Stop> {
        let session = self.open_blocking(context, &Bounds::default()).map_err(stop)?;
        Ok(Box::new(session))
    }
}

impl Session for DriverSession {
    fn handle(&mut self, now: Millis, input: Input) -> Result<Vec<Output>, Stop> {
        self.handle_blocking(now, input).map_err(stop)
    }

    fn save(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        self.save_blocking().map_err(stop)
    }

    fn reopen(&mut self, context: Context) -> Result<(), Stop> {
        let accounts = self.accounts().clone();
        *self = self.driver().clone().resume_blocking(context, accounts, &Bounds::default()).map_err(stop)?;
        Ok(())
    }
}

fn stop(error: SessionError) -> Stop {
    match error {
        SessionError::Fault(fault) => Stop::Fault(fault),
        SessionError::Trap { ref backtrace, .. } => Stop::Broken(format!("{error}\n{backtrace}").trim_end().to_owned()),
        other => Stop::Broken(other.to_string()),
    }
}
