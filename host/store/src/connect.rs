//! Opening the database, and the one way to write.

use std::{
    path::Path,
    sync::{Arc, RwLock},
    time::Duration,
};

use cardinal_domain::event::{Event, EventBody, Level};
use sqlx::{
    Any, AnyPool, Executor as _, SqlSafeStr as _, Transaction,
    any::AnyPoolOptions,
    migrate::{Migration, MigrationType, Migrator},
};
use tokio::sync::{Mutex, MutexGuard, broadcast};

use crate::{StoreError, setup::Setup};

/// What survives a power cut. A killed process loses nothing either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power cut can take the last moments of events, never a job (the spool is synced by itself).
    #[default]
    Process,
    /// Nothing committed is lost in a power cut; each commit waits for the disk.
    Power,
}

/// How many connections read at the same time.
const READERS: u32 = 4;
/// How many events a slow watcher may lag behind before it is told that it missed some.
const WATCH_BACKLOG: usize = 4096;

/// The open store. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) pool: AnyPool,
    writer: Mutex<()>,
    watchers: broadcast::Sender<Event>,
    pub(crate) setup: RwLock<Arc<Setup>>,
}

impl Store {
    /// Opens the SQLite database in this file, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be opened, or was written by a newer version.
    pub async fn open(file: &Path, durability: Durability) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        // In an address these three would mean something else.
        let path = file.display().to_string().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        let url = format!("sqlite://{path}?mode=rwc");
        let failed = |source| StoreError::Open { url: url.clone(), source };
        let pool = AnyPoolOptions::new()
            .max_connections(READERS + 1)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute("PRAGMA journal_mode = WAL").await?;
                    connection.execute("PRAGMA foreign_keys = ON").await?;
                    connection.execute("PRAGMA busy_timeout = 10000").await?;
                    connection
                        .execute(match durability {
                            Durability::Process => "PRAGMA synchronous = NORMAL",
                            Durability::Power => "PRAGMA synchronous = FULL",
                        })
                        .await?;
                    Ok(())
                })
            })
            .acquire_timeout(Duration::from_secs(30))
            .connect(&url)
            .await
            .map_err(failed)?;
        migrations().run(&pool).await.map_err(StoreError::Migrate)?;
        let store = Self {
            inner: Arc::new(Inner {
                pool,
                writer: Mutex::new(()),
                watchers: broadcast::channel(WATCH_BACKLOG).0,
                setup: RwLock::default(),
            }),
        };
        store.reload_setup().await?;
        Ok(store)
    }

    /// Closes the database; what was committed is in the one file afterwards.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    /// Every event from now on, as it is committed.
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.inner.watchers.subscribe()
    }

    /// The next write transaction; waits for the one before.
    pub(crate) async fn write(&self, doing: &'static str) -> Result<Write<'_>, StoreError> {
        let guard = self.inner.writer.lock().await;
        let tx = self.inner.pool.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::sql(doing))?;
        Ok(Write { tx, events: Vec::new(), doing, store: self, _guard: guard })
    }
}

/// A write transaction. Dropped without `commit`, it changes nothing and tells nobody.
pub(crate) struct Write<'s> {
    pub(crate) tx: Transaction<'static, Any>,
    events: Vec<Event>,
    doing: &'static str,
    store: &'s Store,
    _guard: MutexGuard<'s, ()>,
}

impl Write<'_> {
    /// Adds events to the transaction; they are told to watchers once it is committed.
    pub(crate) async fn tell(&mut self, bodies: Vec<EventBody>) -> Result<(), StoreError> {
        let events = crate::events::insert(&mut self.tx, bodies).await?;
        self.events.extend(events);
        Ok(())
    }

    /// The next value of a counter.
    pub(crate) async fn count(&mut self, name: &'static str, by: i64) -> Result<i64, StoreError> {
        crate::events::count(&mut self.tx, name, by).await
    }

    /// Makes it so.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await.map_err(StoreError::sql(self.doing))?;
        for event in self.events {
            log(&event);
            // Nobody watching is fine.
            let _ = self.store.inner.watchers.send(event);
        }
        Ok(())
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

/// The migrations, one file each under `migrations/`.
fn migrations() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "first", include_str!("../migrations/0001_first.sql")),
        migration(2, "sign in", include_str!("../migrations/0002_sign_in.sql")),
    ])
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn nobody_writes_a_second_line_into_the_log() {
        assert_eq!(one_line("gone\n2026-01-01 INFO event: paid\x1b[0m"), "gone 2026-01-01 INFO event: paid [0m");
    }
}
