//! Deleting what is old, a little at a time: between two batches everybody who waits has their turn.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cardinal_domain::{names::JobId, time::Timestamp};
use sqlx::Row as _;

use crate::{
    Store, StoreError,
    sql::{Value, places, values},
};

/// How many rows one transaction deletes at the most: a tap that comes meanwhile waits for some milliseconds.
const BATCH: i64 = 500;
/// How many pages are given back to the disk in one transaction (SQLite).
const PAGES: &str = "PRAGMA incremental_vacuum(500)";

/// Which events go.
#[derive(Debug, Clone, Copy)]
pub struct EventLimit {
    /// Those from before this moment.
    pub before: Timestamp,
    /// Those behind so many newer ones.
    pub keep: i64,
}

/// Which jobs at their end go.
#[derive(Debug, Clone, Copy)]
pub struct JobLimit {
    /// Those that came to their end before this moment.
    pub before: Timestamp,
    /// Those behind so many newer ones at their end.
    pub keep: i64,
}

/// One batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleaned {
    /// How many rows went.
    pub gone: u64,
    /// Where to go on; none: that was all.
    pub next: Option<i64>,
}

/// From where on there is too much. Many rows are counted off for it, so it is looked up once a round, by its first batch:
/// what comes meanwhile makes room in the next round.
#[derive(Default)]
pub(crate) struct Surplus {
    /// For so many events: the last that goes.
    events: Mutex<Option<(i64, i64)>>,
    /// For so many jobs: when the last that goes came to its end, and its number.
    jobs: Mutex<Option<(i64, (i64, i64))>>,
}

impl Store {
    /// Up to which place there are too many events.
    async fn surplus_events(&self, keep: i64, is_first: bool) -> Result<i64, StoreError> {
        let known = &self.inner.surplus.events;
        if let Some((_, surplus)) = lock(known).filter(|(of, _)| *of == keep && !is_first) {
            return Ok(surplus);
        }
        let newest = "SELECT seq FROM event ORDER BY seq DESC LIMIT 1 OFFSET $1";
        let row = self.first("look for old events", newest, &values![keep.max(0)]).await?;
        let surplus = number(row.as_ref())?.unwrap_or(-1);
        *lock(known) = Some((keep, surplus));
        Ok(surplus)
    }

    /// Up to which end, and among those of one moment up to which number, there are too many jobs at their end.
    async fn surplus_jobs(&self, keep: i64, is_first: bool) -> Result<(i64, i64), StoreError> {
        let known = &self.inner.surplus.jobs;
        if let Some((_, surplus)) = lock(known).filter(|(of, _)| *of == keep && !is_first) {
            return Ok(surplus);
        }
        let newest = "SELECT changed, number FROM job WHERE state IN ('delivered', 'cancelled') \
                      ORDER BY changed DESC, number DESC LIMIT 1 OFFSET $1";
        let surplus = match self.first("look for old jobs", newest, &values![keep.max(0)]).await? {
            Some(row) => {
                let bad = StoreError::unreadable("job");
                (row.try_get(0).map_err(&bad)?, row.try_get(1).map_err(&bad)?)
            }
            None => (i64::MIN, -1),
        };
        *lock(known) = Some((keep, surplus));
        Ok(surplus)
    }

