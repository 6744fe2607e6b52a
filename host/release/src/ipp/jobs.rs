//! Asking about jobs and cancelling them: Get-Jobs, Get-Job-Attributes, Cancel-Job, Cancel-My-Jobs.

use cardinal_domain::{
    job::{Job, JobState},
    job_life::JobInput,
    names::QueueName,
    site::Queue,
    time::Timestamp,
};
use cardinal_store::JobFilter;
use ipp::{
    attribute::{IppAttribute, IppAttributeGroup},
    model::{DelimiterTag, JobState as Told, StatusCode},
    value::IppValue,
};

use super::{
    call::{Answer, Call, Refusal, Wanted, group},
    check_owner, printer, template,
};
use crate::{
    ReleaseError,
    engine::{Engine, lock},
    values::{as_integer, attribute, date_time, each, keywords, list as list_of, mime, name, text, uri},
};

/// What is told of a job to its owner alone (`job-privacy-attributes`, PWG 5100.13): the names, and the message, which may
/// hold one.
pub(crate) const PRIVATE: [&str; 3] = ["job-name", "job-originating-user-name", "job-state-message"];

/// How many jobs of a queue are looked through and told at most, newest first.
const MOST: i64 = 1000;

/// What a job's state is called in IPP, and the registered keywords of why.
fn told(queue: &Queue, job: &Job) -> (Told, &'static [&'static str]) {
    match job.state {
        JobState::Receiving if job.on_hold() => (Told::PendingHeld, &["job-incoming", "job-hold-until-specified"]),
        JobState::Receiving => (Told::Pending, &["job-incoming"]),
        JobState::Held if job.on_hold() && !queue.hold => (Told::PendingHeld, &["job-hold-until-specified"]),
        JobState::Held if job.on_hold() => {
            (Told::PendingHeld, &["job-hold-until-specified", "job-held-for-release", "job-release-wait"])
        }
        JobState::Held => (Told::PendingHeld, &["job-held-for-release", "job-release-wait"]),
        JobState::Releasing => (Told::Processing, &["job-queued"]),
        JobState::Sending => (Told::Processing, &["job-outgoing"]),
        JobState::Printing => (Told::Processing, &["job-printing"]),
        JobState::Delivered => (Told::Completed, &["job-completed-successfully"]),
        // Without a document it was not somebody's wish.
        JobState::Cancelled if job.sha256.is_empty() => (Told::Canceled, &["aborted-by-system"]),
        JobState::Cancelled => (Told::Canceled, &["job-canceled-by-user"]),
    }
}

fn state(queue: &Queue, job: &Job) -> Vec<IppAttribute> {
    let (state, reasons) = told(queue, job);
    let message = if job.reason.is_empty() { job.state.as_str() } else { &job.reason };
    vec![
        attribute("job-state", IppValue::Enum(state as i32)),
        attribute("job-state-reasons", keywords(reasons)),
        attribute("job-state-message", text(message)),
    ]
}

/// What the operations that make a job answer.
pub(crate) fn short(call: &Call, job: &Job) -> IppAttributeGroup {
    let mut all =
        vec![attribute("job-uri", uri(&call.job_uri(job.number))), attribute("job-id", IppValue::Integer(job.number))];
    all.extend(state(&call.queue, job));
    group(DelimiterTag::JobAttributes, all)
}

/// What is told of a job to those who ask for it.
fn long(call: &Call, job: &Job, wanted: &Wanted, everything: bool) -> IppAttributeGroup {
    let time = |told: bool, time: Timestamp| {
        if told { IppValue::Integer(printer::seconds(time)) } else { IppValue::NoValue }
    };
    let date = |told: bool, time: Timestamp| if told { date_time(time) } else { IppValue::NoValue };
    let begun = !matches!(job.state, JobState::Receiving | JobState::Held);
    let kilobytes = i32::try_from(job.bytes.div_ceil(1024)).unwrap_or(i32::MAX);
    let mut described = vec![
        attribute("job-uri", uri(&call.job_uri(job.number))),
        attribute("job-id", IppValue::Integer(job.number)),
        attribute("job-uuid", uri(&format!("urn:uuid:{}", job.id))),
        attribute("job-printer-uri", uri(&call.printer_uri())),
        attribute("job-name", name(&job.name)),
        attribute("job-originating-user-name", name(job.originator())),
        attribute("document-format", mime(&job.format)),
        attribute("number-of-documents", IppValue::Integer(i32::from(!job.sha256.is_empty()))),
        attribute("job-k-octets", IppValue::Integer(kilobytes)),
        attribute("job-printer-up-time", time(true, Timestamp::now())),
        attribute("time-at-creation", time(true, job.created)),
        attribute("time-at-processing", time(begun, job.changed)),
        attribute("time-at-completed", time(job.state.is_final(), job.changed)),
        attribute("date-time-at-creation", date(true, job.created)),
        attribute("date-time-at-processing", date(begun, job.changed)),
        attribute("date-time-at-completed", date(job.state.is_final(), job.changed)),
    ];
    described.extend(job.printer.as_ref().map(|printer| attribute("output-device-assigned", name(printer.as_str()))));
    described.extend(state(&call.queue, job));
    if !call.owns(job) {
        described.retain(|one| !PRIVATE.contains(&one.name().as_str()));
    }
    let mut all = Vec::new();
    let mut tell = |attributes: Vec<IppAttribute>, groups: &[&str]| {
        all.extend(attributes.into_iter().filter(|one| everything || wanted.names(one.name(), groups)));
    };
    tell(described, &["all", "job-description", "job-status"]);
    tell(template::typed(&job.options), &["all", "job-template"]);
    group(DelimiterTag::JobAttributes, all)
}

