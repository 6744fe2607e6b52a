//! The start-up scan: makes the spool and the store agree again after a crash.
//!
//! What is to be done about a job is decided by [`decide`] from what is known of it, without I/O. A document that arrived
//! whole is never removed while its job is open, and nothing that a printer may have is sent again.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use cardinal_domain::{
    event::{EventBody, EventKind},
    job::{Job, JobState},
    job_life::JobInput,
    names::{JobId, TraceId},
    time::Timestamp,
};
use cardinal_store::{JobFilter, Store, StoreError};

use crate::{
    ReleaseError,
    delivery::{DOCUMENT_MISSING, Work},
    engine::Engine,
    spool::Found,
};

/// What is to be done about a job.
#[derive(Debug, PartialEq, Eq)]
enum Mend {
    /// It is as it should be.
    Nothing,
    /// The store lost its row: put it back.
    Restore,
    /// It arrived whole, but the store was not told.
    Arrive,
    /// It was cancelled because its document was gone, and the document is back: hold it again.
    Reopen,
    /// Its header is gone or torn: write it anew from the row.
    Header,
    /// There is nothing left to print.
    Cancel(&'static str),
    /// Its files are left over.
    Rubbish(&'static str),
    /// It goes to its printer, or its printer is asked about it.
    Deliver,
}

fn decide(row: Option<&Job>, found: &Found) -> Mend {
    use JobState::{Cancelled, Delivered, Held, Printing, Receiving, Releasing, Sending};
    // Whole: the header stands, and the document is as large as it says.
    let whole = matches!((&found.header, found.document), (Some(header), Some(size)) if header.bytes == size);
    let Some(job) = row else {
        return if whole { Mend::Restore } else { Mend::Rubbish("no job was received whole under its name") };
    };
    match job.state {
        Receiving if whole => Mend::Arrive,
        Receiving => Mend::Cancel("the host stopped before its document was whole"),
        Held | Releasing if found.document != Some(job.bytes) => Mend::Cancel(DOCUMENT_MISSING),
        Held | Releasing if found.header.is_none() => Mend::Header,
        Held => Mend::Nothing,
        Releasing | Sending | Printing => Mend::Deliver,
        Cancelled if whole && job.reason == DOCUMENT_MISSING => Mend::Reopen,
        Delivered | Cancelled if found.document.is_some() || found.header.is_some() => {
            Mend::Rubbish("its job is at its end")
        }
        Delivered | Cancelled => Mend::Nothing,
    }
}

/// How many jobs are open whose document came.
pub(crate) async fn with_documents(store: &Store) -> Result<usize, StoreError> {
    let open = store.jobs(&JobFilter { open: true, limit: i64::MAX, ..JobFilter::default() }).await?;
    Ok(open.iter().filter(|job| !job.sha256.is_empty()).count())
}

/// Mends every job of the spool and of the store.
pub(crate) async fn mend(engine: &Arc<Engine>, mut found: BTreeMap<JobId, Found>) -> Result<(), ReleaseError> {
    let open = engine.store.jobs(&JobFilter { open: true, limit: i64::MAX, ..JobFilter::default() }).await?;
    // Most of a start is held jobs that are as they should be: the list tells that, and nobody can tap for one yet.
    let mut fine = HashSet::new();
    for job in open {
        if decide(Some(&job), found.entry(job.id).or_default()) == Mend::Nothing {
            fine.insert(job.id);
        }
    }
    // Ids sort by age, so jobs go back to their printers in the order in which they came.
    for (id, found) in found.into_iter().filter(|(id, _)| !fine.contains(id)) {
        // Read anew: a printer's worker that was started for an earlier job may have seen to it meanwhile.
        let row = engine.store.job(id).await?;
        mend_one(engine, id, row, found).await?;
    }
    Ok(())
}

/// How long after its end a job's files may still be on their way out.
const LEAVING: i64 = 60_000;

/// Removes files of jobs that are at their end, which a failure left in the spool: of how many jobs. What only the scan at
/// the start may judge (files without a row, a document that came back) is left alone.
pub(crate) async fn sweep(engine: &Arc<Engine>) -> Result<usize, ReleaseError> {
    let ids = engine.in_spool(|spool| spool.ids()).await?;
    // In this order: a file that is listed had an open job before.
    let open: HashSet<JobId> = engine.store.open_job_ids().await?.into_iter().collect();
    let mut swept = 0;
    for id in ids.into_iter().filter(|id| !open.contains(id)) {
        let Some(job) = engine.store.job(id).await? else { continue };
        let found = engine.in_spool(move |spool| spool.found(id)).await?;
        if Timestamp::now().0 - job.changed.0 < LEAVING {
            continue;
        }
        if let Mend::Rubbish(why) = decide(Some(&job), &found) {
            mend_one(engine, id, Some(job), found).await?;
            tracing::debug!(job = %id, why, "files were left in the spool");
            swept += 1;
        }
    }
    Ok(swept)
}

/// Those of these jobs of which the spool has nothing. None at all where this is not our spool, such as the empty folder
/// beneath a disk that is not mounted.
pub(crate) async fn without_files(engine: &Arc<Engine>, ids: Vec<JobId>) -> Result<Vec<JobId>, ReleaseError> {
    engine
        .in_spool(move |spool| {
            if !spool.is_marked()? {
                return Ok(Vec::new());
            }
            let mut without = Vec::with_capacity(ids.len());
            for id in ids {
                if !spool.has(id)? {
                    without.push(id);
                }
            }
            Ok(without)
        })
        .await
}

async fn mend_one(engine: &Arc<Engine>, id: JobId, row: Option<Job>, found: Found) -> Result<(), ReleaseError> {
    let mend = decide(row.as_ref(), &found);
    if mend == Mend::Nothing {
        return Ok(());
    }
    let trace = engine.trace_of(id).await?;
    match (mend, row, found.header) {
        (Mend::Restore, _, Some(header)) => restore(engine, trace, header).await,
        (Mend::Arrive, Some(_), Some(header)) => {
            engine.arrived(Work::taken_up(trace, id), header.bytes, header.sha256).await?;
        }
        (Mend::Header, Some(job), _) => {
            rewrite_header(engine, &job).await;
            if job.state == JobState::Releasing {
                engine.hand_over(Work::taken_up(trace, id), &job);
            }
        }
        (Mend::Deliver, Some(job), _) => engine.hand_over(Work::taken_up(trace, id), &job),
        (Mend::Reopen, ..) => reopen(engine, trace, id).await?,
        (Mend::Cancel(reason), _, _) => {
            engine.change(trace, id, JobInput::Cancel { reason: reason.to_owned() }).await?;
        }
        (Mend::Rubbish(why), _, _) => {
            let message = format!("files of job {id} were removed from the spool: {why}");
            engine.record(vec![EventBody::new(trace, EventKind::SpoolRubbish, message).job(id)]).await;
            engine.remove_files(id).await;
        }
        _ => {}
    }
    Ok(())
}

/// A row that cannot be put back (its number is another job's by now) does not keep the host from starting; the files stay.
async fn restore(engine: &Engine, trace: TraceId, header: Job) {
    let job = Job {
        state: JobState::Held,
        reason: "its row was rebuilt from the spool".to_owned(),
        // How far it had come is lost with the row.
        doubtful: true,
        printer: None,
        device: None,
        remote: None,
        // So is how often it was released; no attempt that a printer may still list has this count.
        attempt: u32::try_from(Timestamp::now().0.saturating_sub(header.created.0) / 1_000).unwrap_or(u32::MAX / 2),
        ..header
    };
    let message = format!("job {} was put back from the spool; whether it was printed is not known", job.number);
    let event =
        EventBody::new(trace, EventKind::JobRecovered, message).job(job.id).fact("queue", job.queue.to_string());
    if let Err(error) = engine.store.restore_job(&job, vec![event]).await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(job = %job.id, number = job.number, error, "a job cannot be put back from the spool");
    }
}

/// The one way back from an end: the end was a mistake.
async fn reopen(engine: &Engine, trace: TraceId, id: JobId) -> Result<(), ReleaseError> {
    let reopened = engine.change_by(id, |job| {
        job.state = JobState::Held;
        job.reason = "its document was missing from the spool and is back".to_owned();
        job.doubtful |= job.printer.is_some();
        job.changed = Timestamp::now();
        let message = format!("job {} is held again: {}", job.number, job.reason);
        let event = EventBody::new(trace, EventKind::JobRecovered, message).job(id);
        Ok(vec![event.fact("queue", job.queue.to_string())])
    });
    reopened.await.map(drop)
}

async fn rewrite_header(engine: &Engine, job: &Job) {
    let written = match engine.spool.remove_header(job.id) {
        Ok(()) => engine.spool.write_header(job).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = written {
        tracing::error!(job = %job.id, %error, "a job's lost header cannot be written anew");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::a_job;

    #[test]
    fn every_state_is_mended() {
        use JobState::*;
        let gone = "its document is missing from the spool";
        let torn = "the host stopped before its document was whole";
        let cases = [
            // state, document, header, what is to be done
            (None, Some(5), true, Mend::Restore),
            (None, Some(4), true, Mend::Rubbish("no job was received whole under its name")),
            (None, Some(5), false, Mend::Rubbish("no job was received whole under its name")),
            (None, None, true, Mend::Rubbish("no job was received whole under its name")),
            (Some(Receiving), Some(5), true, Mend::Arrive),
            (Some(Receiving), Some(5), false, Mend::Cancel(torn)),
            (Some(Receiving), None, false, Mend::Cancel(torn)),
            (Some(Held), Some(5), true, Mend::Nothing),
            (Some(Held), Some(5), false, Mend::Header),
            (Some(Held), Some(4), true, Mend::Cancel(gone)),
            (Some(Held), None, false, Mend::Cancel(gone)),
            (Some(Releasing), Some(5), true, Mend::Deliver),
            (Some(Releasing), Some(5), false, Mend::Header),
            (Some(Releasing), None, true, Mend::Cancel(gone)),
            (Some(Sending), None, false, Mend::Deliver),
            (Some(Printing), Some(5), true, Mend::Deliver),
            (Some(Delivered), None, true, Mend::Rubbish("its job is at its end")),
            (Some(Cancelled), Some(5), true, Mend::Rubbish("its job is at its end")),
            (Some(Cancelled), None, false, Mend::Nothing),
        ];
        for (state, document, header, expected) in cases {
            let row = state.map(|state| Job { state, ..a_job() });
            let found = Found { document, header: header.then(a_job) };
            assert_eq!(decide(row.as_ref(), &found), expected, "{state:?} {document:?} {header}");
        }
        let missing = Job { state: Cancelled, reason: gone.to_owned(), ..a_job() };
        for (document, header, expected) in [
            (Some(5), true, Mend::Reopen),
            (Some(4), true, Mend::Rubbish("its job is at its end")),
            (None, true, Mend::Rubbish("its job is at its end")),
            (None, false, Mend::Nothing),
        ] {
            let found = Found { document, header: header.then(a_job) };
            assert_eq!(decide(Some(&missing), &found), expected, "{document:?} {header}");
        }
    }
}
