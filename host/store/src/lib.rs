//! What Cardinal keeps, behind one set of queries: in SQLite or in PostgreSQL.
//!
//! The store owns durability and uniqueness: a card belongs to one user because the database says so, and a change that
//! spans rows is one transaction. It decides nothing: what a change *is* comes from the pure modules of `domain`.
//!
//! Reading is concurrent. Writing is one connection's work, in turns, and writes that wait at the same time share one
//! commit: see `writer`. That is what SQLite does anyway (here it is a short wait instead of "database is locked"), and
//! with PostgreSQL it lets one commit's way to the server serve many.

mod checkpoint;
mod connect;
mod drivers;
mod error;
mod events;
mod groups;
mod jobs;
mod list;
mod memory;
mod migrations;
mod place;
mod publishers;
mod retention;
mod secrets;
mod setup;
mod sql;
mod sync;
mod users;
mod writer;

pub use connect::{Durability, Store};
pub use drivers::{DriverVersions, InstalledDriver, Origin};
pub use error::{DatabaseError, StoreError};
pub use events::EventFilter;
pub use list::JobFilter;
pub use place::{Place, PostgresUrl};
pub use publishers::Publisher;
pub use retention::{Cleaned, EventLimit, JobLimit};
pub use secrets::SecretNumber;
pub use setup::Setup;
pub use sync::{ArchivedUser, People, SyncRun};
pub use users::Holder;
