//! The stories that a person or an operator would tell, with the real programs: a module a story.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: what cannot be done has failed the test"
)]

mod bad_input;
mod calls;
mod cards;
mod changes;
mod command_line;
mod directory_faults;
mod directory_peers;
mod directory_programs;
mod directory_servers;
mod directory_sync;
mod directory_use;
mod disk;
mod dns_sd;
mod driver_names;
mod driver_signatures;
mod driver_versions;
mod drivers;
mod flood;
mod guide;
mod http_network;
mod http_reader;
mod hurt;
mod ipp_hold;
mod ipp_sign_in;
mod ipp_suites;
mod kill;
mod listen;
mod postgres;
mod printer;
mod printers;
mod queues;
mod recorder;
mod restart;
mod rfideas_241;
mod sessions;
mod simulators;
mod springcore;
mod swap;
mod swipe;
mod tls;
mod traps;
