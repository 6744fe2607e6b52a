//! Signed drivers: nothing is installed that no trusted publisher signed, whatever way it comes, and what is not trusted any
//! more stops.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    cli,
    driver_file::{hostile, install, keygen, sign, text, trust, with_another_summary, write},
    host::Host,
    program,
    site::{folder_site, of_driver},
    terminal::{Terminal as _, listening},
};
use serde_json::Value;

/// A host as operators have it: it takes nothing that is not signed.
async fn strict() -> Host {
    let mut host = Host::init().await;
    host.set("CARDINAL_DRIVERS__UNSIGNED", "refuse");
    host.serve().await;
    host
}

#[tokio::test]
async fn only_what_a_trusted_publisher_signed_is_installed() {
    let host = strict().await;
    let file = write(&host, "a.wasm", &hostile("1.2.0"));
    let unsigned = install(&host, &file, &[]).await.refused();
    assert!(unsigned.contains("not signed") && unsigned.contains("unsigned = \"allow\""), "{unsigned}");
    let (secret, public) = keygen(&host, "acme").await;
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let signature = sign(&host, &file, &secret).await;
    let unknown = install(&host, &file, &[]).await.refused();
    assert!(
        unknown.contains("not trusted for vendor test") && unknown.contains("driver trust test --key"),
        "{unknown}"
    );
    let refused = host.cli_with(&["driver", "verify", text(&file)]).await.refused();
    assert!(refused.contains("not trusted for vendor test"), "{refused}");
    let here = host.cli_with(&["driver", "verify", text(&file), "--key", text(&public)]).await.ok();
    assert!(here.contains("test/hostile@1.2.0 (signed by "), "{here}");

    trust(&host, "test", &public, &[]).await.ok();
    let report: Value = install(&host, &file, &["--dry-run", "--json"]).await.json();
    assert_eq!(report["signature"]["standing"]["state"], "signed", "{report}");
    assert_eq!(report["outcome"]["does"], "new", "{report}");
    host.cli_with(&["driver", "verify", text(&file)]).await.ok();

    // Each kind of wrong signature has its own words, and nothing is installed by any.
    let good = fs::read_to_string(&signature).unwrap();
    let other = write(&host, "other.wasm", &with_another_summary(&hostile("1.2.0")));
    let newer = write(&host, "newer.wasm", &hostile("1.3.0"));
    let (stranger, stranger_public) = keygen(&host, "stranger").await;
    let wrong = host.folder().join("wrong.minisig");
    for (file, text_of_signature, words) in [
        (&other, good.clone(), "of another file"),
        (&newer, good.clone(), "of another file"),
        (&file, good.replace("hostile@1.2.0", "hostile@9.2.0"), "was changed"),
        (&file, good.replace("sha256:", "sha512:"), "does not say which driver"),
        (&file, "rubbish\n".repeat(4), "no minisign signature"),
        (&file, "x".repeat(100_000), "no minisign signature"),
    ] {
        fs::write(&wrong, text_of_signature).unwrap();
        let refused = install(&host, file, &["--signature", text(&wrong)]).await.refused();
        assert!(refused.contains(words), "{words}: {refused}");
    }
    sign(&host, &newer, &stranger).await;
    let refused = install(&host, &newer, &[]).await.refused();
    assert!(refused.contains("vendor test belongs to the publisher with key"), "{refused}");
    let refused = host.cli_with(&["driver", "verify", text(&newer), "--key", text(&public)]).await.refused();
    assert!(refused.contains("is not what key"), "{refused}");
    host.cli_with(&["driver", "verify", text(&newer), "--key", text(&stranger_public)]).await.ok();
    let listed = host.cli("driver list").await.ok();
    assert!(!listed.contains("hostile"), "{listed}");

    let said = install(&host, &file, &[]).await.ok();
    assert!(said.contains("signed by ") && said.contains("new on this host"), "{said}");
    let event =
        host.api().event_after(0, EventKind::DriverInstalled, |event| event.body.message.contains("hostile")).await;
    assert!(event.body.facts["signature"].starts_with("signed by "), "{event:?}");
}

