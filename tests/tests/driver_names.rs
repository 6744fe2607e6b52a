//! A names file beside a driver: its own is used, any other keeps no driver from running. What a right one does is told in the
//! guide (`guide`).

use std::fs;

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    driver_file::{install, text, write},
    host::Host,
    program,
    site::{folder_site, of_driver},
    terminal::{Terminal as _, listening},
};

/// The header of a names file for these bytes.
fn names_of(wasm: &[u8], functions: &str) -> String {
    use sha2::Digest as _;
    let digest: String = sha2::Sha256::digest(wasm).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("cardinal names 1\ndriver sha256:{digest}\nmodule guest_hostile.wasm\n{functions}")
}

#[tokio::test]
async fn a_wrong_names_file_keeps_no_driver_from_running_and_its_faults_carry_everything() {
    let (host, terminal) = tokio::join!(Host::start(), listening());
    let wasm = fs::read(program::component("guest-hostile")).unwrap();
    let file = write(&host, "hostile.wasm", &wasm);
    for wrong in [names_of(b"another", "0 x\n"), names_of(&wasm, "no number\n"), "\u{0}".to_owned(), String::new()] {
        fs::write(host.folder().join("hostile.names"), &wrong).unwrap();
        let answer = install(&host, &file, &["--replace"]).await;
        assert!(answer.stderr.contains("without the names"), "{wrong}: {answer:?}");
        answer.ok();
    }
    // One that is named must be there, and the driver is installed all the same.
    let answer = install(&host, &file, &["--names", "nowhere.names"]).await;
    assert!(answer.stderr.contains("nowhere.names"), "{answer:?}");
    answer.ok();

    let right = write(&host, "right.names", names_of(&wasm, "0 zero\n1 one\n").as_bytes());
    let said = install(&host, &file, &["--names", text(&right)]).await.ok();
    assert!(said.contains("names of 2 functions"), "{said}");

    host.apply(&(folder_site() + &of_driver("test/hostile", "any", "bad", terminal.address(), ""))).await;
    terminal.is_connected().await;
    terminal.send(b"trap").await.unwrap();
    let fault = host.api().event(EventKind::DriverTrapped).await.body;
    assert_eq!(fault.reader.as_ref().map(|name| name.as_str()), Some("bad"));
    let fact = |key: &str| fault.facts.get(key).map(String::as_str).unwrap_or_default();
    assert_eq!((fact("driver"), fact("export")), ("test/hostile@1.0.0", "handle"));
    assert!(right_digest(&wasm).starts_with(fact("digest")) && fact("digest").len() == 64);
    assert!(fact("backtrace").contains("guest_hostile.wasm!"), "{}", fact("backtrace"));

    // A bound tells where the driver was, too.
    terminal.was_connected(2).await;
    terminal.send(b"loop").await.unwrap();
    let bound = host.api().event(EventKind::DriverBound).await.body;
    assert_eq!(bound.facts.get("bound").map(String::as_str), Some("call_deadline_ms"));
    assert!(bound.facts.get("backtrace").is_some_and(|trace| trace.contains("guest_hostile.wasm!")), "{bound:?}");
}

fn right_digest(wasm: &[u8]) -> String {
    let text = names_of(wasm, "");
    text.split_once("sha256:").unwrap().1.split_once('\n').unwrap().0.to_owned()
}
