//! `cardinal tls`: the host's certificate.

use anyhow::{Result, bail};
use clap::Subcommand;

use super::output::{self, say};
use crate::{config::Config, tls::Files};

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal tls show                        subject, names, end and SHA-256 fingerprint
  cardinal tls show --json
  cardinal tls renew                       a new one, signed by itself; whoever trusted the old one must be told

A certificate of your own: set tls.certificate and tls.key in cardinal.toml. Whoever wants to compare with what a running
host shows:
  openssl s_client -connect HOST:8632 </dev/null | openssl x509 -noout -fingerprint -sha256";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// What the certificate's file says
    Show,
    /// Make the host's own certificate anew; a running host takes it within seconds
    Renew,
}

impl Action {
    pub(super) fn run(&self, config: &Config, as_json: bool) -> Result<()> {
        let files = Files::of(config)?;
        match self {
            Self::Renew => files.make(config)?,
            Self::Show if files.own && !files.certificate.exists() => {
                bail!("there is no certificate yet; the host makes it when it starts, or `cardinal tls renew` now");
            }
            Self::Show => {}
        }
        let about = files.about()?;
        if as_json {
            return output::json(&about);
        }
        say!("certificate   {}", files.certificate.display());
        for line in about.to_string().lines() {
            say!("{}", output::plain(line));
        }
        Ok(())
    }
}
