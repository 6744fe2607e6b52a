//! What a trace cannot say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use cardinal_rfideas_241::RfIdeas241;
use cardinal_sdk::{Output, Pair, prelude::*};
use cardinal_testkit::{Component, Subject as _};

const CALLBACK: &str = "https://print.example:8443/r/SECRET";

/// As a host opens it: the defaults of the manifest.
fn context(callback: &str, saved: Option<Vec<u8>>) -> Context {
    let mode = RfIdeas241::manifest().modes.remove(0);
    let settings =
        mode.settings.iter().filter_map(|setting| Some(Pair::new(setting.key.clone(), setting.default.clone()?)));
    Context {
        mode: mode.id.clone(),
        transport: "http".to_owned(),
        settings: settings.collect(),
        callback: Some(callback.to_owned()),
        memory: Vec::new(),
        saved,
    }
}

fn handle(session: &mut RfIdeas241, now: Millis, input: Input) -> Vec<Output> {
    let mut out = Outputs::new();
    session.handle(now, input, &mut out).unwrap();
    out.into_vec()
}

fn fetched(id: Id, body: &str) -> Input {
    Input::Fetched(Fetched { id, outcome: Ok(Response::new(200).body(body)) })
}

fn page(path: &str) -> String {
    format!("mode=client\nscheme=https\nhost=print.example\nport=8443\npath={path}/card\nparameter=card\n")
}

/// A session whose reader is configured, after three fetches at most.
fn configured() -> RfIdeas241 {
    let mut session = RfIdeas241::open(context(CALLBACK, None)).unwrap();
    handle(&mut session, 0, Input::Connected(vec![0; 32]));
    handle(&mut session, 1, fetched(1, "Firmware: 2.04"));
    handle(&mut session, 2, fetched(2, &page("/r/SECRET")));
    session
}

fn asks(outputs: &[Output], path: &str) -> bool {
    matches!(outputs, [Output::Fetch(fetch)] if fetch.path == path)
}

/// A later host may give verdicts that this driver has never heard of.
#[test]
fn an_unknown_verdict_is_a_failure() {
    let mut session = configured();
    let query = vec![Pair::new("card", "4711")];
    let call = Call { id: 7, method: "GET".into(), path: "/card".into(), query, headers: Vec::new(), body: Vec::new() };
    handle(&mut session, 3, Input::Called(call));
    let verdict = Verdict { swipe: 1, code: "come-back-tomorrow".to_owned(), message: String::new() };
    let outputs = handle(&mut session, 4, Input::Verdict(verdict));
    assert!(
        matches!(&outputs[0], Output::Answer(answer) if answer.id == 7 && answer.response.status == 503),
        "{outputs:?}"
    );
}

/// The host may change settings, or the address to call, between `save` and `open`.
#[test]
fn a_changed_address_is_configured_at_once_and_an_unchanged_one_is_not() {
    let saved = configured().save();
    let mut same = RfIdeas241::open(context(CALLBACK, saved.clone())).unwrap();
    assert_eq!(handle(&mut same, 10, Input::Resumed), []);

    let mut session = RfIdeas241::open(context("https://print.example:8443/r/ROTATED", saved)).unwrap();
    assert!(asks(&handle(&mut session, 10, Input::Resumed), "/version"));
    handle(&mut session, 11, fetched(3, "Firmware: 2.04"));
    // The old address is no drift, but it is to be replaced.
    assert!(asks(&handle(&mut session, 12, fetched(4, &page("/r/SECRET"))), "/config"));
    for id in 5..9 {
        handle(&mut session, 13, fetched(id, ""));
    }
    let outputs = handle(&mut session, 14, fetched(9, &page("/r/ROTATED")));
    assert!(matches!(&outputs[0], Output::Log(log) if log.message == "the reader was configured"), "{outputs:?}");
    assert!(!outputs.iter().any(|output| matches!(output, Output::Status(_))), "online it was: {outputs:?}");
    assert_eq!(handle(&mut session, 15, Input::Resumed), []);
}

/// So that a reader is asked at once as it is to be asked now, and not when the old interval is over.
#[test]
fn a_change_in_how_the_reader_is_asked_holds_at_once() {
    for (key, value) in [
        ("tls", "true"),
        ("user", "admin"),
        ("password", "geheim"),
        ("configure", "GET /other"),
        ("check_request", "GET /other"),
        ("check_pattern", "other"),
        ("login_pattern", ""),
        ("check_seconds", "5"),
        ("retry_seconds", "5"),
        ("version_request", "GET /other"),
        ("version_pattern", "v([0-9]+)"),
        ("minimum_firmware", "9.0"),
    ] {
        let mut context = context(CALLBACK, configured().save());
        context.settings.retain(|pair| pair.key != key);
        context.settings.push(Pair::new(key, value));
        let mut session = RfIdeas241::open(context).unwrap();
        let outputs = handle(&mut session, 10, Input::Resumed);
        assert!(matches!(outputs.as_slice(), [Output::Fetch(_)]), "{key}: {outputs:?}");
    }
}

