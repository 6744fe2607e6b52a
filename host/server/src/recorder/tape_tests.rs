//! What goes into a capture, as whoever writes it sees it.

use cardinal_domain::driver::Fault;
use proptest::prelude::*;

use super::*;

/// A tape with a capture that takes so many lines.
fn captured(most: usize) -> (Tape, mpsc::Receiver<Waiting>, Arc<OnceLock<String>>) {
    let (sender, lines) = mpsc::channel(most);
    let (tape, cause) = (Tape::new(&RecorderLimits::default()), Arc::default());
    assert!(tape.open(Open::new("c".to_owned(), sender, Arc::clone(&cause))));
    (tape, lines, cause)
}

fn text(lines: &mut mpsc::Receiver<Waiting>) -> String {
    let mut text = String::new();
    while let Ok(line) = lines.try_recv() {
        text += &match line.line {
            Line::Session { head, .. } => head,
            Line::Step(step) => step,
        };
    }
    text
}

fn context() -> Context {
    Context { mode: "m".to_owned(), transport: "dial".to_owned(), saved: Some(vec![1]), ..Context::default() }
}

fn begin(tape: &Tape, digest: &str, resumed: Option<Millis>) {
    tape.begin(("a/b@1".to_owned(), digest.to_owned()), "a/b".to_owned(), &context(), Standins::default(), resumed);
}

fn step(tape: &Tape, at: Millis, input: &Input, answer: &Result<Vec<Output>, SessionError>) {
    tape.told(at, input);
    tape.answered(answer, Standins::default);
}

#[test]
fn a_session_under_way_is_resumed_and_one_that_slept_is_saved() {
    let (tape, mut lines, _) = captured(100);
    let received = Input::Received(b"1\n".to_vec());
    assert!(tape.begins(&received, "d"));
    // Not quiet yet: nothing of it is taken.
    step(&tape, 1, &received, &Ok(Vec::new()));
    assert!(tape.begins(&received, "d"));
    begin(&tape, "d", Some(5));
    step(&tape, 5, &received, &Ok(vec![Output::Send(b"x".to_vec())]));
    assert!(!tape.begins(&Input::Resumed, "d"));
    step(&tape, 9, &Input::Resumed, &Ok(Vec::new()));
    assert!(tape.begins(&Input::Resumed, "e"), "another driver is another file");
    assert_eq!(
        text(&mut lines),
        "driver a/b\nmode m\ntransport dial\nsaved \"\\x01\"\n\n@5 resumed\n  > anything\n@5 received \"1\\n\"\n  > send \"x\"\n@9 save\n"
    );
    begin(&tape, "e", None);
    step(&tape, 9, &Input::Resumed, &Err(SessionError::Fault(Fault::new("tired", "so"))));
    let second = text(&mut lines);
    assert!(second.ends_with("\n\n@9 resumed\n  ! fault tired \"so\"\n"), "{second}");
    assert!(tape.begins(&Input::Connected(vec![0; 32]), "e"), "the next session");
}

#[test]
fn what_is_not_taken_in_time_ends_the_capture_and_nothing_else() {
    let (tape, mut lines, cause) = captured(2);
    begin(&tape, "d", None);
    for at in 0..5 {
        step(&tape, at, &Input::Timer(1), &Ok(Vec::new()));
    }
    assert_eq!(cause.get().map(String::as_str), Some(TOO_FAST));
    assert!(!tape.is_captured() && text(&mut lines).contains("@0 timer 1"));
    assert_eq!(tape.shown().len(), 5, "the ring goes on");
    assert!(!tape.close(None, None));
}

#[test]
fn what_waits_for_the_disk_is_bounded_in_bytes() {
    let (tape, mut lines, cause) = captured(100);
    begin(&tape, "d", None);
    let huge = || Ok(vec![Output::Send(vec![b'x'; 3 << 20])]);
    step(&tape, 1, &Input::Timer(1), &huge());
    assert!(
        tape.is_captured() && text(&mut lines).len() > 3 << 20,
        "there is room for it, and again once it is written"
    );
    step(&tape, 2, &Input::Timer(1), &huge());
    assert!(tape.is_captured());
    step(&tape, 3, &Input::Timer(1), &huge());
    assert!(!tape.is_captured() && cause.get().map(String::as_str) == Some(TOO_FAST));
}

#[test]
fn why_a_session_broke_is_told_without_its_secrets() {
    let (tape, mut lines, _) = captured(100);
    let standins = Standins::new(&["s3cret"], None);
    tape.begin(("a/b@1".to_owned(), "d".to_owned()), "a/b".to_owned(), &context(), standins, None);
    let detail = "no s3cret".to_owned();
    let error = Err(SessionError::Contract { export: "handle", detail });
    step(&tape, 1, &Input::Timer(1), &error);
    let text = text(&mut lines);
    assert!(text.contains("! broken ") && text.contains("no xxxxxx") && !text.contains("s3cret"), "{text}");
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20)
}

proptest! {
    /// Whatever was captured is a trace, and it says what happened.
    #[test]
    fn any_capture_can_be_read(steps in prop::collection::vec((bytes(), bytes()), 1..9), from: Option<u16>) {
        let (tape, mut lines, _) = captured(100);
        begin(&tape, "d", from.map(u64::from));
        for (received, sent) in &steps {
            let answer = Ok(vec![Output::Send(sent.clone())]);
            step(&tape, 70_000, &Input::Received(received.clone()), &answer);
        }
        let text = text(&mut lines);
        let trace = Trace::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(trace.steps.len(), steps.len() + usize::from(from.is_some()));
        let got = trace.steps.iter().skip(usize::from(from.is_some()));
        for (step, (received, sent)) in got.zip(&steps) {
            prop_assert_eq!(&step.event, &Event::Input(Input::Received(received.clone())));
            prop_assert_eq!(&step.outcome, &Outcome::Outputs(vec![Output::Send(sent.clone())]));
        }
        prop_assert_eq!(trace.to_string(), text);
    }
}
