//! The `cardinal.toml` that `cardinal init` writes: every key, commented, with its default.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::{Config, keys, overrides};

/// Where a line of help is broken.
const WIDTH: usize = 110;

/// The text of the file.
///
/// # Errors
/// A key of the list that the configuration does not have: a mistake in this program.
pub fn text() -> Result<String> {
    let defaults = Table::try_from(Config::default()).context("the defaults cannot be written down")?;
    let mut text = String::from(
        "# The configuration of one Cardinal host. Every key is optional; the values shown are the defaults.\n\
         # Relative paths start from the folder of this file. Environment variables override: CARDINAL_HTTP__LISTEN is\n\
         # `listen` in [http]. What people, printers and readers there are is not said here: see `cardinal apply --help`.\n",
    );
    let mut section = String::new();
    for key in keys::all() {
        let (within, name) = key.path.rsplit_once('.').unwrap_or(("", &key.path));
        if within != section {
            section = within.to_owned();
            write!(text, "\n[{section}]\n")?;
        }
        let value = value(&defaults, &key.path).with_context(|| format!("there is no key {}", key.path))?;
        for line in wrap(&key.help) {
            writeln!(text, "# {line}")?;
        }
        writeln!(text, "# {name} = {value}    # {}", overrides::variable_name(&key.path))?;
    }
    text.push_str(
        "\n# Bounds of a single driver, over those of [drivers.bounds]:\n# [drivers.of.\"acme/tcp\"]\n# memory_bytes = 8388608\n",
    );
    Ok(text)
}

fn value<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    let mut parts = path.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

fn wrap(help: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in help.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.len() + 1 + word.len() <= WIDTH => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves of a table, as dotted paths.
    fn leaves(table: &Table, prefix: &str, found: &mut Vec<String>) {
        for (key, value) in table {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Table(inner) => leaves(inner, &path, found),
                _ => found.push(path),
            }
        }
    }

    #[test]
    fn every_key_is_in_the_file_and_the_file_can_be_read() {
        let mut known = Vec::new();
        leaves(&Table::try_from(Config::default()).unwrap(), "", &mut known);
        let listed: Vec<_> = keys::all().into_iter().map(|key| key.path).collect();
        for path in &known {
            assert!(listed.contains(path), "{path} has no help");
        }
        assert_eq!(listed.len(), known.len());
        let text = text().unwrap();
        assert_eq!(cardinal_domain::strict_toml::parse::<Config>(&text).unwrap(), Config::default());
        // With every default uncommented it still says the same.
        let whole: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains("    # CARDINAL_") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        assert_eq!(cardinal_domain::strict_toml::parse::<Config>(&whole).unwrap(), Config::default());
    }
}
