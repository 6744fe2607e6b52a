//! Opening the database, and reading from it. Writing is in `writer`.

use std::{sync::Arc, time::Duration};

use cardinal_domain::event::Event;
use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _, Executor as _,
    any::{AnyConnectOptions, AnyPoolOptions, AnyRow},
    pool::PoolConnection,
};
use tokio::{
    sync::{Mutex, broadcast, watch},
    time::timeout,
};

use crate::{
    DatabaseError, Place, StoreError,
    checkpoint::{self, BY_THE_WRITER},
    migrations,
    retention::Surplus,
    setup::Setup,
    sql::{self, Text, Value},
    writer::Writer,
};

/// What survives a power cut. A killed process loses nothing either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// SQLite: a power cut can take the last moments of events, never a job (the spool is synced by itself). PostgreSQL:
    /// as that server is set up, which unless changed means that nothing is lost.
    #[default]
    Process,
    /// Nothing committed is lost in a power cut; each commit waits for the disk.
    Power,
}

/// How many connections read at the same time.
const READERS: u32 = 4;
/// How many events a slow watcher may lag behind before it is told that it missed some.
const WATCH_BACKLOG: usize = 4096;
/// How long a statement may take. A database that says nothing for so long is away.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long to wait for a connection to a PostgreSQL that is not there: a person stands at a reader meanwhile.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait for one of SQLite's connections: there always are some, but they may be busy with long lists.
const FREE_WITHIN: Duration = Duration::from_secs(30);

/// The open store. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) place: Place,
    pool: AnyPool,
    pub(crate) writer: Arc<Mutex<Writer>>,
    pub(crate) watchers: broadcast::Sender<Event>,
    pub(crate) setup: watch::Sender<Arc<Setup>>,
    pub(crate) surplus: Surplus,
}

impl Inner {
    pub(crate) fn is_closed(&self) -> bool {
        self.pool.is_closed()
    }
}

impl Store {
    /// Opens the database, makes it if it is a file that is not there, and brings its schema up to date. A PostgreSQL
    /// database is this host's alone from then on.
    ///
    /// # Errors
    /// It cannot be opened, belongs to another host, or was written by a newer version.
    pub async fn open(place: impl Into<Place>, durability: Durability) -> Result<Self, StoreError> {
        let place = place.into();
        sqlx::any::install_default_drivers();
        let mut writer = Writer::new(place.clone(), durability);
        // Before anything is changed: the database may be another host's.
        let connection = writer.open().await?;
        migrations::run(connection).await?;
        let setup = writer.look().await?;
        let options = place.url().parse().map_err(|error| open_failed(&place, error))?;
        let is_postgres = place.is_postgres();
        let pool = AnyPoolOptions::new()
            .max_connections(READERS)
            // One that is gone is noticed when it is used, and replaced then.
            .test_before_acquire(false)
            .acquire_timeout(if is_postgres { CONNECT_WITHIN } else { FREE_WITHIN })
            .after_connect(move |connection, _| Box::pin(set_up(connection, is_postgres, durability, false)))
            .connect_lazy_with(options);
        let inner = Arc::new(Inner {
            place,
            pool,
            writer: Arc::new(Mutex::new(writer)),
            watchers: broadcast::channel(WATCH_BACKLOG).0,
            setup: watch::Sender::new(Arc::new(setup)),
            surplus: Surplus::default(),
        });
        if !is_postgres {
            tokio::spawn(checkpoint::run(Arc::downgrade(&inner)));
        }
        Ok(Self { inner })
    }

    /// Closes the database; what was committed is in the one file afterwards. Writes that come later are refused.
    pub async fn close(&self) {
        let mut writer = Arc::clone(&self.inner.writer).lock_owned().await;
        writer.close(&self.inner).await;
        self.inner.pool.close().await;
    }

