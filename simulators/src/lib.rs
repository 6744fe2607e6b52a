//! Readers that people and tests can run without hardware.
//!
//! A module per kind of reader; each behaves like the published sample or manual of its kind, can be made to misbehave
//! on purpose, and records all that it was sent. A simulator shares no code with the drivers: an error made in both
//! would be seen by nobody.
//!
//! - [`generic`]: a terminal of Generic mode, card numbers over plain TCP.
//! - [`rfideas_241`]: an RF IDeas Ethernet 241 in client mode, configured over HTTP and calling by HTTPS.
//! - [`springcore`]: a SpringCard reader, JSON over TCP or HTTP.
//! - [`typing`]: cards typed by a person.

pub mod generic;
pub mod rfideas_241;
pub mod springcore;
pub mod typing;
