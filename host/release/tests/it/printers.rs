//! What is asked of printers before a job is sent, and what is told of them.

use cardinal_domain::{
    event::{EventKind, Level},
    job::JobState,
};
use cardinal_release::{PrinterState, ReleaseLimits};
use cardinal_store::EventFilter;
use ipp::{
    model::{JobState as Remote, Operation, StatusCode},
    value::IppValue,
};

use crate::common::{
    Host, PDF, eventually, limits, number,
    printer::{FakePrinter, Next},
    with, with_wish,
};

fn words(words: &[&str]) -> IppValue {
    IppValue::Array(words.iter().map(|word| IppValue::new_keyword(*word).unwrap()).collect())
}

fn formats(formats: &[&str]) -> IppValue {
    IppValue::Array(formats.iter().map(|format| IppValue::new_mime_media_type(*format).unwrap()).collect())
}

/// `printer-state` and its reasons.
fn is(printer: &FakePrinter, state: i32, reasons: &[&str]) {
    printer.tells("printer-state-reasons", words(if reasons.is_empty() { &["none"] } else { reasons }));
    printer.tells("printer-state", IppValue::Enum(state));
}

async fn with_printer(limits: ReleaseLimits) -> (Host, FakePrinter) {
    let host = Host::start_with(limits).await;
    let printer = FakePrinter::start(&[]).await;
    host.printer("east", &printer.uri()).await;
    (host, printer)
}

/// Released jobs wait long enough for the test to see it.
fn patient() -> ReleaseLimits {
    ReleaseLimits { ready_timeout_s: 600, turn_timeout_s: 600, ..limits() }
}

#[tokio::test]
async fn a_format_that_the_printer_lacks_is_told_before_anything_is_sent() {
    let (host, printer) = with_printer(limits()).await;
    printer.tells("document-format-supported", formats(&["application/octet-stream", "image/jpeg"]));
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    let held = host.until(&job, JobState::Held).await;
    assert_eq!(held.reason, "printer \"east\" cannot print application/pdf; it takes image/jpeg");
    assert_eq!((held.doubtful, printer.requests()), (false, 0));
    // One that has learned it is believed at once.
    printer.tells("document-format-supported", formats(&["application/pdf", "image/jpeg"]));
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Delivered).await;
}

#[tokio::test]
async fn a_format_that_the_printer_lacks_is_not_tried_again_by_itself() {
    let (host, printer) = with_printer(limits()).await;
    host.queue(r#"{"name":"direct","hold":false,"printer":"east"}"#).await;
    printer.tells("document-format-supported", formats(&["image/jpeg"]));
    let job = host.print("direct", PDF).await;
    let held = host.until(&job, JobState::Held).await;
    assert!(held.reason.contains("cannot print application/pdf"), "{}", held.reason);
    assert_eq!(host.events(EventKind::JobRetried).await.len(), 0);
}

#[tokio::test]
async fn what_the_printer_lacks_is_left_out_and_told_before_the_job_is_sent() {
    let (host, printer) = with_printer(limits()).await;
    printer.tells("printer-state", IppValue::Enum(3));
    printer.tells("sides-supported", words(&["one-sided"]));
    printer.tells("copies-supported", IppValue::RangeOfInteger { min: 1, max: 99 });
    let mut print = host.request(Operation::PrintJob, "find-me");
    with(&mut print, "job-name", IppValue::new_name_without_language("letter").unwrap());
    with_wish(&mut print, "copies", IppValue::Integer(2));
    with_wish(&mut print, "sides", IppValue::new_keyword("two-sided-long-edge").unwrap());
    let answer = host.send("find-me", &print, PDF).await;
    let job = host.store.job_by_number(number(&answer)).await.unwrap().unwrap();
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Delivered).await;
    let asked: Vec<_> = printer.jobs()[0].wishes.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(asked, ["copies"]);
    let events = host.store.events(&EventFilter { limit: 1_000, ..EventFilter::default() }).await.unwrap();
    let place = |kind| events.iter().position(|event| event.body.kind == kind).unwrap();
    assert!(place(EventKind::JobOptionsLacking) < place(EventKind::JobSending));
    let told = &events[place(EventKind::JobOptionsLacking)].body;
    assert!(told.message.ends_with("it prints without sides = two-sided-long-edge"), "{}", told.message);
    // It belongs to the story of the release.
    assert_eq!((told.job, told.trace), (Some(job.id), events[place(EventKind::JobSending)].body.trace));
}

