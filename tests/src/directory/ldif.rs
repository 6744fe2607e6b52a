//! Entries and changes as LDIF (RFC 2849), the text that every directory's tools take. Records are joined by writing them
//! one after the other.

use std::fmt::{self, Display, Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// An entry, as it is added to a directory.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub dn: String,
    lines: String,
}

impl Entry {
    /// An entry without attributes.
    pub fn new(dn: impl Into<String>) -> Self {
        Self { dn: dn.into(), lines: String::new() }
    }

    /// The same with one more value, which may be any bytes.
    pub fn with(mut self, attribute: &str, value: impl AsRef<[u8]>) -> Self {
        line(&mut self.lines, attribute, value.as_ref());
        self
    }

    /// The same with more values of one attribute.
    pub fn with_all(self, attribute: &str, values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        values.into_iter().fold(self, |entry, value| entry.with(attribute, value))
    }
}

impl Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut dn = String::new();
        line(&mut dn, "dn", self.dn.as_bytes());
        writeln!(f, "{dn}{}", self.lines)
    }
}

/// An attribute has these values from now on, in place of all that it had.
pub fn replace(dn: &str, attribute: &str, values: &[&str]) -> String {
    modify(dn, "replace", attribute, values)
}

/// An attribute has these values, too.
pub fn add(dn: &str, attribute: &str, values: &[&str]) -> String {
    modify(dn, "add", attribute, values)
}

/// An attribute has these values no more.
pub fn remove(dn: &str, attribute: &str, values: &[&str]) -> String {
    modify(dn, "delete", attribute, values)
}

/// An entry goes.
pub fn delete(dn: &str) -> String {
    record(dn, "delete", &[])
}

/// An entry has another name, such as `uid=eve`, and may lie below another entry.
pub fn rename(dn: &str, name: &str, below: Option<&str>) -> String {
    let new = [("newrdn", name), ("deleteoldrdn", "1")];
    let lines: Vec<_> = new.into_iter().chain(below.map(|below| ("newsuperior", below))).collect();
    record(dn, "modrdn", &lines)
}

fn modify(dn: &str, what: &str, attribute: &str, values: &[&str]) -> String {
    let lines: Vec<_> = [(what, attribute)].into_iter().chain(values.iter().map(|value| (attribute, *value))).collect();
    record(dn, "modify", &lines)
}

fn record(dn: &str, change: &str, lines: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in [("dn", dn), ("changetype", change)].iter().chain(lines) {
        line(&mut text, name, value.as_bytes());
    }
    text + "\n"
}

/// A line. What is not plain text goes as Base64.
fn line(text: &mut String, name: &str, value: &[u8]) {
    let plain = value.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && !value.starts_with(b" ")
        && !value.starts_with(b":")
        && !value.starts_with(b"<")
        && !value.ends_with(b" ");
    match str::from_utf8(value) {
        Ok(value) if plain => writeln!(text, "{name}: {value}"),
        _ => writeln!(text, "{name}:: {}", STANDARD.encode(value)),
    }
    .expect("a text takes a line");
}
