//! The config keys that administrators of this field know, under the same names with the same meaning.
//!
//! The table below is the only list; `docs/config-keys.md` is made from it.

use std::collections::BTreeMap;

use crate::{
    convert::{Chain, Pattern},
    nearest::nearest,
};

/// A config key.
pub struct ConfigKey {
    /// As administrators write it.
    pub name: &'static str,
    /// Its value where none is set.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
    /// What is wrong with a value, if something is.
    check: fn(&str) -> Result<(), String>,
}

/// Every config key.
pub const CONFIG_KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: CARD_NO_REGEX,
        default: "",
        help: "A regular expression applied to what a reader sends; its first group is the card number, such as (.{10}). \
               Empty: what stands before an equals sign is the number. A device may have its own in card_no_regex.",
        check: |value| if value.is_empty() { Ok(()) } else { Pattern::new(value).map(drop).map_err(|e| e.to_string()) },
    },
    ConfigKey {
        name: CARD_NO_CONVERTER,
        default: "",
        help: "Steps that convert the number to the one on record, joined by a bar, such as hex2dec; see cards.md. Empty: \
               the number stays as it is. A device may have its own in card_no_converter.",
        check: |value| value.parse::<Chain>().map(drop).map_err(|e| e.to_string()),
    },
    ConfigKey {
        name: SHOW_UNKNOWN_CARDS,
        default: "N",
        help: "Y: the event card.unknown carries the whole number in its fact card_in_clear, so that the card can be given to \
               somebody; the log never does. N: the number is masked. Events stored while it was Y stay as they are.",
        check: |value| match value {
            "Y" | "N" => Ok(()),
            _ => Err(format!("{value:?} is neither Y nor N")),
        },
    },
];

/// The key of the pattern that picks the card number out.
pub const CARD_NO_REGEX: &str = "ext-device.card-no-regex";

/// The key of the chain that converts the card number.
pub const CARD_NO_CONVERTER: &str = "ext-device.card-no-converter";

/// The key of whether events of unknown cards tell their number.
pub const SHOW_UNKNOWN_CARDS: &str = "events.show-unknown-card-numbers";

/// Checks that a key is known and its value fits.
///
/// # Errors
/// What is wrong, with the nearest known key.
pub fn check(name: &str, value: &str) -> Result<(), String> {
    let Some(key) = CONFIG_KEYS.iter().find(|key| key.name == name) else {
        let known: Vec<_> = CONFIG_KEYS.iter().map(|key| key.name).collect();
        return Err(format!("no config key {name:?}{}; known: {}", nearest(name, &known), known.join(", ")));
    };
    (key.check)(value).map_err(|error| format!("config key {name:?}: {error}"))
}

/// What is wrong with a value of a known key, if something is, without the key's name.
pub fn wrong(name: &str, value: &str) -> Option<String> {
    let key = CONFIG_KEYS.iter().find(|key| key.name == name)?;
    (key.check)(value).err()
}

/// Whether a key that takes Y or N is Y on a site.
pub fn is_on(site: &BTreeMap<String, String>, name: &str) -> bool {
    value(site, name) == "Y"
}

/// The value of a key on a site.
pub fn value<'s>(site: &'s BTreeMap<String, String>, name: &str) -> &'s str {
    site.get(name)
        .map(String::as_str)
        .or_else(|| CONFIG_KEYS.iter().find(|key| key.name == name).map(|key| key.default))
        .unwrap_or_default()
}

/// `docs/config-keys.md`, made from the table.
pub fn documentation() -> String {
    let mut text = String::from(
        "# Config keys\n\nSet in the `[config]` table of a site file: `\"ext-device.card-no-regex\" = \"(.{10})\"`.\n\n\
         This page is made from the table in `host/domain/src/config_keys.rs`; \
         `CARDINAL_BLESS=1 cargo test -p cardinal-domain` writes it anew.\n\n\
         | key | default | meaning |\n| --- | --- | --- |\n",
    );
    for key in CONFIG_KEYS {
        text.push_str(&format!("| `{}` | {} | {} |\n", key.name, key.default, key.help));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_table() {
        crate::blessed::check("docs/config-keys.md", &documentation());
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        assert!(
            check("ext-device.card-no-regx", "").unwrap_err().contains("did you mean \"ext-device.card-no-regex\"?")
        );
        assert!(check(CARD_NO_REGEX, "[0-9]+").unwrap_err().contains("has no group"));
        assert_eq!(check(CARD_NO_REGEX, "(.{10})"), Ok(()));
        assert!(check(CARD_NO_CONVERTER, "hexdec").unwrap_err().contains("(did you mean \"hex2dec\"?)"));
        assert_eq!(check(CARD_NO_CONVERTER, "ascii-enc|hex2dec"), Ok(()));
        assert!(check(SHOW_UNKNOWN_CARDS, "yes").unwrap_err().contains("neither Y nor N"));
    }
}
