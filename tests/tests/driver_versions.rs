//! Several versions of a driver side by side: who runs which, what is final, and what becomes of files nobody names.

use std::{fs, path::Path};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    driver_file::{hostile, install, replaced, text, with_another_summary, write},
    host::Host,
    program,
    site::{folder_site, of_driver, reader},
    terminal::{Terminal as _, listening},
    wait,
};
use serde_json::Value;

/// The version that a driver's readers run which name none.
async fn chosen(host: &Host, id: &str) -> String {
    let driver: Value = host.cli_with(&["driver", "show", id, "--json"]).await.json();
    assert_eq!(driver.pointer("/chosen"), Some(&Value::Bool(true)));
    driver.pointer("/manifest/version").and_then(Value::as_str).unwrap().to_owned()
}

/// The label of the driver that a reader runs.
async fn runs(host: &Host, reader: &str) -> String {
    let view: Value = host.api().get(&format!("reader/{reader}")).await;
    view.pointer("/status/driver").and_then(Value::as_str).unwrap().to_owned()
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder.join("data/drivers")).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_newer_version_moves_nobody_and_a_reader_can_name_it() {
    let (mut host, plain, pinned) = tokio::join!(Host::start(), listening(), listening());
    install(&host, &write(&host, "a.wasm", &hostile("1.2.0")), &[]).await.ok();
    let site = folder_site() + &of_driver("test/hostile", "any", "plain", plain.address(), "");
    host.apply(&site).await;
    plain.is_connected().await;

    let newer = write(&host, "b.wasm", &hostile("1.3.0"));
    let said = install(&host, &newer, &["--dry-run"]).await.ok();
    assert!(said.contains("one more version beside 1.2.0; readers keep 1.2.0"), "{said}");
    assert!(said.contains("nothing was changed") && host.cli("driver show test/hostile@1.3.0").await.code != Some(0));
    let said = install(&host, &newer, &[]).await.ok();
    assert!(said.contains("`cardinal driver swap test/hostile --to 1.3.0` moves them"), "{said}");
    assert_eq!(chosen(&host, "test/hostile").await, "1.2.0");
    let again = install(&host, &newer, &[]).await.ok();
    assert!(again.contains("this very file is installed already"), "{again}");

    let second = of_driver("test/hostile@1.3.0", "any", "pinned", pinned.address(), "").replace("floor-2-east", "two");
    let device = "\n[[device]]\nname = \"two\"\nprinter = \"east\"\n";
    host.apply(&(site + device + &second)).await;
    pinned.is_connected().await;
    assert_eq!(runs(&host, "pinned").await, "test/hostile@1.3.0");
    // It stays so, whatever connection or start comes.
    host.terminate().await;
    host.serve().await;
    plain.was_connected(2).await;
    host.api().online("plain").await;
    assert_eq!(
        (runs(&host, "plain").await.as_str(), chosen(&host, "test/hostile").await.as_str()),
        ("test/hostile@1.2.0", "1.2.0")
    );

    // What readers name, or run, stays; and of several it must be said which.
    let used = host.cli("driver remove test/hostile@1.3.0").await.refused();
    assert!(used.contains("used by reader pinned"), "{used}");
    let used = host.cli("driver remove test/hostile@1.2.0").await.refused();
    assert!(used.contains("used by reader plain"), "{used}");
    let which = host.cli("driver remove test/hostile").await.refused();
    assert!(which.contains("test/hostile@1.2.0, test/hostile@1.3.0"), "{which}");
    host.cli("reader remove pinned").await.ok();
    host.cli("driver remove test/hostile@1.3.0").await.ok();
    assert_eq!(chosen(&host, "test/hostile").await, "1.2.0");
}

#[tokio::test]
async fn a_version_is_final_and_a_downgrade_is_meant() {
    let host = Host::start().await;
    let first = hostile("1.2.0");
    let other = write(&host, "other.wasm", &with_another_summary(&first));
    install(&host, &write(&host, "first.wasm", &first), &[]).await.ok();
    let refused = install(&host, &other, &[]).await.refused();
    assert!(refused.contains("a version is final") && refused.contains("--replace"), "{refused}");
    let said = install(&host, &other, &["--replace"]).await.ok();
    assert!(said.contains("replaces the test/hostile@1.2.0") && said.contains("Misbehaves if asked."), "{said}");

    let older = write(&host, "older.wasm", &hostile("1.1.0"));
    let downgrade =
        |said: String| assert!(said.contains("1.1.0 is older than 1.2.0") && said.contains("--older"), "{said}");
    downgrade(install(&host, &older, &[]).await.refused());
    // It is remembered.
    host.cli("driver remove test/hostile").await.ok();
    downgrade(install(&host, &older, &[]).await.refused());
    downgrade(install(&host, &older, &["--dry-run"]).await.ok());
    install(&host, &older, &["--older"]).await.ok();
    assert_eq!(chosen(&host, "test/hostile").await, "1.1.0");
    // One removed within its grace is simply installed again.
    install(&host, &other, &[]).await.ok();
    assert_eq!(host.api().events_of(EventKind::DriverRefused).await.len(), 3);

    // The program's own cannot be replaced by anybody's.
    let mut forged = fs::read(program::component("cardinal-generic")).unwrap();
    // A custom section: another file, and the same driver.
    forged.extend_from_slice(b"\x00\x03\x01xy");
    let refused = install(&host, &write(&host, "forged.wasm", &forged), &["--replace"]).await.refused();
    assert!(refused.contains("comes with this program"), "{refused}");
}

