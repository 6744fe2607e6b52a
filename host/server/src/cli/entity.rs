//! `cardinal user | printer | queue | device`, and what `reader` shares with them: list, show, set, remove.

use anyhow::{Result, anyhow, bail};
use cardinal_domain::card;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value};

use super::{client::Client, output};
use crate::http::ApplyQuery;

pub(super) const USER: &str = "\
Examples:
  cardinal user list
  cardinal user set ada full_name=\"Ada Lovelace\" card=4711 second_card=EMP123
  cardinal user set ada second_card=          takes the second card away
  cardinal user remove ada";
pub(super) const PRINTER: &str = "\
Examples:
  cardinal printer set east uri=ipp://10.0.0.31/ipp/print
  cardinal printer set trial uri=folder:./delivered
  cardinal printer list";
pub(super) const QUEUE: &str = "\
Examples:
  cardinal queue set find-me
  cardinal queue set find-me 'allow=[\"10.1.0.0/16\"]'
  cardinal queue set direct hold=false printer=east";
pub(super) const DEVICE: &str = "\
Examples:
  cardinal device set floor-2-east printer=east on_card=release-all
  cardinal device set floor-2-east 'queues=[\"find-me\"]'";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// All of them
    List,
    /// One, with every field
    Show {
        name: String,
    },
    Set(Set),
    Remove(Remove),
}

/// Add one, or change fields of one that is there
#[derive(Debug, Args)]
pub(super) struct Set {
    name: String,
    /// Fields as in a site file; dots lead into tables, an empty value takes the field away
    #[arg(value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

/// Remove one
#[derive(Debug, Args)]
pub(super) struct Remove {
    name: String,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

impl Action {
    pub(super) async fn run(self, client: &Client, kind: &str) -> Result<()> {
        match self {
            Self::List => list(client, kind).await,
            Self::Show { name } => show(client, kind, &name).await,
            Self::Set(set) => set.run(client, kind).await,
            Self::Remove(remove) => remove.run(client, kind).await,
        }
    }
}

async fn list(client: &Client, kind: &str) -> Result<()> {
    let entities: Vec<Map<String, Value>> = client.get(&format!("site/{kind}")).await?;
    if client.json {
        return output::json(&entities);
    }
    let text = |entity: &Map<String, Value>, key: &str| match entity.get(key) {
        Some(Value::String(text)) if key.ends_with("card") && key != "on_card" => card::mask(text),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let row = |keys: [&str; 4]| entities.iter().map(|entity| keys.map(|key| text(entity, key))).collect::<Vec<_>>();
    let none = format!("no {kind} yet; add one with `cardinal {kind} set NAME …` or `cardinal apply`");
    match kind {
        "user" => {
            let rows = row(["name", "full_name", "card", "second_card"]);
            output::table(["USER", "FULL NAME", "CARD", "SECOND CARD"], &rows, &none);
        }
        "printer" => output::table(["PRINTER", "URI", "", ""], &row(["name", "uri", "", ""]), &none),
        "queue" => {
            output::table(["QUEUE", "HOLD", "PRINTER", "ALLOW"], &row(["name", "hold", "printer", "allow"]), &none);
        }
        _ => {
            let rows = row(["name", "printer", "on_card", "queues"]);
            output::table(["DEVICE", "PRINTER", "ON CARD", "QUEUES"], &rows, &none);
        }
    }
    Ok(())
}

async fn show(client: &Client, kind: &str, name: &str) -> Result<()> {
    let entity: Value = client.get(&format!("site/{kind}/{name}")).await?;
    if client.json {
        return output::json(&entity);
    }
    print!("{}", toml::to_string(&entity)?);
    Ok(())
}

impl Set {
    pub(super) async fn run(&self, client: &Client, kind: &str) -> Result<()> {
        let mut fields = Map::new();
        for field in &self.fields {
            let (key, value) = field.split_once('=').ok_or_else(|| anyhow!("{field:?} is no FIELD=VALUE"))?;
            change(&mut fields, key, value)?;
        }
        let path = format!("site/{kind}/{}", self.name);
        let query = ApplyQuery { dry_run: self.dry_run, prune: false };
        let applied = client.ask(Method::PATCH, &path, Some(&query), Some(&fields)).await?;
        output::applied(&applied, client.json)
    }
}

impl Remove {
    pub(super) async fn run(&self, client: &Client, kind: &str) -> Result<()> {
        let query = ApplyQuery { dry_run: self.dry_run, prune: true };
        let path = format!("site/{kind}/{}", self.name);
        let applied = client.ask(Method::DELETE, &path, Some(&query), None::<&()>).await?;
        output::applied(&applied, client.json)
    }
}

/// Sets one field of a change; null takes it away.
fn change(fields: &mut Map<String, Value>, key: &str, value: &str) -> Result<()> {
    if let Some((table, rest)) = key.split_once('.') {
        let inner = fields.entry(table).or_insert_with(|| Value::Object(Map::new()));
        return match inner {
            Value::Object(inner) => change(inner, rest, value),
            _ => bail!("{table:?} is given as a whole and in part"),
        };
    }
    let value = if value.is_empty() { Value::Null } else { parse(key, value)? };
    fields.insert(key.to_owned(), value);
    Ok(())
}

/// Lists, booleans and times (`link.…_ms`) are written as in TOML; everything else is text. A card number is text, and so
/// may a driver's setting be: the host checks it against the driver's own words.
fn parse(key: &str, value: &str) -> Result<Value> {
    if value == "true" || value == "false" || value.starts_with('[') || key.ends_with("_ms") && is_number(value) {
        let table: toml::Table = toml::from_str(&format!("value = {value}"))
            .map_err(|error| anyhow!("{value:?} cannot be read: {}", error.message()))?;
        return Ok(serde_json::to_value(table.get("value"))?);
    }
    Ok(Value::String(value.to_owned()))
}

fn is_number(value: &str) -> bool {
    value.parse::<u64>().is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_read_as_a_site_file_has_them() {
        let mut fields = Map::new();
        for (key, value) in [
            ("settings.keepalive_seconds", "10"),
            ("link.retry_first_ms", "100"),
            ("enabled", "false"),
            ("allow", "['10.0.0.0/8']"),
            ("card", "4711"),
            ("device", ""),
        ] {
            change(&mut fields, key, value).unwrap();
        }
        assert_eq!(
            Value::Object(fields),
            json!({ "settings": { "keepalive_seconds": "10" }, "link": { "retry_first_ms": 100 }, "enabled": false, "allow": ["10.0.0.0/8"], "card": "4711", "device": null })
        );
        assert!(change(&mut Map::new(), "allow", "[").is_err());
    }
}
