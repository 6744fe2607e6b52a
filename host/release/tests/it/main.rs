//! The release engine from outside: over real HTTP on loopback, with printers that misbehave and, where they are
//! installed, real ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;
mod delivery;
mod hold;
mod hostile_clients;
mod hostile_printers;
mod intake;
mod packed;
mod peers;
mod printers;
mod recovery;
mod sign_in;
mod told;