    /// Deletes old events behind this place in the order (0 at first, which begins a round), one batch. Those of a job that
    /// is not at its end stay: its trace is found through them.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn clean_events(&self, limit: EventLimit, after: i64) -> Result<Cleaned, StoreError> {
        let doing = "look for old events";
        // Everything up to here is too much.
        let surplus = self.surplus_events(limit.keep, after == 0).await?;
        let window =
            "SELECT max(w.seq), min(w.at) FROM (SELECT seq, at FROM event WHERE seq > $1 ORDER BY seq LIMIT $2) w";
        let Some(row) = self.first(doing, window, &values![after, BATCH]).await? else {
            return Ok(Cleaned { gone: 0, next: None });
        };
        let bad = StoreError::unreadable("event");
        let (last, oldest): (Option<i64>, Option<i64>) = (row.try_get(0).map_err(&bad)?, row.try_get(1).map_err(&bad)?);
        let (Some(last), Some(oldest)) = (last, oldest) else { return Ok(Cleaned { gone: 0, next: None }) };
        // Events stand in the order of time, as far as the clock goes forward: behind a batch that is new all is new.
        if oldest >= limit.before.0 && after >= surplus {
            return Ok(Cleaned { gone: 0, next: None });
        }
        let mut write = self.write("delete old events").await?;
        let delete = "DELETE FROM event WHERE seq > $1 AND seq <= $2 AND (at < $3 OR seq <= $4) AND NOT EXISTS \
                      (SELECT 1 FROM job WHERE job.id = event.job AND job.state NOT IN ('delivered', 'cancelled')) \
                      RETURNING seq";
        let gone = write.all(delete, &values![after, last, limit.before.0, surplus]).await?.len();
        write.run("UPDATE counter SET value = $1 WHERE name = 'event' AND value < $1", &values![last]).await?;
        write.commit().await?;
        Ok(Cleaned { gone: u64::try_from(gone).unwrap_or(u64::MAX), next: Some(last) })
    }

    /// Jobs at their end that are old, with a number above this one (0 at first, which begins a round), one batch: their
    /// ids, and the last of their numbers. Never one that is not at its end.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn old_jobs(&self, limit: JobLimit, above: i64) -> Result<Vec<(JobId, i64)>, StoreError> {
        let (ended, last) = self.surplus_jobs(limit.keep, above == 0).await?;
        let old = "SELECT id, number FROM job WHERE state IN ('delivered', 'cancelled') AND number > $1 \
                   AND (changed < $2 OR (changed = $3 AND number <= $4)) ORDER BY number LIMIT $5";
        let values = values![above, limit.before.0.max(ended), ended, last, BATCH];
        let rows = self.all("look for old jobs", old, &values).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let id: String = row.try_get(0).map_err(StoreError::unreadable("job"))?;
            Ok((
                id.parse().map_err(StoreError::unreadable("job"))?,
                row.try_get(1).map_err(StoreError::unreadable("job"))?,
            ))
        };
        rows.iter().map(read).collect()
    }

    /// Deletes these jobs, as far as they are at their end: how many went. Their files must be gone, or a job would come
    /// back from the spool at the next start.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn delete_ended_jobs(&self, ids: &[JobId]) -> Result<u64, StoreError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let mut write = self.write("delete old jobs").await?;
        let text = format!(
            "DELETE FROM job WHERE state IN ('delivered', 'cancelled') AND id IN {} RETURNING number",
            places(write.place(), 1, ids.len())
        );
        let ids: Vec<_> = ids.iter().map(|id| Value::from(id.to_string())).collect();
        let gone = write.all(text, &ids).await?.len();
        write.commit().await?;
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    /// The ids of all jobs that are not at their end.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn open_job_ids(&self) -> Result<Vec<JobId>, StoreError> {
        let open = "SELECT id FROM job WHERE state NOT IN ('delivered', 'cancelled')";
        let rows = self.all("list open jobs", open, &[]).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let id: String = row.try_get(0).map_err(StoreError::unreadable("job"))?;
            id.parse().map_err(StoreError::unreadable("job"))
        };
        rows.iter().map(read).collect()
    }

    /// Gives some of what deleted rows left back to the disk. False: nothing is left to give. PostgreSQL does it by itself
    /// (autovacuum).
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn shrink(&self) -> Result<bool, StoreError> {
        if self.inner.place.is_postgres() {
            return Ok(false);
        }
        let doing = "give space back";
        let free = async || number(self.first(doing, "PRAGMA freelist_count", &[]).await?.as_ref());
        let before = free().await?.unwrap_or(0);
        if before == 0 {
            return Ok(false);
        }
        let mut write = self.write(doing).await?;
        write.run(PAGES, &[]).await?;
        write.commit().await?;
        // A file of before cannot be made smaller this way: then nothing was given back.
        let after = free().await?.unwrap_or(0);
        Ok(after > 0 && after < before)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(row: Option<&sqlx::any::AnyRow>) -> Result<Option<i64>, StoreError> {
    row.map(|row| row.try_get(0).map_err(StoreError::unreadable("count"))).transpose()
}
