//! Driver files that are no drivers: refused with words that say what to do, and nothing changes.

use std::{fs, path::Path};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    host::Host,
    program,
    site::{folder_site, of_driver, reader},
    terminal::{Terminal as _, listening},
};

/// Tries to install these bytes, and gives the complaint.
async fn refused(host: &Host, bytes: &[u8]) -> String {
    let file = host.folder().join("driver.wasm");
    fs::write(&file, bytes).unwrap();
    host.cli_with(&["driver", "install", file.to_str().unwrap()]).await.refused()
}

#[tokio::test]
async fn a_file_that_is_no_driver_for_this_host_is_refused_and_told_why() {
    let host = Host::start().await;
    let driver = fs::read(program::component("guest-hostile")).unwrap();

    let cut = refused(&host, &driver[..driver.len() / 2]).await;
    assert!(cut.contains("driver.wasm was not installed") && cut.contains("cut short"), "{cut}");

    // The same driver, built for a contract that this host does not know.
    let (ours, theirs) = (b"cardinal:reader/driver@1.0.0", b"cardinal:reader/driver@2.0.0");
    let mut other = driver.clone();
    let places: Vec<usize> =
        driver.windows(ours.len()).enumerate().filter(|(_, at)| at == ours).map(|(at, _)| at).collect();
    for at in places {
        other[at..at + theirs.len()].copy_from_slice(theirs);
    }
    let other = refused(&host, &other).await;
    assert!(other.contains("cardinal:reader/driver@2.0.0") && other.contains("generation 1"), "{other}");

    let script = refused(&host, b"#!/bin/sh\nrm -rf /\n").await;
    assert!(script.contains("not installed"), "{script}");
    let liar = refused(&host, &fs::read(program::component("guest-liar")).unwrap()).await;
    assert!(liar.contains("describe"), "{liar}");

    assert_eq!(host.api().events_of(EventKind::DriverRefused).await.len(), 4);
    let installed: Vec<serde_json::Value> = host.cli("driver list --json").await.json();
    assert_eq!(installed.len(), 1, "{installed:?}");
    let missing = host.cli_with(&["driver", "install", "/nowhere.wasm"]).await.refused();
    assert!(missing.contains("cannot read /nowhere.wasm"), "{missing}");
}

#[tokio::test]
async fn a_driver_is_installed_used_and_cannot_be_removed_while_it_is() {
    let (mut host, terminal) = tokio::join!(Host::start(), listening());
    let bad = of_driver("test/hostile", "any", "bad", terminal.address(), "");
    // A reader of a driver that is not there is refused, and says what to do.
    let unknown = host.apply_with(&(folder_site() + &bad), &[]).await.refused();
    assert!(
        unknown.contains("driver test/hostile is not installed") && unknown.contains("driver install"),
        "{unknown}"
    );

    let file = program::component("guest-hostile");
    install(&host, &file).await;
    host.apply(&(folder_site() + &bad)).await;
    terminal.is_connected().await;
    let used = host.cli("driver remove test/hostile").await.refused();
    assert!(used.contains("used by reader bad"), "{used}");

    // It is kept: a restart needs neither the file nor a compiler's minute.
    host.terminate().await;
    host.serve().await;
    terminal.was_connected(2).await;
    host.cli("reader remove bad").await.ok();
    host.cli("driver remove test/hostile").await.ok();
    host.cli("driver show test/hostile").await.refused();
}

#[tokio::test]
async fn a_driver_that_comes_with_the_host_is_put_back_where_its_file_was_lost() {
    let (mut host, terminal) = tokio::join!(Host::start(), listening());
    host.apply(&(folder_site() + &reader("lost", terminal.address(), ""))).await;
    terminal.is_connected().await;
    host.terminate().await;
    // As after a backup without it.
    fs::remove_dir_all(host.folder().join("data/drivers")).unwrap();
    host.serve().await;
    terminal.was_connected(2).await;
    host.terminate().await;
    host.serve().await;
    terminal.was_connected(3).await;
    assert_eq!(host.api().events_of(EventKind::DriverRefused).await.len(), 1, "once it was told, and mended");
}

async fn install(host: &Host, file: &Path) {
    let shown = host.cli_with(&["driver", "install", file.to_str().unwrap()]).await.ok();
    assert!(shown.contains("test/hostile@1.0.0"), "{shown}");
}
