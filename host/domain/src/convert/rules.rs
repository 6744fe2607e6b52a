//! Whose settings a card is converted by: the device's own, or the site's.

use std::collections::BTreeMap;

use super::{Chain, Conversion, ConvertError, Pattern};
use crate::{config_keys, site::Device};

/// What a device says where it wants the site's setting, as administrators of this field write it; upper and lower case
/// are the same, because neither a pattern nor a chain could be meant.
const GLOBAL: &str = "GLOBAL";

/// The settings that convert a card, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules<'s> {
    /// `ext-device.card-no-regex`; empty: none.
    pub regex: &'s str,
    /// `ext-device.card-no-converter`; empty: none.
    pub chain: &'s str,
}

impl<'s> Rules<'s> {
    /// Those in force at this device, or for the site. A device that says nothing, or `GLOBAL`, has the site's; one that says an
    /// empty text has none.
    pub fn of(config: &'s BTreeMap<String, String>, device: Option<&'s Device>) -> Self {
        let pick = |own: Option<&'s String>, key| match own {
            Some(own) if !own.eq_ignore_ascii_case(GLOBAL) => own.as_str(),
            _ => config_keys::value(config, key),
        };
        Self {
            regex: pick(device.and_then(|device| device.card_no_regex.as_ref()), config_keys::CARD_NO_REGEX),
            chain: pick(device.and_then(|device| device.card_no_converter.as_ref()), config_keys::CARD_NO_CONVERTER),
        }
    }

    /// Ready for use.
    ///
    /// # Errors
    /// The pattern or the chain cannot be read.
    pub fn compile(&self) -> Result<Conversion, ConvertError> {
        let pattern = (!self.regex.is_empty()).then(|| Pattern::new(self.regex)).transpose()?;
        Ok(Conversion { pattern, chain: self.chain.parse::<Chain>()? })
    }
}

/// What is wrong with a device's own settings, with the names they have in a site file.
pub fn problems(device: &Device) -> Vec<String> {
    let checked = [
        ("card_no_regex", &device.card_no_regex, config_keys::CARD_NO_REGEX),
        ("card_no_converter", &device.card_no_converter, config_keys::CARD_NO_CONVERTER),
    ];
    let problem = |(field, own, key): (&str, &Option<String>, &str)| {
        let own = own.as_ref().filter(|own| !own.eq_ignore_ascii_case(GLOBAL))?;
        let why = config_keys::wrong(key, own)?;
        Some(format!("device {:?}: {field}: {why}", device.name.as_str()))
    };
    checked.into_iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_toml;

    fn device(fields: &str) -> Device {
        strict_toml::parse(&format!("name = 'd'\nprinter = 'p'\n{fields}")).unwrap()
    }

    #[test]
    fn the_device_over_the_site() {
        let config = BTreeMap::from([
            (config_keys::CARD_NO_REGEX.to_owned(), "(.{4})".to_owned()),
            (config_keys::CARD_NO_CONVERTER.to_owned(), "hex2dec".to_owned()),
        ]);
        let rules = |fields: &str| {
            let device = device(fields);
            let rules = Rules::of(&config, Some(&device));
            (rules.regex.to_owned(), rules.chain.to_owned())
        };
        let both = |regex: &str, chain: &str| (regex.to_owned(), chain.to_owned());
        assert_eq!(rules(""), both("(.{4})", "hex2dec"));
        assert_eq!(rules("card_no_regex = 'GLOBAL'\ncard_no_converter = 'global'"), both("(.{4})", "hex2dec"));
        assert_eq!(rules("card_no_converter = 'reverse-bytes'"), both("(.{4})", "reverse-bytes"));
        assert_eq!(rules("card_no_regex = ''\ncard_no_converter = ''"), both("", ""));
        assert_eq!(Rules::of(&config, None).chain, "hex2dec");
    }

    #[test]
    fn a_devices_own_settings_are_checked() {
        assert_eq!(problems(&device("card_no_regex = 'GLOBAL'\ncard_no_converter = 'hex2dec|pad(10)'")), [""; 0]);
        let problems = problems(&device("card_no_regex = '[0-9]+'\ncard_no_converter = 'hexdec'"));
        assert!(problems[0].starts_with("device \"d\": card_no_regex: the pattern has no group"), "{problems:?}");
        assert!(problems[1].contains("no step \"hexdec\" (did you mean \"hex2dec\"?)"), "{problems:?}");
    }
}
