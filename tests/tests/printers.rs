//! Several real printers side by side, each with its own abilities and troubles: what becomes of the jobs, and what an
//! operator sees.

use cardinal_domain::{
    event::EventKind,
    fingerprint::Fingerprint,
    job::{Job, JobState},
};
use cardinal_tests::{
    document,
    host::Host,
    ipp_client,
    ipp_printer::{IppPrinter, Model},
    site::{SIGNS, folder_site, of_driver, reader, site},
    terminal::{Terminal as _, listening},
    wait,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Another printer.
fn printer(name: &str, uri: &str) -> String {
    format!("[[printer]]\nname = \"{name}\"\nuri = \"{uri}\"\n")
}

async fn started(model: Model) -> IppPrinter {
    let mut printer = IppPrinter::of(model);
    printer.switch_on().await;
    printer
}

/// The row of a printer in `cardinal printer list`.
async fn row(host: &Host, name: &str) -> String {
    let list = host.cli("printer list").await.ok();
    let row = list.lines().find(|line| line.starts_with(name));
    assert!(row.is_some(), "{name} is not in\n{list}");
    row.unwrap().to_owned()
}

async fn row_has(host: &Host, name: &str, words: &[&str]) {
    let what = format!("{words:?} of {name}");
    wait::until(&what, async || {
        let row = row(host, name).await;
        words.iter().all(|word| row.contains(word)).then_some(())
    })
    .await;
}

async fn because(host: &Host, number: i32, state: JobState, reason: &str) -> Job {
    let what = format!("job {number} to be {state} because {reason:?}");
    wait::until(&what, async || {
        Some(host.api().job(number).await).filter(|job| job.state == state && job.reason.contains(reason))
    })
    .await
}

#[tokio::test]
async fn printers_of_all_sorts_deliver_side_by_side() {
    let mut host = Host::init().await;
    host.set("CARDINAL_RELEASE__PRINTER_POLL_S", "1");
    host.serve().await;
    let (good, duplex, open, photos, other) = tokio::join!(
        started(Model::default()),
        started(Model { duplex: true, ..Model::default() }),
        started(Model { says: "cover-open", ..Model::default() }),
        started(Model { formats: "image/jpeg", ..Model::default() }),
        started(Model::default()),
    );
    // One that has its cover open until somebody comes, one that is slow, one that is off.
    open.dawdles();
    other.dawdles();
    let off = IppPrinter::new();
    let all = [("duplex", &duplex), ("open", &open), ("photos", &photos), ("slow", &other), ("off", &off)];
    let more: String = all.iter().map(|(name, one)| printer(name, &one.uri())).collect();
    host.apply(&(site(&good.uri()) + &more)).await;

    let mut jobs = Vec::new();
    for name in ["east", "duplex", "open", "photos", "slow", "off"] {
        let two_sided = Some(("sides", "two-sided-long-edge"));
        let number = ipp_client::print_with(&host.queue("find-me"), "ada", &document::hello(), two_sided).await;
        host.cli(&format!("job release {number} --printer {name}")).await.ok();
        jobs.push(number);
    }
    let [east, duplexed, opened, photo, slow, unreached] = jobs[..] else { unreachable!("six printers") };

    for number in [east, duplexed] {
        host.api().job_in(number, JobState::Delivered).await;
    }
    assert_eq!((good.came_out().len(), duplex.came_out().len()), (1, 1));
    because(&host, opened, JobState::Printing, "waits: printer \"open\" has a cover open").await;
    because(&host, photo, JobState::Held, "printer \"photos\" cannot print application/pdf; it takes image/jpeg").await;
    because(&host, unreached, JobState::Held, "printer \"off\" cannot be reached").await;
    host.api().job_in(slow, JobState::Printing).await;

    // What the first printer cannot do was told, and the second could.
    let lacking = host.api().events_of(EventKind::JobOptionsLacking).await;
    let told: Vec<_> = lacking.iter().filter(|event| event.body.facts["printer"] == "east").collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].body.message.ends_with("without sides = two-sided-long-edge"), "{}", told[0].body.message);
    assert!(!lacking.iter().any(|event| event.body.facts["printer"] == "duplex"));

    for (name, words) in [
        ("east", &["idle"][..]),
        ("duplex", &["idle"]),
        ("open", &["printing", "has a cover open"]),
        ("photos", &["idle"]),
        ("slow", &["printing"]),
        ("off", &["unreachable", "cannot be reached"]),
    ] {
        row_has(&host, name, words).await;
    }
    let view: Value = host.api().get("printer/photos").await;
    assert_eq!(view["status"]["formats"], serde_json::json!(["application/octet-stream", "image/jpeg"]));
    assert_eq!(view["status"]["model"], "Example Printer");

    // Somebody closes the cover.
    open.goes_on();
    other.goes_on();
    for number in [opened, slow] {
        let job = host.api().job_in(number, JobState::Delivered).await;
        assert_eq!(job.reason, "");
    }
    let is_open = |event: &cardinal_domain::event::Event| event.body.facts["printer"] == "open";
    host.api().event_after(0, EventKind::PrinterTrouble, is_open).await;
    host.api().event_after(0, EventKind::PrinterRecovered, is_open).await;
    assert!(photos.came_out().is_empty());
    assert_eq!([&open, &other].map(|printer| printer.came_out().len()), [1, 1]);
}

