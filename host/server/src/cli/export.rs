//! `cardinal export`.

use anyhow::{Context as _, Result};
use cardinal_domain::site::Site;
use clap::Args;

use super::{client::Client, output};

/// Write the whole site, in the form that `apply` takes
#[derive(Debug, Args)]
#[command(after_help = "\
Card numbers and secrets of readers stand in it in clear: keep the file as you keep a password.

Examples:
  cardinal export > site.toml
  cardinal export --json | jq '.reader[].name'")]
pub(super) struct Export {}

impl Export {
    pub(super) async fn run(&self, client: &Client) -> Result<()> {
        let site: Site = client.get("site").await?;
        if client.json {
            return output::json(&site);
        }
        output::text(&toml::to_string(&site).context("the site cannot be written as TOML")?);
        Ok(())
    }
}
