//! Holding jobs and releasing them: Hold-Job and Release-Job (RFC 8011 §4.3.5, §4.3.6).
//!
//! In a queue that passes jobs on, a job on hold waits for Release-Job by its owner, for an operator, or for its owner's
//! card. In a queue that holds, every job waits for its owner's card anyway: a client that only claims to be the owner
//! must not print it, so Release-Job takes a job off hold there and leaves it waiting, as the RFC asks where there are
//! other reasons to wait.

use std::sync::Arc;

use cardinal_domain::{
    job::{Job, JobState},
    job_life::{self, JobError, JobInput},
};
use ipp::model::StatusCode;

use super::{
    call::{Answer, Call, Refusal},
    check_owner, template,
};
use crate::{ReleaseError, delivery::Work, engine::Engine, values::attribute};

impl From<ReleaseError> for Refusal {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Refused(error) => Self::new(StatusCode::ClientErrorNotPossible, error.to_string()),
            error => Self::internal(&error),
        }
    }
}

/// Answers Hold-Job.
pub(crate) async fn hold(engine: &Arc<Engine>, call: &Call) -> Result<Answer, Refusal> {
    let until = call.operation(template::HOLD_UNTIL);
    match until.and_then(crate::values::as_text).as_deref() {
        None | Some(template::INDEFINITE) => {}
        // RFC 8011 §4.3.5: as if it had never been held.
        Some("no-hold") => return release(engine, call).await,
        Some(until) => {
            let message = format!("job-hold-until {until} is not supported; say indefinite");
            let mut refusal = Refusal::new(StatusCode::ClientErrorAttributesOrValuesNotSupported, message);
            refusal.unsupported.push(attribute(template::HOLD_UNTIL, crate::values::any_keyword(until)));
            return Err(refusal);
        }
    }
    let job = call.job(engine).await?;
    check_owner(call, &job)?;
    let trace = engine.trace_of(job.id).await?;
    engine.change(trace, job.id, JobInput::Hold { by: call.user() }).await?;
    Ok(Answer::default())
}

/// Answers Release-Job.
pub(crate) async fn release(engine: &Arc<Engine>, call: &Call) -> Result<Answer, Refusal> {
    let job = call.job(engine).await?;
    check_owner(call, &job)?;
    let trace = engine.trace_of(job.id).await?;
    let mut goes_out = false;
    // Decided where it is committed: its document may arrive just now, and finds it on hold.
    let rule = |job: &mut Job| {
        let refused = |hint| Err(JobError { number: job.number, state: job.state, hint });
        let input = match (job.state, engine.passes_on(&job.queue)) {
            (JobState::Held, Some(_)) if job.doubtful => {
                return refused("it may have printed already; show your card at a printer, or ask an operator");
            }
            (JobState::Held, Some(printer)) => {
                goes_out = true;
                JobInput::Release { printer, device: None }
            }
            (JobState::Held | JobState::Receiving, _) if job.on_hold() => JobInput::Unhold { by: call.user() },
            (JobState::Delivered | JobState::Cancelled, _) => return refused("it is at its end"),
            // It is not on hold; there is nothing to do.
            _ => return Ok(Vec::new()),
        };
        job_life::step(job, trace, input)
    };
    let released = engine.change_by(job.id, rule).await?;
    if goes_out {
        engine.hand_over(Work::new(trace, job.id), &released);
    }
    Ok(Answer::default())
}
