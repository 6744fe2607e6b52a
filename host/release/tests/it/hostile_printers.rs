//! Printers that lie, break off and hang. Nothing is lost, nothing comes out twice, nobody else waits.

use std::time::Duration;

use cardinal_domain::{event::EventKind, job::JobState};
use cardinal_release::{PrinterState, ReleaseLimits};

use crate::common::{
    Host, PDF, eventually,
    hostile::{Does, Hostile},
    limits,
    printer::{FakePrinter, Next},
};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_printer_answers_the_job_is_held_again_and_sent_once() {
    let host = Host::start().await;
    let elsewhere = FakePrinter::start(&[]).await;
    let mut stories = Vec::new();
    for (index, (does, doubtful)) in [
        (Does::Drops, true),
        (Does::Rubbish, true),
        (Does::EndlessBody, true),
        (Does::EndlessHeader, true),
        (Does::LyingLength, true),
        (Does::LyingAttribute, true),
        (Does::TenMegabytes, true),
        (Does::DiesEarly, true),
        (Does::Redirects(elsewhere.address), false),
        (Does::ReadsNothing, true),
        (Does::StopsReading, true),
        (Does::NeverAnswers, true),
    ]
    .into_iter()
    .enumerate()
    {
        let printer = Hostile::start(does).await;
        let name = format!("p{index}");
        host.printer(&name, &printer.uri()).await;
        // More than the sockets between them can hold.
        let job = host.print("find-me", &vec![b'x'; 16 << 20]).await;
        host.release_to(&job, &name).await;
        stories.push((does, doubtful, printer, job));
    }
    for (does, doubtful, printer, job) in stories {
        let held = host.until(&job, JobState::Held).await;
        assert_eq!(held.doubtful, doubtful, "{does:?}: {}", held.reason);
        assert!(held.reason.starts_with("printer \"p") && held.reason.len() < 400, "{does:?}: {}", held.reason);
        let documents = if [Does::Drops, Does::ReadsNothing].contains(&does) { 0 } else { 1 };
        assert_eq!(printer.documents(), documents, "{does:?}");
        assert!(printer.connections() > documents, "{does:?}");
    }
    assert_eq!((elsewhere.requests(), elsewhere.looks().len()), (0, 0), "nobody is sent elsewhere");
}

#[tokio::test]
async fn a_job_that_was_taken_and_is_never_listed_is_in_doubt() {
    let host = Host::start().await;
    let printer = FakePrinter::start(&[Next::Lie]).await;
    host.printer("east", &printer.uri()).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    let held = host.until(&job, JobState::Held).await;
    assert!(held.doubtful && held.reason.ends_with("knows nothing of it"), "{}", held.reason);
    assert_eq!((printer.requests(), printer.jobs().len()), (1, 0));
}

/// A port that takes no connection and refuses none: its backlog is full.
async fn never_connects() -> (String, Vec<tokio::net::TcpStream>, tokio::net::TcpListener) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // A full backlog answers nothing at all, so that only time tells; one with room answers from the kernel, at once.
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
    {
        waiting.push(stream);
    }
    (format!("ipp://{address}/ipp/print"), waiting, listener)
}

/// In every phase that there is, for as long as the test lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_hangs_delays_no_other_in_any_phase() {
    let patient = ReleaseLimits {
        connect_timeout_s: 600,
        answer_timeout_s: 600,
        send_stall_timeout_s: 600,
        silence_timeout_s: 600,
        printer_poll_s: 1,
        ..limits()
    };
    let host = Host::start_with(patient).await;
    let (connect, _waiting, _listener) = never_connects().await;
    let questions = Hostile::start(Does::NeverAnswers).await;
    let nothing = Hostile::with_jobs(Does::ReadsNothing).await;
    let middle = Hostile::with_jobs(Does::StopsReading).await;
    let answer = Hostile::with_jobs(Does::NeverAnswers).await;
    let polling = FakePrinter::start(&[Next::TakeAndHang]).await;
    let mut stuck = Vec::new();
    for (name, uri, state) in [
        ("connect", connect, JobState::Releasing),
        ("questions", questions.uri(), JobState::Releasing),
        ("nothing", nothing.uri(), JobState::Sending),
        ("middle", middle.uri(), JobState::Sending),
        ("answer", answer.uri(), JobState::Sending),
        ("polling", polling.uri(), JobState::Printing),
    ] {
        host.printer(name, &uri).await;
        let job = host.print("find-me", &vec![b'x'; 16 << 20]).await;
        host.release_to(&job, name).await;
        stuck.push((job, state));
    }
    for (job, state) in &stuck {
        host.until(job, *state).await;
    }
    eventually("the documents are on their way", async || {
        [&nothing, &middle, &answer].iter().all(|printer| printer.documents() == 1) && questions.connections() > 0
    })
    .await;

    let good = FakePrinter::start(&[]).await;
    host.printer("good", &good.uri()).await;
    for printer in ["west", "good", "west", "good"] {
        let job = host.print("find-me", PDF).await;
        host.release_to(&job, printer).await;
        host.until(&job, JobState::Delivered).await;
    }
    for (job, state) in &stuck {
        assert_eq!(host.job(job).await.state, *state);
    }
    assert_eq!(host.events(EventKind::JobReturned).await, [""; 0]);
}

#[tokio::test]
async fn a_printer_that_tells_nothing_of_itself_is_printed_to() {
    let host = Host::start().await;
    let printer = FakePrinter::start(&[]).await;
    printer.forbids();
    host.printer("east", &printer.uri()).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Delivered).await;
    let status = host.status("east");
    assert_eq!(status.state, PrinterState::Silent);
    assert!(status.trouble[0].words.starts_with("does not tell how it is"), "{:?}", status.trouble);
}
