//! Who there is: directories are read whole or not at all, what changes is planned before anything does, and is carried
//! out at once.
//!
//! ```text
//! sources (I/O) ─▶ Snapshot ─┐
//! sources (I/O) ─▶ Snapshot ─┼─▶ plan (pure) ─▶ Plan ─▶ the store, in one transaction
//! users on record ───────────┘
//! ```
//!
//! - [`sources`] reads one source. What comes out is a [`Snapshot`], and there is one only where every page of every search
//!   ended with success: a server that is away, cuts off, or answers half, gives an error and nothing else.
//! - [`plan`] compares snapshots with the users on record. It does no I/O, so that the same input gives the same plan.
//! - Carrying out is the store's: [`cardinal_domain::sync::Plan`] is what it takes.

#[doc(hidden)]
pub mod fuzzing;
pub mod graph;
pub mod plan;
pub mod schema;
pub mod snapshot;
pub mod sources;
pub mod trust;

pub use crate::{
    schema::Schema,
    snapshot::{ELSEWHERE, Figures, Group, Handover, Mark, Person, Progress, Remark, Scope, Snapshot},
    sources::{FilterError, LdapError, Locals, Outcome, Reading, SourceError, Tried, read},
    trust::Trust,
};
