//! Carrying out what a directory sync plans, in one transaction, and what is kept of each run.

use std::collections::BTreeMap;

use cardinal_domain::{
    event::EventBody,
    names::{GroupName, SourceName, UserName},
    plan,
    site::{Device, Origin, Queue, User},
    sync::{Change, Group},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::{Row as _, any::AnyRow};

use crate::{
    Store, StoreError, setup,
    sql::{Value, places, rows_at_once, values},
    users,
    writer::Write,
};

const PART: &str = "run of a sync";
/// The columns of a run, as [`read_run`] reads them.
const RUN: &str = "number, kind, outcome, why, began, ended, told, digest, as_of, marks, undoes, undone_by";
/// How many changes stand in one row.
const IN_A_PART: usize = 200;

/// What is on record, as of one moment or as good as that: [`Store::carry_out_sync`] refuses a plan where it was not.
#[derive(Debug, Clone)]
pub struct People {
    /// Users by name.
    pub users: Vec<User>,
    /// Groups by name.
    pub groups: Vec<Group>,
    /// Which state of the site this is.
    pub as_of: i64,
}

/// A run of a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRun {
    /// Its number; they count up.
    pub number: i64,
    /// What it was to do, such as `now`, `nightly`, `test` or `undo`.
    pub kind: String,
    /// What became of it, such as `applied`, `failed`, `held`.
    pub outcome: String,
    /// In words, where there is something to say.
    pub why: String,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What was read, what there is to do, what is left alone: JSON.
    pub told: String,
    /// The digest of its plan; empty: it came to none.
    pub digest: String,
    /// The state of the site that the plan was made from: [`People::as_of`].
    pub as_of: i64,
    /// Where reading what changed begins once the plan is carried out, by source.
    pub marks: BTreeMap<SourceName, String>,
    /// The run that this one takes back.
    pub undoes: Option<i64>,
    /// The run that took this one back.
    pub undone_by: Option<i64>,
}

/// A user who was removed by a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedUser {
    /// The run that removed them.
    pub sync: i64,
    /// When.
    pub removed: Timestamp,
    /// As they were.
    pub user: User,
}

