//! Jobs going out, to printers of all sorts.

use std::time::{Duration, Instant};

use crate::common::{
    Host, PDF, eventually,
    printer::{FakePrinter, Next},
    with, with_wish,
};
use cardinal_domain::{
    event::EventKind,
    job::{Job, JobState},
    names::TraceId,
};
use cardinal_release::ReleaseLimits;
use ipp::{
    model::{JobState as Remote, Operation, StatusCode},
    value::IppValue,
};

async fn with_printer(next: &[Next]) -> (Host, FakePrinter, Job) {
    let host = Host::start().await;
    let printer = FakePrinter::start(next).await;
    host.printer("east", &printer.uri()).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    (host, printer, job)
}

#[tokio::test]
async fn a_printer_gets_the_document_and_the_wishes() {
    let host = Host::start().await;
    let printer = FakePrinter::start(&[]).await;
    host.printer("east", &printer.uri()).await;
    let mut print = host.request(Operation::PrintJob, "find-me");
    with(&mut print, "job-name", IppValue::new_name_without_language("letter").unwrap());
    with_wish(&mut print, "copies", IppValue::Integer(2));
    with_wish(&mut print, "sides", IppValue::new_keyword("two-sided-long-edge").unwrap());
    let document: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let answer = host.send("find-me", &print, &document).await;
    let job = host.store.job_by_number(crate::common::number(&answer)).await.unwrap().unwrap();
    host.release_to(&job, "east").await;
    let done = host.until(&job, JobState::Delivered).await;
    assert_eq!(done.remote, Some(1));
    let seen = printer.jobs().remove(0);
    assert_eq!(seen.name, format!("[{}.1] letter", job.id));
    assert!(seen.document == document);
    let wishes = [("copies", IppValue::Integer(2)), ("sides", IppValue::new_keyword("two-sided-long-edge").unwrap())];
    assert_eq!(seen.wishes, wishes.map(|(name, value)| (name.to_owned(), value)));
    for kind in [EventKind::JobReleasing, EventKind::JobSending, EventKind::JobPrinting, EventKind::JobDelivered] {
        assert_eq!(host.events(kind).await.len(), 1, "{kind}");
    }
    eventually("the spool is empty", async || host.spooled().is_empty()).await;
}

#[tokio::test]
async fn a_printer_that_is_off_leaves_the_job_held() {
    let host = Host::start().await;
    let printer = FakePrinter::start(&[]).await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    host.printer("east", &format!("ipp://{nobody}/ipp/print")).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    let held = host.until(&job, JobState::Held).await;
    assert!(!held.doubtful);
    // Its address is not told: clients are shown the reason.
    assert!(held.reason.starts_with("printer \"east\" cannot be reached: Connection refused"), "{}", held.reason);
    host.printer("east", &printer.uri()).await;
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Delivered).await;
}

#[tokio::test]
async fn a_printer_that_was_just_switched_on_is_not_taken_to_be_off() {
    let host =
        Host::start_with(ReleaseLimits { retry_first_ms: 60_000, retry_longest_ms: 60_000, ..crate::common::limits() })
            .await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    host.printer("east", &format!("ipp://{nobody}/ipp/print")).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Held).await;
    let _printer = FakePrinter::start_at(nobody, &[]).await;
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Delivered).await;
}

#[tokio::test]
async fn a_busy_printer_is_waited_for() {
    let busy = Next::Status(StatusCode::ServerErrorBusy);
    let (host, printer, job) = with_printer(&[busy, busy]).await;
    host.until(&job, JobState::Delivered).await;
    assert_eq!((printer.requests(), printer.jobs().len()), (3, 1));
    assert_eq!(host.events(EventKind::JobSending).await.len(), 1);
}

