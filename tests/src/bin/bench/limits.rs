//! Limits on what a measurement waits for and on what it may open. One that is crossed ends its table with a message.

use std::{env, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use cardinal_tests::{host::Host, program};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{process::Command, time::Instant};

/// What comes of this, or that it was waited for in vain.
pub(crate) async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.map_err(|_| anyhow!("waited {limit:?} in vain for {what}"))
}

/// Lets this process have as many files open as the system allows it, and gives how many.
pub(crate) fn open_many() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // What cannot be raised is told by what is had in the end.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX)
}

/// `cardinal apply` of a site that may be large, and how long it took.
pub(crate) async fn apply(host: &Host, site: &str, limit: Duration) -> Result<Duration> {
    let file = host.folder().join("site.toml");
    std::fs::write(&file, site).context("the site file cannot be written")?;
    let mut command = Command::new(program::ours("cardinal", "cardinal-server"));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARDINAL_")) {
        command.env_remove(name);
    }
    command.arg("--config").arg(host.config()).arg("apply").arg(&file);
    let begun = Instant::now();
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let what = format!("`cardinal apply` of {} bytes", site.len());
    let output = within(limit, &what, running).await?.with_context(|| format!("{what} cannot be started"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what} failed with {}: {}", output.status, said.trim());
    Ok(begun.elapsed())
}
