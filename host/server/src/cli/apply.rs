//! `cardinal apply`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use cardinal_domain::{site::Site, strict_toml};
use clap::Args;
use reqwest::Method;

use super::{client::Client, output};
use crate::http::ApplyQuery;

/// Make the site as a file says
#[derive(Debug, Args)]
#[command(after_help = "\
Applying the same file twice changes nothing the second time. All of it is applied, or nothing.

Examples:
  cardinal apply site.toml --dry-run     shows what would change
  cardinal apply site.toml               adds and changes what the file names
  cardinal apply site.toml --prune       also removes what the file does not name")]
pub(super) struct Apply {
    /// The site file (TOML); see `cardinal export` for the form
    file: PathBuf,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Also remove what the file does not name
    #[arg(long)]
    prune: bool,
}

impl Apply {
    pub(super) async fn run(&self, client: &Client) -> Result<()> {
        let text =
            std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        let site: Site = strict_toml::parse(&text).map_err(|error| anyhow!("{}: {error}", self.file.display()))?;
        let query = ApplyQuery { dry_run: self.dry_run, prune: self.prune };
        let applied = client.ask(Method::POST, "site", Some(&query), Some(&site)).await;
        let applied = applied.with_context(|| format!("{}: nothing was applied", self.file.display()))?;
        output::applied(&applied, client.json)
    }
}
