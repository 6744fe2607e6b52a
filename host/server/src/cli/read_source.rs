//! `cardinal read-source`: the child process in which a host reads a directory. Not for people.

use anyhow::{Context as _, Result};

use crate::sync::reading;

pub(super) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start an async runtime")?.block_on(reading::child())
}
