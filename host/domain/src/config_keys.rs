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
        check: pattern,
    },
    ConfigKey {
        name: CARD_NO_CONVERTER,
        default: "",
        help: "Steps that convert the number to the one on record, joined by a bar, such as hex2dec; see cards.md. Empty: \
               the number stays as it is. A device may have its own in card_no_converter.",
        check: |value| value.parse::<Chain>().map(drop).map_err(|e| e.to_string()),
    },
    ConfigKey {
        name: "ldap.schema.user-name-field",
        default: "",
        help: "The field of an LDAP entry that holds the user name. Empty: that of the server's type. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-full-name-field",
        default: "",
        help: "The field of an LDAP entry that holds the full name. Empty: that of the server's type. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-email-field",
        default: "",
        help: "The field of an LDAP entry that holds the address for mail. Empty: that of the server's type. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.other-emails-field",
        default: "",
        help: "The field of an LDAP entry that holds further addresses, several values or one list with commas. Empty: none are read. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-department-field",
        default: "",
        help: "The field of an LDAP entry that holds the department. Empty: that of the server's type. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-office-field",
        default: "",
        help: "The field of an LDAP entry that holds the office. Empty: that of the server's type. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-card-id-field",
        default: "",
        help: "The field of an LDAP entry that holds the primary card number. Empty: none is read. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-second-card-id-field",
        default: "",
        help: "The field of an LDAP entry that holds the secondary card number. Empty: none is read. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-pin-field",
        default: "",
        help: "The field of an LDAP entry that holds the PIN. Empty: none is read. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-alias-field",
        default: "",
        help: "The field of an LDAP entry that holds another name of the user. It is kept, and not used yet to find a job's owner. Empty: none is read. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-home-field",
        default: "",
        help: "The field of an LDAP entry that holds the home folder. Empty: that of the server's type. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-key-field",
        default: "",
        help: "The field of an LDAP entry that holds what stays when the name changes, such as entryUUID. Empty: that of the server's type. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.user-name-search",
        default: "",
        help: "The search that finds users; {0} stands for the name, * for all of them, such as (&(objectClass=person)(uid={0})). Empty: that of the server's type.",
        check: search_of_users,
    },
    ConfigKey {
        name: "ldap.schema.group-name-field",
        default: "",
        help: "The field of an LDAP entry that holds the name of a group. Empty: that of the server's type. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.group-member-field",
        default: "",
        help: "The field of an LDAP entry that holds the members of a group. Empty: that of the server's type. A source may have its own in its table schema.",
        check: field,
    },
    ConfigKey {
        name: "ldap.schema.group-search",
        default: "",
        help: "The search that finds groups; {0}, if it is there, stands for the name. Empty: that of the server's type.",
        check: search,
    },
    ConfigKey {
        name: "ldap.schema.posix-groups",
        default: "",
        help: "Y: the members of a group are user names. N: they are distinguished names. Empty: as the server's type has it.",
        check: yes_no_empty,
    },
    ConfigKey {
        name: "user-source.ad.other-emails-field",
        default: "",
        help: "The attribute of Active Directory that holds further addresses of a user, exactly as it is written there. Empty: that of ldap.schema.other-emails-field.",
        check: field,
    },
    ConfigKey {
        name: "user-source.update-user-details",
        default: "Y",
        help: "Y: a sync updates full name, address, department, office and what else the source has, where they differ. N: users that are there stay as they are.",
        check: yes_no,
    },
    ConfigKey {
        name: "user-source.update-user-details-card-id",
        default: "Y",
        help: "Y: a sync updates cards from the card fields, too. N: users get the card of the field when they are added, and keep what they have.",
        check: yes_no,
    },
    ConfigKey {
        name: "user-source.import-new-users",
        default: "Y",
        help: "Y: the nightly sync, and `cardinal sync changes`, add users that are new. N: they only update. `cardinal sync now` adds them in any case.",
        check: yes_no,
    },
    ConfigKey {
        name: "user-source.take-over-local-users",
        default: "N",
        help: "Y: a user who was made here, and whose name a source has, belongs to the source from then on. N: that is a conflict, and nothing changes.",
        check: yes_no,
    },
    ConfigKey {
        name: "user-source.card-no-regex",
        default: "",
        help: "A regular expression applied to the primary card field; its first group is the card number. Empty: the whole value.",
        check: pattern,
    },
    ConfigKey {
        name: "user-source.second-card-no-regex",
        default: "",
        help: "The same for the secondary card field.",
        check: pattern,
    },
    ConfigKey {
        name: "user-source.clear-blank-cards",
        default: "N",
        help: "Y: a card field that is empty takes the card away from its user; say so only where every source has card \
               fields. N: what is empty in a source stays as it is here.",
        check: yes_no,
    },
    ConfigKey {
        name: "user-source.nightly",
        default: "Y",
        help: "Y: a sync each night, which adds and updates, cards and memberships included, and never removes users or groups. N: none.",
        check: yes_no,
    },
    ConfigKey {
        name: "user-source.nightly-at",
        default: "00:55",
        help: "When, in local time, as HH:MM.",
        check: clock,
    },
    ConfigKey {
        name: "user-source.time-zone",
        default: "",
        help: "The time zone of that, such as Europe/Berlin. Empty: the system's.",
        check: zone,
    },
    ConfigKey {
        name: "user-source.limit.removals",
        default: "500",
        help: "With more users that would be removed than this, a plan waits for somebody's approval.",
        check: number,
    },
    ConfigKey {
        name: "user-source.limit.removals-percent",
        default: "10",
        help: "The same in percent of all there are. Fewer than ten are never too many by this.",
        check: percent,
    },
    ConfigKey {
        name: "user-source.limit.lost-memberships",
        default: "5000",
        help: "With more memberships that would end than this, a plan waits for somebody's approval.",
        check: number,
    },
    ConfigKey {
        name: "user-source.limit.lost-memberships-percent",
        default: "20",
        help: "The same in percent of all there are. Fewer than ten are never too many by this.",
        check: percent,
    },
    ConfigKey {
        name: "user-source.limit.changed-cards",
        default: "500",
        help: "With more users whose card would change than this, a plan waits for somebody's approval.",
        check: number,
    },
    ConfigKey {
        name: "user-source.limit.changed-cards-percent",
        default: "10",
        help: "The same in percent of all there are. Fewer than ten are never too many by this.",
        check: percent,
    },
    ConfigKey {
        name: SHOW_UNKNOWN_CARDS,
        default: "N",
        help: "Y: the event card.unknown carries the whole number in its fact card_in_clear, so that the card can be given to \
               somebody; the log never does. N: the number is masked. Events stored while it was Y stay as they are.",
        check: yes_no,
    },
];

