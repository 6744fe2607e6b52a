//! `[reader.settings]` checked against what a driver's mode declares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    bytes_text,
    driver::{Mode, Pair, Setting, SettingKind},
    nearest::nearest,
};

/// What an administrator wrote for one setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Integer(i64),
    /// Text.
    Text(String),
    /// A list, for a setting that may be repeated.
    List(Vec<SettingValue>),
}

/// The settings of a reader, by key.
pub type Settings = BTreeMap<String, SettingValue>;

/// Why settings do not fit a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A key that the mode does not have.
    #[error("mode {mode:?} has no setting {key:?}{}; it has: {}", nearest(key, known), known.join(", "))]
    Unknown {
        /// What was written.
        key: String,
        /// The mode.
        mode: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No value where there must be one.
    #[error("mode {mode:?} needs the setting {key:?} ({title})")]
    Missing {
        /// The setting.
        key: String,
        /// The mode.
        mode: String,
        /// What it is.
        title: String,
    },
    /// A list where one value is wanted.
    #[error("setting {key:?} takes one value, not a list")]
    List {
        /// The setting.
        key: String,
    },
    /// A value of the wrong form.
    #[error("setting {key:?} wants {wanted}")]
    Form {
        /// The setting.
        key: String,
        /// What it wants. The value is not repeated: it may be secret.
        wanted: String,
    },
}

/// The settings a driver is opened with: every value checked, defaults filled in, in the order of the mode.
///
/// # Errors
/// The first thing that does not fit, in words for the administrator.
pub fn check(mode: &Mode, given: &Settings) -> Result<Vec<Pair>, SettingsError> {
    if let Some(key) = given.keys().find(|key| mode.settings.iter().all(|setting| setting.key != **key)) {
        return Err(SettingsError::Unknown {
            key: key.clone(),
            mode: mode.id.clone(),
            known: mode.settings.iter().map(|setting| setting.key.clone()).collect(),
        });
    }
    let mut checked = Vec::new();
    for setting in &mode.settings {
        let values = match given.get(&setting.key) {
            None => match &setting.default {
                Some(default) => vec![default.clone()],
                None if setting.required => {
                    return Err(SettingsError::Missing {
                        key: setting.key.clone(),
                        mode: mode.id.clone(),
                        title: setting.title.clone(),
                    });
                }
                None => continue,
            },
            Some(SettingValue::List(values)) if setting.repeated => {
                values.iter().map(|value| text(setting, value)).collect::<Result<_, _>>()?
            }
            Some(SettingValue::List(_)) => return Err(SettingsError::List { key: setting.key.clone() }),
            Some(value) => vec![text(setting, value)?],
        };
        checked.extend(values.into_iter().map(|value| (setting.key.clone(), value)));
    }
    Ok(checked)
}

/// One value in the form the contract gives it.
fn text(setting: &Setting, value: &SettingValue) -> Result<String, SettingsError> {
    let wrong = |wanted: String| SettingsError::Form { key: setting.key.clone(), wanted };
    let text = match value {
        SettingValue::Boolean(value) => value.to_string(),
        SettingValue::Integer(value) => value.to_string(),
        SettingValue::Text(value) => value.clone(),
        SettingValue::List(_) => return Err(SettingsError::List { key: setting.key.clone() }),
    };
    match setting.kind {
        SettingKind::Text | SettingKind::Secret => {}
        SettingKind::Integer => {
            text.parse::<i64>().map_err(|_| wrong("a whole number".to_owned()))?;
        }
        SettingKind::Milliseconds => {
            text.parse::<u64>().map_err(|_| wrong("a number of milliseconds, such as 30000".to_owned()))?;
        }
        SettingKind::Boolean => {
            text.parse::<bool>().map_err(|_| wrong("true or false".to_owned()))?;
        }
        SettingKind::Bytes => {
            bytes_text::parse(&text).map_err(|error| wrong(format!("bytes as text: {error}")))?;
        }
        SettingKind::Choice => {
            if !setting.allowed.contains(&text) {
                return Err(wrong(format!("one of: {}", setting.allowed.join(", "))));
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode() -> Mode {
        let setting = |key: &str, kind, default: Option<&str>| Setting {
            key: key.to_owned(),
            title: key.to_owned(),
            help: String::new(),
            kind,
            default: default.map(str::to_owned),
            required: false,
            repeated: false,
            allowed: Vec::new(),
        };
        let mut probes = setting("probe", SettingKind::Bytes, None);
        probes.repeated = true;
        let mut key = setting("key", SettingKind::Secret, None);
        key.required = true;
        Mode {
            id: "m".to_owned(),
            title: String::new(),
            summary: String::new(),
            transports: Vec::new(),
            settings: vec![setting("keepalive_seconds", SettingKind::Integer, Some("30")), probes, key],
            commands: Vec::new(),
        }
    }

    fn given(toml: &str) -> Settings {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn defaults_are_filled_in_and_lists_are_spread() {
        let checked = check(&mode(), &given("key = 'k'\nprobe = ['v', 'w\\r']")).unwrap();
        let pairs: Vec<_> = checked.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("keepalive_seconds", "30"), ("probe", "v"), ("probe", "w\\r"), ("key", "k")]);
    }

    #[test]
    fn errors_say_what_to_do() {
        let error = |toml: &str| check(&mode(), &given(toml)).unwrap_err().to_string();
        assert_eq!(
            error("keepalive_second = 3\nkey = 'k'"),
            "mode \"m\" has no setting \"keepalive_second\" (did you mean \"keepalive_seconds\"?); it has: keepalive_seconds, probe, key"
        );
        assert_eq!(error(""), "mode \"m\" needs the setting \"key\" (key)");
        assert_eq!(
            error("key = 'k'\nkeepalive_seconds = 'soon'"),
            "setting \"keepalive_seconds\" wants a whole number"
        );
        assert_eq!(error("key = ['k']"), "setting \"key\" takes one value, not a list");
        assert!(error("key = 'k'\nprobe = '\\q'").contains("`\\q` means nothing"));
    }
}
