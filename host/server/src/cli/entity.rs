//! `cardinal user | queue`, and what `source`, `device`, `reader` and `printer` share with them: list, show, set, remove.

use anyhow::{Result, anyhow, bail};
use cardinal_domain::card;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value};

use super::{
    client::{Client, step},
    output,
};
use crate::http::ApplyQuery;

pub(super) const USER: &str = "\
Examples:
  cardinal user list
  cardinal user set ada full_name=\"Ada Lovelace\" card=4711 second_card=EMP123
  cardinal user set ada second_card=          takes the second card away
  cardinal user password ada                  for queues that ask for a sign-in
  cardinal user remove ada";
pub(super) const QUEUE: &str = "\
Examples:
  cardinal queue set find-me
  cardinal queue set find-me 'allow=[\"10.1.0.0/16\"]'
  cardinal queue set direct hold=false printer=east
  cardinal queue set staff sign_in=true       people sign in with name and password, over ipps:// alone";

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
    pub(super) name: String,
    /// Fields as in a site file; dots lead into tables (a name with dots stands in quotes: 'domain."a.example".servers=["dc1"]'),
    /// an empty value takes the field away (of card_no_converter and card_no_regex it means none; GLOBAL there is the site's)
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
        Some(Value::String(text)) if key.ends_with("card") => card::mask(text),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let row = |keys: [&str; 4]| entities.iter().map(|entity| keys.map(|key| text(entity, key))).collect::<Vec<_>>();
    let none = format!("no {kind} yet; add one with `cardinal {kind} set NAME …` or `cardinal apply`");
    match kind {
        "user" => {
            let source = |entity: &Map<String, Value>| {
                let source = entity.get("origin").and_then(|origin| origin.get("source")).and_then(Value::as_str);
                source.unwrap_or_default().to_owned()
            };
            let rows: Vec<_> = entities
                .iter()
                .map(|entity| {
                    let [name, full_name, card, second] =
                        ["name", "full_name", "card", "second_card"].map(|key| text(entity, key));
                    [name, full_name, card, second, source(entity)]
                })
                .collect();
            output::table(["USER", "FULL NAME", "CARD", "SECOND CARD", "SOURCE"], &rows, &none);
        }
        "source" => {
            let rows: Vec<_> = entities
                .iter()
                .map(|entity| {
                    let from = ["domains", "servers", "from"].map(|key| text(entity, key));
                    let from = from.into_iter().find(|from| !from.is_empty()).unwrap_or_default();
                    [text(entity, "name"), text(entity, "rank"), text(entity, "kind"), from]
                })
                .collect();
            output::table(["SOURCE", "RANK", "KIND", "FROM"], &rows, &none);
        }
        _ => {
            output::table(["QUEUE", "HOLD", "PRINTER", "ALLOW"], &row(["name", "hold", "printer", "allow"]), &none);
        }
    }
    Ok(())
}

pub(super) async fn show(client: &Client, kind: &str, name: &str) -> Result<()> {
    let entity: Value = client.get(&format!("site/{kind}/{}", step(name))).await?;
    if client.json {
        return output::json(&entity);
    }
    output::text(&toml::to_string(&entity)?);
    Ok(())
}

impl Set {
    pub(super) async fn run(&self, client: &Client, kind: &str) -> Result<()> {
        self.run_with(client, kind, Map::new()).await
    }

    /// With fields that do not stand on the command line.
    pub(super) async fn run_with(&self, client: &Client, kind: &str, mut fields: Map<String, Value>) -> Result<()> {
        for field in &self.fields {
            let (key, value) = field.split_once('=').ok_or_else(|| anyhow!("{field:?} is no FIELD=VALUE"))?;
            change(&mut fields, key, value)?;
        }
        let path = format!("site/{kind}/{}", step(&self.name));
        let query = ApplyQuery { dry_run: self.dry_run, prune: false };
        let applied = client.ask(Method::PATCH, &path, Some(&query), Some(&fields)).await?;
        output::applied(&applied, client.json)
    }
}

impl Remove {
    pub(super) async fn run(&self, client: &Client, kind: &str) -> Result<()> {
        let query = ApplyQuery { dry_run: self.dry_run, prune: true };
        let path = format!("site/{kind}/{}", step(&self.name));
        let applied = client.ask(Method::DELETE, &path, Some(&query), None::<&()>).await?;
        output::applied(&applied, client.json)
    }
}

