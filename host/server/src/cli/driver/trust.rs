//! `cardinal driver trust`: whose signatures the host believes.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use cardinal_store::Publisher;
use clap::Args;
use reqwest::Method;

use super::super::{
    client::Client,
    output::{self, say},
};
use crate::http::{PublisherChanged, TrustBody};

/// Trust a publisher's key for a vendor's drivers, or no longer; list whom the host trusts
#[derive(Debug, Args)]
#[command(after_help = "\
A vendor belongs to the publisher it was first trusted for. Get the key from the publisher itself, not from where the driver
came from.

Examples:
  cardinal driver trust acme --key acme.pub
  cardinal driver trust list
  cardinal driver trust acme --key new.pub --rotate        the publisher has another key; both are good
  cardinal driver trust acme --withdraw 0B1C2D3E4F506172   the old one is good no longer: what it alone signed stops")]
pub(in crate::cli) struct Trust {
    /// The first word of its drivers' names, as in acme/line; or `list`
    #[arg(value_name = "VENDOR|list")]
    vendor: String,
    /// The publisher's public key, a .pub file
    #[arg(long, value_name = "FILE", conflicts_with = "withdraw")]
    key: Option<PathBuf>,
    /// One more key of a vendor that has one
    #[arg(long, requires = "key")]
    rotate: bool,
    /// Trust the key with this id no longer
    #[arg(long, value_name = "KEYID")]
    withdraw: Option<String>,
}

impl Trust {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let Self { vendor, key, rotate, withdraw } = self;
        match (key, withdraw) {
            (Some(path), _) => {
                let key = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let body = TrustBody { vendor, key, rotate };
                let changed = client.ask(Method::POST, "publisher", None::<&()>, Some(&body)).await?;
                told(client, &changed, "is trusted for the drivers of")
            }
            (None, Some(key)) => {
                let path = format!("publisher/{vendor}/{key}");
                let changed = client.ask(Method::DELETE, &path, None::<&()>, None::<&()>).await?;
                told(client, &changed, "is not trusted any more for the drivers of")
            }
            (None, None) if vendor == "list" => list(client).await,
            (None, None) => {
                bail!("say --key FILE to trust a key for {vendor}, or --withdraw KEYID to trust one no longer")
            }
        }
    }
}

fn told(client: &Client, changed: &PublisherChanged, words: &str) -> Result<()> {
    if client.json {
        return output::json(changed);
    }
    say!("key {} {words} {}", changed.publisher.key_id, changed.publisher.vendor);
    if !changed.changed.is_empty() {
        say!("that changes what runs of {}; see `cardinal driver list`", changed.changed.join(", "));
    }
    Ok(())
}

async fn list(client: &Client) -> Result<()> {
    let publishers: Vec<Publisher> = client.get("publisher").await?;
    if client.json {
        return output::json(&publishers);
    }
    let row = |of: &Publisher| {
        let withdrawn = of.withdrawn.map(|at| at.to_string()).unwrap_or_default();
        [of.vendor.clone(), of.key_id.clone(), of.trusted.to_string(), withdrawn, of.public_key.clone()]
    };
    let rows: Vec<_> = publishers.iter().map(row).collect();
    let none = "no publisher is trusted; `cardinal driver trust VENDOR --key FILE` trusts one";
    output::table(["VENDOR", "KEY", "TRUSTED", "WITHDRAWN", "PUBLIC KEY"], &rows, none);
    Ok(())
}
