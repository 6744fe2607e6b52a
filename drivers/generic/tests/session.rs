//! What a trace cannot say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use cardinal_generic::Generic;
use cardinal_sdk::{Output, Pair, prelude::*};

/// As a host opens it: the defaults of the manifest, with these values in their place.
fn open(given: &[(&str, &str)], saved: Option<Vec<u8>>) -> Generic {
    let mode = Generic::manifest().modes.remove(0);
    let settings = mode.settings.iter().filter_map(|setting| {
        let given = given.iter().find(|(key, _)| *key == setting.key).map(|(_, value)| (*value).to_owned());
        Some(Pair::new(setting.key.clone(), given.or_else(|| setting.default.clone())?))
    });
    let context = Context {
        mode: mode.id.clone(),
        transport: "dial".to_owned(),
        settings: settings.collect(),
        callback: None,
        memory: Vec::new(),
        saved,
    };
    Generic::open(context).unwrap()
}

fn handle(session: &mut Generic, input: Input) -> Vec<Output> {
    let mut out = Outputs::new();
    session.handle(0, input, &mut out).unwrap();
    out.into_vec()
}

/// A later host may give verdicts that this driver has never heard of.
#[test]
fn an_unknown_verdict_is_a_failure() {
    let mut session = open(&[("on_failed", "e"), ("on_released", "b")], None);
    let verdict = Verdict { swipe: 1, code: "come-back-tomorrow".to_owned(), message: String::new() };
    assert_eq!(handle(&mut session, Input::Verdict(verdict)), [Output::Send(b"e".to_vec())]);
}

/// The host may change settings between `save` and `open`; it keeps the keepalive until it is told another.
#[test]
fn a_changed_keepalive_is_told_and_an_unchanged_one_is_not() {
    let mut session = open(&[], None);
    handle(&mut session, Input::Connected(vec![0; 32]));
    let saved = session.save();
    assert_eq!(handle(&mut open(&[], saved.clone()), Input::Resumed), []);
    assert_eq!(
        handle(&mut open(&[("keepalive_seconds", "0")], saved.clone()), Input::Resumed),
        [Output::Keepalive(None)]
    );
    assert_eq!(handle(&mut open(&[("keepalive_seconds", "5")], saved), Input::Resumed).len(), 1);
}

/// The administrator's page has every setting, as the manifest tells it.
#[test]
fn the_page_has_every_setting() {
    let page = include_str!("../../../docs/generic.md");
    let row = |setting: &Setting| {
        let default = setting.default.as_deref().filter(|default| !default.is_empty());
        let default = default.map(|default| format!("`{default}`")).unwrap_or_default();
        let list = if setting.repeated { ", or a list" } else { "" };
        format!("| `{}` | {}{list} | {default} | {} |\n", setting.key, setting.kind, setting.help)
    };
    let table: String = Generic::manifest().modes[0].settings.iter().map(row).collect();
    assert!(page.contains(&table), "the table in docs/generic.md must have these rows:\n{table}");
}