#[tokio::test]
async fn what_its_publisher_is_no_longer_trusted_for_stops_and_says_so() {
    let (mut host, terminal) = tokio::join!(strict(), listening());
    let file = write(&host, "a.wasm", &hostile("1.2.0"));
    let ((old, old_public), (new, new_public)) = (keygen(&host, "old").await, keygen(&host, "new").await);
    sign(&host, &file, &old).await;
    trust(&host, "test", &old_public, &[]).await.ok();
    install(&host, &file, &[]).await.ok();
    host.apply(&(folder_site() + &of_driver("test/hostile", "any", "r", terminal.address(), ""))).await;
    terminal.is_connected().await;
    let shown = host.cli("reader show r").await.ok();
    assert!(shown.contains("signed by "), "{shown}");

    // A vendor has one publisher, who may have several keys.
    let second = trust(&host, "test", &new_public, &[]).await.refused();
    assert!(
        second.contains("vendor test belongs to the publisher with key") && second.contains("--rotate"),
        "{second}"
    );
    let ours = trust(&host, "cardinal", &new_public, &[]).await.refused();
    assert!(ours.contains("come with this program"), "{ours}");
    trust(&host, "test", &new_public, &["--rotate"]).await.ok();
    let newer = write(&host, "b.wasm", &hostile("1.3.0"));
    sign(&host, &newer, &new).await;
    install(&host, &newer, &[]).await.ok();

    let publishers: Vec<Value> = host.cli("driver trust list --json").await.json();
    let key = publishers[0]["key_id"].as_str().unwrap();
    let said = host.cli_with(&["driver", "trust", "test", "--withdraw", key]).await.ok();
    assert!(said.contains("changes what runs of test/hostile"), "{said}");
    let stopped = |phase: &str| phase == "misconfigured";
    let reader = host.api().reader_until("r", "stopped", |reader| stopped(&reader.phase)).await;
    let why = reader.last_error.unwrap();
    assert!(why.contains("not run") && why.contains("was withdrawn"), "{why}");
    let listed = host.cli("driver list").await.ok();
    assert!(listed.contains("NOT RUN"), "{listed}");
    assert_eq!(host.api().events_of(EventKind::PublisherWithdrawn).await.len(), 1);
    let refused = install(&host, &file, &[]).await.refused();
    assert!(refused.contains("was withdrawn"), "{refused}");
    // The other version runs, and after a start it is the same.
    host.terminate().await;
    host.serve().await;
    host.api().reader_until("r", "stopped", |reader| stopped(&reader.phase)).await;
    let told = host.api().events_of(EventKind::DriverRefused).await;
    assert!(told.last().unwrap().body.message.contains("test/hostile@1.2.0 is installed and not run"), "{told:?}");
    // Its readers stand still, so nobody can try another version first; they are brought to it all the same.
    let refused = host.cli("driver swap test/hostile --to 1.3.0 --canary r").await.refused();
    assert!(refused.contains("was withdrawn") && refused.contains("leave --canary"), "{refused}");
    host.cli("driver swap test/hostile --to 1.3.0").await.ok();
    host.api().online("r").await;
    host.api().reader_until("r", "of the other version", |reader| reader.driver == "test/hostile@1.3.0").await;
    // Trusted again, as a rotation, it runs again.
    trust(&host, "test", &old_public, &[]).await.refused();
    let said = trust(&host, "test", &old_public, &["--rotate"]).await.ok();
    assert!(said.contains("changes what runs of test/hostile"), "{said}");
    host.cli_with(&["reader", "set", "r", "driver=test/hostile@1.2.0"]).await.ok();
    host.api().online("r").await;

    // Unsigned never takes the place of signed, whatever is allowed.
    host.terminate().await;
    host.set("CARDINAL_DRIVERS__UNSIGNED", "allow");
    host.serve().await;
    let other = write(&host, "other.wasm", &with_another_summary(&hostile("1.2.0")));
    let refused = install(&host, &other, &["--replace"]).await.refused();
    assert!(refused.contains("vendor test belongs to the publisher"), "{refused}");
    // The signature lies beside the file, and is looked at at each start.
    host.terminate().await;
    host.set("CARDINAL_DRIVERS__UNSIGNED", "refuse");
    let digest = cardinal_runtime::inspect::digest(&hostile("1.2.0"));
    fs::remove_file(host.folder().join(format!("data/drivers/{digest}.minisig"))).unwrap();
    host.serve().await;
    let reader = host.api().reader_until("r", "stopped", |reader| stopped(&reader.phase)).await;
    assert!(reader.last_error.unwrap().contains("not signed"));
}

