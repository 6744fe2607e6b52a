//! What a driver makes of a trace. The clock and every input come from the trace, so the answer is the same each time.

use cardinal_domain::{
    driver::{Context, Input},
    settings,
    trace::{Event, Outcome, Step, Trace},
};

use crate::{Session, Stop, Subject};

/// Why a trace could not be run to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The driver says things of itself that no host would take.
    #[error("the manifest cannot be used: {0}")]
    Manifest(String),
    /// The trace is not for this driver, or its settings are not.
    #[error("the trace does not fit the driver: {0}")]
    Unfit(String),
    /// A trap, a crossed bound or a broken contract.
    #[error("{}the session broke: {why}", if *line == 0 { String::new() } else { format!("line {line}: ") })]
    Broken {
        /// The line of the trace, 0 for none.
        line: usize,
        /// What happened.
        why: String,
    },
}

/// Runs the trace's events and gives the same trace with the outcomes that this driver had. It ends where the driver gave
/// a fault.
///
/// # Errors
/// A trace that is not for this driver, or a driver that breaks.
pub fn replay(trace: &Trace, subject: &dyn Subject) -> Result<Trace, ReplayError> {
    let mut context = context(trace, subject)?;
    let mut answered = Trace { refused: None, steps: Vec::new(), ..trace.clone() };
    let mut session = match subject.open(context.clone()) {
        Ok(session) => session,
        Err(Stop::Fault(fault)) => {
            answered.refused = Some(fault);
            return Ok(answered);
        }
        Err(Stop::Broken(why)) => return Err(ReplayError::Broken { line: 0, why }),
    };
    for step in &trace.steps {
        let outcome = match take(session.as_mut(), &mut context, step) {
            Ok(outcome) => outcome,
            Err(Stop::Fault(fault)) => Outcome::Fault(fault),
            Err(Stop::Broken(why)) => return Err(ReplayError::Broken { line: step.line, why }),
        };
        let over = matches!(outcome, Outcome::Fault(_));
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
    session.handle(step.at, input).map(Outcome::Outputs)
}

/// What the session is opened with: the trace's settings, checked against the mode and filled in as a host does.
fn context(trace: &Trace, subject: &dyn Subject) -> Result<Context, ReplayError> {
    let manifest = subject.manifest().map_err(ReplayError::Manifest)?;
    let unfit = |why: String| Err(ReplayError::Unfit(why));
    if let Some(driver) = &trace.driver
        && *driver != manifest.id()
    {
        return unfit(format!("it is for {driver}, this is {}", manifest.id()));
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
