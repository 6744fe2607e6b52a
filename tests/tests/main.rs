//! The stories that a person or an operator would tell, with the real programs: a module a story.
#![allow(clippy::unwrap_used, reason = "helpers of tests: what cannot be done has failed the test")]

mod bad_input;
mod changes;
mod command_line;
mod disk;
mod drivers;
mod kill;
mod listen;
mod printer;
mod queues;
mod restart;
mod sessions;
mod swipe;
mod traps;
