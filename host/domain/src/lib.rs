//! The words of the trade.
//!
//! Types and pure rules that every other crate speaks in: card numbers, the driver contract, readers, devices, jobs,
//! events. No I/O, no async.

#[cfg(test)]
mod blessed;
pub mod bounds;
pub mod bytes_text;
pub mod card;
pub mod config_keys;
pub mod convert;
pub mod driver;
pub mod event;
pub mod fingerprint;
pub mod job;
pub mod job_life;
pub mod names;
pub mod nearest;
pub mod password;
pub mod plan;
pub mod settings;
pub mod site;
pub mod strict_toml;
pub mod sync;
pub mod time;
pub mod trace;
