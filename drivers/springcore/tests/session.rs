//! What a trace cannot say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use cardinal_sdk::prelude::*;
use cardinal_springcore::SpringCore;

/// The administrator's page has every setting of both modes, as the manifest tells it.
#[test]
fn the_page_has_every_setting() {
    let page = include_str!("../../../docs/springcore.md");
    let row = |setting: &Setting| {
        let default = setting.default.as_deref().filter(|default| !default.is_empty());
        let default = default.map(|default| format!("`{default}`")).unwrap_or_default();
        format!("| `{}` | {} | {default} | {} |\n", setting.key, setting.kind, setting.help)
    };
    for mode in SpringCore::manifest().modes {
        for setting in &mode.settings {
            assert!(page.contains(&row(setting)), "docs/springcore.md must have this row:\n{}", row(setting));
        }
    }
}

/// A second mode must not say the same key in another way.
#[test]
fn the_modes_share_their_settings() {
    let [tcp, http] = SpringCore::manifest().modes.try_into().unwrap();
    for setting in &http.settings {
        if let Some(same) = tcp.settings.iter().find(|other| other.key == setting.key) {
            assert_eq!(same.default, setting.default, "{}", setting.key);
        }
    }
}
