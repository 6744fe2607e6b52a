//! How the store fails.

use std::{fmt, sync::Arc};

use crate::Place;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("cannot open the store {place}: {check}")]
    Open {
        /// Where it was looked for.
        place: Place,
        /// What to check.
        check: &'static str,
        /// What the database said.
        #[source]
        source: DatabaseError,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the store's schema up to date; was it written by a newer Cardinal?")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// `store.url` cannot be used.
    #[error("store.url cannot be used: {why}")]
    Url {
        /// What is wrong with it, in words that do not repeat it.
        why: String,
    },
    /// Two hosts on one database would cancel each other's jobs: each has a spool of its own.
    #[error(
        "another Cardinal host already works on {place}{by}; stop it first, or give this host a database of its own (store.url)"
    )]
    Taken {
        /// The database.
        place: Place,
        /// Where the other host is, as far as the database tells.
        by: String,
    },
    /// The database cannot be reached; nothing was changed, or where it went away during the commit itself, it is not known.
    #[error(
        "the store could not {doing}: {place} cannot be reached; check that the database runs and that this machine reaches it"
    )]
    Away {
        /// What was being done.
        doing: &'static str,
        /// The database.
        place: Place,
        /// What was seen.
        #[source]
        source: DatabaseError,
    },
    /// The store was closed, since the host ends.
    #[error("the store could not {doing}: the host is stopping")]
    Closed {
        /// What was being done.
        doing: &'static str,
    },
    /// The database refused or broke.
    #[error("the store could not {doing}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: DatabaseError,
    },
    /// A row that this version cannot read.
    #[error("the store holds a {what} that cannot be read: {why}")]
    Unreadable {
        /// What kind of row.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A card belongs to one user.
    #[error("the store could not give a card to a user (another user has it): {user}")]
    CardTaken {
        /// Who was to get it.
        user: String,
    },
    /// A job needs a queue.
    #[error("there is no queue {queue:?}")]
    NoQueue {
        /// What was asked for.
        queue: String,
    },
    /// A queue that still has jobs cannot go.
    #[error(
        "queue {queue:?} still has {jobs} jobs that are not at their end; cancel or release them first (`cardinal job list --queue {queue}`)"
    )]
    QueueInUse {
        /// The queue.
        queue: String,
        /// How many jobs.
        jobs: i64,
    },
}

/// What a database said. PostgreSQL adds values of the row concerned to its errors, which may be a card's number: this
/// shows the message alone, in `Debug` too.
#[derive(Clone)]
pub struct DatabaseError(Arc<sqlx::Error>);

impl DatabaseError {
    /// Whether it tells that the connection is gone, rather than that a statement failed.
    pub(crate) fn is_lost(&self) -> bool {
        match &*self.0 {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed => true,
            // Connection exceptions, and a server that shuts down or starts up (PostgreSQL, appendix A).
            sqlx::Error::Database(error) => {
                error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
            }
            _ => false,
        }
    }

    /// The statement had no answer in time.
    pub(crate) fn late() -> Self {
        sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time")).into()
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DatabaseError {}

impl StoreError {
    /// The database failed while doing this.
    pub(crate) fn sql(place: &Place, doing: &'static str, source: DatabaseError) -> Self {
        if place.is_postgres() && source.is_lost() {
            Self::Away { doing, place: place.clone(), source }
        } else {
            Self::Sql { doing, source }
        }
    }

    /// For `map_err`: a row could not be read.
    pub(crate) fn unreadable<E: fmt::Display>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Unreadable { what, why: error.to_string() }
    }
}
