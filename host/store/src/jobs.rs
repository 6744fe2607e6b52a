//! Jobs: rows whose states are changed only by the pure rules of `domain::job_life`.

use std::collections::HashMap;

use cardinal_domain::{
    event::EventBody,
    job::{Job, NewJob},
    job_life::JobError,
    names::{JobId, QueueName, TraceId, UserName},
    time::Timestamp,
};
use sqlx::{Row as _, any::AnyRow};

use crate::{
    Store, StoreError,
    sql::{Value, places, values},
    writer::Write,
};

/// How many jobs are looked up by one statement.
const AT_ONCE: usize = 64;

impl Store {
    /// A new job in state `receiving`, with a number of its own. The user is the one whose name the client gave.
    ///
    /// # Errors
    /// There is no such queue (any more); the database refused or broke.
    pub async fn announce_job(&self, new: NewJob) -> Result<Job, StoreError> {
        let mut write = self.write("announce a job").await?;
        let queue = "SELECT name FROM queue WHERE name = $1";
        if write.first(queue, &values![new.queue.as_str()]).await?.is_none() {
            // What was seen may be the work of others in the batch, which is not committed yet: also below.
            write.commit().await?;
            return Err(StoreError::NoQueue { queue: new.queue.to_string() });
        }
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
            write.commit().await?;
            return Ok(false);
        }
        let mut job = job.clone();
        let named = known_user(&mut write, &job.owner).await?;
        job.user = job.signed_in.clone().or(named);
        insert(&mut write, &job).await?;
        let raise = "UPDATE counter SET value = $1 WHERE name = 'job' AND value < $1";
        write.run(raise, &values![i64::from(job.number)]).await?;
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
        let Some(mut job) = find(&mut write, id).await? else {
            write.commit().await?;
            return Ok(None);
        };
        let events = match rule(&mut job) {
            Ok(events) => events,
            Err(refused) => {
                write.commit().await?;
                return Ok(Some(Err(refused)));
            }
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
        let mut found = find_all(&mut write, ids).await?;
        for id in ids {
            let Some(mut job) = found.remove(id) else { continue };
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
        let row = self.first("find a job", "SELECT * FROM job WHERE id = $1", &values![id.to_string()]).await?;
        row.as_ref().map(read).transpose()
    }

    /// The job of this number.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn job_by_number(&self, number: i32) -> Result<Option<Job>, StoreError> {
        let select = "SELECT * FROM job WHERE number = $1";
        let row = self.first("find a job", select, &values![i64::from(number)]).await?;
        row.as_ref().map(read).transpose()
    }

    /// How many jobs of this queue are not at their end.
    ///
    /// # Errors
    /// The database broke.
    pub async fn open_jobs(&self, queue: &QueueName) -> Result<i64, StoreError> {
        let row = self.first("count jobs", OPEN_IN_QUEUE, &values![queue.as_str()]).await?;
        count(row.as_ref())
    }

    /// The events of a job's life so far belong to this trace; a job without any begins one.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn trace_of_job(&self, id: JobId) -> Result<TraceId, StoreError> {
        let select = "SELECT trace FROM event WHERE job = $1 ORDER BY seq DESC LIMIT 1";
        let row = self.first("find a job's trace", select, &values![id.to_string()]).await?;
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
pub(crate) async fn open_in_queue(write: &mut Write, queue: &QueueName) -> Result<i64, StoreError> {
    count(write.first(OPEN_IN_QUEUE, &values![queue.as_str()]).await?.as_ref())
}

fn count(row: Option<&AnyRow>) -> Result<i64, StoreError> {
    row.map_or(Ok(0), |row| row.try_get(0).map_err(StoreError::unreadable("count")))
}

/// What of a job is searched in: whose it is and what it is called, in lower case, a line each.
pub(crate) fn folded(owner: &str, user: Option<&str>, name: &str) -> String {
    format!("{owner}\n{}\n{name}", user.unwrap_or_default()).to_lowercase()
}

async fn known_user(write: &mut Write, owner: &str) -> Result<Option<UserName>, StoreError> {
    let Ok(name) = UserName::new(owner) else { return Ok(None) };
    let row = write.first("SELECT name FROM users WHERE name = $1", &values![name.as_str()]).await?;
    Ok(row.map(|_| name))
}

async fn find(write: &mut Write, id: JobId) -> Result<Option<Job>, StoreError> {
    Ok(find_all(write, &[id]).await?.remove(&id))
}

async fn find_all(write: &mut Write, ids: &[JobId]) -> Result<HashMap<JobId, Job>, StoreError> {
    let mut found = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let text = format!("SELECT * FROM job WHERE id IN {}", places(write.place(), 1, ids.len()));
        let values: Vec<_> = ids.iter().map(|id| Value::from(id.to_string())).collect();
        for row in write.all(text, &values).await? {
            let job = read(&row)?;
            found.insert(job.id, job);
        }
    }
    Ok(found)
}

async fn insert(write: &mut Write, job: &Job) -> Result<(), StoreError> {
    let sql = "INSERT INTO job (number, queue, owner, user_name, name, format, bytes, sha256, options, state, reason, \
               doubtful, printer, device, remote, created, changed, owner_name, attempt, signed_in, folded, id) VALUES \
               ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";
    write.run(sql, &columns(job)?).await
}

async fn update(write: &mut Write, job: &Job) -> Result<(), StoreError> {
    let sql = "UPDATE job SET number = $1, queue = $2, owner = $3, user_name = $4, name = $5, format = $6, bytes = $7, \
               sha256 = $8, options = $9, state = $10, reason = $11, doubtful = $12, printer = $13, device = $14, \
               remote = $15, created = $16, changed = $17, owner_name = $18, attempt = $19, signed_in = $20, \
               folded = $21 WHERE id = $22";
    write.run(sql, &columns(job)?).await
}

/// Both statements number their columns alike.
fn columns(job: &Job) -> Result<[Value; 22], StoreError> {
    Ok(values![
        i64::from(job.number),
        job.queue.as_str(),
        job.owner.as_str(),
        job.user.as_ref().map(UserName::as_str),
        job.name.as_str(),
        job.format.as_str(),
        i64::try_from(job.bytes).unwrap_or(i64::MAX),
        job.sha256.as_str(),
        serde_json::to_string(&job.options).map_err(StoreError::unreadable("job"))?,
        job.state.as_str(),
        job.reason.as_str(),
        i64::from(job.doubtful),
        job.printer.as_ref().map(ToString::to_string),
        job.device.as_ref().map(ToString::to_string),
        job.remote.map(i64::from),
        job.created.0,
        job.changed.0,
        UserName::new(&job.owner).ok().map(String::from),
        i64::from(job.attempt),
        job.signed_in.as_ref().map(UserName::as_str),
        folded(&job.owner, job.user.as_ref().map(UserName::as_str), &job.name),
        job.id.to_string(),
    ])
}

pub(crate) fn read(row: &AnyRow) -> Result<Job, StoreError> {
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
