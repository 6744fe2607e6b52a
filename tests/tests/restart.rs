//! What a host that was killed finds again: every job that a client was told is taken.

use std::fs;

use cardinal_domain::{event::EventKind, job::JobState};
use cardinal_tests::{
    document,
    host::Host,
    ipp_client,
    ipp_printer::IppPrinter,
    site::{SIGNS, folder_site, reader, site},
    terminal::{Terminal as _, listening},
};

#[tokio::test]
async fn a_held_job_outlives_a_killed_host() {
    let (mut host, terminal) = tokio::join!(Host::start(), listening());
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    let printed = document::arbitrary(200_000, 9);
    let number = ipp_client::print(&host.queue("find-me"), "ada", &printed).await;
    // At once: nothing of the answer to the client may have been a promise only.
    host.kill().await;

    host.serve().await;
    let job = host.api().job(number).await;
    assert_eq!((job.state, job.bytes), (JobState::Held, 200_000));
    terminal.was_connected(2).await;
    terminal.shows_and_hears("4711", "[released]").await;
    assert_eq!(document::out(&host.folder().join("delivered"), 1).await, [printed]);
}

#[tokio::test]
async fn a_job_whose_row_is_lost_is_put_back_from_the_spool() {
    let (mut host, terminal) = tokio::join!(Host::start(), listening());
    let site = folder_site() + &reader("r", terminal.address(), SIGNS);
    host.apply(&site).await;
    let printed = document::arbitrary(200_000, 10);
    let number = ipp_client::print(&host.queue("find-me"), "ada", &printed).await;
    host.kill().await;
    // The worst that can happen to a database.
    for name in ["cardinal.db", "cardinal.db-wal", "cardinal.db-shm"] {
        let _ = fs::remove_file(host.folder().join("data").join(name));
    }

    host.serve().await;
    host.api().event(EventKind::JobRecovered).await;
    let job = host.api().job(number).await;
    assert_eq!((job.state, job.bytes, job.owner.as_str(), job.doubtful), (JobState::Held, 200_000, "ada", true));
    // The site was in the database, too; with it back, Ada gets her paper.
    host.apply(&site).await;
    terminal.is_connected().await;
    host.api().online("r").await;
    terminal.shows_and_hears("4711", "[released]").await;
    assert_eq!(document::out(&host.folder().join("delivered"), 1).await, [printed]);
    // The next job does not get the number of an old one.
    assert!(ipp_client::print(&host.queue("find-me"), "ada", b"%PDF-1.7\n").await > number);
}

#[tokio::test]
async fn a_host_killed_while_the_printer_has_the_job_does_not_print_it_twice() {
    let (printer, terminal) = tokio::join!(IppPrinter::start(), listening());
    printer.dawdles();
    let mut host = Host::start().await;
    host.apply(&(site(&printer.uri()) + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    let number = ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    terminal.shows_and_hears("4711", "[released]").await;
    host.api().job_in(number, JobState::Printing).await;
    host.kill().await;

    host.serve().await;
    printer.goes_on();
    // The printer's own job list decides.
    host.api().job_in(number, JobState::Delivered).await;
    terminal.was_connected(2).await;
    terminal.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(document::out(&printer.out(), 1).await, [document::hello()]);
}
