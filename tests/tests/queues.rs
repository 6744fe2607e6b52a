//! What people print to: queues that hold, queues that do not, and who may print.

use std::net::Ipv4Addr;

use cardinal_domain::{event::EventKind, job::JobState};
use cardinal_tests::{
    document, host::Host, ipp_client, ipp_printer::IppPrinter, ipptool, network::Cable, program, site::folder_site,
};

/// A queue that passes jobs straight on to this printer.
fn direct(printer: &str) -> String {
    format!(
        "[[printer]]\nname = \"west\"\nuri = \"{printer}\"\n[[queue]]\nname = \"direct\"\nhold = false\nprinter = \"west\"\n"
    )
}

#[tokio::test]
async fn a_queue_that_does_not_hold_passes_jobs_straight_on() {
    let host = Host::start().await;
    host.apply(&direct("folder:./west")).await;
    // Nobody needs to be known for it.
    let number = ipp_client::print(&host.queue("direct"), "mallory", &document::arbitrary(50_000, 7)).await;
    assert_eq!(document::out(&host.folder().join("west"), 1).await, [document::arbitrary(50_000, 7)]);
    host.api().job_in(number, JobState::Delivered).await;
}

#[tokio::test]
async fn what_passes_straight_on_waits_for_a_printer_that_is_off() {
    let mut printer = IppPrinter::new();
    let mut host = Host::init().await;
    host.set("CARDINAL_RELEASE__RETRY_FIRST_MS", "50");
    host.set("CARDINAL_RELEASE__RETRY_LONGEST_MS", "200");
    host.serve().await;
    host.apply(&direct(&printer.uri())).await;

    let first = ipp_client::print(&host.queue("direct"), "ada", &document::arbitrary(1_000, 1)).await;
    let second = ipp_client::print(&host.queue("direct"), "ada", &document::arbitrary(1_000, 2)).await;
    let retried = host.api().event(EventKind::JobRetried).await;
    assert!(retried.body.message.contains("\"west\""), "{}", retried.body.message);
    printer.switch_on().await;
    for number in [first, second] {
        host.api().job_in(number, JobState::Delivered).await;
    }
    document::out(&printer.out(), 2).await;
}

#[tokio::test]
async fn this_machine_may_print_and_others_only_as_the_queue_says() {
    let Some(cable) = Cable::lay() else { return };
    let mut host = Host::init().await;
    host.set("CARDINAL_IPP__LISTEN", "0.0.0.0:0");
    host.serve().await;
    host.apply(&folder_site()).await;
    let port = host.ipp().port();
    let at = |address: Ipv4Addr| format!("ipp://{address}:{port}/queues/find-me");
    let document = program::in_workspace("examples/hello.pdf");

    // This machine needs no list, whichever of its loopback addresses is used.
    for near in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)] {
        ipptool::print(&at(near), "ada", &document).await.ok();
    }
    assert_eq!(host.api().jobs().await.len(), 2);

    // Another machine is turned away, and the operator told once how to let it in.
    for _ in 0..2 {
        let answer = ipptool::print_from(&cable, &at(cable.near), "ada", &document).await;
        assert_ne!(answer.code, Some(0), "{answer:?}");
    }
    assert_eq!(host.api().jobs().await.len(), 2);
    let refused = host.api().events_of(EventKind::JobRefused).await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].body.message.contains(&cable.far.to_string()), "{}", refused[0].body.message);

    host.cli_with(&["queue", "set", "find-me", &format!("allow=[\"{}\"]", cable.network())]).await.ok();
    ipptool::print_from(&cable, &at(cable.near), "ada", &document).await.ok();
    assert_eq!(host.api().jobs().await.len(), 3);
}