#[tokio::test]
async fn a_printers_own_certificate_is_taken_once_it_is_pinned() {
    let (host, printer) = tokio::join!(Host::start(), IppPrinter::start());
    host.apply(&site(&printer.tls_uri())).await;
    let number = ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    let release = format!("job release {number} --printer east");

    // Never silently unverified.
    host.cli(&release).await.ok();
    let held = because(&host, number, JobState::Held, "vouched for by no authority known here").await;
    assert!(held.reason.contains("cardinal printer trust") && !held.doubtful, "{}", held.reason);

    // Without a yes nothing is pinned.
    let refused = host.cli("printer trust east").await.refused();
    assert!(refused.contains("nothing was changed"), "{refused}");
    let shown = host.cli("printer trust east --yes").await.ok();
    let fingerprint = shown.split_whitespace().find(|word| word.starts_with("sha256:")).unwrap().to_owned();
    let own = CertificateDer::from_pem_file(printer.certificate().await).unwrap();
    assert_eq!(fingerprint.parse(), Ok(Fingerprint::new(Sha256::digest(own).into())));
    assert!(host.cli("export").await.ok().contains(&fingerprint));
    host.cli(&release).await.ok();
    host.api().job_in(number, JobState::Delivered).await;
    assert_eq!(document::out(&printer.out(), 1).await, [document::hello()]);

    // Another certificate than the pinned one is not taken.
    let other = format!("sha256:{}", "00".repeat(32));
    host.cli(&format!("printer set east certificate={other}")).await.ok();
    let number = ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    host.cli(&format!("job release {number} --printer east")).await.ok();
    because(&host, number, JobState::Held, "not the pinned one").await;
    assert_eq!(printer.came_out().len(), 1);

    // Nor does a pin say anything where there is no TLS.
    let refused = host.cli(&format!("printer set east uri={}", printer.uri())).await.refused();
    assert!(refused.contains("certificate says something only with"), "{refused}");
    host.cli(&format!("printer set east uri={} certificate=", printer.uri())).await.ok();
    assert!(host.cli("printer trust east").await.refused().contains("not reached by TLS"));
}

#[tokio::test]
async fn an_authority_of_the_operator_vouches_for_printers() {
    let printer = IppPrinter::start().await;
    let mut host = Host::init().await;
    host.set("CARDINAL_PRINTERS__CA", printer.certificate().await.to_str().unwrap());
    host.serve().await;
    host.apply(&site(&printer.tls_uri())).await;
    let number = ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    host.cli(&format!("job release {number} --printer east")).await.ok();
    host.api().job_in(number, JobState::Delivered).await;
}

#[tokio::test]
async fn two_taps_at_two_devices_at_once_release_each_job_once() {
    let (host, one, two) = tokio::join!(Host::start(), listening(), listening());
    let west =
        "[[printer]]\nname = \"west\"\nuri = \"folder:./west\"\n[[device]]\nname = \"floor-3\"\nprinter = \"west\"\n";
    let there = of_driver("cardinal/generic", "generic", "s", two.address(), SIGNS).replace("floor-2-east", "floor-3");
    host.apply(&(folder_site() + west + &reader("r", one.address(), SIGNS) + &there)).await;
    one.is_connected().await;
    two.is_connected().await;
    const ROUNDS: u32 = 5;
    const EACH: u32 = 4;
    let mut printed = Vec::new();
    for round in 0..ROUNDS {
        for index in 0..EACH {
            let document = document::arbitrary(2_000, round * EACH + index);
            ipp_client::print(&host.queue("find-me"), "ada", &document).await;
            printed.push(document);
        }
        tokio::join!(one.shows("4711"), two.shows("EMP123"));
        wait::until("all jobs to be delivered", async || {
            host.api().jobs().await.iter().all(|job| job.state == JobState::Delivered).then_some(())
        })
        .await;
    }
    let folders = ["delivered", "west"].map(|name| document::came_out(&host.folder().join(name)));
    let mut out = folders.concat();
    out.sort();
    printed.sort();
    assert!(out == printed, "{} came out of {}", out.len(), printed.len());
    assert_eq!(host.api().events_of(EventKind::JobReleasing).await.len(), printed.len());
}