#[tokio::test]
async fn files_that_nothing_names_go_after_their_grace() {
    let mut host = Host::start().await;
    let before = files(host.folder());
    install(&host, &write(&host, "a.wasm", &hostile("1.2.0")), &[]).await.ok();
    let digest = cardinal_runtime::inspect::digest(&hostile("1.2.0"));
    host.cli("driver remove test/hostile").await.ok();
    fs::write(host.folder().join("data/drivers/0123.part"), b"half").unwrap();
    // The usual grace is a day.
    host.terminate().await;
    host.serve().await;
    let kept = files(host.folder());
    assert!(kept.contains(&format!("{digest}.wasm")) && kept.contains(&"0123.part".to_owned()), "{kept:?}");
    host.terminate().await;
    host.set("CARDINAL_DRIVERS__GRACE_MS", "0");
    host.serve().await;
    wait::until("unused files to be gone", async || (files(host.folder()) == before).then_some(())).await;
}

#[tokio::test]
async fn a_newer_version_that_comes_with_the_program_is_taken_up_unless_one_was_chosen() {
    let (mut host, generic, other) = tokio::join!(Host::init(), listening(), listening());
    let bundled = host.folder().join("drivers");
    fs::write(bundled.join("hostile-1.wasm"), hostile("1.0.0")).unwrap();
    host.set("CARDINAL_DRIVERS__UNSIGNED", "refuse");
    host.serve().await;
    let site = folder_site()
        + &reader("generic", generic.address(), "")
        + "[[device]]\nname = \"two\"\nprinter = \"east\"\n"
        + &of_driver("test/hostile", "any", "other", other.address(), "").replace("floor-2-east", "two");
    host.apply(&site).await;
    other.is_connected().await;
    let listed = host.cli("driver list").await.ok();
    assert!(listed.contains("bundled") && !listed.contains("unsigned"), "{listed}");

    host.terminate().await;
    fs::write(bundled.join("hostile-2.wasm"), hostile("1.1.0")).unwrap();
    host.serve().await;
    other.was_connected(2).await;
    host.api().online("other").await;
    assert_eq!(runs(&host, "other").await, "test/hostile@1.1.0");

    // Once an operator installed one more, the one of before is the chosen one.
    host.terminate().await;
    host.set("CARDINAL_DRIVERS__UNSIGNED", "allow");
    host.serve().await;
    install(&host, &write(&host, "c.wasm", &hostile("1.2.0")), &[]).await.ok();
    host.terminate().await;
    fs::write(bundled.join("hostile-3.wasm"), hostile("1.3.0")).unwrap();
    host.serve().await;
    other.was_connected(4).await;
    host.api().online("other").await;
    assert_eq!(
        (runs(&host, "other").await.as_str(), chosen(&host, "test/hostile").await.as_str()),
        ("test/hostile@1.1.0", "1.1.0")
    );
    host.cli("driver show test/hostile@1.3.0").await.ok();
}

#[tokio::test]
async fn a_file_is_inspected_without_a_host() {
    let host = Host::init().await;
    let file = write(&host, "a.wasm", &hostile("1.2.0"));
    let said = host.cli_with(&["driver", "inspect", text(&file)]).await.ok();
    for words in
        ["test/hostile@1.2.0", "imports     none", "contract    1.0.0", "the bound memory_bytes is", "there is none"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    let report: Value = host.cli_with(&["driver", "inspect", text(&file), "--json"]).await.json();
    assert_eq!(
        (report["manifest"]["version"].as_str(), report["imports"].as_array().unwrap().len()),
        (Some("1.2.0"), 0)
    );
    assert!(report["asks"][0]["asked"].as_u64().unwrap() > 65_536 && report.get("outcome").is_none(), "{report}");
    let liar = program::component("guest-liar");
    assert!(host.cli_with(&["driver", "inspect", text(&liar)]).await.refused().contains("describe"));
    // A signature's key is told, and not believed.
    fs::write(format!("{}.minisig", text(&file)), "rubbish").unwrap();
    assert!(host.cli_with(&["driver", "inspect", text(&file)]).await.ok().contains("there is none"));
    let changed = replaced(&hostile("1.2.0"), "hostile1.2.0M", "hostile1.2.xM");
    let file = write(&host, "b.wasm", &changed);
    assert!(host.cli_with(&["driver", "inspect", text(&file)]).await.refused().contains("three numbers"));
}
