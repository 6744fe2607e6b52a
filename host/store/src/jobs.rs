//! Jobs: rows whose states are changed only by the pure rules of `domain::job_life`.
use cardinal_domain::{
    event::EventBody,
    job::{Job, JobState, NewJob},
    job_life::JobError,
    names::{JobId, QueueName, TraceId, UserName},
    time::Timestamp,
};
use sqlx::{Row as _, any::AnyRow};

use crate::{Store, StoreError, connect::Write};

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only in this queue.
    pub queue: Option<QueueName>,
    /// Only this user's.
    pub user: Option<UserName>,
    /// Only in this state.
    pub state: Option<JobState>,
    /// Only those not at their end.
    pub open: bool,
    /// At most so many, newest first.
    pub limit: i64,
}

impl Store {
    /// A new job in state `receiving`, with a number of its own. The user is the one whose name the client gave.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn announce_job(&self, new: NewJob) -> Result<Job, StoreError> {
        let mut write = self.write("announce a job").await?;
        let number = write.count("job", 1).await?;
        let number = i32::try_from(number).map_err(StoreError::unreadable("job number"))?;
        let user = known_user(&mut write, &new.owner).await?;
        let job = new.announced(number, user);
        insert(&mut write, &job).await?;
        write.commit().await?;
        Ok(job)
    }

    /// Puts a job back whose row the database lost, as its spool header tells it. False: it is there, nothing changed.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn restore_job(&self, job: &Job, events: Vec<EventBody>) -> Result<bool, StoreError> {
        let mut write = self.write("restore a job").await?;
        if find(&mut write, job.id).await?.is_some() {
            return Ok(false);
        }
        let mut job = job.clone();
        let named = known_user(&mut write, &job.owner).await?;
        job.user = job.signed_in.clone().or(named);
        insert(&mut write, &job).await?;
        sqlx::query("UPDATE counter SET value = $1 WHERE name = 'job' AND value < $1")
            .bind(i64::from(job.number))
            .execute(&mut *write.tx)
            .await
            .map_err(StoreError::sql("restore a job"))?;
        write.tell(events).await?;
        write.commit().await?;
        Ok(true)
    }

    /// Changes a job by a rule, in one transaction with the events that tell of it. Outer error: the store; inner error:
    /// the rule refused, and nothing was changed. None: there is no such job.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn change_job(
        &self,
        id: JobId,
        rule: impl FnOnce(&mut Job) -> Result<Vec<EventBody>, JobError> + Send,
    ) -> Result<Option<Result<Job, JobError>>, StoreError> {
        let mut write = self.write("change a job").await?;
        let Some(mut job) = find(&mut write, id).await? else { return Ok(None) };
        let events = match rule(&mut job) {
            Ok(events) => events,
            Err(refused) => return Ok(Some(Err(refused))),
        };
        update(&mut write, &job).await?;
        write.tell(events).await?;
        write.commit().await?;
        Ok(Some(Ok(job)))
    }

    /// Changes several jobs by one rule and stores more events, all in one transaction. Jobs that the rule refuses (they
    /// moved on meanwhile) are left out. `told` makes the other events, knowing which jobs were changed.
    ///
    /// # Errors
    /// The database refused or broke; then nothing was changed.
    pub async fn change_jobs(
        &self,
        ids: &[JobId],
        mut rule: impl FnMut(&mut Job) -> Result<Vec<EventBody>, JobError> + Send,
        told: impl FnOnce(&[Job]) -> Vec<EventBody> + Send,
    ) -> Result<Vec<Job>, StoreError> {
        let mut write = self.write("change jobs").await?;
        let mut changed = Vec::new();
        let mut events = Vec::new();
        for id in ids {
            let Some(mut job) = find(&mut write, *id).await? else { continue };
            if let Ok(more) = rule(&mut job) {
                update(&mut write, &job).await?;
                events.extend(more);
                changed.push(job);
            }
        }
        let mut all = told(&changed);
        all.extend(events);
        write.tell(all).await?;
        write.commit().await?;
        Ok(changed)
    }

    /// The job of this id.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let row = sqlx::query("SELECT * FROM job WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.inner.pool)
            .await
            .map_err(StoreError::sql("find a job"))?;
        row.as_ref().map(read).transpose()
    }

    /// The job of this number.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn job_by_number(&self, number: i32) -> Result<Option<Job>, StoreError> {
        let row = sqlx::query("SELECT * FROM job WHERE number = $1")
            .bind(i64::from(number))
            .fetch_optional(&self.inner.pool)
            .await
            .map_err(StoreError::sql("find a job"))?;
        row.as_ref().map(read).transpose()
    }

    /// The jobs that fit, newest first.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let rows = sqlx::query(
            "SELECT * FROM job WHERE ($1 = '' OR queue = $1) AND ($2 = '' OR user_name = $2) AND ($3 = '' OR state = $3) \
             AND ($4 = 0 OR state NOT IN ('delivered', 'cancelled')) ORDER BY number DESC LIMIT $5",
        )
        .bind(text(filter.queue.as_ref().map(QueueName::as_str)))
        .bind(text(filter.user.as_ref().map(UserName::as_str)))
        .bind(text(filter.state.map(JobState::as_str)))
        .bind(i64::from(filter.open))
        .bind(filter.limit.max(0))
        .fetch_all(&self.inner.pool)
        .await
        .map_err(StoreError::sql("list jobs"))?;
        rows.iter().map(read).collect()
    }

    /// The jobs that wait for this user, oldest first: the order in which people expect their paper.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn held_for(&self, user: &UserName) -> Result<Vec<Job>, StoreError> {
        let rows = sqlx::query("SELECT * FROM job WHERE user_name = $1 AND state = 'held' ORDER BY number")
            .bind(user.to_string())
            .fetch_all(&self.inner.pool)
            .await
            .map_err(StoreError::sql("list held jobs"))?;
        rows.iter().map(read).collect()
    }

    /// How many jobs of this queue are not at their end.
    ///
    /// # Errors
    /// The database broke.
    pub async fn open_jobs(&self, queue: &QueueName) -> Result<i64, StoreError> {
        let row = sqlx::query(OPEN_IN_QUEUE)
            .bind(queue.to_string())
            .fetch_one(&self.inner.pool)
            .await
            .map_err(StoreError::sql("count jobs"))?;
        row.try_get(0).map_err(StoreError::unreadable("count"))
    }

    /// The events of a job's life so far belong to this trace; a job without any begins one.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn trace_of_job(&self, id: JobId) -> Result<TraceId, StoreError> {
        let row = sqlx::query("SELECT trace FROM event WHERE job = $1 ORDER BY seq DESC LIMIT 1")
            .bind(id.to_string())
            .fetch_optional(&self.inner.pool)
            .await
            .map_err(StoreError::sql("find a job's trace"))?;
        match row {
            Some(row) => {
                let text: String = row.try_get(0).map_err(StoreError::unreadable("event"))?;
                text.parse().map_err(StoreError::unreadable("event"))
            }
            None => Ok(TraceId::new()),
        }
    }
}