impl Store {
    /// Every user and group.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn people(&self) -> Result<People, StoreError> {
        let select = "SELECT value FROM counter WHERE name = 'site'";
        let row = self.all("read the site's state", select, &[]).await?.pop();
        let row = row.ok_or_else(|| StoreError::unreadable("counter")("site is missing"))?;
        let as_of = row.try_get(0).map_err(StoreError::unreadable("counter"))?;
        Ok(People { users: self.users().await?, groups: self.groups().await?, as_of })
    }

    /// Where reading what changed in a source begins; none: read everything.
    ///
    /// # Errors
    /// The database broke.
    pub async fn sync_mark(&self, source: &SourceName) -> Result<Option<String>, StoreError> {
        let select = "SELECT mark FROM source_mark WHERE source = $1";
        let row = self.all("read where a source was", select, &values![source.as_str()]).await?.pop();
        row.map(|row| row.try_get(0)).transpose().map_err(StoreError::unreadable("mark"))
    }

    /// Carries out the changes of a run that was kept, which are these: all of it, or nothing. From then on its outcome is
    /// `applied`, or `nothing` where there are none. False: the site is another than the plan was made from; nothing was done.
    ///
    /// # Errors
    /// The database refused (a card or a name in use) or broke.
    pub async fn carry_out_sync(
        &self,
        run: &SyncRun,
        changes: &[Change],
        told: &str,
        events: Vec<EventBody>,
    ) -> Result<bool, StoreError> {
        let mut write = self.write_apart("carry out a sync").await?;
        // From here on nobody else can change the database. Where nothing is done, other plans stay good.
        let by = i64::from(!changes.is_empty());
        if write.count("site", by).await? != run.as_of + by {
            return Ok(false);
        }
        let ended = Timestamp::now();
        let outcome = if changes.is_empty() { "nothing" } else { "applied" };
        let sql = "UPDATE sync_run SET outcome = $1, why = '', ended = $2, told = $3 WHERE number = $4";
        write.run(sql, &values![outcome, ended.0, told, run.number]).await?;
        carry_out(&mut write, run, ended, changes).await?;
        let renamed = self.with_renamed_groups(changes);
        for change in &renamed {
            setup::carry_out(&mut write, change).await?;
        }
        write.change_setup(&renamed);
        for (source, mark) in &run.marks {
            // Only of a source that is there still.
            let put = "INSERT INTO source_mark (source, mark) SELECT name, $2 FROM source WHERE name = $1 \
                       ON CONFLICT (source) DO UPDATE SET mark = excluded.mark";
            write.run(put, &values![source.as_str(), mark.as_str()]).await?;
        }
        if let Some(undone) = run.undoes {
            write.run("UPDATE sync_run SET undone_by = $1 WHERE number = $2", &values![run.number, undone]).await?;
            // Who is back is in no archive. What changed in the sources since is not known any more.
            write.run("DELETE FROM archived_user WHERE run = $1", &values![undone]).await?;
            write.run("DELETE FROM source_mark", &[]).await?;
        }
        write.tell(events).await?;
        write.commit().await.map(|()| true)
    }

    /// Devices and queues that name a group which has another name by these changes, with that one.
    fn with_renamed_groups(&self, changes: &[Change]) -> Vec<plan::Change> {
        let renamed: BTreeMap<_, _> = changes
            .iter()
            .filter_map(|change| match change {
                Change::ChangeGroup { from, to, .. } if from != to => Some((from, to)),
                _ => None,
            })
            .collect();
        let setup = self.setup();
        let now = |groups: &[GroupName]| -> Option<Vec<GroupName>> {
            let is_one = groups.iter().any(|group| renamed.contains_key(group));
            is_one.then(|| groups.iter().map(|group| (*renamed.get(group).unwrap_or(&group)).clone()).collect())
        };
        let devices = setup.devices.values().filter_map(|device| {
            Some(plan::Change::PutDevice(Device { groups: now(&device.groups)?, ..Device::clone(device) }))
        });
        let queues = setup.queues.values().filter_map(|queue| {
            Some(plan::Change::PutQueue(Queue { groups: now(&queue.groups)?, ..Queue::clone(queue) }))
        });
        devices.chain(queues).collect()
    }

    /// Writes down what became of a run that was kept, and was not carried out. False, and nothing is told: it was, and only
    /// the answer was lost.
    ///
    /// # Errors
    /// The database broke.
    pub async fn end_sync(
        &self,
        run: i64,
        outcome: &str,
        why: &str,
        events: Vec<EventBody>,
    ) -> Result<bool, StoreError> {
        let mut write = self.write("end a run of a sync").await?;
        let sql = "UPDATE sync_run SET outcome = $1, why = $2, ended = $3 \
                   WHERE number = $4 AND outcome NOT IN ('applied', 'nothing') RETURNING number";
        if write.first(sql, &values![outcome, why, Timestamp::now().0, run]).await?.is_none() {
            return Ok(false);
        }
        write.tell(events).await?;
        write.commit().await.map(|()| true)
    }

    /// Keeps a run with the plan that it came to; nothing of it is carried out. Answers its number, which the events have,
    /// too. With `supersedes` plans that wait are good no longer: this one has seen more.
    ///
    /// # Errors
    /// The database broke.
    pub async fn keep_sync(
        &self,
        run: &SyncRun,
        changes: &[Change],
        supersedes: bool,
        events: Vec<EventBody>,
    ) -> Result<i64, StoreError> {
        let mut write = self.write_apart("keep the run of a sync").await?;
        if supersedes {
            let sql = "UPDATE sync_run SET outcome = 'stale', why = 'the sources were read again since' \
                       WHERE outcome = 'waits'";
            write.run(sql, &[]).await?;
        }
        let number = keep(&mut write, run, changes).await?;
        write.tell(events.into_iter().map(|event| event.fact("sync", number.to_string())).collect()).await?;
        write.commit().await.map(|()| number)
    }

    /// Runs, the latest first: at most so many, and from before this number.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn sync_runs(&self, before: i64, most: i64) -> Result<Vec<SyncRun>, StoreError> {
        let select = format!("SELECT {RUN} FROM sync_run WHERE number < $1 ORDER BY number DESC LIMIT $2");
        self.all("list runs of syncs", select, &values![before, most]).await?.iter().map(read_run).collect()
    }

    /// The latest run that changed anything and can be taken back: no undo, and not undone.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn last_sync_to_undo(&self) -> Result<Option<SyncRun>, StoreError> {
        let select = format!(
            "SELECT {RUN} FROM sync_run WHERE outcome = 'applied' AND undone_by IS NULL AND undoes IS NULL \
             ORDER BY number DESC LIMIT 1"
        );
        self.all("find a sync to undo", select, &[]).await?.first().map(read_run).transpose()
    }

    /// What a run did or would do: at most so many changes, from this one on.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn sync_changes(&self, run: i64, from: usize, most: usize) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        let mut skip = from % IN_A_PART;
        for part in i64::try_from(from / IN_A_PART).unwrap_or(i64::MAX).. {
            // One at a time: all of a large plan would be in memory twice.
            let select = "SELECT changes FROM sync_part WHERE run = $1 AND part = $2";
            let Some(row) = self.all("read a sync's plan", select, &values![run, part]).await?.pop() else { break };
            let text: &str = row.try_get(0).map_err(StoreError::unreadable(PART))?;
            let part: Vec<Change> = serde_json::from_str(text).map_err(StoreError::unreadable(PART))?;
            changes.extend(part.into_iter().skip(skip).take(most - changes.len()));
            skip = 0;
            if changes.len() >= most {
                break;
            }
        }
        Ok(changes)
    }

    /// Forgets runs, but for so many latest ones of those that were carried out, with who was archived by them, and of the
    /// rest. What can be undone outlives any number of runs that changed nothing.
    ///
    /// # Errors
    /// The database broke.
    pub async fn forget_syncs(&self, keep: i64) -> Result<usize, StoreError> {
        let mut write = self.write("forget runs of syncs").await?;
        let mut gone = 0;
        for kind in ["outcome = 'applied'", "outcome <> 'applied'"] {
            let sql = format!(
                "DELETE FROM sync_run WHERE {kind} AND number NOT IN \
                 (SELECT number FROM sync_run WHERE {kind} ORDER BY number DESC LIMIT $1) RETURNING number"
            );
            gone += write.all(sql, &values![keep]).await?.len();
        }
        write.commit().await.map(|()| gone)
    }

    /// Who was removed by syncs, the latest first: at most so many, by their names then, with the run and the time.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn archived_users(&self, most: i64) -> Result<Vec<ArchivedUser>, StoreError> {
        let select = "SELECT run, at, spec FROM archived_user ORDER BY run DESC, name LIMIT $1";
        let bad = || StoreError::unreadable("archived user");
        let read = |row: &AnyRow| {
            Ok(ArchivedUser {
                sync: row.try_get(0).map_err(bad())?,
                removed: Timestamp(row.try_get(1).map_err(bad())?),
                user: serde_json::from_str(row.try_get(2).map_err(bad())?).map_err(StoreError::unreadable(PART))?,
            })
        };
        self.all("list archived users", select, &values![most]).await?.iter().map(read).collect()
    }
}

