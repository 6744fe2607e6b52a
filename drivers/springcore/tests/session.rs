//! What a trace cannot say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use cardinal_sdk::{Output, Pair, prelude::*};
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

/// A later host may give verdicts that this driver has never heard of.
#[test]
fn an_unknown_verdict_is_a_failure() {
    let mode = SpringCore::manifest().modes.remove(0);
    let value = |setting: &Setting| match setting.key.as_str() {
        "on_failed" => Some(r#"{"Sequence":9}"#.to_owned()),
        _ => setting.default.clone(),
    };
    let settings =
        mode.settings.iter().filter_map(|setting| Some(Pair::new(setting.key.clone(), value(setting)?))).collect();
    let transport = "dial".to_owned();
    let context = Context { mode: mode.id, transport, settings, callback: None, memory: Vec::new(), saved: None };
    let mut session = SpringCore::open(context).unwrap();
    let mut out = Outputs::new();
    let verdict = Verdict { swipe: 1, code: "come-back-tomorrow".to_owned(), message: String::new() };
    session.handle(0, Input::Verdict(verdict), &mut out).unwrap();
    assert_eq!(out.as_slice().first(), Some(&Output::Send(b"{\"Sequence\":9}\r\n".to_vec())));
}