/// Answers Get-Job-Attributes.
pub(crate) async fn attributes(engine: &Engine, call: &Call) -> Result<Answer, Refusal> {
    let job = call.job(engine).await?;
    let wanted = call.wanted();
    let everything = wanted.is_default();
    Ok(Answer::of(long(call, &job, &wanted, everything)))
}

/// Answers Get-Jobs.
pub(crate) async fn list(engine: &Engine, call: &Call) -> Result<Answer, Refusal> {
    call.check_printer_uri()?;
    let limit = match call.operation("limit").map(as_integer) {
        None => usize::MAX,
        Some(limit) => limit
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| *limit > 0)
            .ok_or_else(|| Refusal::bad("limit must be above 0"))?,
    };
    let mut jobs = match call.text("which-jobs").as_deref() {
        None | Some("not-completed") => open(engine, &call.queue.name).await?,
        Some("completed") => ended(engine, &call.queue.name).await?,
        Some("all") => [open(engine, &call.queue.name).await?, ended(engine, &call.queue.name).await?].concat(),
        Some(which) => {
            let message = format!("which-jobs {which} is not supported");
            let mut refusal = Refusal::new(StatusCode::ClientErrorAttributesOrValuesNotSupported, message);
            refusal.unsupported.push(attribute("which-jobs", crate::values::any_keyword(which)));
            return Err(refusal);
        }
    };
    if call.flag("my-jobs") == Some(true) {
        jobs.retain(|job| call.owns(job));
    }
    if let Some(named) = named(call) {
        jobs.retain(|job| named.contains(&job.number));
    }
    let wanted = call.wanted();
    let one = |job: &Job| {
        if wanted.is_default() {
            let id = [("job-uri", uri(&call.job_uri(job.number))), ("job-id", IppValue::Integer(job.number))];
            group(DelimiterTag::JobAttributes, id.into_iter().map(|(name, value)| attribute(name, value)).collect())
        } else {
            long(call, job, &wanted, false)
        }
    };
    Ok(Answer { unsupported: Vec::new(), groups: jobs.iter().take(limit).map(one).collect() })
}

/// The numbers in `job-ids` (PWG 5100.11 §4.1), if there are any.
fn named(call: &Call) -> Option<Vec<i32>> {
    call.operation("job-ids").map(|ids| each(ids).iter().filter_map(as_integer).collect())
}

/// A queue's open jobs, the one whose turn comes first at the front.
async fn open(engine: &Engine, queue: &QueueName) -> Result<Vec<Job>, Refusal> {
    let filter = JobFilter { queue: Some(queue.clone()), open: true, limit: MOST, ..JobFilter::default() };
    let mut jobs = engine.store.jobs(&filter).await?;
    jobs.reverse();
    Ok(jobs)
}

/// A queue's jobs at their end, the last one first (RFC 8011 §4.2.6.2).
async fn ended(engine: &Engine, queue: &QueueName) -> Result<Vec<Job>, Refusal> {
    let at = |state| JobFilter { queue: Some(queue.clone()), state: Some(state), limit: MOST, ..JobFilter::default() };
    let mut jobs = engine.store.jobs(&at(JobState::Delivered)).await?;
    jobs.extend(engine.store.jobs(&at(JobState::Cancelled)).await?);
    jobs.sort_by_key(|job| std::cmp::Reverse((job.changed, job.number)));
    Ok(jobs)
}

/// Answers Cancel-Job.
pub(crate) async fn cancel(engine: &Engine, call: &Call) -> Result<Answer, Refusal> {
    let job = call.job(engine).await?;
    check_owner(call, &job)?;
    cancel_one(engine, call, &job).await?;
    Ok(Answer::default())
}

/// Answers Cancel-My-Jobs: all of the user's jobs in this queue, or those named. What a printer has already goes on.
///
/// Where one that is named is not open or somebody else's, none is cancelled, and the answer names it (PWG 5100.11 §4.1).
pub(crate) async fn cancel_mine(engine: &Engine, call: &Call) -> Result<Answer, Refusal> {
    call.check_printer_uri()?;
    let mut jobs = open(engine, &call.queue.name).await?;
    if let Some(named) = named(call) {
        jobs.retain(|job| named.contains(&job.number));
        let theirs: Vec<_> = jobs.iter().filter(|job| !call.owns(job)).map(|job| job.number).collect();
        let absent: Vec<_> = named.into_iter().filter(|id| !jobs.iter().any(|job| job.number == *id)).collect();
        if !theirs.is_empty() {
            return Err(wrong_ids(StatusCode::ClientErrorNotAuthorized, "these are somebody else's jobs", &theirs));
        }
        if !absent.is_empty() {
            return Err(wrong_ids(StatusCode::ClientErrorNotFound, "there are no such jobs to cancel", &absent));
        }
    }
    for job in jobs.iter().filter(|job| call.owns(job)) {
        match cancel_one(engine, call, job).await {
            Ok(_) | Err(ReleaseError::Refused(_)) => {}
            Err(error) => return Err(Refusal::internal(&error)),
        }
    }
    Ok(Answer::default())
}

fn wrong_ids(status: StatusCode, message: &str, ids: &[i32]) -> Refusal {
    let mut refusal = Refusal::new(status, message);
    refusal.unsupported.push(attribute("job-ids", list_of(ids.iter().map(|id| IppValue::Integer(*id)))));
    refusal
}

async fn cancel_one(engine: &Engine, call: &Call, job: &Job) -> Result<Job, ReleaseError> {
    let trace = engine.trace_of(job.id).await?;
    let cancelled =
        engine.change(trace, job.id, JobInput::Cancel { reason: format!("{} cancelled it", call.user()) }).await?;
    // Its document need not come any more.
    lock(&engine.announced).remove(&job.id);
    Ok(cancelled)
}
