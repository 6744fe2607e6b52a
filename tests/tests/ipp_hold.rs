//! Jobs on hold in a queue that passes jobs on: what releases them, and what a killed host knows of them.

use cardinal_domain::{event::EventKind, job::JobState};
use cardinal_tests::{
    document,
    host::Host,
    ipptool, program,
    site::{SIGNS, folder_site, reader},
    terminal::{Terminal as _, listening},
};

const DIRECT: &str = "[[queue]]\nname = \"direct\"\nhold = false\nprinter = \"east\"\n";

async fn on_hold(host: &Host, owner: &str) -> i32 {
    let document = program::in_workspace("examples/hello.pdf");
    let owner = format!("owner={owner}");
    ipptool::run(&host.queue("direct"), "print-on-hold-as.test", &[&owner], &document).await.ok();
    let jobs = host.api().jobs().await;
    jobs.iter().map(|job| job.number).max().unwrap()
}

#[tokio::test]
async fn a_job_on_hold_outlives_a_killed_host_and_goes_by_card_by_operator_or_by_name() {
    let (mut host, terminal) = tokio::join!(Host::start(), listening());
    host.apply(&(folder_site() + DIRECT + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    let (by_card, by_operator, by_name) =
        (on_hold(&host, "ada").await, on_hold(&host, "bob").await, on_hold(&host, "eve").await);
    host.kill().await;

    host.serve().await;
    for number in [by_card, by_operator, by_name] {
        let job = host.api().job(number).await;
        assert_eq!((job.state, job.on_hold()), (JobState::Held, true));
    }
    terminal.was_connected(2).await;
    terminal.shows_and_hears("4711", "[released]").await;
    host.api().job_in(by_card, JobState::Delivered).await;

    host.cli(&format!("job release {by_operator} --printer east")).await.ok();
    host.api().job_in(by_operator, JobState::Delivered).await;

    let number = format!("number={by_name}");
    let document = program::in_workspace("examples/hello.pdf");
    let release = async |owner: &str| {
        let queue = host.queue("direct");
        ipptool::run(&queue, "release-as.test", &[&number, owner], &document).await
    };
    assert_ne!(release("owner=mallory").await.code, Some(0));
    assert_eq!(host.api().job(by_name).await.state, JobState::Held);
    release("owner=eve").await.ok();
    host.api().job_in(by_name, JobState::Delivered).await;
    document::out(&host.folder().join("delivered"), 3).await;
    assert_eq!(host.api().events_of(EventKind::JobReleasing).await.len(), 3);
}