fn read_run(row: &AnyRow) -> Result<SyncRun, StoreError> {
    let text = |at| row.try_get::<String, _>(at).map_err(StoreError::unreadable(PART));
    let number = |at| row.try_get::<i64, _>(at).map_err(StoreError::unreadable(PART));
    Ok(SyncRun {
        number: number(0)?,
        kind: text(1)?,
        outcome: text(2)?,
        why: text(3)?,
        began: Timestamp(number(4)?),
        ended: Timestamp(number(5)?),
        told: text(6)?,
        digest: text(7)?,
        as_of: number(8)?,
        marks: serde_json::from_str(&text(9)?).map_err(StoreError::unreadable(PART))?,
        undoes: row.try_get(10).map_err(StoreError::unreadable(PART))?,
        undone_by: row.try_get(11).map_err(StoreError::unreadable(PART))?,
    })
}

async fn keep(write: &mut Write, run: &SyncRun, changes: &[Change]) -> Result<i64, StoreError> {
    let number = write.count("sync", 1).await?;
    let sql = "INSERT INTO sync_run (number, kind, outcome, why, began, ended, told, digest, as_of, marks, undoes) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let SyncRun { kind, outcome, why, began, ended, told, digest, as_of, marks, undoes, .. } = run;
    let marks = serde_json::to_string(marks).map_err(StoreError::unreadable(PART))?;
    let row = values![
        number,
        kind.as_str(),
        outcome.as_str(),
        why.as_str(),
        began.0,
        ended.0,
        told.as_str(),
        digest.as_str(),
        *as_of,
        marks,
        *undoes
    ];
    write.run(sql, &row).await?;
    for (part, changes) in (0_i64..).zip(changes.chunks(IN_A_PART)) {
        let text = serde_json::to_string(changes).map_err(StoreError::unreadable(PART))?;
        let sql = "INSERT INTO sync_part (run, part, changes) VALUES ($1, $2, $3)";
        write.run(sql, &values![number, part, text]).await?;
    }
    Ok(number)
}

