//! What the end-to-end tests stand on: the host as its own process, and the real programs it talks to.
//!
//! A file per peer. Everything runs on the loopback (or in a network namespace of its own), on free ports, in temporary
//! folders, and is stopped by its process id when its value goes away. A helper that cannot do its work has failed the
//! test, so helpers panic with what they saw instead of handing errors on. Nothing here knows what is right: the tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that fails has failed the test")]

pub mod api;
pub mod avahi;
pub mod cli;
pub mod cups;
pub mod directory;
pub mod disk;
pub mod document;
pub mod driver_file;
pub mod host;
pub mod http_reader;
pub mod ipp_client;
pub mod ipp_printer;
pub mod ipptool;
pub mod kill;
pub mod network;
pub mod port;
pub mod postgres;
pub mod process;
pub mod program;
pub mod site;
pub mod terminal;
pub mod versions;
pub mod wait;
