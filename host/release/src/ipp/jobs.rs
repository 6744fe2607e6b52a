//! Asking about jobs and cancelling them: Get-Jobs, Get-Job-Attributes, Cancel-Job, Cancel-My-Jobs.

use cardinal_domain::{
    job::{Job, JobState},
    job_life::JobInput,
    names::QueueName,
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
    values::{as_integer, attribute, each, keywords, mime, name, text, uri},
};

/// How many jobs of a queue are looked through and told at most, newest first.
const MOST: i64 = 1000;

/// What a job's state is called in IPP, and the registered keywords of why.
fn told(job: &Job) -> (Told, &'static [&'static str]) {
    match job.state {
        JobState::Receiving => (Told::Pending, &["job-incoming"]),
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

fn state(job: &Job) -> Vec<IppAttribute> {
    let (state, reasons) = told(job);
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
    all.extend(state(job));
    group(DelimiterTag::JobAttributes, all)
}

/// What is told of a job to those who ask for it.
fn long(call: &Call, job: &Job, wanted: &Wanted, everything: bool) -> IppAttributeGroup {
    let time = |told: bool, time: Timestamp| {
        if told { IppValue::Integer(printer::seconds(time)) } else { IppValue::NoValue }
    };
    let begun = !matches!(job.state, JobState::Receiving | JobState::Held);
    let kilobytes = i32::try_from(job.bytes.div_ceil(1024)).unwrap_or(i32::MAX);
    let mut described = vec![
        attribute("job-uri", uri(&call.job_uri(job.number))),
        attribute("job-id", IppValue::Integer(job.number)),
        attribute("job-uuid", uri(&format!("urn:uuid:{}", job.id))),
        attribute("job-printer-uri", uri(&call.printer_uri())),
        attribute("job-name", name(&job.name)),
        attribute("job-originating-user-name", name(&job.owner)),
        attribute("document-format", mime(&job.format)),
        attribute("number-of-documents", IppValue::Integer(i32::from(!job.sha256.is_empty()))),
        attribute("job-k-octets", IppValue::Integer(kilobytes)),
        attribute("job-printer-up-time", time(true, Timestamp::now())),
        attribute("time-at-creation", time(true, job.created)),
        attribute("time-at-processing", time(begun, job.changed)),
        attribute("time-at-completed", time(job.state.is_final(), job.changed)),
    ];
    described.extend(job.printer.as_ref().map(|printer| attribute("output-device-assigned", name(printer.as_str()))));
    described.extend(state(job));
    let mut all = Vec::new();
    let mut tell = |attributes: Vec<IppAttribute>, groups: &[&str]| {
        all.extend(attributes.into_iter().filter(|one| everything || wanted.names(one.name(), groups)));
    };
    tell(described, &["all", "job-description", "job-status"]);
    tell(template::for_printer(&job.options), &["all", "job-template"]);
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
        Some("completed") => {
            let at = |state| JobFilter {
                queue: Some(call.queue.name.clone()),
                state: Some(state),
                limit: MOST,
                ..JobFilter::default()
            };
            let mut jobs = engine.store.jobs(&at(JobState::Delivered)).await?;
            jobs.extend(engine.store.jobs(&at(JobState::Cancelled)).await?);
            // RFC 8011 §4.2.6.2: the last one completed comes first.
            jobs.sort_by_key(|job| std::cmp::Reverse((job.changed, job.number)));
            jobs
        }
        Some(which) => {
            let message = format!("which-jobs {which} is not supported");
            let mut refusal = Refusal::new(StatusCode::ClientErrorAttributesOrValuesNotSupported, message);
            refusal.unsupported.push(attribute("which-jobs", crate::values::any_keyword(which)));
            return Err(refusal);
        }
    };
    if call.flag("my-jobs") == Some(true) {
        let user = call.user();
        jobs.retain(|job| job.owner == user);
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

/// A queue's open jobs, the one whose turn comes first at the front.
async fn open(engine: &Engine, queue: &QueueName) -> Result<Vec<Job>, Refusal> {
    let filter = JobFilter { queue: Some(queue.clone()), open: true, limit: MOST, ..JobFilter::default() };
    let mut jobs = engine.store.jobs(&filter).await?;
    jobs.reverse();
    Ok(jobs)
}

/// Answers Cancel-Job.
pub(crate) async fn cancel(engine: &Engine, call: &Call) -> Result<Answer, Refusal> {
    let job = call.job(engine).await?;
    check_owner(call, &job.owner)?;
    match cancel_one(engine, call, &job).await {
        Ok(_) => Ok(Answer::default()),
        Err(ReleaseError::Refused(error)) => Err(Refusal::new(StatusCode::ClientErrorNotPossible, error.to_string())),
        Err(error) => Err(Refusal::internal(&error)),
    }
}

/// Answers Cancel-My-Jobs: all of the user's jobs in this queue, or those named. What a printer has already goes on.
pub(crate) async fn cancel_mine(engine: &Engine, call: &Call) -> Result<Answer, Refusal> {
    call.check_printer_uri()?;
    let user = call.user();
    let named: Option<Vec<i32>> =
        call.operation("job-ids").map(|ids| each(ids).iter().filter_map(as_integer).collect());
    for job in open(engine, &call.queue.name).await? {
        if job.owner != user || named.as_ref().is_some_and(|named| !named.contains(&job.number)) {
            continue;
        }
        match cancel_one(engine, call, &job).await {
            Ok(_) | Err(ReleaseError::Refused(_)) => {}
            Err(error) => return Err(Refusal::internal(&error)),
        }
    }
    Ok(Answer::default())
}

async fn cancel_one(engine: &Engine, call: &Call, job: &Job) -> Result<Job, ReleaseError> {
    let trace = engine.trace_of(job.id).await?;
    let cancelled =
        engine.change(trace, job.id, JobInput::Cancel { reason: format!("{} cancelled it", call.user()) }).await?;
    // Its document need not come any more.
    lock(&engine.announced).remove(&job.id);
    Ok(cancelled)
}