/// The key of the pattern that picks the card number out.
pub const CARD_NO_REGEX: &str = "ext-device.card-no-regex";

/// The key of the chain that converts the card number.
pub const CARD_NO_CONVERTER: &str = "ext-device.card-no-converter";

/// The key of whether events of unknown cards tell their number.
pub const SHOW_UNKNOWN_CARDS: &str = "events.show-unknown-card-numbers";

fn yes_no(value: &str) -> Result<(), String> {
    match value {
        "Y" | "N" => Ok(()),
        _ => Err(format!("{value:?} is neither Y nor N")),
    }
}

fn yes_no_empty(value: &str) -> Result<(), String> {
    if value.is_empty() { Ok(()) } else { yes_no(value) }
}

fn pattern(value: &str) -> Result<(), String> {
    if value.is_empty() { Ok(()) } else { Pattern::new(value).map(drop).map_err(|e| e.to_string()) }
}

/// The name of an attribute (RFC 4512, 2.5): a letter, then letters, digits and hyphens. Options may follow behind a semicolon.
/// The dotted number that an attribute has, too, would never fit what comes: servers answer with names.
fn field(value: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ';' | '_');
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    if !value.is_empty() && value.chars().all(is_number) {
        return Err(format!("{value:?} is a number, and servers answer with names; write the name of the attribute"));
    }
    let begins = value.chars().next().is_none_or(|c| c.is_ascii_alphanumeric());
    if begins && value.len() <= 128 && value.chars().all(fits) {
        Ok(())
    } else {
        Err(format!("{value:?} is no name of an attribute; write one such as employeeNumber"))
    }
}