#[tokio::test]
async fn what_a_printer_says_decides() {
    for (next, doubtful, reason) in [
        (
            Next::Status(StatusCode::ClientErrorDocumentFormatNotSupported),
            false,
            "refused it: Document format not supported",
        ),
        (Next::Status(StatusCode::ServerErrorNotAcceptingJobs), false, "refused it: Not accepting jobs"),
        (Next::Status(StatusCode::ServerErrorDeviceError), true, "knows nothing of it"),
        (Next::End(Remote::Aborted, "document-format-error", Some(0)), false, "aborted it (document-format-error)"),
        (Next::End(Remote::Aborted, "aborted-by-system", Some(1)), true, "aborted it (aborted-by-system)"),
        (Next::End(Remote::Canceled, "none", None), true, "cancelled it"),
        (
            Next::End(Remote::Completed, "job-completed-with-errors", None),
            true,
            "ended it with job-completed-with-errors",
        ),
        (Next::LoseAll, true, "knows nothing of it"),
        (Next::Rubbish, true, "cannot be asked about it"),
    ] {
        let (host, printer, job) = with_printer(&[next]).await;
        let held = host.until(&job, JobState::Held).await;
        assert_eq!(held.doubtful, doubtful, "{next:?}: {}", held.reason);
        assert!(held.reason.contains(reason), "{next:?}: {}", held.reason);
        // Nobody sends it a second time by itself: the printer's next job is another, and would come behind it.
        let other = host.print("find-me", PDF).await;
        host.release_to(&other, "east").await;
        let had_its_turn = async || matches!(host.job(&other).await.state, JobState::Delivered | JobState::Held);
        eventually("the other has had its turn", had_its_turn).await;
        let now = host.job(&job).await;
        assert_eq!((now.state, now.attempt), (JobState::Held, held.attempt), "{next:?}");
        assert!(printer.requests() <= 2, "{next:?}");
        assert!(host.spooled().len() >= 2, "{next:?}: its document and header are there");
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up() {
    let (host, printer, job) = with_printer(&[Next::LoseAnswer]).await;
    host.until(&job, JobState::Delivered).await;
    assert_eq!(printer.requests(), 1);
}

/// A printer may print what came before the connection broke, and count that as done.
#[tokio::test]
async fn what_broke_off_half_way_is_not_taken_for_printed_whatever_the_printer_says() {
    let host = Host::start().await;
    let printer = FakePrinter::start(&[Next::PrintPart]).await;
    host.printer("east", &printer.uri()).await;
    // More than the sockets between them can hold.
    let job = host.print("find-me", &vec![b'x'; 16 << 20]).await;
    host.release_to(&job, "east").await;
    let held = host.until(&job, JobState::Held).await;
    assert!(held.doubtful && held.reason.ends_with("may not have all of it"), "{}", held.reason);
    assert!(printer.jobs()[0].document.len() < 16 << 20);
}

#[tokio::test]
async fn a_printer_that_forgets_leaves_doubt() {
    let (host, printer, job) = with_printer(&[Next::End(Remote::Processing, "none", None)]).await;
    host.until(&job, JobState::Printing).await;
    printer.forget();
    let held = host.until(&job, JobState::Held).await;
    assert!(held.doubtful);
    assert!(held.reason.ends_with("knows nothing of it"), "{}", held.reason);
}

#[tokio::test]
async fn one_printers_trouble_delays_no_other() {
    let (host, _printer, stuck) = with_printer(&[Next::Hang]).await;
    host.until(&stuck, JobState::Sending).await;
    let job = host.print("find-me", PDF).await;
    let begun = Instant::now();
    host.release_to(&job, "west").await;
    host.until(&job, JobState::Delivered).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(host.job(&stuck).await.state, JobState::Sending);
}

#[tokio::test]
async fn jobs_that_pass_on_are_tried_again_in_order() {
    let host = Host::start().await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    host.printer("west", &format!("ipp://{nobody}/ipp/print")).await;
    let first = host.print("through", b"1").await;
    eventually("it is tried again", async || host.events(EventKind::JobRetried).await.len() > 1).await;
    let second = host.print("through", b"2").await;
    assert_eq!(host.job(&first).await.state, JobState::Releasing);
    // A released job does not wait behind them, and is told at once.
    let tapped = host.print("find-me", b"3").await;
    host.release_to(&tapped, "west").await;
    assert!(host.until(&tapped, JobState::Held).await.reason.contains("cannot be reached"));
    // One that is not wanted any more is not printed when the printer is back.
    let cancelled = host.print("through", b"4").await;
    host.release.cancel(TraceId::new(), cancelled.id, "not wanted").await.unwrap();
    let printer = FakePrinter::start_at(nobody, &[]).await;
    // In order, so that the last one would come behind it.
    let last = host.print("through", b"5").await;
    for job in [first, second, last] {
        host.until(&job, JobState::Delivered).await;
    }
    let documents: Vec<_> = printer.jobs().into_iter().map(|seen| seen.document).collect();
    assert_eq!(documents, [b"1", b"2", b"5"]);
}

#[tokio::test]
async fn an_unknown_printer_is_told_with_the_nearest() {
    let host = Host::start().await;
    let job = host.print("find-me", PDF).await;
    let error = host.release.release(TraceId::new(), job.id, "wst".parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("did you mean \"west\""), "{error}");
}

#[tokio::test]
async fn a_release_goes_on_when_nobody_waits_for_it() {
    let host = Host::start().await;
    let job = host.print("find-me", PDF).await;
    let mut release = Box::pin(host.release.release(TraceId::new(), job.id, "west".parse().unwrap()));
    // As when the client of the API hangs up: polled once, then dropped.
    let polled = std::future::poll_fn(|context| std::task::Poll::Ready(release.as_mut().poll(context))).await;
    assert!(polled.is_pending());
    drop(release);
    host.until(&job, JobState::Delivered).await;
}

#[tokio::test]
async fn a_number_is_enough_where_the_printer_tells_other_names() {
    for name in ["smbprn.00000042", "[0199"] {
        let (host, printer, job) = with_printer(&[]).await;
        printer.calls_all(name);
        let done = host.until(&job, JobState::Delivered).await;
        assert_eq!(done.remote, Some(1));
        let asked = printer.askers();
        assert!(!asked.is_empty() && asked.iter().all(|user| user.as_deref() == Some("ada")), "{asked:?}");
    }
}

#[tokio::test]
async fn what_is_listed_of_an_earlier_attempt_is_not_taken_for_this_one() {
    let (host, printer, job) = with_printer(&[Next::End(Remote::Canceled, "none", None), Next::LoseAll]).await;
    assert!(host.until(&job, JobState::Held).await.doubtful);
    host.release_to(&job, "east").await;
    let held = host.until(&job, JobState::Held).await;
    assert!(held.doubtful && held.reason.ends_with("knows nothing of it"), "{}", held.reason);
    assert_eq!((printer.requests(), held.attempt), (2, 2));
}

#[tokio::test]
async fn a_printer_without_a_history_is_done_unless_it_was_switched_off() {
    for (up, state) in [(100, JobState::Delivered), (0, JobState::Held)] {
        let (host, printer, job) = with_printer(&[Next::End(Remote::Processing, "none", None)]).await;
        printer.is_up_for(up);
        eventually("it was seen at work", async || printer.jobs().first().is_some_and(|seen| seen.asked > 1)).await;
        printer.forget();
        let end = host.until(&job, state).await;
        assert_eq!(end.doubtful, state == JobState::Held, "{up}: {}", end.reason);
    }
}

#[tokio::test]
async fn a_printer_that_pauses_in_the_middle_is_waited_for() {
    let limits = ReleaseLimits { stall_timeout_s: 1, send_stall_timeout_s: 30, ..crate::common::limits() };
    let host = Host::start_with(limits).await;
    let printer = FakePrinter::start(&[]).await;
    // Out of paper: it takes the connection, and for a while not one byte.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (front, behind) = (listener.local_addr().unwrap(), printer.address);
    tokio::spawn(async move {
        // The first connection asks how it is, the second brings the document.
        let mut pauses = [Duration::ZERO, Duration::from_secs(4)].into_iter();
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    host.printer("east", &format!("ipp://{front}/ipp/print")).await;
    let job = host.print("find-me", &vec![b'x'; 24 << 20]).await;
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Delivered).await;
    assert_eq!(printer.requests(), 1);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told() {
    let host = Host::start().await;
    std::fs::write(host.folder.path().join("delivered"), "in the way").unwrap();
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "west").await;
    let held = host.until(&job, JobState::Held).await;
    assert!(held.reason.contains("cannot be written"), "{}", held.reason);
    std::fs::remove_file(host.folder.path().join("delivered")).unwrap();
    host.release_to(&job, "west").await;
    host.until(&job, JobState::Delivered).await;
}
