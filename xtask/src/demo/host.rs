//! The host as a child process: started, asked, stopped.
//!
//! It runs in a process group of its own, so that Ctrl-C reaches the demo alone, which then ends the host in order. It
//! is stopped when this value goes away, whatever the reason.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long the host may take to open its listeners.
const START: Duration = Duration::from_secs(60);

/// How long one command may take; installing a driver compiles it.
const COMMAND: Duration = Duration::from_secs(120);

/// How long the host may take to end when it is told to.
const STOP: Duration = Duration::from_secs(15);

/// The host's log in the demo's folder, and how much of it is shown after a failure.
const LOG: &str = "host.log";
const LOG_LINES: usize = 30;

/// A running host.
pub(super) struct Host {
    program: PathBuf,
    config: PathBuf,
    child: Child,
    /// Where its API and web page are.
    pub(super) http: SocketAddr,
    /// Where its queues are.
    pub(super) ipp: SocketAddr,
}

impl Host {
    /// Makes a configuration in the folder and starts a host with it, on free ports.
    pub(super) async fn start(program: &Path, folder: &Path) -> Result<Self> {
        ask(Command::new(program).arg("init").arg(folder)).await?;
        let config = folder.join("cardinal.toml");
        let log = File::create(folder.join(LOG)).context("making the host's log")?;
        let mut child = Command::new(program)
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .current_dir(folder)
            .env("CARDINAL_HTTP__LISTEN", "127.0.0.1:0")
            .env("CARDINAL_IPP__LISTEN", "127.0.0.1:0")
            .env("CARDINAL_IPPS__LISTEN", "127.0.0.1:0")
            .env("CARDINAL_READERS__LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let stdout = child.stdout.take().context("the host has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = timeout(START, lines.next_line())
            .await
            .map_err(|_| anyhow!("the host was not ready within {START:?}"))?
            .context("reading what the host says")?
            .context("the host ended before it was ready")?;
        // Whatever else it says must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (http, ipp) = addresses(&ready)
            .with_context(|| format!("the host's first line is not `ready http=… ipp=…`: {ready:?}"))?;
        Ok(Self { program: program.to_owned(), config, child, http, ipp })
    }

    /// Runs a command of the program against this host and shows its answer.
    pub(super) async fn tell(&self, arguments: &[&OsStr]) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(&self.config).args(arguments);
        let answer = ask(command.env("CARDINAL_HTTP__LISTEN", self.http.to_string())).await?;
        answer.lines().for_each(|line| println!("      {line}"));
        Ok(())
    }

    /// A command against this host as a person can type it in another window.
    pub(super) fn command_line(&self, command: &str) -> String {
        let (http, program, config) = (self.http, self.program.display(), self.config.display());
        format!("CARDINAL_HTTP__LISTEN={http} {program} --config {config} {command}")
    }

    /// Waits until the host ends by itself, which it should not.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow!("the host ended by itself with {status}"),
            Err(error) => anyhow!(error).context("watching the host"),
        }
    }

    /// Tells the host to end and waits for it. Fails when it does not end in order.
    pub(super) fn stop(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().context("watching the host")? {
            bail!("the host had ended by itself with {status}");
        }
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("the host has no process id")?, rustix::process::Signal::TERM)
            .context("telling the host to end")?;
        let begun = Instant::now();
        while begun.elapsed() < STOP {
            if let Some(status) = self.child.try_wait().context("watching the host")? {
                return if status.success() { Ok(()) } else { Err(anyhow!("the host ended with {status}")) };
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.child.start_kill().context("ending the host")?;
        bail!("the host did not end within {STOP:?} and was killed")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // An error here is either told already or means that the host is gone, which is what is wanted.
        let _ = self.stop();
    }
}

/// Shows the end of the host's log, where there is one.
pub(super) fn show_log(folder: &Path) {
    let log = fs::read(folder.join(LOG)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let skipped = lines.len().saturating_sub(LOG_LINES);
    if !lines.is_empty() {
        println!("\nThe end of the host's log:");
        lines.iter().skip(skipped).for_each(|line| println!("  | {line}"));
    }
}

/// Runs a command to its end; its complaints become the error.
async fn ask(command: &mut Command) -> Result<String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let shown = format!("{:?}", command.as_std());
    let output = timeout(COMMAND, command.output())
        .await
        .map_err(|_| anyhow!("{shown} did not end within {COMMAND:?}"))?
        .with_context(|| format!("starting {shown}"))?;
    if !output.status.success() {
        bail!("{shown} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads `ready http=127.0.0.1:1 ipp=127.0.0.1:2`.
fn addresses(ready: &str) -> Option<(SocketAddr, SocketAddr)> {
    let words = ready.strip_prefix("ready ")?;
    let value = |name: &str| words.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok());
    Some((value("http=")?, value("ipp=")?))
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn the_ready_line_tells_both_addresses() {
        let both = Some(("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()));
        assert_eq!(addresses("ready http=127.0.0.1:1 ipp=127.0.0.1:2"), both);
        assert_eq!(addresses("ready ipp=127.0.0.1:2 http=127.0.0.1:1 more=x"), both);
        assert_eq!(addresses("ready http=127.0.0.1:1"), None);
        assert_eq!(addresses("error"), None);
    }
}
