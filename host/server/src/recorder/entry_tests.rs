//! What the ring shows, and what it never does.

use cardinal_domain::driver::{
    Bits, Call, CardRead, Fetch, Keepalive, LogLevel, Response, Status, Verdict, VerdictCode,
};
use proptest::prelude::*;

use super::*;

fn words(entry: &Entry) -> Vec<String> {
    shown(entry.packed()).into_iter().map(|line| line.what).collect()
}

fn told(input: &Input) -> String {
    words(&Entry::told(5, input)).concat()
}

fn answered(outputs: Vec<Output>) -> Vec<String> {
    words(&Entry::answered(&Ok(outputs), || Standins::new(&["s3cret"], None)))
}

#[test]
fn inputs_are_told_without_what_is_in_them() {
    let entry = Entry::told(1_234, &Input::Timer(7));
    let [line] = &shown(entry.packed())[..] else { panic!("one line") };
    assert!(line.clock == Some(1_234) && line.at.is_some_and(|at| at.0 > 0));
    let pair = || vec![("card".to_owned(), "4711".to_owned())];
    let fault = |message: &str| Fault { code: "lost".to_owned(), message: message.to_owned() };
    let response = Response { status: 200, headers: pair(), body: b"4711".to_vec() };
    let (method, path) = ("GET 4711".to_owned(), "/card/4711".to_owned());
    let call = Call { id: 3, method, path, query: pair(), headers: pair(), body: b"4711".to_vec() };
    let verdict = Verdict { swipe: 1, code: VerdictCode::NothingHeld, message: "4711".to_owned() };
    for (input, expected) in [
        (Input::Connected(vec![0; 32]), "connected"),
        (Input::Resumed, "resumed"),
        (Input::Received(b"4711\n".to_vec()), "received 5 bytes"),
        (Input::Disconnected(fault("4711")), "disconnected lost"),
        (Input::Timer(7), "timer 7"),
        (Input::Fetched(2, Ok(response)), "fetched 2: 200, 4 bytes"),
        (Input::Fetched(2, Err(fault("4711"))), "fetched 2: fault lost"),
        (Input::Called(call), "called 3: a path of 10 characters, 1 query values, 4 bytes"),
        (Input::CallEnded(9), "call-ended 9"),
        (Input::Verdict(verdict), "verdict 1 nothing-held"),
        (Input::Command("beep".to_owned(), pair()), "command beep"),
    ] {
        assert_eq!(told(&input), expected);
    }
}

#[test]
fn answers_are_told_without_what_is_in_them() {
    let facts = || vec![("uid".to_owned(), "4711".to_owned())];
    let bits = Some(Bits { data: vec![0x47, 0x11], length: 16 });
    let card = CardRead { swipe: 1, number: Some("4711".into()), bits, technology: None, port: 2, facts: facts() };
    let path = "/admin/card/4711/DEADBEEF/save.cgi?id=4711".to_owned();
    let fetch = Fetch {
        id: 1,
        port: None,
        tls: true,
        method: "PUT".into(),
        path,
        query: facts(),
        headers: facts(),
        body: b"4711".to_vec(),
    };
    let reason = "calls /r/s3cret".to_owned();
    let status = Status { health: Health::Degraded, reason, facts: facts() };
    let response = Response { status: 200, headers: facts(), body: b"4711".to_vec() };
    let outputs = vec![
        Output::Send(b"4711".to_vec()),
        Output::Keepalive(None),
        Output::Keepalive(Some(Keepalive { every: 30_000, bytes: b"\r".to_vec() })),
        Output::Card(card),
        Output::Typed(1, "4711".to_owned()),
        Output::SetTimer(1, 500),
        Output::CancelTimer(1),
        Output::Fetch(fetch),
        Output::Answer(3, response),
        Output::Status(status),
        Output::Remember("4711".to_owned(), b"4711".to_vec()),
        Output::Log(LogLevel::Warn, "4711".to_owned()),
        Output::Close(Fault { code: "tired".to_owned(), message: "4711".to_owned() }),
    ];
    assert_eq!(
        answered(outputs),
        [
            "> send 4 bytes",
            "> keepalive off",
            "> keepalive every 30000 ms, 1 bytes",
            "> card 1: 4 characters 16 bits port 2",
            "> typed at port 1",
            "> set-timer 1 500",
            "> cancel-timer 1",
            "> fetch 1 PUT /admin/*/*/*/save.cgi 4 bytes",
            "> answer 3: 200, 4 bytes",
            "> status degraded calls /r/xxxxxx",
            "> remember 4 bytes",
            "> log 4 characters",
            "> close tired",
        ]
        .map(|line| line.replace("/admin/*/*/*/", "/admin/card/*/*/"))
    );
    let bound = SessionError::Bound {
        name: "timers",
        limit: 16,
        export: "handle",
        detail: "4711".to_owned(),
        backtrace: String::new(),
    };
    assert_eq!(words(&Entry::answered(&Err(bound), Standins::default)), ["! it crossed the bound timers"]);
    let fault = SessionError::Fault(Fault { code: "bad".to_owned(), message: "4711".to_owned() });
    assert_eq!(words(&Entry::answered(&Err(fault), Standins::default)), ["! fault bad"]);
}

#[test]
fn a_secret_across_the_cut_of_a_long_reason_does_not_begin_to_show() {
    let status = |reason: String| Output::Status(Status { health: Health::Error, reason, facts: Vec::new() });
    let shown = answered(vec![status("a".repeat(TEXT - 3) + "s3cret")]).concat();
    assert!(shown.ends_with("axxx"), "{shown}");
}

#[test]
fn many_answers_are_counted() {
    let many = answered((0..256).map(|id| Output::SetTimer(id, 86_400_000)).collect());
    assert!(many.len() > 10 && many.last().unwrap().starts_with("> and "), "{many:?}");
}

/// Not a bound on time: what a swipe costs here, for whoever reads the test's output.
#[test]
fn what_an_entry_costs_is_told() {
    let (input, answer) = (Input::Received(b"4711\r\n".to_vec()), Ok(vec![Output::SetTimer(1, 500)]));
    let mut ring = super::super::ring::Ring::default();
    let start = std::time::Instant::now();
    for clock in 0..100_000 {
        ring.push(&Entry::told(clock, &input), 64, 1_792);
        ring.push(&Entry::answered(&answer, Standins::default), 64, 1_792);
    }
    println!("an input with its answer: {:?}", start.elapsed() / 100_000);
    assert_eq!(ring.entries().len(), 64);
}

proptest! {
    #[test]
    fn damaged_entries_are_no_panic(packed: Vec<u8>) {
        shown(&packed);
    }
}
