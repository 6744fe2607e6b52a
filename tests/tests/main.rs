//! The stories that a person or an operator would tell, with the real programs: a module a story.
#![allow(clippy::large_futures, reason = "a test lives once; how large it is does not matter")]

mod bad_input;
mod changes;
mod command_line;
mod drivers;
mod listen;
mod printer;
mod queues;
mod restart;
mod sessions;
mod swipe;
mod traps;
