//! The life of a job: a state machine without I/O.
//!
//! ```text
//! receiving ─▶ held ─▶ releasing ─▶ sending ─▶ printing ─▶ delivered
//!    │          ▲ │        │           │           │
//!    ▼          │ ▼        ▼           ▼           ▼
//! cancelled     └───────── back to held, with the reason ──┘
//! ```
//! Inputs are what happened; the result is the changed job and the events that tell of it. The store commits both before
//! anything is done about them. A job that may have printed already is marked doubtful, and nothing but a person sends it
//! again.

use crate::{
    event::{EventBody, EventKind},
    job::{HOLD_UNTIL, INDEFINITE, Job, JobState},
    names::{DeviceName, PrinterName, TraceId},
    time::Timestamp,
};

/// What happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobInput {
    /// Its document is whole and on disk; this is its size in bytes and its SHA-256.
    Arrived {
        /// Size in bytes.
        bytes: u64,
        /// SHA-256 in hexadecimal.
        sha256: String,
    },
    /// Its owner, an operator, or a queue that does not hold, wants it printed.
    Release {
        /// Where it is to come out.
        printer: PrinterName,
        /// Where the owner stands, if it was a tap.
        device: Option<DeviceName>,
    },
    /// The first byte is about to be sent.
    Sending,
    /// The printer has taken the whole document and gave it this number, if it gives numbers.
    Accepted {
        /// The printer's own number for it.
        remote: Option<i32>,
    },
    /// What it waits for at its printer, such as paper; empty: for nothing any more. It stays where it stands, and so does
    /// the time of its last change. The printer's own events tell of it.
    Waits {
        /// In words for a person.
        reason: String,
    },
    /// The printer says that it is done.
    Done,
    /// It did not work out.
    Failed {
        /// Why, in words for a person.
        reason: String,
        /// Whether the printer may have printed it all the same.
        maybe_printed: bool,
        /// Whether it is to be tried again by itself: only for queues that do not hold, and only if nothing was printed.
        retry: bool,
    },
    /// Somebody wants it to wait until it is released (RFC 8011 §4.3.5).
    Hold {
        /// Who, in words for a person.
        by: String,
    },
    /// It need not wait for that any more; whatever else it waits for, such as a card, it still does (RFC 8011 §4.3.6).
    Unhold {
        /// Who says so, in words for a person.
        by: String,
    },
    /// Somebody does not want it any more.
    Cancel {
        /// Who or why, in words for a person.
        reason: String,
    },
}

impl JobInput {
    /// Whether a job that stands there may have been brought there by this input.
    pub fn leads_to(&self, state: JobState) -> bool {
        match self {
            Self::Release { .. } => state == JobState::Releasing,
            Self::Sending => state == JobState::Sending,
            Self::Accepted { .. } => state == JobState::Printing,
            Self::Done => state == JobState::Delivered,
            Self::Failed { retry: true, .. } => state == JobState::Releasing,
            Self::Failed { .. } => state == JobState::Held,
            Self::Cancel { .. } => state == JobState::Cancelled,
            _ => false,
        }
    }
}

/// Why an input does not fit where the job stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job {number} is {state}: {hint}")]
pub struct JobError {
    /// The job's number.
    pub number: i32,
    /// Where it stands.
    pub state: JobState,
    /// What that means for what was wanted.
    pub hint: &'static str,
}

