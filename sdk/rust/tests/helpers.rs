//! Settings, saved state and outputs as a driver uses them.

use cardinal_sdk::{
    Output, Pair, bytes_of,
    prelude::*,
    state::{Loader, Saver},
    text_of,
};
use proptest::prelude::*;

fn context(settings: &[(&str, &str)]) -> Context {
    Context {
        mode: "m".to_owned(),
        transport: "dial".to_owned(),
        settings: settings.iter().map(|(key, value)| Pair::new(*key, *value)).collect(),
        callback: None,
        memory: Vec::new(),
        saved: None,
    }
}

#[test]
fn settings_are_read_by_key() {
    let context = context(&[("a", "x\\r"), ("a", "y"), ("n", "-7"), ("ms", "30"), ("on", "true")]);
    let settings = Settings::of(&context);
    assert_eq!(settings.text("a"), Ok("x\\r"));
    assert_eq!(settings.bytes("a"), Ok(b"x\r".to_vec()));
    assert_eq!(settings.all_bytes("a"), Ok(vec![b"x\r".to_vec(), b"y".to_vec()]));
    assert_eq!(settings.integer::<i8>("n"), Ok(-7));
    assert_eq!(settings.milliseconds("ms"), Ok(30));
    assert_eq!(settings.boolean("on"), Ok(true));
    assert_eq!(settings.get("b"), None);
    assert_eq!(settings.all("b").count(), 0);
}

#[test]
fn a_setting_that_is_not_there_is_a_fault_that_names_it() {
    let context = context(&[("n", "-7"), ("pin", "secret\\q")]);
    let settings = Settings::of(&context);
    assert_eq!(settings.text("a"), Err(Fault::new("setting-missing", "`a` has no value")));
    let out_of_range = settings.integer::<u32>("n").unwrap_err();
    assert_eq!(out_of_range, Fault::new("setting-invalid", "`n` is invalid: it must be a whole number in range"));
    assert!(!settings.bytes("pin").unwrap_err().message.contains("secret"));
}

#[test]
fn outputs_keep_their_order_and_sending_nothing_is_nothing() {
    let mut out = Outputs::new();
    out.send("");
    out.send("v\r");
    out.card(Card::new(1).number("4711").bits([0x80], 1).technology("125 kHz").port(2).fact("uid", "04"));
    out.close("tired", "");
    let names: Vec<_> = out
        .as_slice()
        .iter()
        .map(|output| match output {
            Output::Send(_) => "send",
            Output::Card(_) => "card",
            Output::Close(_) => "close",
            _ => "other",
        })
        .collect();
    assert_eq!(names, ["send", "card", "close"]);
}

#[test]
fn state_of_a_later_driver_is_refused() {
    let saved = Saver::new(2).number(1_u32).finish();
    let fault = Loader::new(&saved, 1).unwrap_err();
    assert_eq!(
        fault.message,
        "the saved state cannot be used: it is of version 2, and this driver knows versions up to 1"
    );
    assert_eq!(Loader::new(&saved, 3).unwrap().version(), 2);
    assert!(Loader::new(&saved, 2).unwrap().end().is_err(), "bytes that nobody read are a mistake");
    assert!(Loader::new(&saved, 2).unwrap().bytes().is_err());
    let large = Saver::new(1).number(256_u32).finish();
    assert!(Loader::new(&large, 1).unwrap().number::<u8>().is_err());
}

proptest! {
    #[test]
    fn state_comes_back(version: u8, number: u64, flag: bool, bytes: Vec<u8>, text: String) {
        let saved = Saver::new(version).number(number).flag(flag).bytes(&bytes).text(&text).finish();
        let mut loader = Loader::new(&saved, version).unwrap();
        prop_assert_eq!(loader.number::<u64>(), Ok(number));
        prop_assert_eq!(loader.flag(), Ok(flag));
        prop_assert_eq!(loader.bytes(), Ok(bytes.as_slice()));
        prop_assert_eq!(loader.text(), Ok(text.as_str()));
        prop_assert_eq!(loader.end(), Ok(()));
    }

    #[test]
    fn rubbish_is_no_state(saved: Vec<u8>) {
        if let Ok(mut loader) = Loader::new(&saved, 255) {
            let _ = (loader.bytes().map(<[u8]>::len), loader.text().map(str::len), loader.flag(), loader.number::<u8>());
        }
    }

    #[test]
    fn bytes_come_back_from_their_text(bytes: Vec<u8>) {
        prop_assert_eq!(bytes_of(&text_of(&bytes)), Ok(bytes));
    }
}