    /// Every event from now on, as it is committed.
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.inner.watchers.subscribe()
    }

    /// Where the database is, and of which kind.
    pub(crate) fn place(&self) -> &Place {
        &self.inner.place
    }

    /// The rows of a statement that only reads. A connection that turns out to be gone is replaced.
    pub(crate) async fn all(
        &self,
        doing: &'static str,
        text: impl Into<Text>,
        values: &[Value],
    ) -> Result<Vec<AnyRow>, StoreError> {
        let text = text.into();
        let failed = |error| Err(StoreError::sql(&self.inner.place, doing, error));
        // Each connection of the pool may be gone, and a new one has to be tried then.
        for left in (0..=READERS).rev() {
            let mut connection = match self.inner.pool.acquire().await {
                Ok(connection) => connection,
                Err(sqlx::Error::PoolClosed) => return Err(StoreError::Closed { doing }),
                Err(error) => return failed(error.into()),
            };
            let answer = timeout(ANSWER_WITHIN, sql::query(&text, values).fetch_all(&mut *connection)).await;
            match answer.map(|rows| rows.map_err(DatabaseError::from)) {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error)) if error.is_lost() => {
                    forget(connection);
                    if left == 0 {
                        return failed(error);
                    }
                }
                Ok(Err(error)) => return failed(error),
                Err(_) => {
                    forget(connection);
                    return failed(DatabaseError::late());
                }
            }
        }
        failed(sqlx::Error::PoolTimedOut.into())
    }

    /// The first row of a statement that only reads.
    pub(crate) async fn first(
        &self,
        doing: &'static str,
        text: &'static str,
        values: &[Value],
    ) -> Result<Option<AnyRow>, StoreError> {
        Ok(self.all(doing, text, values).await?.into_iter().next())
    }
}

/// Takes a connection out of the pool for good, without waiting for a server that says nothing.
fn forget(connection: PoolConnection<Any>) {
    drop(connection.detach());
}

/// Opens a connection that is not the pool's.
pub(crate) async fn connect(place: &Place, durability: Durability) -> Result<AnyConnection, DatabaseError> {
    let options: AnyConnectOptions = place.url().parse()?;
    let connecting = async {
        let mut connection = AnyConnection::connect_with(&options).await?;
        set_up(&mut connection, place.is_postgres(), durability, true).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    let within = if place.is_postgres() { CONNECT_WITHIN } else { FREE_WITHIN };
    match timeout(within, connecting).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(DatabaseError::late()),
    }
}

async fn set_up(
    connection: &mut AnyConnection,
    is_postgres: bool,
    durability: Durability,
    writes: bool,
) -> Result<(), sqlx::Error> {
    if writes && !is_postgres {
        connection.execute(SQLITE_VACUUM).await?;
    }
    let statements: &[&'static str] = match (is_postgres, durability) {
        // A host whose cable was cut must not keep the database to itself for hours.
        (true, Durability::Process) => POSTGRES,
        (true, Durability::Power) => &[POSTGRES_NAMED, POSTGRES_KEEPALIVE, "SET synchronous_commit = on"],
        (false, Durability::Process) => {
            &[SQLITE_WAL, BY_THE_WRITER, SQLITE_KEYS, SQLITE_BUSY, "PRAGMA synchronous = NORMAL"]
        }
        (false, Durability::Power) => {
            &[SQLITE_WAL, BY_THE_WRITER, SQLITE_KEYS, SQLITE_BUSY, "PRAGMA synchronous = FULL"]
        }
    };
    for statement in statements {
        connection.execute(*statement).await?;
    }
    Ok(())
}

const POSTGRES: &[&str] = &[POSTGRES_NAMED, POSTGRES_KEEPALIVE];
const POSTGRES_NAMED: &str = "SET application_name = 'cardinal'";
const POSTGRES_KEEPALIVE: &str =
    "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";
// Holds for a file that is made now: what is deleted can be given back to the disk. Before WAL, which writes the file. It
// waits for the write lock, which readers shall not.
const SQLITE_VACUUM: &str = "PRAGMA auto_vacuum = INCREMENTAL";
const SQLITE_WAL: &str = "PRAGMA journal_mode = WAL";
const SQLITE_KEYS: &str = "PRAGMA foreign_keys = ON";
const SQLITE_BUSY: &str = "PRAGMA busy_timeout = 10000";

pub(crate) fn open_failed(place: &Place, source: impl Into<DatabaseError>) -> StoreError {
    let check = match place {
        Place::File(_) => "check that the folder exists, is writable and has space",
        Place::Postgres(_) => {
            "check that it runs, that this machine reaches it, and the user and password in store.url"
        }
    };
    StoreError::Open { place: place.clone(), check, source: source.into() }
}