/// Applies what happened. The job is changed and the events that tell of it are given back (none for [`JobInput::Waits`]);
/// on an error it is unchanged.
///
/// # Errors
/// The input does not fit the state; callers that raced for the job take it as "somebody was faster".
pub fn step(job: &mut Job, trace: TraceId, input: JobInput) -> Result<Vec<EventBody>, JobError> {
    use JobState::{Cancelled, Delivered, Held, Printing, Receiving, Releasing, Sending};
    let refused = |hint| Err(JobError { number: job.number, state: job.state, hint });
    let kind;
    let message;
    match (job.state, input) {
        (Receiving, JobInput::Arrived { bytes, sha256 }) => {
            job.bytes = bytes;
            job.sha256 = sha256;
            (job.state, kind) = (Held, EventKind::JobHeld);
            message = match &job.user {
                Some(user) => format!("job {} ({} bytes) is held for {user} in {}", job.number, bytes, job.queue),
                None => {
                    format!("job {} is held unassigned in {}: no user is named {:?}", job.number, job.queue, job.owner)
                }
            };
            job.reason = waiting(job);
        }
        (Receiving | Held | Releasing, JobInput::Hold { by }) => {
            job.options.insert(HOLD_UNTIL.to_owned(), INDEFINITE.to_owned());
            kind = EventKind::JobOnHold;
            message = format!("job {} waits until it is released: {by} put it on hold", job.number);
            if job.state != Receiving {
                job.state = Held;
                // Why it is in doubt stays to be read.
                if !job.doubtful {
                    job.reason = waiting(job);
                }
            }
        }
        (Receiving | Held, JobInput::Unhold { by }) => {
            job.options.remove(HOLD_UNTIL);
            kind = EventKind::JobOnHold;
            message = format!("job {} is not on hold any more, says {by}", job.number);
            if job.state == Held && !job.doubtful {
                job.reason = waiting(job);
            }
        }
        (Held, JobInput::Release { printer, device }) => {
            message = match &device {
                Some(device) => format!("job {} goes to printer {printer}, released at {device}", job.number),
                None => format!("job {} goes to printer {printer}", job.number),
            };
            (job.state, kind) = (Releasing, EventKind::JobReleasing);
            job.printer = Some(printer);
            job.device = device;
            job.doubtful = false;
            job.remote = None;
            job.options.remove(HOLD_UNTIL);
            job.attempt = job.attempt.saturating_add(1);
            job.reason = String::new();
        }
        (Releasing, JobInput::Sending) => {
            (job.state, kind) = (Sending, EventKind::JobSending);
            job.reason = String::new();
            message = format!("job {} is being sent", job.number);
        }
        (Sending, JobInput::Accepted { remote }) => {
            (job.state, kind) = (Printing, EventKind::JobPrinting);
            job.remote = remote;
            job.reason = String::new();
            message = match remote {
                Some(remote) => format!("the printer took job {} as its job {remote}", job.number),
                None => format!("the printer took job {}", job.number),
            };
        }
        (Releasing | Sending | Printing, JobInput::Waits { reason }) => {
            job.reason = reason;
            return Ok(Vec::new());
        }
        (Sending | Printing, JobInput::Done) => {
            (job.state, kind) = (Delivered, EventKind::JobDelivered);
            job.reason = String::new();
            message = format!("job {} was delivered", job.number);
        }
        (Releasing, JobInput::Failed { reason, maybe_printed: false, retry: true })
        | (Sending, JobInput::Failed { reason, maybe_printed: false, retry: true }) => {
            (job.state, kind) = (Releasing, EventKind::JobRetried);
            message = format!("job {} could not be delivered yet and is tried again: {reason}", job.number);
            job.reason = reason;
        }
        (Releasing | Sending | Printing, JobInput::Failed { reason, maybe_printed, .. }) => {
            (job.state, kind) = (Held, EventKind::JobReturned);
            job.doubtful = maybe_printed;
            let doubt = if maybe_printed { " It may have printed." } else { "" };
            message = format!("job {} is held again: {reason}.{doubt}", job.number);
            job.reason = reason;
        }
        (Receiving | Held | Releasing, JobInput::Cancel { reason }) => {
            (job.state, kind) = (Cancelled, EventKind::JobCancelled);
            message = format!("job {} was cancelled: {reason}", job.number);
            job.reason = reason;
        }
        (Delivered | Cancelled, _) => return refused("it is at its end"),
        (Sending | Printing, JobInput::Cancel { .. }) => return refused("the printer has it already"),
        (Sending | Printing, JobInput::Hold { .. }) => return refused("the printer has it already"),
        (_, JobInput::Release { .. }) => return refused("only a held job can be released"),
        _ => return refused("that cannot happen now"),
    }
    job.changed = Timestamp::now();
    let mut event = EventBody::new(trace, kind, message).job(job.id);
    event.user.clone_from(&job.user);
    event.device.clone_from(&job.device);
    event.facts.insert("queue".to_owned(), job.queue.to_string());
    if let Some(printer) = &job.printer {
        event.facts.insert("printer".to_owned(), printer.to_string());
    }
    Ok(vec![event])
}

