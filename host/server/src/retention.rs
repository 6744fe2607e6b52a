//! How long things are kept: `[retention]` in cardinal.toml, looked after by one quiet task.
//!
//! Goes by rules that the store and the spool enforce by themselves: nothing of a job that is not at its end is touched,
//! and the row of a job goes only when its files are gone.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use cardinal_domain::{
    bounds::{BoundsError, in_range},
    bounds_table,
    event::{EventBody, EventKind},
    names::TraceId,
    time::Timestamp,
};
use cardinal_store::{EventLimit, JobLimit};
use tokio_util::sync::CancellationToken;

use crate::sessions::Services;

/// Between two batches the disk is everybody else's.
const PAUSE: Duration = Duration::from_millis(50);
const DAY_MS: i64 = 24 * 3_600_000;

bounds_table! {
    /// How long things are kept: `[retention]` in `cardinal.toml`.
    RetentionLimits,
    /// The table behind [`RetentionLimits`].
    RETENTION_LIMITS:

    event_days = 90, "days", "How long events are kept; those of a job that is not at its end stay longer.";
    events = 1_000_000, "events", "How many events are kept, the newest ones, however young the others are: about 0.5 GB.";
    job_days = 30, "days", "How long a job stays listed once it is delivered or cancelled. Its document goes at once.";
    jobs = 100_000, "jobs", "How many such jobs stay listed, the newest ones.";
    check_every_s = 3_600, "s", "How often is looked for what is too old; also at the start.";
}

impl RetentionLimits {
    /// Whether these make sense. A 0 never means "for ever".
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), BoundsError> {
        const MOST: u64 = 1_000_000_000_000;
        let of = "; see [retention] in cardinal.toml";
        in_range("event_days", self.event_days, 1, 36_500, of)?;
        in_range("events", self.events, 1, MOST, of)?;
        in_range("job_days", self.job_days, 1, 36_500, of)?;
        in_range("jobs", self.jobs, 1, MOST, of)?;
        in_range("check_every_s", self.check_every_s, 1, 31_622_400, of)
    }
}

/// What went in one round.
#[derive(Debug, Default, PartialEq, Eq)]
struct Gone {
    events: u64,
    jobs: u64,
    files: usize,
}

/// Cleans at once, and then every so often until the host stops.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    let every = Duration::from_secs(services.config.retention.check_every_s);
    loop {
        // The host does not wait for a round: what is left goes in the next.
        match stop.run_until_cancelled(clean(&services)).await {
            None => return,
            Some(Ok(())) => {}
            // What went so far is gone; the rest goes in the next round.
            Some(Err(error)) => {
                tracing::error!(error = format!("{error:#}"), "old events and jobs could not be deleted")
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}

async fn clean(services: &Services) -> Result<()> {
    if let Err(error) = services.recorder.clean().await {
        tracing::error!(error = &error as &dyn std::error::Error, "old captures could not be removed");
    }
    let limits = &services.config.retention;
    let number = |bound: u64| i64::try_from(bound).unwrap_or(i64::MAX);
    let before = |days: u64| Timestamp(Timestamp::now().0.saturating_sub(number(days).saturating_mul(DAY_MS)));
    let mut gone = Gone { files: services.release.sweep().await?, ..Gone::default() };

    let limit = JobLimit { before: before(limits.job_days), keep: number(limits.jobs) };
    let mut above = 0;
    loop {
        let old = services.store.old_jobs(limit, above).await?;
        let Some((_, last)) = old.last() else { break };
        above = *last;
        // With files left its row would be put back from them at the next start.
        let ids = services.release.without_files(old.into_iter().map(|(id, _)| id).collect()).await?;
        gone.jobs += services.store.delete_ended_jobs(&ids).await?;
        tokio::time::sleep(PAUSE).await;
    }

    let limit = EventLimit { before: before(limits.event_days), keep: number(limits.events) };
    let mut next = Some(0);
    while let Some(after) = next {
        let cleaned = services.store.clean_events(limit, after).await?;
        gone.events += cleaned.gone;
        next = cleaned.next;
        tokio::time::sleep(PAUSE).await;
    }
    if gone == Gone::default() {
        return Ok(());
    }
    while services.store.shrink().await? {
        tokio::time::sleep(PAUSE).await;
    }
    let Gone { events, jobs, files } = gone;
    let message = format!("{events} old events and {jobs} jobs at their end were deleted");
    let event = EventBody::new(TraceId::new(), EventKind::RetentionCleaned, message)
        .fact("events", events.to_string())
        .fact("jobs", jobs.to_string())
        .fact("files", files.to_string());
    Ok(services.store.record(vec![event]).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_for_no_time_at_all() {
        RetentionLimits::default().check().unwrap();
        for bound in RETENTION_LIMITS {
            let mut limits = RetentionLimits::default();
            *limits.get_mut(bound.name).unwrap() = 0;
            let error = limits.check().unwrap_err().to_string();
            assert!(error.contains(bound.name) && error.contains("[retention]"), "{error}");
        }
    }
}
