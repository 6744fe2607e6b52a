//! The one way to write, and how many writes share one commit.
//!
//! There is one connection that writes, and writers wait for it in line. A writer does its work in the open transaction,
//! behind the work of those before it and a savepoint of its own, then leaves, and waits for the commit that holds its
//! work. The first of a batch calls the committer, who stands in line like everybody: by its turn all who waited meanwhile
//! have done their work, and one commit serves them all. Alone, a write is what it always was: begin, work, commit.
//!
//! Whoever gets the connection first mends what the one before left half-done (a future may be dropped at any point): back
//! to its savepoint, or where nobody else has work in the transaction, back to the beginning. Where that cannot be done, or
//! the commit fails, everybody whose work was in the transaction is told so.
//!
//! With PostgreSQL the same connection holds a lock on the database, and the lock goes with the connection. So no write of
//! a host that has lost the lock can ever be committed, and no rule reads a row that somebody else is about to change.

use std::{sync::Arc, time::Duration};

use cardinal_domain::{
    event::{Event, EventBody, Level},
    plan::Change,
};
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _, any::AnyRow};
use tokio::{
    runtime::Handle,
    sync::{OwnedMutexGuard, oneshot},
    time::{Instant, sleep, timeout},
};

use crate::{
    DatabaseError, Durability, Place, Store, StoreError,
    connect::{ANSWER_WITHIN, Inner, connect, open_failed},
    events,
    setup::{self, Setup},
    sql::{self, Text, Value, values},
};

/// How many writes share one commit at the most: so many people wait for the slowest of them, and with PostgreSQL a
/// transaction with more savepoints than 64 slows its readers down.
const MOST_IN_BATCH: usize = 64;
/// How long to wait for a lock whose holder is just ending, such as this host before its restart.
const LOCK_WITHIN: Duration = Duration::from_secs(3);
/// How often to look whether it has ended.
const LOCK_LOOK: Duration = Duration::from_millis(50);
/// The lock's number, of which each PostgreSQL database has its own: `cardinal` in ASCII.
const LOCK: i64 = 0x6361_7264_696e_616c;

/// The connection that writes, and whose work is in its transaction.
pub(crate) struct Writer {
    place: Place,
    durability: Durability,
    connection: Option<AnyConnection>,
    state: State,
    batch: Vec<Done>,
    /// The PostgreSQL session that held the lock last: its process id, and when it began.
    session: Option<(i64, String)>,
    /// The last place in the order of events that was given, nobody else gives any; and before the work under way.
    last_event: i64,
    last_event_before: i64,
    /// When the last attempt to connect failed, and how.
    refused: Option<(Instant, Refused)>,
}

/// Why there is no connection.
#[derive(Debug, Clone)]
enum Refused {
    Unreachable(DatabaseError),
    /// Somebody else has the lock; where they are.
    Taken(String),
    /// The setup that it has by now cannot be read; why.
    Unreadable(String),
}