/// What a held job waits for, in words.
fn waiting(job: &Job) -> String {
    match &job.user {
        _ if job.on_hold() => "waits until somebody releases it, by name or card".to_owned(),
        Some(_) => "waits for its owner's card".to_owned(),
        None => format!("no user is named {:?}", job.owner),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{job::NewJob, names::QueueName};

    fn job() -> Job {
        let new = NewJob {
            queue: QueueName::new("find-me").unwrap(),
            owner: "ada".to_owned(),
            signed_in: None,
            name: "letter".to_owned(),
            format: "application/pdf".to_owned(),
            options: BTreeMap::new(),
        };
        new.announced(7, None)
    }

    fn any_input() -> impl Strategy<Value = JobInput> {
        let printer = PrinterName::new("east").unwrap();
        prop_oneof![
            Just(JobInput::Arrived { bytes: 1, sha256: "00".to_owned() }),
            Just(JobInput::Release { printer, device: None }),
            Just(JobInput::Sending),
            Just(JobInput::Accepted { remote: Some(3) }),
            Just(JobInput::Waits { reason: "out of paper".to_owned() }),
            Just(JobInput::Done),
            any::<(bool, bool)>().prop_map(|(maybe_printed, retry)| JobInput::Failed {
                reason: "off".to_owned(),
                maybe_printed,
                retry
            }),
            Just(JobInput::Hold { by: "ada".to_owned() }),
            Just(JobInput::Unhold { by: "ada".to_owned() }),
            Just(JobInput::Cancel { reason: "no".to_owned() }),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: what may have printed is never sent again without a new Release, and an
        /// end is an end.
        #[test]
        fn never_twice_by_itself(inputs in prop::collection::vec(any_input(), 0..40)) {
            let mut job = job();
            let (mut sent, mut released) = (0, 0_u32);
            for input in inputs {
                let before = job.clone();
                match step(&mut job, TraceId::new(), input.clone()) {
                    Err(_) => prop_assert_eq!(&job, &before),
                    Ok(events) => {
                        prop_assert_eq!(events.is_empty(), matches!(input, JobInput::Waits { .. }));
                        prop_assert!(!before.state.is_final());
                        match input {
                            JobInput::Release { .. } => {
                                released += 1;
                                prop_assert_eq!(job.attempt, before.attempt + 1);
                            }
                            JobInput::Sending => {
                                prop_assert!(!job.on_hold());
                                sent += 1;
                            }
                            JobInput::Waits { .. } => {
                                prop_assert_eq!((job.state, job.changed), (before.state, before.changed));
                            }
                            // Sent and surely not printed: the same release may send again.
                            JobInput::Failed { maybe_printed: false, retry: true, .. }
                                if before.state == JobState::Sending => sent -= 1,
                            JobInput::Failed { maybe_printed, .. } if job.state == JobState::Held => {
                                prop_assert_eq!(job.doubtful, maybe_printed);
                            }
                            _ => {}
                        }
                        prop_assert!(sent <= released);
                        prop_assert_eq!(job.attempt, released);
                    }
                }
            }
        }
    }

    #[test]
    fn a_job_on_hold_waits_until_it_is_released_and_no_longer() {
        let mut job = job();
        let mut step =
            |input| step(&mut job, TraceId::new(), input).map(|_| (job.state, job.on_hold(), job.reason.clone()));
        let by = || "ada".to_owned();
        let printer = || PrinterName::new("east").unwrap();
        step(JobInput::Hold { by: by() }).unwrap();
        let arrived = step(JobInput::Arrived { bytes: 1, sha256: "00".to_owned() }).unwrap();
        assert_eq!(arrived, (JobState::Held, true, "waits until somebody releases it, by name or card".to_owned()));
        assert!(!step(JobInput::Unhold { by: by() }).unwrap().1);
        step(JobInput::Release { printer: printer(), device: None }).unwrap();
        let (state, on_hold, _) = step(JobInput::Hold { by: by() }).unwrap();
        assert_eq!((state, on_hold), (JobState::Held, true));
        let (state, on_hold, _) = step(JobInput::Release { printer: printer(), device: None }).unwrap();
        assert_eq!((state, on_hold), (JobState::Releasing, false));
        step(JobInput::Sending).unwrap();
        assert_eq!(step(JobInput::Hold { by: by() }).unwrap_err().hint, "the printer has it already");
    }
}