/// Brackets that open and close; the rest is the server's to judge.
fn search(value: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for c in value.chars() {
        depth = match c {
            '(' => depth + 1,
            ')' if depth == 0 => return Err(format!("{value:?} closes a bracket that is not open")),
            ')' => depth - 1,
            _ => depth,
        };
    }
    match (depth, value.is_empty() || value.starts_with('(')) {
        (0, true) => Ok(()),
        (0, false) => Err(format!("{value:?} is no search: one begins with a bracket, such as (uid={{0}})")),
        _ => Err(format!("{value:?} leaves a bracket open")),
    }
}

fn search_of_users(value: &str) -> Result<(), String> {
    if !value.is_empty() && !value.contains("{0}") {
        return Err(format!("{value:?} does not hold {{0}}, where the name goes, such as (uid={{0}})"));
    }
    search(value)
}

fn clock(value: &str) -> Result<(), String> {
    let (hour, minute) = value.split_once(':').unwrap_or_default();
    let in_range = |text: &str, end: u8| text.len() == 2 && text.parse::<u8>().is_ok_and(|number| number < end);
    if in_range(hour, 24) && in_range(minute, 60) {
        Ok(())
    } else {
        Err(format!("{value:?} is no time of day; write it as HH:MM, such as 00:55"))
    }
}

fn zone(value: &str) -> Result<(), String> {
    if value.is_empty() || jiff::tz::TimeZone::get(value).is_ok() {
        Ok(())
    } else {
        Err(format!("{value:?} is no time zone of this system; write one such as Europe/Berlin"))
    }
}

fn number(value: &str) -> Result<(), String> {
    value.parse::<u32>().map(drop).map_err(|_| format!("{value:?} is no number from 0 to {}", u32::MAX))
}

fn percent(value: &str) -> Result<(), String> {
    match value.parse::<u8>() {
        Ok(0..=100) => Ok(()),
        _ => Err(format!("{value:?} is no number of percent, 0 to 100")),
    }
}

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
        "# Config keys\n\nSet with `cardinal config set 'ext-device.card-no-regex=(.{10})'`, or in the `[config]` table of a site \
         file: `\"ext-device.card-no-regex\" = \"(.{10})\"`. `cardinal config list nightly` shows what they are on a site.\n\n\
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
    fn each_default_fits_and_nonsense_does_not() {
        for key in CONFIG_KEYS {
            assert_eq!(check(key.name, key.default), Ok(()), "{}", key.name);
        }
        for (name, wrong) in [
            ("ldap.schema.user-name-search", "(uid=*)"),
            ("ldap.schema.user-name-search", "(uid={0}"),
            ("ldap.schema.group-search", "cn=x"),
            ("ldap.schema.group-search", "(cn=x))("),
            ("ldap.schema.user-name-field", "u id"),
            ("user-source.nightly-at", "24:00"),
            ("user-source.nightly-at", "1:00"),
            ("user-source.time-zone", "Mars/Olympus"),
            ("user-source.limit.removals", "-1"),
            ("user-source.limit.removals-percent", "101"),
        ] {
            assert!(check(name, wrong).is_err(), "{name} {wrong}");
        }
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused() {
        assert!(
            check("ext-device.card-no-regx", "").unwrap_err().contains("did you mean \"ext-device.card-no-regex\"?")
        );
        assert!(check(CARD_NO_REGEX, "[0-9]+").unwrap_err().contains("has no group"));
        let number = check("ldap.schema.user-card-id-field", "2.16.840.1.113730.3.1.3").unwrap_err();
        assert!(number.contains("write the name of the attribute"), "{number}");
        assert_eq!(check("ldap.schema.user-card-id-field", "employeeNumber;lang-de"), Ok(()));
        assert_eq!(check(CARD_NO_REGEX, "(.{10})"), Ok(()));
        assert!(check(CARD_NO_CONVERTER, "hexdec").unwrap_err().contains("(did you mean \"hex2dec\"?)"));
        assert_eq!(check(CARD_NO_CONVERTER, "ascii-enc|hex2dec"), Ok(()));
        assert!(check(SHOW_UNKNOWN_CARDS, "yes").unwrap_err().contains("neither Y nor N"));
    }
}