impl Refused {
    fn while_doing(self, place: &Place, doing: &'static str) -> StoreError {
        match self {
            Self::Unreachable(error) => StoreError::sql(place, doing, error),
            Self::Taken(by) => StoreError::Taken { place: place.clone(), by },
            Self::Unreadable(why) => StoreError::unreadable(setup::PART)(why),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No transaction.
    Idle,
    /// One is being begun, or a writer is at work in it.
    Working,
    /// All work in it is whole. Also while a savepoint is being made: nothing hangs on it yet.
    Open,
    /// For ever.
    Closed,
}

/// Work that is whole and waits for its commit.
struct Done {
    doing: &'static str,
    events: Vec<Event>,
    changes: Vec<Change>,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

impl Writer {
    pub(crate) fn new(place: Place, durability: Durability) -> Self {
        Self {
            place,
            durability,
            connection: None,
            state: State::Idle,
            batch: Vec::new(),
            session: None,
            last_event: 0,
            last_event_before: 0,
            refused: None,
        }
    }

    /// The schema is up to date: reads what has to be known of the rows.
    pub(crate) async fn look(&mut self) -> Result<Setup, StoreError> {
        let looked = match &mut self.connection {
            Some(connection) => known(connection, &self.place).await,
            None => Err(sqlx::Error::WorkerCrashed.into()),
        };
        let (rows, last_event) = looked.map_err(|error| StoreError::sql(&self.place, "read the site", error))?;
        self.last_event = last_event;
        Setup::from_rows(rows).map_err(StoreError::unreadable(setup::PART))
    }

    /// The connection, for the first time.
    pub(crate) async fn open(&mut self) -> Result<&mut AnyConnection, StoreError> {
        let connected = match self.connect(Instant::now(), None).await {
            Ok(()) => self.connection.as_mut().ok_or_else(|| sqlx::Error::WorkerCrashed.into()),
            Err(Refused::Unreachable(error)) => Err(error),
            Err(refused) => return Err(refused.while_doing(&self.place, "open")),
        };
        connected.map_err(|error| open_failed(&self.place, error))
    }

    /// Makes the connection where there is none. Whoever stood in line while an attempt failed shares its outcome: with a
    /// database that says nothing, each would wait for as long again. With an open store the setup in memory is what this
    /// connection finds, from before its first transaction on.
    async fn connect(&mut self, asked: Instant, inner: Option<&Inner>) -> Result<(), Refused> {
        if self.connection.is_some() {
            return Ok(());
        }
        if let Some((_, refused)) = self.refused.as_ref().filter(|(when, _)| *when >= asked) {
            return Err(refused.clone());
        }
        let made = self.make_connection(inner).await;
        self.refused = made.as_ref().err().map(|refused| (Instant::now(), refused.clone()));
        self.connection = Some(made?);
        Ok(())
    }

    async fn make_connection(&mut self, inner: Option<&Inner>) -> Result<AnyConnection, Refused> {
        let mut connection = connect(&self.place, self.durability).await.map_err(Refused::Unreachable)?;
        if self.place.is_postgres() {
            let locking = timeout(ANSWER_WITHIN, self.lock(&mut connection)).await;
            match locking.unwrap_or_else(|_| Err(DatabaseError::late())) {
                Ok(None) => {}
                Ok(Some(by)) => return Err(Refused::Taken(by)),
                Err(error) => return Err(Refused::Unreachable(error)),
            }
        }
        if let Some(inner) = inner {
            let known = known(&mut connection, &self.place).await;
            let (rows, last_event) = known.map_err(Refused::Unreachable)?;
            inner.replace_setup(Setup::from_rows(rows).map_err(Refused::Unreadable)?);
            (self.last_event, self.last_event_before) = (last_event, last_event);
        }
        Ok(connection)
    }

    /// Takes the lock for as long as the connection lasts. Some: somebody else has it, and where they are.
    async fn lock(&mut self, connection: &mut AnyConnection) -> Result<Option<String>, DatabaseError> {
        // Our own session of before may not know yet that nobody is at its other end.
        if let Some((pid, began)) = &self.session {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE pid = $1 AND CAST(backend_start AS TEXT) = $2";
            sql::query(&end.into(), &values![*pid, began.clone()]).fetch_optional(&mut *connection).await?;
        }
        let give_up = Instant::now() + LOCK_WITHIN;
        loop {
            let take = "SELECT pg_try_advisory_lock($1)";
            let row = sql::query(&take.into(), &values![LOCK]).fetch_one(&mut *connection).await?;
            if row.try_get::<bool, _>(0)? {
                break;
            }
            if Instant::now() > give_up {
                let ask = "SELECT coalesce(host(a.client_addr), 'the database''s own machine') FROM pg_locks l \
                           JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_database d ON d.oid = l.database \
                           WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database() \
                           AND (CAST(l.classid AS BIGINT) << 32) | CAST(l.objid AS BIGINT) = $1";
                let row = sql::query(&ask.into(), &values![LOCK]).fetch_optional(&mut *connection).await?;
                let by = row.map(|row| row.try_get::<String, _>(0)).transpose()?;
                return Ok(Some(by.map(|by| format!(" (from {by})")).unwrap_or_default()));
            }
            sleep(LOCK_LOOK).await;
        }
        let who = "SELECT CAST(pid AS BIGINT), CAST(backend_start AS TEXT) FROM pg_stat_activity \
                   WHERE pid = pg_backend_pid()";
        let row = sql::query(&who.into(), &[]).fetch_one(&mut *connection).await?;
        self.session = Some((row.try_get(0)?, row.try_get(1)?));
        Ok(None)
    }

    /// A bare statement of the transaction itself.
    async fn command(&mut self, statement: &'static str) -> Result<(), DatabaseError> {
        let Some(connection) = &mut self.connection else { return Err(sqlx::Error::WorkerCrashed.into()) };
        match timeout(ANSWER_WITHIN, connection.execute(statement)).await {
            Ok(answer) => Ok(answer.map(drop)?),
            Err(_) => Err(DatabaseError::late()),
        }
    }

    /// Makes whole what the writer before left half-done.
    async fn mend(&mut self) {
        if self.state != State::Working {
            return;
        }
        let back = if self.batch.is_empty() { "ROLLBACK" } else { "ROLLBACK TO SAVEPOINT work" };
        match self.command(back).await {
            Ok(()) => {
                self.state = if self.batch.is_empty() { State::Idle } else { State::Open };
                self.last_event = self.last_event_before;
            }
            Err(error) => self.lose(&error),
        }
    }

    /// The transaction cannot be saved: everybody in it is told, and the connection goes with it.
    fn lose(&mut self, error: &DatabaseError) {
        self.connection = None;
        self.state = State::Idle;
        for done in self.batch.drain(..) {
            // Who went away meanwhile is fine.
            let _ = done.answer.send(Err(StoreError::sql(&self.place, done.doing, error.clone())));
        }
    }

    /// Ready for the next writer's work: a transaction is open, and what is done from here on can be taken back by itself.
    async fn begin(&mut self, inner: &Inner, doing: &'static str, asked: Instant) -> Result<(), StoreError> {
        self.mend().await;
        if self.state == State::Closed {
            return Err(StoreError::Closed { doing });
        }
        self.last_event_before = self.last_event;
        if self.state == State::Open {
            match self.command("SAVEPOINT work").await {
                Ok(()) => {
                    self.state = State::Working;
                    return Ok(());
                }
                Err(error) => self.lose(&error),
            }
        }
        let was_connected = self.connection.is_some();
        self.connect(asked, Some(inner)).await.map_err(|refused| refused.while_doing(&self.place, doing))?;
        let begin = if self.place.is_postgres() { "BEGIN" } else { "BEGIN IMMEDIATE" };
        self.state = State::Working;
        let Err(mut error) = self.command(begin).await else { return Ok(()) };
        self.lose(&error);
        // It was idle for long, or the database was started anew: that is no reason to fail.
        if was_connected && error.is_lost() {
            self.connect(asked, Some(inner)).await.map_err(|refused| refused.while_doing(&self.place, doing))?;
            self.state = State::Working;
            match self.command(begin).await {
                Ok(()) => return Ok(()),
                Err(again) => error = again,
            }
            self.lose(&error);
        }
        Err(StoreError::sql(&self.place, doing, error))
    }

    /// Commits what is open, tells the watchers in the order of the events, then those who wait.
    async fn settle(&mut self, inner: &Inner) {
        self.mend().await;
        if self.state != State::Open {
            return;
        }
        if let Err(error) = self.command("COMMIT").await {
            return self.lose(&error);
        }
        self.state = State::Idle;
        let mut batch = std::mem::take(&mut self.batch);
        inner.change_setup(batch.iter_mut().flat_map(|done| std::mem::take(&mut done.changes)));
        for done in batch {
            for event in done.events {
                log(&event);
                // Nobody watching is fine.
                let _ = inner.watchers.send(event);
            }
            let _ = done.answer.send(Ok(()));
        }
    }

    /// Commits what is open and closes the connection for ever.
    pub(crate) async fn close(&mut self, inner: &Inner) {
        self.settle(inner).await;
        self.state = State::Closed;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(error = %DatabaseError::from(error), "the store was not closed in an orderly way");
        }
    }
}

/// The rows of the setup, and the last place in the order of events. With PostgreSQL nobody else writes by now; SQLite may
/// still be at a commit of ours whose answer came too late, and ends it before this begins.
async fn known(connection: &mut AnyConnection, place: &Place) -> Result<(setup::Rows, i64), DatabaseError> {
    let begin = if place.is_postgres() { "BEGIN" } else { "BEGIN IMMEDIATE" };
    let reading = async {
        connection.execute(begin).await?;
        let rows = setup::rows(connection).await?;
        let last = sql::query(&events::LAST.into(), &[]).fetch_one(&mut *connection).await?.try_get(0)?;
        connection.execute("ROLLBACK").await?;
        Ok((rows, last))
    };
    timeout(ANSWER_WITHIN, reading).await.unwrap_or_else(|_| Err(DatabaseError::late()))
}

impl Store {
    /// The next to write; waits for those before.
    pub(crate) async fn write(&self, doing: &'static str) -> Result<Write, StoreError> {
        self.turn(doing, false).await
    }

    /// The same for work that is long, or that is refused for what it finds: those before do not wait for it, and what it
    /// finds is committed.
    pub(crate) async fn write_apart(&self, doing: &'static str) -> Result<Write, StoreError> {
        self.turn(doing, true).await
    }

    async fn turn(&self, doing: &'static str, apart: bool) -> Result<Write, StoreError> {
        let asked = Instant::now();
        let mut writer = Arc::clone(&self.inner.writer).lock_owned().await;
        if apart {
            let inner = Arc::clone(&self.inner);
            // A task of its own: a commit does not end half-way.
            let settling = tokio::spawn(async move {
                writer.settle(&inner).await;
                writer
            });
            writer = settling.await.map_err(|_| StoreError::Closed { doing })?;
        }
        let mut write = Write {
            writer: Some(writer),
            inner: Arc::clone(&self.inner),
            events: Vec::new(),
            changes: Vec::new(),
            doing,
            failed: false,
        };
        if let Some(writer) = &mut write.writer {
            writer.begin(&self.inner, doing, asked).await?;
        }
        Ok(write)
    }
}

/// Commits the open batch, once all who wait for the connection now have done their work.
fn call_committer(inner: &Arc<Inner>) {
    // Where there is no runtime any more the transaction goes with the connection.
    let Ok(runtime) = Handle::try_current() else { return };
    let inner = Arc::clone(inner);
    runtime.spawn(async move {
        let mut writer = Arc::clone(&inner.writer).lock_owned().await;
        writer.settle(&inner).await;
    });
}

/// One writer's turn. Dropped without `commit`, it changes nothing and tells nobody.
pub(crate) struct Write {
    /// None: the turn is over.
    writer: Option<OwnedMutexGuard<Writer>>,
    inner: Arc<Inner>,
    events: Vec<Event>,
    changes: Vec<Change>,
    doing: &'static str,
    failed: bool,
}

impl Write {
    /// Where the database is, and of which kind.
    pub(crate) fn place(&self) -> &Place {
        &self.inner.place
    }

    /// The rows that a statement gives. A statement that fails ends this write: what it did so far is taken back.
    pub(crate) async fn all(&mut self, text: impl Into<Text>, values: &[Value]) -> Result<Vec<AnyRow>, StoreError> {
        let text = text.into();
        let (place, doing) = (&self.inner.place, self.doing);
        let writer = self.writer.as_mut().filter(|_| !self.failed).and_then(|writer| writer.connection.as_mut());
        let Some(connection) = writer else { return Err(StoreError::Closed { doing }) };
        // Until the answer is there; stays so if this future is dropped before.
        self.failed = true;
        let answer = match timeout(ANSWER_WITHIN, sql::query(&text, values).fetch_all(connection)).await {
            Ok(answer) => answer.map_err(DatabaseError::from),
            Err(_) => Err(DatabaseError::late()),
        };
        match answer {
            Ok(rows) => {
                self.failed = false;
                Ok(rows)
            }
            Err(error) => {
                if error.is_lost()
                    && let Some(writer) = &mut self.writer
                {
                    writer.lose(&error);
                }
                Err(StoreError::sql(place, doing, error))
            }
        }
    }

    /// The first row that a statement gives.
    pub(crate) async fn first(
        &mut self,
        text: impl Into<Text>,
        values: &[Value],
    ) -> Result<Option<AnyRow>, StoreError> {
        Ok(self.all(text, values).await?.into_iter().next())
    }

    /// Runs a statement whose rows are of no interest.
    pub(crate) async fn run(&mut self, text: impl Into<Text>, values: &[Value]) -> Result<(), StoreError> {
        self.all(text, values).await.map(drop)
    }

    /// Adds events to the transaction; they are told to watchers once it is committed.
    pub(crate) async fn tell(&mut self, bodies: Vec<EventBody>) -> Result<(), StoreError> {
        let events = events::insert(self, bodies).await?;
        self.events.extend(events);
        Ok(())
    }

    /// The first of so many places in the order of events, which stand behind each other.
    pub(crate) fn places(&mut self, many: i64) -> i64 {
        // Without the connection no event can be stored either.
        let Some(writer) = &mut self.writer else { return 0 };
        writer.last_event += many;
        writer.last_event - many + 1
    }

    /// Changes the setup in memory together with the commit.
    pub(crate) fn change_setup(&mut self, changes: &[Change]) {
        self.changes.extend_from_slice(changes);
    }

    /// The next value of a counter.
    pub(crate) async fn count(&mut self, name: &'static str, by: i64) -> Result<i64, StoreError> {
        let raise = "UPDATE counter SET value = value + $1 WHERE name = $2 RETURNING value";
        let row = self.first(raise, &values![by, name]).await?;
        let row = row.ok_or_else(|| StoreError::unreadable("counter")(format!("{name} is missing")))?;
        row.try_get(0).map_err(StoreError::unreadable("counter"))
    }

    /// Makes it so: waits for the commit that holds it. From here on it is out of the caller's hands; one that does not
    /// wait does not learn what became of it.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let doing = self.doing;
        let Some(mut writer) = self.writer.take_if(|_| !self.failed) else {
            return Err(StoreError::Closed { doing });
        };
        let (answer, answered) = oneshot::channel();
        let (events, changes) = (std::mem::take(&mut self.events), std::mem::take(&mut self.changes));
        writer.batch.push(Done { doing, events, changes, answer });
        writer.state = State::Open;
        if writer.batch.len() >= MOST_IN_BATCH {
            let inner = Arc::clone(&self.inner);
            // A task of its own: a commit does not end half-way.
            tokio::spawn(async move { writer.settle(&inner).await });
        } else {
            if writer.batch.len() == 1 {
                call_committer(&self.inner);
            }
            drop(writer);
        }
        answered.await.unwrap_or(Err(StoreError::Closed { doing }))
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        // Nobody may come for long, and an open transaction keeps others out.
        if let Some(writer) = self.writer.take()
            && writer.state == State::Working
        {
            call_committer(&self.inner);
        }
    }
}

/// What is stored is also logged, once, here: whoever reads the log sees the same as whoever reads the events.
fn log(event: &Event) {
    let Event { seq, body } = event;
    let (kind, trace, message) = (body.kind.name(), body.trace, one_line(&body.message));
    match body.level {
        Level::Info => tracing::info!(target: "event", seq, kind, %trace, "{message}"),
        Level::Warning => tracing::warn!(target: "event", seq, kind, %trace, "{message}"),
        Level::Error => tracing::error!(target: "event", seq, kind, %trace, "{message}"),
    }
}

/// A driver's or a printer's words must not look like further lines of the log.
fn one_line(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn nobody_writes_a_second_line_into_the_log() {
        assert_eq!(one_line("gone\n2026-01-01 INFO event: paid\x1b[0m"), "gone 2026-01-01 INFO event: paid [0m");
    }
}