#[tokio::test]
async fn a_printer_out_of_paper_is_waited_for() {
    let (host, printer) = with_printer(patient()).await;
    is(&printer, 5, &["media-empty-error", "toner-low-report"]);
    let jobs = [host.print("find-me", PDF).await, host.print("find-me", PDF).await];
    for job in &jobs {
        host.release_to(job, "east").await;
    }
    for job in &jobs {
        eventually("it says what it waits for", async || {
            host.job(job).await.reason == "waits: printer \"east\" is out of paper"
        })
        .await;
        assert_eq!(host.job(job).await.state, JobState::Releasing);
    }
    assert_eq!(host.events(EventKind::PrinterTrouble).await, ["printer east is out of paper"]);
    assert_eq!(printer.requests(), 0);
    is(&printer, 3, &["none"]);
    for job in &jobs {
        assert_eq!(host.until(job, JobState::Delivered).await.reason, "");
    }
    eventually("it is told", async || {
        host.events(EventKind::PrinterRecovered).await == ["printer east is ready again"]
    })
    .await;
}

#[tokio::test]
async fn trouble_is_told_once_a_change_and_not_once_a_look() {
    let (host, printer) = with_printer(patient()).await;
    is(&printer, 5, &["media-empty-error"]);
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    eventually("it was looked at often", async || printer.looks().len() > 5).await;
    assert_eq!(host.events(EventKind::PrinterTrouble).await.len(), 1);
    is(&printer, 5, &["door-open-error", "media-empty-error"]);
    eventually("the door is told", async || {
        host.events(EventKind::PrinterTrouble).await.last().unwrap() == "printer east has a door open, is out of paper"
    })
    .await;
    let filter = EventFilter { kind: Some(EventKind::PrinterTrouble), limit: 10, ..EventFilter::default() };
    let events = host.store.events(&filter).await.unwrap();
    assert!(events.len() == 2 && events.iter().all(|event| event.body.level == Level::Error), "{events:?}");
    assert_eq!(events[0].body.facts.get("printer").map(String::as_str), Some("east"));
    host.release.cancel(cardinal_domain::names::TraceId::new(), job.id, "not wanted").await.unwrap();
    is(&printer, 3, &[]);
    let other = host.print("find-me", PDF).await;
    host.release_to(&other, "east").await;
    host.until(&other, JobState::Delivered).await;
    assert_eq!(printer.requests(), 1, "the cancelled one never came");
}

#[tokio::test]
async fn a_released_job_does_not_wait_until_nobody_stands_there() {
    for (name, value, words) in [
        ("printer-state", IppValue::Enum(5), "is stopped"),
        ("printer-is-accepting-jobs", IppValue::Boolean(false), "does not accept jobs"),
    ] {
        let (host, printer) = with_printer(limits()).await;
        printer.tells("printer-up-time", IppValue::Integer(100));
        printer.tells(name, value);
        let job = host.print("find-me", PDF).await;
        host.release_to(&job, "east").await;
        let held = host.until(&job, JobState::Held).await;
        assert_eq!(held.reason, format!("printer \"east\" {words}; show the card again once it is ready"));
        assert_eq!((held.doubtful, printer.requests()), (false, 0));
    }
}

#[tokio::test]
async fn a_queue_that_passes_on_keeps_trying_a_stopped_printer() {
    let (host, printer) = with_printer(ReleaseLimits { ready_timeout_s: 1, ..limits() }).await;
    host.queue(r#"{"name":"direct","hold":false,"printer":"east"}"#).await;
    is(&printer, 5, &["cover-open"]);
    let job = host.print("direct", PDF).await;
    eventually("it is tried again and again", async || host.events(EventKind::JobRetried).await.len() > 3).await;
    assert!(host.job(&job).await.reason.contains("has a cover open"));
    is(&printer, 3, &[]);
    host.until(&job, JobState::Delivered).await;
}

#[tokio::test]
async fn trouble_while_a_job_prints_is_its_reason() {
    let host = Host::start().await;
    let printer = FakePrinter::start(&[Next::End(Remote::Processing, "none", None)]).await;
    is(&printer, 4, &[]);
    host.printer("east", &printer.uri()).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Printing).await;
    is(&printer, 4, &["media-empty-warning"]);
    eventually("it says so", async || host.job(&job).await.reason == "waits: printer \"east\" is out of paper").await;
    is(&printer, 4, &[]);
    eventually("it says no more", async || host.job(&job).await.reason.is_empty()).await;
}

