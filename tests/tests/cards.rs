//! Card numbers: what readers send becomes the number on record, by the site's rules or a device's own.

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    cli,
    host::Host,
    program,
    site::{SIGNS, folder_site, of_driver, reader},
    terminal::{Terminal as _, listening},
};
use serde_json::Value;

/// Eve's number on record is decimal; a second device stands beside the first.
const EVE: &str = r#"
    [[user]]
    name = "eve"
    card = "2490285352"
    second_card = "255"
    [[device]]
    name = "floor-3"
    printer = "east"
    card_no_converter = "reverse-bytes|hex2dec"
"#;

fn config(lines: &str) -> String {
    format!("[config]\n{lines}\n")
}

#[tokio::test]
async fn a_device_has_its_own_chain_and_another_inherits_the_sites() {
    let terminals = (listening(), listening());
    let (mut host, inheriting, own) = tokio::join!(Host::init(), terminals.0, terminals.1);
    host.set("CARDINAL_LOG__FILTER", "debug");
    host.serve().await;
    let readers = reader("inheriting", inheriting.address(), SIGNS)
        + &reader("own", own.address(), SIGNS).replace("\"floor-2-east\"", "\"floor-3\"");
    host.apply(&(config("\"ext-device.card-no-converter\" = \"hex2dec\"") + &folder_site() + EVE + &readers)).await;
    inheriting.is_connected().await;
    own.is_connected().await;

    inheriting.shows_and_hears("946EBD28=7", "[nothing]").await;
    own.shows_and_hears("28BD6E94=7", "[nothing]").await;

    // An unknown card's event has the number after conversion, masked.
    inheriting.shows_and_hears("28BD6E94", "[unknown]").await;
    let unknown = host.api().event(EventKind::CardUnknown).await;
    assert_eq!(unknown.body.facts.get("card").map(String::as_str), Some("***52"));
    assert!(!unknown.body.facts.contains_key("card_in_clear"));
    // What cannot be converted is told by its step.
    own.shows_and_hears("EMP123", "[unknown]").await;
    let unreadable = host.api().event(EventKind::CardUnreadable).await;
    assert_eq!(unreadable.body.facts.get("step").map(String::as_str), Some("reverse-bytes"));
    assert!(unreadable.body.message.contains("step 1, reverse-bytes: 'M' is no hexadecimal digit"));

    // In clear where the site says so, for the card that nobody has, and never in the log.
    host.apply(&config("\"events.show-unknown-card-numbers\" = \"Y\"")).await;
    let before = host.api().now().await;
    inheriting.shows_and_hears("946EBD28", "[nothing]").await;
    inheriting.shows_and_hears("28BD6E94", "[unknown]").await;
    let unknown = host.api().event_after(before, EventKind::CardUnknown, |_| true).await;
    assert_eq!(unknown.body.facts.get("card_in_clear").map(String::as_str), Some("683503252"));
    let events = host.cli("event list --json --limit 10000").await.ok();
    assert!(!events.contains("2490285352") && !events.contains("946EBD28"), "a known card is never told");
    for number in ["683503252", "28BD6E94", "2490285352", "946EBD28"] {
        assert!(!host.log().contains(number), "{number} stands in the log");
    }

    // Back to the site's rules, by hand.
    host.cli("device set floor-3 card_no_converter=GLOBAL").await.ok();
    own.shows_and_hears("946EBD28", "[nothing]").await;
}

#[tokio::test]
async fn raw_bits_of_a_reader_enter_the_chain() {
    let (host, terminal) = tokio::join!(Host::start(), listening());
    let driver = program::component("guest-hostile");
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.ok();
    let raw = of_driver("test/hostile", "any", "raw", terminal.address(), "");
    host.apply(&(config("\"ext-device.card-no-converter\" = \"fields(2,7,3)\"") + &folder_site() + EVE + &raw)).await;
    terminal.is_connected().await;
    // The guest sends a card of eight bits, all 1. Windows of them are other cards than all of them.
    terminal.send(b"bits 8").await.unwrap();
    let unknown = host.api().event(EventKind::CardUnknown).await;
    assert_eq!(unknown.body.reader.as_ref().map(|reader| reader.as_str()), Some("raw"));
    host.apply(&config("\"ext-device.card-no-converter\" = \"fields(1,8,3)\"")).await;
    terminal.send(b"bits 8").await.unwrap();
    let matched = host.api().event(EventKind::CardMatched).await;
    assert_eq!(matched.body.user.as_ref().map(|user| user.as_str()), Some("eve"));
}

#[tokio::test]
async fn rules_that_cannot_be_used_are_refused_where_they_are_set() {
    let host = Host::start().await;
    host.apply(&folder_site()).await;
    let refused = |site: String| {
        let host = &host;
        async move { host.apply_with(&site, &[]).await.refused() }
    };
    let error = refused(config("\"ext-device.card-no-converter\" = \"revers-bytes\"")).await;
    assert!(error.contains("config key \"ext-device.card-no-converter\": step 1: no step \"revers-bytes\""), "{error}");
    assert!(error.contains("(did you mean \"reverse-bytes\"?)"), "{error}");
    let error = refused(EVE.replace("reverse-bytes|hex2dec", "pad(0)")).await;
    assert!(
        error.contains("device \"floor-3\": card_no_converter: step 1: \"0\" is no number from 1 to 128"),
        "{error}"
    );
    let error = host.cli("device set floor-2-east card_no_regex=[0-9]+").await.refused();
    assert!(error.contains("device \"floor-2-east\": card_no_regex: the pattern has no group"), "{error}");
    host.cli("device set floor-2-east card_no_regex=[A-Z]([0-9]+)").await.ok();
    let error = refused(config("\"events.show-unknown-card-numbers\" = \"yes\"")).await;
    assert!(error.contains("neither Y nor N"), "{error}");
}

