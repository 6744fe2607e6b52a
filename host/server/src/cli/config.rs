//! `cardinal config`: the config keys that administrators know.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use cardinal_domain::nearest::nearest;
use clap::{Args, Subcommand};
use reqwest::Method;

use super::{
    client::Client,
    output::{self, say},
};
use crate::http::{ApplyQuery, ConfigView};

pub(super) const EXAMPLES: &str = "\
Examples:
  cardinal config list card                   every key that has to do with cards
  cardinal config show user-source.nightly-at
  cardinal config set user-source.nightly-at=02:30 user-source.time-zone=Europe/Berlin
  cardinal config set user-source.nightly-at=         back to its default";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// All of them, or those that have to do with something
    #[command(after_help = "\
Examples:
  cardinal config list
  cardinal config list ldap.schema
  cardinal config list nightly --json")]
    List {
        /// Only keys with this in their name or in what they do
        text: Option<String>,
    },
    /// One: what it is, what it does
    #[command(after_help = "\
Examples:
  cardinal config show ldap.schema.user-card-id-field")]
    Show {
        /// Its name, as `cardinal config list` shows it
        name: String,
    },
    Set(Set),
}

/// Set keys, all of them or none
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cardinal config set ldap.schema.user-card-id-field=employeeNumber
  cardinal config set 'ext-device.card-no-regex=(.{10})' --dry-run
  cardinal config set ldap.schema.user-card-id-field=     back to its default")]
pub(super) struct Set {
    /// A key and its value; an empty value takes it back to its default
    #[arg(value_name = "KEY=VALUE", required = true)]
    keys: Vec<String>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

impl Action {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        match self {
            Self::List { text } => list(client, text.as_deref().unwrap_or_default()).await,
            Self::Show { name } => show(client, &name).await,
            Self::Set(set) => set.run(client).await,
        }
    }
}

async fn list(client: &Client, text: &str) -> Result<()> {
    let mut keys: Vec<ConfigView> = client.get("config").await?;
    let text = text.to_lowercase();
    keys.retain(|key| key.name.contains(&text) || key.help.to_lowercase().contains(&text));
    if client.json {
        return output::json(&keys);
    }
    let row = |key: &ConfigView| {
        let of = if key.is_set { "this site" } else { "" };
        [key.name.clone(), key.value.clone(), of.to_owned()]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    output::table(["KEY", "VALUE", "SET BY"], &rows, "no such config key; `cardinal config list` shows all");
    Ok(())
}

async fn show(client: &Client, name: &str) -> Result<()> {
    let keys: Vec<ConfigView> = client.get("config").await?;
    let known: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    let key = keys.iter().find(|key| key.name == name);
    let key = key.ok_or_else(|| anyhow!("there is no config key {name:?}{}", nearest(name, &known)))?;
    if client.json {
        return output::json(key);
    }
    say!("{} = {:?}{}", key.name, key.value, if key.is_set { "" } else { ", its default" });
    if key.is_set {
        say!("default: {:?}", key.default);
    }
    say!("{}", key.help);
    Ok(())
}

impl Set {
    async fn run(&self, client: &Client) -> Result<()> {
        let mut fields = BTreeMap::new();
        for text in &self.keys {
            let (key, value) = text.split_once('=').ok_or_else(|| anyhow!("{text:?} is no KEY=VALUE"))?;
            fields.insert(key, Some(value).filter(|value| !value.is_empty()));
        }
        let query = ApplyQuery { dry_run: self.dry_run, prune: false };
        let applied = client.ask(Method::PATCH, "config", Some(&query), Some(&fields)).await?;
        output::applied(&applied, client.json)
    }
}