/// Sets one field of a change; null takes it away.
fn change(fields: &mut Map<String, Value>, key: &str, value: &str) -> Result<()> {
    let mut tables = steps(key)?;
    let field = tables.pop().unwrap_or_default();
    let table = tables.first().map(String::as_str).unwrap_or_default();
    let value = match value {
        // Empty is a device's own word: none, whatever the site's is. A pattern may begin with a bracket, and is no list.
        text if field.starts_with("card_no_") && (table.is_empty() || !text.is_empty()) => {
            Value::String(text.to_owned())
        }
        "" => Value::Null,
        value => parse(table, &field, value)?,
    };
    let mut into = fields;
    for table in tables {
        let is_whole = || anyhow!("{table:?} is given as a whole and in part");
        let inner = into.entry(&table).or_insert_with(|| Value::Object(Map::new()));
        into = inner.as_object_mut().ok_or_else(is_whole)?;
    }
    into.insert(field, value);
    Ok(())
}

/// The tables that a key leads into, and its field. A name with dots stands in quotes, as in TOML.
fn steps(key: &str) -> Result<Vec<String>> {
    if !key.contains(['"', '\'']) {
        return match key.split_once('.') {
            Some(("domain", rest)) => {
                let (name, field) = rest.rsplit_once('.').unwrap_or((rest, "servers"));
                bail!("the name of a domain has dots, and stands in quotes: 'domain.\"{name}\".{field}=…'")
            }
            Some((table, field)) => Ok(vec![table.to_owned(), field.to_owned()]),
            None => Ok(vec![key.to_owned()]),
        };
    }
    let read = toml::from_str::<toml::Table>(&format!("{key} = 0"));
    let mut rest = read.map_err(|error| anyhow!("{key:?} cannot be read: {}", error.message()))?;
    let mut steps = Vec::new();
    while let Some((step, inner)) = rest.into_iter().next() {
        steps.push(step);
        rest = if let toml::Value::Table(inner) = inner { inner } else { toml::Table::new() };
    }
    Ok(steps)
}

/// A value as a site file would have it. Lists and booleans are written as in TOML, and in the tables `settings` and `link`
/// numbers, too, as are seconds; everything else is text, as a card number or a password is. A setting may be any text, such as
/// a pattern in brackets.
fn parse(table: &str, field: &str, value: &str) -> Result<Value> {
    let text = || Value::String(value.to_owned());
    let is_number = (matches!(table, "settings" | "link") || field.ends_with("_s")) && value.parse::<i64>().is_ok();
    let is_more_than_text = value == "true" || value == "false" || value.starts_with('[') || is_number;
    if field == "password" || !is_more_than_text {
        return Ok(text());
    }
    match toml::from_str::<toml::Table>(&format!("value = {value}")) {
        Ok(read) => Ok(serde_json::to_value(read.get("value"))?),
        Err(_) if table == "settings" => Ok(text()),
        Err(error) => bail!("{value:?} cannot be read: {}", error.message()),
    }
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
            ("settings.card_pattern", "[0-9]+"),
            ("link.retry_first_ms", "100"),
            ("enabled", "false"),
            ("timeout_s", "10"),
            ("allow", "['10.0.0.0/8']"),
            ("card", "4711"),
            ("device", ""),
            ("card_no_regex", "[0-9]([0-9]+)"),
            ("card_no_converter", ""),
        ] {
            change(&mut fields, key, value).unwrap();
        }
        assert_eq!(
            Value::Object(fields),
            json!({ "settings": { "keepalive_seconds": 10, "card_pattern": "[0-9]+" }, "link": { "retry_first_ms": 100 }, "enabled": false, "timeout_s": 10, "allow": ["10.0.0.0/8"], "card": "4711", "device": null, "card_no_regex": "[0-9]([0-9]+)", "card_no_converter": "" })
        );
        assert!(change(&mut Map::new(), "allow", "[").is_err());
    }

    #[test]
    fn a_name_with_dots_stands_in_quotes() {
        let mut fields = Map::new();
        for (key, value) in [
            ("domain.\"a.example\".servers", "[\"dc1\", \"dc2:1636\"]"),
            ("domain.'a.example'.password", "12345678"),
            ("domain.\"a.example\".bind_as", ""),
            ("domain.\"b.example\"", ""),
            ("password", "[true]"),
        ] {
            change(&mut fields, key, value).unwrap();
        }
        assert_eq!(
            Value::Object(fields),
            json!({ "domain": { "a.example": { "servers": ["dc1", "dc2:1636"], "password": "12345678", "bind_as": null }, "b.example": null }, "password": "[true]" })
        );
        for (key, told) in [
            ("domain.a.example.servers", "'domain.\"a.example\".servers=…'"),
            ("domain.\"a.example.servers", "cannot be read"),
        ] {
            let error = change(&mut Map::new(), key, "x").unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
