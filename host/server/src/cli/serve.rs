//! `cardinal serve`.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::{
    config::{Config, LogFormat},
    host::{self, Listening},
};

/// Run the host until it is told to stop
#[derive(Debug, Args)]
#[command(after_help = "\
Prints one line on standard output once every listener is up:
  ready http=127.0.0.1:8630 ipp=127.0.0.1:8631 ipps=127.0.0.1:8632
and readers=… and readers_plain=… where [readers] of cardinal.toml has listeners for readers.
Logs go to standard error. SIGTERM and Ctrl-C end it in an orderly way.

Examples:
  cardinal --config ./site/cardinal.toml serve
  CARDINAL_LOG__FILTER=debug cardinal --config ./site/cardinal.toml serve")]
pub(super) struct Serve {}

impl Serve {
    pub(super) fn run(&self, config: Config) -> Result<()> {
        log_to_stderr(&config)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start an async runtime")?;
        runtime.block_on(host::run(config, ready))
    }
}

fn ready(Listening { http, ipp, ipps, readers, readers_plain }: Listening) {
    // Whoever waits for the line reads a pipe; one that is closed is no reason to stop.
    let mut out = std::io::stdout();
    let others = [("ipps", ipps), ("readers", readers), ("readers_plain", readers_plain)];
    let others: String =
        others.iter().filter_map(|(name, address)| address.map(|address| format!(" {name}={address}"))).collect();
    let _ = writeln!(out, "ready http={http} ipp={ipp}{others}").and_then(|()| out.flush());
}

fn log_to_stderr(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log.filter)
        .map_err(|error| anyhow!("log.filter {:?} cannot be read: {error}", config.log.filter))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match config.log.format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    set.map_err(|error| anyhow!("cannot log: {error}"))
}
