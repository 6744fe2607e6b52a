//! What the reader says: READER EVENT and STATUS messages (pages of these names in the public document).

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// The reader's clock, told in each message as `CCC:SSS.MMM`: how often it was started, and the time since.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    starts: u32,
    since: Instant,
}

impl Clock {
    /// A reader that was started so often, now for the last time.
    pub fn started(starts: u32) -> Self {
        Self { starts, since: Instant::now() }
    }

    /// It loses power and comes back.
    pub fn restart(&mut self) {
        *self = Self::started(self.starts.wrapping_add(1));
    }

    /// Now, as the reader tells it.
    pub fn uptime(&self) -> String {
        let up: Duration = self.since.elapsed();
        format!("{}:{}.{:03}", self.starts, up.as_secs(), up.subsec_millis())
    }
}

/// A card in front of the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its number, as a template gives it.
    pub id: String,
    /// Such as `NFC-A`.
    pub protocol: String,
    /// Which template read it.
    pub template: u8,
}

impl Tag {
    /// An NFC-A card that the first template reads.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), protocol: "NFC-A".to_owned(), template: 1 }
    }
}

/// The READER EVENT of a card. `device` is told where the channel does not tell it.
pub(super) fn card(device: Option<&str>, tag: &Tag, uptime: &str) -> String {
    message(
        device,
        json!({
            "Interface": "13.56", "Protocol": tag.protocol, "Template": tag.template, "TagId": tag.id, "Uptime": uptime,
        }),
    )
}

/// A STATUS, such as `online,ready`.
pub(super) fn status(device: &str, state: &str, uptime: &str) -> String {
    message(Some(device), json!({ "State": state, "Uptime": uptime }))
}

fn message(device: Option<&str>, fields: Value) -> String {
    let mut all = Map::new();
    if let Some(device) = device {
        all.insert("Device".to_owned(), device.into());
    }
    if let Value::Object(fields) = fields {
        all.extend(fields);
    }
    Value::Object(all).to_string()
}
