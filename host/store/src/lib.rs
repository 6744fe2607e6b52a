//! What Cardinal keeps, behind one set of queries: SQLite now, written so that PostgreSQL takes the same ones.
//!
//! The store owns durability and uniqueness: a card belongs to one user because the database says so, and a change that
//! spans rows is one transaction. It decides nothing: what a change *is* comes from the pure modules of `domain`.
//!
//! Reading is concurrent. Writing is one transaction at a time, which is what SQLite does anyway; doing it here turns
//! "database is locked" into a short wait.

mod connect;
mod drivers;
mod error;
mod events;
mod jobs;
mod memory;
mod setup;
mod users;

pub use connect::{Durability, Store};
pub use drivers::InstalledDriver;
pub use error::StoreError;
pub use events::EventFilter;
pub use jobs::JobFilter;
pub use setup::Setup;
