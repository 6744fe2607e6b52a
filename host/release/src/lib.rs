//! Hold queues, the spool, the IPP server, and the ways to a printer.
//!
//! A job comes in over IPP ([`Release::router`]), is synced to the spool before the client is told that it was taken, waits,
//! and goes out to a printer by its worker. What happens to a job is decided by `domain::job_life` alone; this crate tells
//! it what happened, commits the answer through the store, and only then acts on it. It must never send a job a second
//! time by itself where the first may have printed, and never lose one that a client was told is taken.

mod backends;
mod delivery;
mod engine;
mod error;
mod follow;
#[doc(hidden)]
pub mod fuzzing;
mod ipp;
mod line;
mod message;
mod options;
mod permits;
mod printers;
mod ready;
mod scan;
mod sign_in;
mod spool;
mod values;

pub use engine::Release;
pub use error::ReleaseError;
pub use ipp::{Announcement, OverTls};
pub use options::{RELEASE_LIMITS, ReleaseLimits, ReleaseOptions, Serving};
pub use printers::{PrinterState, PrinterStatus, SeenCertificate, Trouble};
pub use sign_in::{SignIn, SignInError};
