//! Carrying out what a directory sync plans, in one transaction, and what is kept of each run.

use std::collections::BTreeMap;

use cardinal_domain::{
    event::EventBody,
    names::{GroupName, SourceName, UserName},
    site::{Origin, User},
    sync::{Change, Group},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use sqlx::{Row as _, any::AnyRow};

use crate::{
    Store, StoreError,
    sql::{Value, places, rows_at_once, values},
    users,
    writer::Write,
};

const PART: &str = "run of a sync";
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
        // From here on nobody else can change the database.
        if write.count("site", 1).await? != run.as_of + 1 {
            return Ok(false);
        }
        let ended = Timestamp::now();
        let outcome = if changes.is_empty() { "nothing" } else { "applied" };
        let sql = "UPDATE sync_run SET outcome = $1, why = '', ended = $2, told = $3 WHERE number = $4";
        write.run(sql, &values![outcome, ended.0, told, run.number]).await?;
        carry_out(&mut write, run.number, ended, changes).await?;
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

    /// Writes down what became of a run that was kept, and was not carried out.
    ///
    /// # Errors
    /// The database broke.
    pub async fn end_sync(&self, run: i64, outcome: &str, why: &str, events: Vec<EventBody>) -> Result<(), StoreError> {
        let mut write = self.write("end a run of a sync").await?;
        let sql = "UPDATE sync_run SET outcome = $1, why = $2, ended = $3 WHERE number = $4 AND outcome <> 'applied'";
        write.run(sql, &values![outcome, why, Timestamp::now().0, run]).await?;
        write.tell(events).await?;
        write.commit().await
    }

    /// Keeps a run with the plan that it came to; nothing of it is carried out. Answers its number.
    ///
    /// # Errors
    /// The database broke.
    pub async fn keep_sync(
        &self,
        run: &SyncRun,
        changes: &[Change],
        events: Vec<EventBody>,
    ) -> Result<i64, StoreError> {
        let mut write = self.write_apart("keep the run of a sync").await?;
        let number = keep(&mut write, run, changes).await?;
        write.tell(events).await?;
        write.commit().await.map(|()| number)
    }

    /// Runs, the latest first: at most so many, and from before this number.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn sync_runs(&self, before: i64, most: i64) -> Result<Vec<SyncRun>, StoreError> {
        let select = "SELECT number, kind, outcome, why, began, ended, told, digest, as_of, marks, undoes, undone_by \
                      FROM sync_run WHERE number < $1 ORDER BY number DESC LIMIT $2";
        self.all("list runs of syncs", select, &values![before, most]).await?.iter().map(read_run).collect()
    }

    /// What a run did or would do.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn sync_changes(&self, run: i64) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        for part in 0.. {
            let select = "SELECT changes FROM sync_part WHERE run = $1 AND part = $2";
            let Some(row) = self.all("read a sync's plan", select, &values![run, part]).await?.pop() else { break };
            let text: &str = row.try_get(0).map_err(StoreError::unreadable(PART))?;
            changes.extend(serde_json::from_str::<Vec<Change>>(text).map_err(StoreError::unreadable(PART))?);
        }
        Ok(changes)
    }

    /// Forgets runs but for so many latest ones, and who was archived by them. Answers how many.
    ///
    /// # Errors
    /// The database broke.
    pub async fn forget_syncs(&self, keep: i64) -> Result<usize, StoreError> {
        let mut write = self.write("forget runs of syncs").await?;
        let sql = "DELETE FROM sync_run WHERE number <= (SELECT value FROM counter WHERE name = 'sync') - $1 RETURNING number";
        let gone = write.all(sql, &values![keep]).await?.len();
        write.commit().await.map(|()| gone)
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
async fn carry_out(write: &mut Write, run: i64, at: Timestamp, changes: &[Change]) -> Result<(), StoreError> {
    let mut removed = Vec::new();
    let mut renamed = Vec::new();
    let mut freed = Vec::new();
    let mut put = Vec::new();
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
            Change::AddUser { user, .. } => put.push(&**user),
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
    archive(write, run, at, &removed).await?;
    rename(write, &renamed).await?;
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
async fn rename(write: &mut Write, renamed: &[(&UserName, &UserName)]) -> Result<(), StoreError> {
    let between = |at: usize| format!("/{at}");
    let sql = "UPDATE users SET name = $1 WHERE name = $2";
    for (at, (from, _)) in renamed.iter().enumerate() {
        write.run(sql, &values![between(at), from.as_str()]).await?;
        write.run("UPDATE job SET user_name = $1 WHERE user_name = $2", &values![between(at), from.as_str()]).await?;
    }
    for (at, (_, to)) in renamed.iter().enumerate() {
        write.run(sql, &values![to.as_str(), between(at)]).await?;
        write.run("UPDATE job SET user_name = $1 WHERE user_name = $2", &values![to.as_str(), between(at)]).await?;
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
