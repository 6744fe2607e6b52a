//! The words of the trade.
//!
//! Types and pure rules that every other crate speaks in: card numbers, the driver contract, readers, devices, jobs,
//! events. No I/O, no async, no clock.

pub mod bytes_text;
pub mod card;
pub mod driver;
pub mod nearest;
pub mod settings;
pub mod trace;