#[tokio::test]
async fn an_unsigned_driver_is_shown_as_such_and_stops_when_it_is_allowed_no_longer() {
    let (mut host, terminal) = tokio::join!(Host::start(), listening());
    let file = write(&host, "a.wasm", &hostile("1.2.0"));
    assert!(install(&host, &file, &[]).await.ok().contains("unsigned"));
    host.apply(&(folder_site() + &of_driver("test/hostile", "any", "r", terminal.address(), ""))).await;
    terminal.is_connected().await;
    for command in ["driver list", "driver show test/hostile", "reader show r"] {
        let said = host.cli(command).await.ok();
        assert!(said.contains("unsigned"), "{command}: {said}");
    }
    let event =
        host.api().event_after(0, EventKind::DriverInstalled, |event| event.body.message.contains("hostile")).await;
    assert_eq!(event.body.facts["signature"], "unsigned");
    host.terminate().await;
    host.serve().await;
    terminal.was_connected(2).await;
    assert!(host.log().contains("runs unsigned"), "{}", host.log());
    host.terminate().await;
    host.set("CARDINAL_DRIVERS__UNSIGNED", "refuse");
    host.serve().await;
    let reader = host.api().reader_until("r", "stopped", |reader| reader.phase == "misconfigured").await;
    assert!(reader.last_error.unwrap().contains("not signed"));
    // Its publisher turns up: the same file with a signature is what runs.
    let (secret, public) = keygen(&host, "late").await;
    sign(&host, &file, &secret).await;
    trust(&host, "test", &public, &[]).await.ok();
    install(&host, &file, &[]).await.ok();
    host.api().online("r").await;
    assert!(host.cli("reader show r").await.ok().contains("signed by "));
    // A file that was changed on the disk does not run.
    host.terminate().await;
    let digest = cardinal_runtime::inspect::digest(&hostile("1.2.0"));
    fs::write(host.folder().join(format!("data/drivers/{digest}.wasm")), with_another_summary(&hostile("1.2.0")))
        .unwrap();
    host.serve().await;
    let reader = host.api().reader_until("r", "stopped", |reader| reader.phase == "misconfigured").await;
    assert!(reader.last_error.unwrap().contains("its file was changed"));
}

#[tokio::test]
async fn a_key_has_a_password_and_is_never_overwritten() {
    let host = Host::init().await;
    let file = write(&host, "a.wasm", &hostile("1.2.0"));
    let secret = host.folder().join("acme.key");
    let cardinal = program::ours("cardinal", "cardinal-server");
    let with = async |password: &str, arguments: &str| {
        let line = format!("printf '%s\\n' '{password}' | {} {arguments}", cardinal.display());
        let mut command = tokio::process::Command::new("/bin/sh");
        command.args(["-c", &line]).current_dir(host.folder());
        cli::run(&mut command).await
    };
    with("", &format!("driver keygen --out {}", secret.display())).await.refused();
    with("open sesame", &format!("driver keygen --out {}", secret.display())).await.ok();
    let there = with("open sesame", &format!("driver keygen --out {}", secret.display())).await.refused();
    assert!(there.contains("not overwritten"), "{there}");
    let wrong = with("shut", &format!("driver sign {} --key {}", file.display(), secret.display())).await.refused();
    assert!(wrong.contains("the password right"), "{wrong}");
    with("open sesame", &format!("driver sign {} --key {}", file.display(), secret.display())).await.ok();
    let public = host.folder().join("acme.pub");
    cli::cardinal(&["driver", "verify", text(&file), "--key", text(&public)]).await.ok();
}