/// What is told of the way to the reader holds for as long as it is true.
#[test]
fn that_the_reader_is_configured_in_clear_is_taken_back() {
    let mut context = context(CALLBACK, configured().save());
    context.settings.retain(|pair| pair.key != "tls");
    context.settings.push(Pair::new("tls", "true"));
    let mut session = RfIdeas241::open(context).unwrap();
    handle(&mut session, 10, Input::Resumed);
    handle(&mut session, 11, fetched(3, "Firmware: 2.04"));
    let outputs = handle(&mut session, 12, fetched(4, &page("/r/SECRET")));
    let taken_back = |output: &Output| matches!(output, Output::Status(status) if status.facts == [Pair::new("configured-over", "")]);
    assert!(outputs.iter().any(taken_back), "{outputs:?}");
}

/// A later host, or a reader's certificate, may make the message long: the reason stays within the contract's 500.
#[test]
fn what_the_host_says_of_tls_is_passed_on_within_bounds() {
    let mut context = context(CALLBACK, None);
    context.settings.retain(|pair| pair.key != "tls");
    context.settings.push(Pair::new("tls", "true"));
    let mut session = RfIdeas241::open(context).unwrap();
    handle(&mut session, 0, Input::Connected(vec![0; 32]));
    let outcome = Err(Fault::new("tls", "é".repeat(4_000)));
    let outputs = handle(&mut session, 1, Input::Fetched(Fetched { id: 1, outcome }));
    let Some(Output::Status(status)) = outputs.first() else { panic!("{outputs:?}") };
    let length = status.reason.chars().count();
    assert!(length <= 500 && status.reason.contains("éééé") && status.reason.ends_with("leave `tls` out"), "{length}");
}

/// The longest answer that a host gives stays within the bounds, whether it is looked at or not.
#[test]
fn a_long_page_is_not_searched_and_a_fairly_long_one_is_in_time() {
    let component = Component::of_package("cardinal-rfideas-241", env!("CARGO_MANIFEST_DIR").as_ref()).unwrap();
    for (length, told) in [(256 * 1024, "too long"), (64 * 1024, "still not found")] {
        // Worst for the default patterns: every line begins as it should.
        let long = "mode=clientscheme=https\n".repeat(length / 24);
        let context = cardinal_testkit_context();
        let mut session = component.open(context).unwrap();
        let mut now = 0;
        let mut handle = |input| {
            now += 1;
            session.handle(now, input).unwrap()
        };
        let page = |id, body: &str| {
            let response = cardinal_domain::driver::Response { status: 200, headers: Vec::new(), body: body.into() };
            cardinal_domain::driver::Input::Fetched(id, Ok(response))
        };
        handle(cardinal_domain::driver::Input::Connected(vec![0; 32]));
        handle(page(1, "Firmware: 2.04"));
        let mut outputs = handle(page(2, &long));
        for id in 3..8 {
            if format!("{outputs:?}").contains("Status") {
                break;
            }
            outputs = handle(page(id, if id == 7 { &long } else { "" }));
        }
        assert!(format!("{outputs:?}").contains(told), "{length}: {outputs:?}");
    }
}

/// The same as [`context`], in the words of the host.
fn cardinal_testkit_context() -> cardinal_domain::driver::Context {
    let context = context(CALLBACK, None);
    cardinal_domain::driver::Context {
        mode: context.mode,
        transport: context.transport,
        settings: context.settings.into_iter().map(|pair| (pair.key, pair.value)).collect(),
        callback: context.callback,
        ..cardinal_domain::driver::Context::default()
    }
}

/// The administrator's page has every setting, as the manifest tells it.
#[test]
fn the_page_has_every_setting() {
    let page = include_str!("../../../docs/rfideas-241.md");
    let row = |setting: &Setting| {
        let default = setting.default.as_deref().filter(|default| !default.is_empty());
        let cell = |text: &str| text.replace('|', "\\|");
        let default = default.map(|default| format!("`{}`", cell(default))).unwrap_or_default();
        let list = if setting.repeated { ", or a list" } else { "" };
        format!("| `{}` | {}{list} | {default} | {} |\n", setting.key, setting.kind, cell(&setting.help))
    };
    let table: String = RfIdeas241::manifest().modes[0].settings.iter().map(row).collect();
    assert!(page.contains(&table), "the table in docs/rfideas-241.md must have these rows:\n{table}");
}
