//! `cardinal read-source`: the child process in which a host reads a directory. Not for people.

use anyhow::{Context as _, Result};

use crate::sync::reading;

pub(super) fn run() -> Result<()> {
    // One thread takes messages apart, another what is in them.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start an async runtime")?.block_on(reading::child())
}