#[tokio::test]
async fn minisign_itself_takes_our_signatures_and_we_take_its() {
    let Some(minisign) = program::find("minisign") else {
        return eprintln!("SKIPPED: there is no program `minisign`: run `cargo xtask setup` first");
    };
    let host = Host::init().await;
    let file = write(&host, "a.wasm", &hostile("1.2.0"));
    let (secret, public) = keygen(&host, "acme").await;
    let signature = sign(&host, &file, &secret).await;
    let run = |arguments: &[&str]| {
        let output = Command::new(&minisign).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = run(&["-V", "-m", text(&file), "-p", text(&public)]);
    assert!(said.contains("cardinal driver test/hostile@1.2.0 sha256:"), "{said}");
    fs::remove_file(&signature).unwrap();
    let comment =
        format!("cardinal driver test/hostile@1.2.0 sha256:{}", cardinal_runtime::inspect::digest(&hostile("1.2.0")));
    run(&["-S", "-W", "-s", text(&secret), "-m", text(&file), "-t", &comment]);
    cli::cardinal(&["driver", "verify", text(&file), "--key", text(&public)]).await.ok();
    // Its old form signs the bytes themselves; it is not taken.
    run(&["-S", "-l", "-W", "-s", text(&secret), "-m", text(&file), "-t", &comment]);
    let old = cli::cardinal(&["driver", "verify", text(&file), "--key", text(&public)]).await.refused();
    assert!(old.contains("legacy form"), "{old}");
}

#[tokio::test]
async fn a_version_whose_publisher_is_withdrawn_while_it_is_tried_runs_nowhere_any_more() {
    let (host, terminal) = tokio::join!(strict(), listening());
    let ((old, old_public), (new, new_public)) = (keygen(&host, "old").await, keygen(&host, "new").await);
    trust(&host, "test", &old_public, &[]).await.ok();
    trust(&host, "test", &new_public, &["--rotate"]).await.ok();
    for (version, key) in [("1.2.0", &old), ("1.3.0", &new)] {
        let file = write(&host, &format!("{version}.wasm"), &hostile(version));
        sign(&host, &file, key).await;
        install(&host, &file, &[]).await.ok();
    }
    host.apply(&(folder_site() + &of_driver("test/hostile", "any", "r", terminal.address(), ""))).await;
    terminal.is_connected().await;
    host.cli("driver swap test/hostile --to 1.3.0 --canary r --for 1h --no-wait").await.ok();
    host.api().reader_until("r", "a canary", |reader| reader.driver == "test/hostile@1.3.0").await;

    let publishers: Vec<Value> = host.cli("driver trust list --json").await.json();
    let key = publishers[1]["key_id"].as_str().unwrap();
    host.cli_with(&["driver", "trust", "test", "--withdraw", key]).await.ok();
    let back = |reader: &cardinal_tests::api::Reader| reader.phase == "online" && reader.driver == "test/hostile@1.2.0";
    host.api().reader_until("r", "back", back).await;
    let told = host.api().event(EventKind::DriverSwapBack).await.body.message;
    assert!(told.contains("may not run any more"), "{told}");
}

#[tokio::test]
async fn a_file_that_was_replaced_while_it_ran_ends_with_the_trust_in_its_publisher() {
    let (host, terminal) = tokio::join!(strict(), listening());
    let ((old, old_public), (new, new_public)) = (keygen(&host, "old").await, keygen(&host, "new").await);
    trust(&host, "test", &old_public, &[]).await.ok();
    trust(&host, "test", &new_public, &["--rotate"]).await.ok();
    let file = write(&host, "a.wasm", &hostile("1.2.0"));
    sign(&host, &file, &old).await;
    install(&host, &file, &[]).await.ok();
    host.apply(&(folder_site() + &of_driver("test/hostile", "any", "r", terminal.address(), ""))).await;
    terminal.is_connected().await;
    let other = write(&host, "b.wasm", &with_another_summary(&hostile("1.2.0")));
    sign(&host, &other, &new).await;
    install(&host, &other, &["--replace"]).await.ok();
    assert_eq!(terminal.record().connections(), 1, "a session keeps its file");
    let publishers: Vec<Value> = host.cli("driver trust list --json").await.json();
    let key = publishers[0]["key_id"].as_str().unwrap();
    host.cli_with(&["driver", "trust", "test", "--withdraw", key]).await.ok();
    terminal.was_connected(2).await;
    host.api().online("r").await;
    // Said once more, it ends nothing that may run.
    host.cli_with(&["driver", "trust", "test", "--withdraw", key]).await.ok();
    assert_eq!(terminal.record().connections(), 2);
}
