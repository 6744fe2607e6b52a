//! A printer with trouble: nothing is lost, nothing comes out twice, and the reason is shown.

use cardinal_domain::{event::EventKind, job::JobState};
use cardinal_tests::{
    document,
    host::Host,
    ipp_client,
    ipp_printer::IppPrinter,
    site::{SIGNS, reader, site},
    terminal::{Terminal as _, listening},
};

#[tokio::test]
async fn a_printer_that_is_off_leaves_the_job_held_with_the_reason_until_it_is_tapped_again() {
    let mut printer = IppPrinter::new();
    let (host, terminal) = tokio::join!(Host::start(), listening());
    host.apply(&(site(&printer.uri()) + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    let number = ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;

    // The verdict is the decision, told before paper is out; later trouble is the job's.
    terminal.shows_and_hears("4711", "[released]").await;
    let returned = host.api().event(EventKind::JobReturned).await;
    let job = host.api().job(number).await;
    assert_eq!((job.state, job.doubtful), (JobState::Held, false), "{job:?}");
    assert!(job.reason.contains("printer \"east\""), "{}", job.reason);
    assert!(returned.body.message.contains(&job.reason), "{}", returned.body.message);
    let shown = host.cli("job list").await.ok();
    assert!(shown.contains(&job.reason), "{shown}");

    printer.switch_on().await;
    // Nothing is sent again by itself: the person may be gone.
    assert_eq!(host.api().job(number).await.state, JobState::Held);
    terminal.shows_and_hears("4711", "[released]").await;
    host.api().job_in(number, JobState::Delivered).await;
    terminal.shows_and_hears("4711", "[nothing]").await;
    assert_eq!(document::out(&printer.out(), 1).await, [document::hello()], "once");
}
