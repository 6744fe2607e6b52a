//! `CARDINAL_…` environment variables over the file: upper case, two underscores for the dot between section and key.

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::{Config, keys};

/// The configuration with every key whose variable is set replaced.
///
/// # Errors
/// A variable whose value does not fit its key.
pub fn apply(config: &Config, variable: impl Fn(&str) -> Option<String>) -> Result<Config> {
    let mut table = Table::try_from(config).context("the configuration cannot be written down")?;
    let mut changed = None;
    for key in keys::all() {
        let name = variable_name(&key.path);
        let Some(text) = variable(&name) else { continue };
        set(&mut table, &key.path, literal(&text));
        changed = Some(name);
    }
    let Some(changed) = changed else { return Ok(config.clone()) };
    table.try_into().with_context(|| format!("environment variable {changed} (or another CARDINAL_… one) does not fit"))
}

fn set(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(table.insert(path.to_owned(), value)),
        Some((section, rest)) => {
            if let Value::Table(inner) = table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                set(inner, rest, value);
            }
        }
    }
}

/// The variable of a key.
pub fn variable_name(path: &str) -> String {
    format!("CARDINAL_{}", path.replace('.', "__").to_uppercase())
}

/// Numbers, booleans and lists are taken as such, everything else as text.
fn literal(text: &str) -> Value {
    let list = text.starts_with('[').then(|| toml::from_str::<Table>(&format!("list = {text}")).ok());
    if let Some(list) = list.flatten().and_then(|mut table| table.remove("list")) {
        list
    } else if let Ok(number) = text.parse::<i64>() {
        Value::Integer(number)
    } else if let Ok(boolean) = text.parse::<bool>() {
        Value::Boolean(boolean)
    } else {
        Value::String(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_overrides_its_key() {
        let variables = |name: &str| match name {
            "CARDINAL_IPP__LISTEN" => Some("127.0.0.1:0".to_owned()),
            "CARDINAL_TLS__NAMES" => Some("['a.example.org']".to_owned()),
            "CARDINAL_DRIVERS__BOUNDS__TIMERS" => Some("5".to_owned()),
            _ => None,
        };
        let config = apply(&Config::default(), variables).unwrap();
        assert_eq!(config.ipp.listen.port(), 0);
        assert_eq!(config.drivers.bounds.timers, 5);
        assert_eq!(config.tls.names, ["a.example.org"]);
        let error = apply(&Config::default(), |name| (name == "CARDINAL_IPP__LISTEN").then(|| "x".to_owned()));
        assert!(error.unwrap_err().to_string().contains("CARDINAL_IPP__LISTEN"));
    }
}