#[tokio::test]
async fn a_conversion_is_tried_with_and_without_a_host() {
    let convert = async |arguments: &[&str]| cli::cardinal(&[&["card", "convert"], arguments].concat()).await;
    let told = convert(&["ID28BD6E94=8", "--regex", "^ID(.*)", "--chain", "reverse-bytes|hex2dec"]).await.ok();
    let rows: Vec<Vec<&str>> = told.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["cut", "at", "=", "ID28BD6E94=8", "ID28BD6E94"], "{told}");
    assert_eq!(rows[2], ["ext-device.card-no-regex", "ID28BD6E94", "28BD6E94"]);
    assert_eq!(rows[3], ["reverse-bytes", "28BD6E94", "946EBD28"]);
    assert_eq!(rows[4], ["hex2dec", "946EBD28", "2490285352"]);
    assert_eq!(rows.last().unwrap(), &["card", "number", "2490285352"]);

    let json: Value = convert(&["--json", "186072", "--bits", "26", "--chain", "fields(2,8,3,10,16,5)"]).await.json();
    assert_eq!(json["card"], "01212345");
    assert_eq!(json["stages"][0]["input"], "26 bits 00000110000110000001110010");

    let failed = convert(&["EMP123", "--chain", "upper|hex2dec"]).await;
    assert!(failed.stdout.contains("failed: 'M' is no hexadecimal digit"), "{}", failed.stdout);
    assert!(failed.refused().contains("no card number: ext-device.card-no-converter: step 2, hex2dec"));
    assert!(convert(&["1", "--chain", "hexdec"]).await.refused().contains("did you mean \"hex2dec\"?"));
    assert!(convert(&["1", "--help"]).await.ok().contains("fields(FROM,COUNT,DIGITS,…)"));

    // By a running host's settings, the site's and a device's.
    let host = Host::start().await;
    host.apply(&(config("\"ext-device.card-no-converter\" = \"hex2dec\"") + &folder_site() + EVE)).await;
    assert!(host.cli("card convert 946EBD28").await.ok().ends_with("card number  2490285352\n"));
    let own = host.cli("card convert 28BD6E94 --device floor-3").await.ok();
    assert!(own.contains("converter of device floor-3") && own.ends_with("card number  2490285352\n"), "{own}");
    let error = host.cli("card convert 28BD6E94 --device floor-4").await.refused();
    assert!(error.contains("there is no device \"floor-4\" (did you mean \"floor-3\"?)"), "{error}");
    assert!(!host.log().contains("946EBD28") && !host.log().contains("2490285352"));
}

#[tokio::test]
async fn a_chain_is_found_from_pairs_and_a_wrong_pair_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pairs.csv");
    let infer = async |lines: &str, arguments: &[&str]| {
        std::fs::write(&file, lines).unwrap();
        let file = file.to_str().unwrap();
        cli::cardinal(&[&["card", "infer", "--pairs", file], arguments].concat()).await
    };
    let right = "read,number\n# three badges\n28BD6E94=7,2490285352\nC3B2A104,77705923\n\nC3D2E1F0,4041331395\n";
    let found = infer(right, &[]).await.ok();
    assert!(found.starts_with("fits all 3 pairs:\n\n  reverse-bytes|hex2dec\n"), "{found}");
    assert!(found.ends_with("\"ext-device.card-no-converter\" = \"reverse-bytes|hex2dec\"\n"), "{found}");
    // What it says can be used as it is.
    let host = Host::start().await;
    host.apply(&(config(found.lines().last().unwrap()) + &folder_site() + EVE)).await;
    assert!(host.cli("card convert 28BD6E94").await.ok().ends_with("card number  2490285352\n"));

    let wrong = infer(&format!("{right}6D7C8B9A,4711\n"), &["--steps", "2"]).await;
    assert!(wrong.stdout.starts_with("no chain fits all 4 pairs; fits 3:\n\n  reverse-bytes|hex2dec\n"), "{wrong:?}");
    let line = "does not fit: line 7: 6D7C8B9A gives 2592832621, on record is 4711";
    assert!(wrong.stdout.contains(line), "{wrong:?}");
    assert!(wrong.refused().contains("1 of 4 pairs do not fit"));

    let few: Vec<&str> = vec!["card", "infer", "--json", "--bits", "26", "186072,01212345"];
    let few = cli::cardinal(&few).await;
    assert!(few.stderr.contains("warning: 1 pair may be fitted by chance"), "{few:?}");
    let chains: Value = few.json();
    assert!(chains["chains"].as_array().unwrap().iter().any(|chain| chain == "fields(2,8,3,10,16,5)"), "{chains}");
    assert!(infer("4711\n", &[]).await.refused().contains("line 1: \"4711\" is no pair"));
}
