//! The runtime against real components: one program, a file for each question.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy knows test functions, not their helpers"
)]

mod common;
mod files;
mod hostile;
mod hurt;
mod sessions;
mod surgery;
