//! Whether what a driver says of itself can be used.
//!
//! A manifest ends up in configuration, on pages and in the store, and is final for its file; so it is checked once, in
//! full, at installation. Lengths were checked when it was taken from the driver.

use std::collections::BTreeSet;

use cardinal_domain::{
    driver::{Manifest, Mode, Setting, SettingKind},
    settings::{self, SettingValue},
};

/// What is wrong with a manifest, for the driver's publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A name that configuration could not hold.
    #[error("{what} {text:?} must be 1 to 40 of a-z, 0-9 and {joiner:?}, beginning with a letter")]
    Name {
        /// Which name.
        what: String,
        /// What it says.
        text: String,
        /// `-`, or `_` for a setting's key.
        joiner: char,
    },
    /// The version is not of the form.
    #[error("the version {0:?} must be major.minor.patch, three numbers")]
    Version(String),
    /// Nothing where something must be.
    #[error("{0} is missing")]
    Missing(String),
    /// The same twice.
    #[error("{what} {text:?} is there twice")]
    Twice {
        /// What.
        what: String,
        /// Its name.
        text: String,
    },
    /// A setting that contradicts itself.
    #[error("the setting {key:?} of mode {mode:?}: {problem}")]
    Setting {
        /// The mode.
        mode: String,
        /// The setting.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

/// Checks a manifest.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(manifest: &Manifest) -> Result<(), ManifestError> {
    name("the vendor", &manifest.vendor, '-')?;
    name("the name", &manifest.name, '-')?;
    if !is_version(&manifest.version) {
        return Err(ManifestError::Version(manifest.version.clone()));
    }
    present("a mode", !manifest.modes.is_empty())?;
    unique("mode", manifest.modes.iter().map(|mode| mode.id.as_str()))?;
    manifest.modes.iter().try_for_each(check_mode)
}

fn check_mode(mode: &Mode) -> Result<(), ManifestError> {
    name("the mode", &mode.id, '-')?;
    present(&format!("a title of mode {:?}", mode.id), !mode.title.trim().is_empty())?;
    present(&format!("a transport of mode {:?}", mode.id), !mode.transports.is_empty())?;
    unique("the transport", mode.transports.iter().map(|transport| transport.name()))?;
    unique("the setting", mode.settings.iter().map(|setting| setting.key.as_str()))?;
    unique("the command", mode.commands.iter().map(String::as_str))?;
    mode.commands.iter().try_for_each(|command| name("the command", command, '-'))?;
    mode.settings.iter().try_for_each(|setting| check_setting(mode, setting))
}

fn check_setting(mode: &Mode, setting: &Setting) -> Result<(), ManifestError> {
    name("the setting", &setting.key, '_')?;
    let wrong =
        |problem: String| Err(ManifestError::Setting { mode: mode.id.clone(), key: setting.key.clone(), problem });
    match (setting.kind == SettingKind::Choice, setting.allowed.is_empty()) {
        (true, true) => return wrong("a choice needs allowed values".to_owned()),
        (false, false) => return wrong("only a choice has allowed values".to_owned()),
        _ => {}
    }
    let Some(default) = &setting.default else { return Ok(()) };
    // The default is checked as if an administrator had written it.
    let alone = Mode { settings: vec![setting.clone()], ..mode.clone() };
    let given = [(setting.key.clone(), SettingValue::Text(default.clone()))].into();
    match settings::check(&alone, &given) {
        Ok(_) => Ok(()),
        Err(error) => wrong(format!("its default does not fit: {error}")),
    }
}

fn name(what: &str, text: &str, joiner: char) -> Result<(), ManifestError> {
    let good = text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joiner);
    if good { Ok(()) } else { Err(ManifestError::Name { what: what.to_owned(), text: text.to_owned(), joiner }) }
}

fn is_version(text: &str) -> bool {
    let number = |part: &str| {
        !part.is_empty()
            && part.len() <= 9
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    text.split('.').count() == 3 && text.split('.').all(number)
}

fn present(what: &str, there: bool) -> Result<(), ManifestError> {
    if there { Ok(()) } else { Err(ManifestError::Missing(what.to_owned())) }
}

fn unique<'a>(what: &str, mut names: impl Iterator<Item = &'a str>) -> Result<(), ManifestError> {
    let mut seen = BTreeSet::new();
    match names.find(|name| !seen.insert(*name)) {
        Some(name) => Err(ManifestError::Twice { what: what.to_owned(), text: name.to_owned() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use cardinal_domain::driver::Transport;

    use super::*;

    fn setting(kind: SettingKind, default: Option<&str>, allowed: &[&str]) -> Setting {
        Setting {
            key: "baud_rate".to_owned(),
            title: String::new(),
            help: String::new(),
            kind,
            default: default.map(str::to_owned),
            required: false,
            repeated: true,
            allowed: allowed.iter().map(|&value| value.to_owned()).collect(),
        }
    }

    fn manifest(settings: Vec<Setting>) -> Manifest {
        Manifest {
            vendor: "acme".to_owned(),
            name: "line-2".to_owned(),
            version: "1.0.10".to_owned(),
            summary: String::new(),
            modes: vec![Mode {
                id: "client".to_owned(),
                title: "Client".to_owned(),
                summary: String::new(),
                transports: vec![Transport::Dial(0), Transport::Listen],
                settings,
                commands: vec!["beep".to_owned()],
            }],
        }
    }

    fn broken(change: impl FnOnce(&mut Manifest)) -> String {
        let mut manifest = manifest(Vec::new());
        change(&mut manifest);
        check(&manifest).unwrap_err().to_string()
    }

    #[test]
    fn a_sound_manifest_passes() {
        let settings = vec![setting(SettingKind::Choice, Some("9600"), &["9600", "19200"])];
        assert_eq!(check(&manifest(settings)), Ok(()));
    }

    #[test]
    fn every_rule_has_its_words() {
        let name = "must be 1 to 40 of a-z, 0-9 and '-', beginning with a letter";
        assert_eq!(broken(|m| m.vendor = "Acme".to_owned()), format!("the vendor \"Acme\" {name}"));
        assert_eq!(broken(|m| m.name = "2x".to_owned()), format!("the name \"2x\" {name}"));
        assert!(broken(|m| m.version = "1.0".to_owned()).contains("three numbers"));
        assert!(broken(|m| m.version = "1.0.01".to_owned()).contains("three numbers"));
        assert_eq!(broken(|m| m.modes.clear()), "a mode is missing");
        assert_eq!(broken(|m| m.modes.push(m.modes[0].clone())), "mode \"client\" is there twice");
        assert_eq!(broken(|m| m.modes[0].transports.clear()), "a transport of mode \"client\" is missing");
        assert!(broken(|m| m.modes[0].transports.push(Transport::Dial(9))).contains("\"dial\" is there twice"));
        assert!(broken(|m| m.modes[0].commands.push("Beep!".to_owned())).contains("the command \"Beep!\""));
    }

    #[test]
    fn settings_must_not_contradict_themselves() {
        let broken = |setting| check(&manifest(vec![setting])).unwrap_err().to_string();
        let default = broken(setting(SettingKind::Integer, Some("soon"), &[]));
        assert!(default.contains("its default does not fit: setting \"baud_rate\" wants a whole number"), "{default}");
        assert!(broken(setting(SettingKind::Choice, None, &[])).contains("a choice needs"));
        assert!(broken(setting(SettingKind::Text, None, &["a"])).contains("only a choice"));
        assert!(broken(setting(SettingKind::Choice, Some("b"), &["a"])).contains("one of: a"));
    }
}