const OPEN_IN_QUEUE: &str = "SELECT count(*) FROM job WHERE queue = $1 AND state NOT IN ('delivered', 'cancelled')";

/// How many jobs of a queue are not at their end.
pub(crate) async fn open_in_queue(write: &mut Write<'_>, queue: &QueueName) -> Result<i64, StoreError> {
    let row = sqlx::query(OPEN_IN_QUEUE)
        .bind(queue.to_string())
        .fetch_one(&mut *write.tx)
        .await
        .map_err(StoreError::sql("count jobs"))?;
    row.try_get(0).map_err(StoreError::unreadable("count"))
}

async fn known_user(write: &mut Write<'_>, owner: &str) -> Result<Option<UserName>, StoreError> {
    let Ok(name) = UserName::new(owner) else { return Ok(None) };
    let row = sqlx::query("SELECT name FROM users WHERE name = $1")
        .bind(name.to_string())
        .fetch_optional(&mut *write.tx)
        .await
        .map_err(StoreError::sql("find a user"))?;
    Ok(row.map(|_| name))
}

async fn find(write: &mut Write<'_>, id: JobId) -> Result<Option<Job>, StoreError> {
    let row = sqlx::query("SELECT * FROM job WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut *write.tx)
        .await
        .map_err(StoreError::sql("find a job"))?;
    row.as_ref().map(read).transpose()
}

async fn insert(write: &mut Write<'_>, job: &Job) -> Result<(), StoreError> {
    let sql = "INSERT INTO job (number, queue, owner, user_name, name, format, bytes, sha256, options, state, reason, \
               doubtful, printer, device, remote, created, changed, owner_name, attempt, signed_in, id) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";
    save(write, sql, job).await
}

async fn update(write: &mut Write<'_>, job: &Job) -> Result<(), StoreError> {
    let sql = "UPDATE job SET number = $1, queue = $2, owner = $3, user_name = $4, name = $5, format = $6, bytes = $7, \
               sha256 = $8, options = $9, state = $10, reason = $11, doubtful = $12, printer = $13, device = $14, \
               remote = $15, created = $16, changed = $17, owner_name = $18, attempt = $19, signed_in = $20 \
               WHERE id = $21";
    save(write, sql, job).await
}

/// Both statements number their columns alike.
async fn save(write: &mut Write<'_>, sql: &'static str, job: &Job) -> Result<(), StoreError> {
    sqlx::query(sql)
        .bind(i64::from(job.number))
        .bind(job.queue.to_string())
        .bind(job.owner.clone())
        .bind(job.user.as_ref().map(ToString::to_string))
        .bind(job.name.clone())
        .bind(job.format.clone())
        .bind(i64::try_from(job.bytes).unwrap_or(i64::MAX))
        .bind(job.sha256.clone())
        .bind(serde_json::to_string(&job.options).map_err(StoreError::unreadable("job"))?)
        .bind(job.state.as_str())
        .bind(job.reason.clone())
        .bind(i64::from(job.doubtful))
        .bind(job.printer.as_ref().map(ToString::to_string))
        .bind(job.device.as_ref().map(ToString::to_string))
        .bind(job.remote.map(i64::from))
        .bind(job.created.0)
        .bind(job.changed.0)
        .bind(UserName::new(&job.owner).ok().map(String::from))
        .bind(i64::from(job.attempt))
        .bind(job.signed_in.as_ref().map(ToString::to_string))
        .bind(job.id.to_string())
        .execute(&mut *write.tx)
        .await
        .map(drop)
        .map_err(StoreError::sql("write a job"))
}

fn read(row: &AnyRow) -> Result<Job, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(StoreError::unreadable("job"));
    let maybe = |column: &str| row.try_get::<Option<String>, _>(column).map_err(StoreError::unreadable("job"));
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(StoreError::unreadable("job"));
    let remote: Option<i64> = row.try_get("remote").map_err(StoreError::unreadable("job"))?;
    Ok(Job {
        id: text("id")?.parse().map_err(StoreError::unreadable("job"))?,
        number: i32::try_from(number("number")?).map_err(StoreError::unreadable("job"))?,
        queue: text("queue")?.parse().map_err(StoreError::unreadable("job"))?,
        owner: text("owner")?,
        signed_in: crate::setup::name(maybe("signed_in")?)?,
        user: crate::setup::name(maybe("user_name")?)?,
        name: text("name")?,
        format: text("format")?,
        bytes: u64::try_from(number("bytes")?).map_err(StoreError::unreadable("job"))?,
        sha256: text("sha256")?,
        options: serde_json::from_str(&text("options")?).map_err(StoreError::unreadable("job"))?,
        state: text("state")?.parse().map_err(StoreError::unreadable("job"))?,
        reason: text("reason")?,
        doubtful: number("doubtful")? != 0,
        printer: crate::setup::name(maybe("printer")?)?,
        device: crate::setup::name(maybe("device")?)?,
        attempt: u32::try_from(number("attempt")?).map_err(StoreError::unreadable("job"))?,
        remote: remote.map(i32::try_from).transpose().map_err(StoreError::unreadable("job"))?,
        created: Timestamp(number("created")?),
        changed: Timestamp(number("changed")?),
    })
}
