//! How the store fails.

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be opened.
    #[error("cannot open the store {url}: check that the folder exists, is writable and has space")]
    Open {
        /// Where it was looked for.
        url: String,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("cannot bring the store's schema up to date; was it written by a newer Cardinal?")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The database refused or broke.
    #[error("the store could not {doing}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A row that this version cannot read.
    #[error("the store holds a {what} that cannot be read: {why}")]
    Unreadable {
        /// What kind of row.
        what: &'static str,
        /// What is wrong with it.
        why: String,
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

impl StoreError {
    /// For `map_err`: the database failed while doing this.
    pub(crate) fn sql(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Sql { doing, source }
    }

    /// For `map_err`: a row could not be read.
    pub(crate) fn unreadable<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Unreadable { what, why: error.to_string() }
    }
}