#[tokio::test]
async fn what_a_printer_can_do_is_asked_seldom_and_after_a_refusal() {
    let host = Host::start_with(ReleaseLimits { printer_poll_s: 0, ..limits() }).await;
    let refuses = Next::Status(StatusCode::ClientErrorConflictingAttributes);
    let done = Next::End(Remote::Completed, "none", Some(1));
    let printer = FakePrinter::start(&[done, refuses]).await;
    is(&printer, 3, &[]);
    host.printer("east", &printer.uri()).await;
    let everything = |looks: Vec<usize>| looks.iter().filter(|names| **names > 10).count();
    for (state, asked) in [(JobState::Delivered, 1), (JobState::Held, 1), (JobState::Delivered, 2)] {
        let job = host.print("find-me", PDF).await;
        host.release_to(&job, "east").await;
        host.until(&job, state).await;
        assert_eq!(everything(printer.looks()), asked);
    }
    // It says that it has changed.
    printer.tells("printer-config-change-time", IppValue::Integer(7));
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Delivered).await;
    eventually("it was asked anew", async || everything(printer.looks()) == 3).await;
}

#[tokio::test]
async fn a_line_may_be_longer_than_memory_holds() {
    let (host, printer) = with_printer(ReleaseLimits { max_line: 1, ..patient() }).await;
    is(&printer, 5, &["paused"]);
    let mut jobs = Vec::new();
    for letter in b'a'..b'h' {
        let job = host.print("find-me", &[letter]).await;
        host.release_to(&job, "east").await;
        jobs.push(job);
    }
    is(&printer, 3, &[]);
    for job in &jobs {
        host.until(job, JobState::Delivered).await;
    }
    let documents: Vec<_> = printer.jobs().into_iter().map(|seen| seen.document).collect();
    assert_eq!(documents, (b'a'..b'h').map(|letter| vec![letter]).collect::<Vec<_>>(), "each once, in order");
}

#[tokio::test]
async fn a_job_whose_turn_does_not_come_is_held_again() {
    let limits = ReleaseLimits { turn_timeout_s: 1, send_stall_timeout_s: 600, answer_timeout_s: 600, ..limits() };
    let host = Host::start_with(limits).await;
    let printer = FakePrinter::start(&[Next::Hang]).await;
    host.printer("east", &printer.uri()).await;
    host.queue(r#"{"name":"direct","hold":false,"printer":"east"}"#).await;
    let (stuck, behind) = (host.print("find-me", PDF).await, host.print("find-me", PDF).await);
    host.release_to(&stuck, "east").await;
    host.until(&stuck, JobState::Sending).await;
    let passed = host.print("direct", PDF).await;
    host.release_to(&behind, "east").await;
    let held = host.until(&behind, JobState::Held).await;
    assert_eq!(held.reason, "printer \"east\" was busy with other jobs for too long; show the card again");
    assert!(!held.doubtful);
    // Nobody stands there for one that passes on: it waits.
    assert_eq!(host.job(&passed).await.state, JobState::Releasing);
    assert_eq!(host.job(&stuck).await.state, JobState::Sending);
    // Elsewhere it comes out.
    host.release_to(&held, "west").await;
    host.until(&held, JobState::Delivered).await;
}

#[tokio::test]
async fn printers_without_jobs_are_looked_at_too() {
    let host = Host::start_with(ReleaseLimits { printer_poll_s: 1, ..limits() }).await;
    let printer = FakePrinter::start(&[]).await;
    is(&printer, 3, &["toner-low-warning"]);
    printer.tells("printer-make-and-model", IppValue::new_text_without_language("Acme 9").unwrap());
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    host.printer("east", &printer.uri()).await;
    host.printer("off", &format!("ipp://{nobody}/ipp/print")).await;
    eventually("east is seen", async || host.status("east").state == PrinterState::Idle).await;
    assert_eq!((host.status("east").model.as_str(), host.status("west").state), ("Acme 9", PrinterState::Folder));
    assert_eq!(host.status("east").trouble[0].words, "is low on toner");
    eventually("off is seen", async || host.status("off").state == PrinterState::Unreachable).await;
    let printer = FakePrinter::start_at(nobody, &[]).await;
    is(&printer, 3, &[]);
    eventually("it is back", async || host.status("off").state == PrinterState::Idle).await;
    eventually("that is told", async || {
        host.events(EventKind::PrinterRecovered).await == ["printer off is ready again"]
    })
    .await;
}

/// Each is told what it waits for, while the first one asks the printer and the store, too.
#[tokio::test]
async fn jobs_released_at_a_printer_that_stands_still_block_nobody() {
    let (host, printer) = with_printer(patient()).await;
    is(&printer, 5, &["media-empty-error"]);
    let mut jobs = Vec::new();
    for _ in 0..30 {
        jobs.push(host.print("find-me", PDF).await);
    }
    for job in &jobs {
        host.release_to(job, "east").await;
        host.print("find-me", PDF).await;
    }
    is(&printer, 3, &[]);
    for job in &jobs {
        host.until(job, JobState::Delivered).await;
    }
}