/// In the order of a plan; of each kind everything at once.
async fn carry_out(write: &mut Write, run: &SyncRun, at: Timestamp, changes: &[Change]) -> Result<(), StoreError> {
    let mut removed = Vec::new();
    let mut renamed = Vec::new();
    let mut freed = Vec::new();
    let (mut put, mut added) = (Vec::new(), Vec::new());
    let mut groups_gone = Vec::new();
    let mut groups_changed = Vec::new();
    let mut groups = Vec::new();
    let (mut left, mut joined) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::RemoveUser { user, .. } => removed.push(&**user),
            Change::RenameUser { from, to, .. } => renamed.push((from, to)),
            Change::UpdateUser { after, .. } => {
                freed.push(&after.name);
                put.push(&**after);
            }
            Change::AddUser { user, .. } => {
                added.push(&user.name);
                put.push(&**user);
            }
            Change::RemoveGroup { group, .. } => groups_gone.push(&group.name),
            Change::ChangeGroup { from, to, origin, .. } => groups_changed.push((from, to, origin)),
            Change::AddGroup { group, .. } => {
                groups.push(group);
                joined.extend(group.members.iter().map(|user| (&group.name, user)));
            }
            Change::Members { group, left: leave, joined: join, .. } => {
                left.extend(leave.iter().map(|user| (group, user)));
                joined.extend(join.iter().map(|user| (group, user)));
            }
        }
    }
    archive(write, run.number, at, &removed).await?;
    // Who comes back by an undo has their jobs still; whoever else has the name from now on does not get them.
    let is_undo = run.undoes.is_some();
    if !is_undo {
        users::orphan_jobs(write, &added).await?;
    }
    rename(write, &renamed, is_undo).await?;
    // Cards move between users in one plan, so all are freed before any is given.
    users::free_cards(write, &freed).await?;
    users::put(write, &put).await?;
    change_groups(write, &groups_gone, &groups_changed, &groups).await?;
    members(write, &left, &joined).await
}

/// Removes users and keeps what they were. Their jobs and events stay.
async fn archive(write: &mut Write, run: i64, at: Timestamp, users: &[&User]) -> Result<(), StoreError> {
    for users in users.chunks(rows_at_once(4)) {
        let mut rows = Vec::with_capacity(users.len() * 4);
        for user in users {
            let spec = serde_json::to_string(user).map_err(StoreError::unreadable(PART))?;
            rows.extend(values![run, user.name.as_str(), at.0, spec]);
        }
        let sql =
            format!("INSERT INTO archived_user (run, name, at, spec) VALUES {}", places(write.place(), users.len(), 4));
        write.run(sql, &rows).await?;
        let names: Vec<_> = users.iter().map(|user| Value::from(user.name.as_str())).collect();
        write.run(format!("DELETE FROM users WHERE name IN {}", places(write.place(), 1, names.len())), &names).await?;
    }
    Ok(())
}

/// Gives users other names; cards, memberships and jobs go along. By way of names that nobody can have: they may go round in
/// a circle.
async fn rename(write: &mut Write, renamed: &[(&UserName, &UserName)], is_undo: bool) -> Result<(), StoreError> {
    let between: Vec<_> = (0..renamed.len()).map(|at| format!("/{at}")).collect();
    let targets: Vec<_> = renamed.iter().map(|(_, to)| *to).collect();
    let away: Vec<_> =
        renamed.iter().zip(&between).map(|((from, _), between)| (from.as_str(), between.as_str())).collect();
    change_names(write, &away).await?;
    if !is_undo {
        // Nobody has these names now, so that the jobs are of users who were removed.
        users::orphan_jobs(write, &targets).await?;
    }
    let back: Vec<_> = between.iter().zip(&targets).map(|(between, to)| (between.as_str(), to.as_str())).collect();
    change_names(write, &back).await?;
    users::adopt_jobs(write, &targets).await
}

async fn change_names(write: &mut Write, renamed: &[(&str, &str)]) -> Result<(), StoreError> {
    for renamed in renamed.chunks(rows_at_once(2)) {
        let names: Vec<_> = renamed.iter().flat_map(|(from, to)| values![*from, *to]).collect();
        let rows = places(write.place(), renamed.len(), 2);
        for (table, column) in [("users", "name"), ("job", "user_name"), ("job", "signed_in")] {
            let sql = format!(
                "UPDATE {table} SET {column} = renamed.column2 FROM (VALUES {rows}) AS renamed \
                 WHERE {table}.{column} = renamed.column1"
            );
            write.run(sql, &names).await?;
        }
    }
    Ok(())
}

async fn change_groups(
    write: &mut Write,
    gone: &[&GroupName],
    changed: &[(&GroupName, &GroupName, &Origin)],
    added: &[&Group],
) -> Result<(), StoreError> {
    for gone in gone.chunks(rows_at_once(1)) {
        let names: Vec<_> = gone.iter().map(|name| Value::from(name.as_str())).collect();
        write
            .run(format!("DELETE FROM user_group WHERE name IN {}", places(write.place(), 1, names.len())), &names)
            .await?;
    }
    for (from, to, origin) in changed {
        let sql = "UPDATE user_group SET name = $1, source = $2, source_key = $3 WHERE name = $4";
        write.run(sql, &values![to.as_str(), origin.source.as_str(), origin.key.as_str(), from.as_str()]).await?;
    }
    for added in added.chunks(rows_at_once(3)) {
        let rows: Vec<_> = added
            .iter()
            .flat_map(|group| values![group.name.as_str(), group.origin.source.as_str(), group.origin.key.as_str()])
            .collect();
        let sql = format!(
            "INSERT INTO user_group (name, source, source_key) VALUES {}",
            places(write.place(), added.len(), 3)
        );
        write.run(sql, &rows).await?;
    }
    Ok(())
}

/// Memberships: those that end, then those that begin.
async fn members(
    write: &mut Write,
    left: &[(&GroupName, &UserName)],
    joined: &[(&GroupName, &UserName)],
) -> Result<(), StoreError> {
    let rows = |of: &[(&GroupName, &UserName)]| -> Vec<Value> {
        of.iter().flat_map(|(group, user)| values![group.as_str(), user.as_str()]).collect()
    };
    for left in left.chunks(rows_at_once(2)) {
        let sql = format!(
            "DELETE FROM user_group_member WHERE (group_name, user_name) IN (VALUES {})",
            places(write.place(), left.len(), 2)
        );
        write.run(sql, &rows(left)).await?;
    }
    for joined in joined.chunks(rows_at_once(2)) {
        let sql = format!(
            "INSERT INTO user_group_member (group_name, user_name) VALUES {}",
            places(write.place(), joined.len(), 2)
        );
        write.run(sql, &rows(joined)).await?;
    }
    Ok(())
}
