//! The text form, there and back.

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::driver::{Bits, Call, CardRead, Fetch, Health, Keepalive, LogLevel, Response, Status, Verdict, VerdictCode};

/// Every word of the format once.
const EVERYTHING: &str = r#"driver acme/every
mode every
transport http
setting keep = 30
setting names = ["a", "b"]
setting on = true
setting sign = "v"
callback "https://host/c/1"
memory "key" "\x01\x02"
saved "\x01"

@0 connected
  > send "v\r"
  > keepalive 30000 "\r"
  > keepalive off
@1 connected "\x01\x02"
@2 received "4711\n"
  > card 1 number="4711" bits 26 "80d2c940" technology="125 kHz" port=2 fact uid="04 7d"
  > card 2
  > typed 1 "1234"
@2 verdict 1 released "1 Auftrag für Sie"
  > set-timer 1 500
  > cancel-timer 2
@3 timer 1
  > fetch 1 GET "/"
  > fetch 2 POST "/a b" port 8080 tls query a="1" query a="2" header "x y"="z" body '{"on":1}'
@4 fetched 1 200 header a="b" body "it's \"so\""
@5 fetched 2 fault timeout "no answer"
@6 called 7 GET "/card" query id="4711" header host="x" body "\xff"
  > answer 7 204 header a="b" body "x"
@7 call-ended 7
  > status online
  > status degraded "cold" fact firmware="1.0" fact serial=""
  > remember "key" "\x00"
  > log warn "odd"
  > close tired
@8 command beep times="2"
@9 save
  ! not-now
@10 save
@11 resumed
  > anything
@12 disconnected lost "no sign of life"
  ! fault worn-out "the end"
"#;

#[test]
fn everything_there_and_back() {
    let trace = Trace::parse(EVERYTHING).unwrap();
    // `\0` and `\x00` are the same byte, so the printer has one way to write it.
    assert_eq!(trace.to_string(), EVERYTHING);
    assert_eq!(trace.steps[0].event, Event::Input(Input::Connected(vec![0; 32])));
    assert_eq!(trace.steps[0].line, 12);
}

#[test]
fn comments_and_space_do_not_matter() {
    let trace =
        Trace::parse("# one\n mode m # two\ntransport dial\n\n@ 0 received \"#\" # three\n>send '#'\n").unwrap();
    assert_eq!(trace.to_string(), "mode m\ntransport dial\n\n@0 received \"#\"\n  > send \"#\"\n");
}

#[test]
fn an_error_names_its_line() {
    let error = |body: &str| Trace::parse(&format!("mode m\ntransport dial\n{body}")).unwrap_err().to_string();
    assert_eq!(Trace::parse("transport dial").unwrap_err().to_string(), "line 1: the trace has no line `mode …`");
    assert!(error("@0 conected").starts_with("line 3: `conected` is no input; there are connected,"));
    assert_eq!(error("> send \"v\""), "line 3: an output must follow the `@` line that it answers");
    assert_eq!(error("@0 connected\n> send \"v"), "line 4: a text in `\"` has no end");
    assert_eq!(error("@0 connected\n> send v"), "line 4: wanted the bytes in quotes, found `v`");
    assert_eq!(error("@5 connected\n@4 resumed"), "line 4: the clock of a session never goes back");
    assert_eq!(error("@5 resumed x"), "line 3: wanted the end of the line, found `x`");
    assert_eq!(error("@5 timer 4294967296"), "line 3: wanted the timer's id (a number in range), found `4294967296`");
    assert!(error("@0 verdict 1 great").contains("`great` is not a verdict; there are released, unlocked,"));
    assert_eq!(error("@0 resumed\n! not-now"), "line 4: only `save` can be put off");
    assert!(error("setting a").starts_with("line 3: wanted `setting key = value` as in the site's file:"));
    assert!(error("setting a = 1\nsetting a = 2").starts_with("line 4: the setting `a` stands twice"));
    assert!(
        error("@0 resumed\n! fault x\n@1 resumed").ends_with("nothing can happen after a fault: the session is over")
    );
    assert_eq!(error("@0 resumed\nmode n"), "line 4: wanted a line beginning with `@`, `>`, `!` or `#`");
}

#[test]
fn what_is_not_known_and_what_broke_have_their_words() {
    let trace = |body: &str| Trace::parse(&format!("mode m\ntransport dial\n{body}"));
    let error = |body: &str| trace(body).unwrap_err().to_string();
    for body in ["@0 resumed\n> anything\n> send \"v\"", "@0 resumed\n> send \"v\"\n> anything", "@0 save\n> anything"]
    {
        assert!(error(body).ends_with("`> anything` stands alone under its input"), "{body}");
    }
    assert!(error("> anything").contains("must follow"));
    assert!(error("@0 resumed\n! broken \"x\"\n@1 resumed").ends_with("the session is over"));
    let outcome = |body: &str| trace(&format!("@0 resumed\n{body}")).unwrap().steps[0].outcome.clone();
    let (anything, sent, fault) = (outcome("> anything"), outcome("> send \"v\""), outcome("! fault a"));
    assert!(anything.is_met_by(&sent) && anything.is_met_by(&outcome("")));
    assert!(!anything.is_met_by(&fault) && !sent.is_met_by(&anything) && !sent.is_met_by(&outcome("")));
    assert!(outcome("! broken \"a\"").is_met_by(&outcome("! broken \"b\"")), "the words are for people");
}

#[test]
fn a_context_comes_back_from_its_trace() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let context = Context {
        mode: "m".to_owned(),
        transport: "dial".to_owned(),
        settings: vec![pair("a", "1"), pair("b", "2"), pair("b", "3"), pair("b", "4")],
        ..Context::default()
    };
    let text = Trace::of(Some("acme/x".to_owned()), &context).to_string();
    assert_eq!(text, "driver acme/x\nmode m\ntransport dial\nsetting a = \"1\"\nsetting b = [\"2\", \"3\", \"4\"]\n");
}

#[test]
fn a_setting_stands_on_one_line_whatever_is_in_it() {
    let settings = [("banner", SettingValue::Text("a \"b\"\nc\\\x1b".to_owned()))];
    let mut trace = Trace::parse("mode m\ntransport dial").unwrap();
    trace.settings = settings.map(|(key, value)| (key.to_owned(), value)).into();
    assert_eq!(trace.to_string(), "mode m\ntransport dial\nsetting banner = \"a \\\"b\\\"\\nc\\\\\\u001b\"\n");
    assert_eq!(Trace::parse(&trace.to_string()), Ok(trace));
}

#[test]
fn an_error_repeats_no_control_characters_and_is_not_endless() {
    let error = |line: &str| Trace::parse(line).unwrap_err().to_string();
    assert!(!error("mode m \x1b[2J").contains('\x1b'));
    assert!(error(&format!("mode m {}", "y".repeat(100_000))).chars().count() < 400);
}

#[test]
fn a_trace_has_no_end_of_steps() {
    let text = "mode m\ntransport dial\n".to_owned() + &"@0 save\n".repeat(MOST_STEPS + 1);
    let error = Trace::parse(&text).unwrap_err();
    assert_eq!((error.line, error.message), (MOST_STEPS + 3, format!("a trace may have {MOST_STEPS} steps")));
}

fn text() -> impl Strategy<Value = String> {
    // The third is all that must be escaped somewhere, control characters among it.
    prop_oneof!["[a-z]{0,6}", "[ -~]{0,8}", "[\\x00-\\x1f\\x7f-\\x9f\"'\\\\#=\u{2028}a]{0,6}", any::<String>()]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..12)
}

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    vec((text(), text()), 0..3)
}

fn fault() -> impl Strategy<Value = Fault> {
    (text(), text()).prop_map(|(code, message)| Fault { code, message })
}

fn response() -> impl Strategy<Value = Response> {
    (any::<u16>(), pairs(), bytes()).prop_map(|(status, headers, body)| Response { status, headers, body })
}

fn input() -> impl Strategy<Value = Input> {
    let verdict = (any::<u32>(), prop::sample::select(VerdictCode::ALL.to_vec()), text())
        .prop_map(|(swipe, (_, code), message)| Input::Verdict(Verdict { swipe, code, message }));
    let call = (any::<u32>(), text(), text(), pairs(), pairs(), bytes()).prop_map(
        |(id, method, path, query, headers, body)| Input::Called(Call { id, method, path, query, headers, body }),
    );
    prop_oneof![
        bytes().prop_map(Input::Connected),
        Just(Input::Resumed),
        bytes().prop_map(Input::Received),
        fault().prop_map(Input::Disconnected),
        any::<u32>().prop_map(Input::Timer),
        (any::<u32>(), prop_oneof![response().prop_map(Ok), fault().prop_map(Err)])
            .prop_map(|(id, outcome)| Input::Fetched(id, outcome)),
        call,
        any::<u32>().prop_map(Input::CallEnded),
        verdict,
        (text(), pairs()).prop_map(|(name, arguments)| Input::Command(name, arguments)),
    ]
}

fn card() -> impl Strategy<Value = CardRead> {
    let bits = option::of((bytes(), any::<u32>()));
    (any::<u32>(), option::of(text()), bits, option::of(text()), any::<u8>(), pairs()).prop_map(
        |(swipe, number, bits, technology, port, facts)| {
            let bits = bits.map(|(data, length)| Bits { data, length });
            CardRead { swipe, number, bits, technology, port, facts }
        },
    )
}

fn output() -> impl Strategy<Value = Output> {
    let fetch = (any::<u32>(), option::of(any::<u16>()), any::<bool>(), text(), text(), pairs(), pairs(), bytes())
        .prop_map(|(id, port, tls, method, path, query, headers, body)| {
            Output::Fetch(Fetch { id, port, tls, method, path, query, headers, body })
        });
    let status = (prop::sample::select(Health::ALL.to_vec()), text(), pairs())
        .prop_map(|((_, health), reason, facts)| Output::Status(Status { health, reason, facts }));
    let keepalive = (any::<u64>(), bytes()).prop_map(|(every, bytes)| Keepalive { every, bytes });
    prop_oneof![
        bytes().prop_map(Output::Send),
        option::of(keepalive).prop_map(Output::Keepalive),
        card().prop_map(Output::Card),
        (any::<u8>(), text()).prop_map(|(port, text)| Output::Typed(port, text)),
        (any::<u32>(), any::<u64>()).prop_map(|(id, after)| Output::SetTimer(id, after)),
        any::<u32>().prop_map(Output::CancelTimer),
        fetch,
        (any::<u32>(), response()).prop_map(|(id, response)| Output::Answer(id, response)),
        status,
        (text(), bytes()).prop_map(|(key, bytes)| Output::Remember(key, bytes)),
        (prop::sample::select(LogLevel::ALL.to_vec()), text()).prop_map(|((_, level), text)| Output::Log(level, text)),
        fault().prop_map(Output::Close),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = || {
        prop_oneof![
            vec(output(), 0..4).prop_map(Outcome::Outputs),
            fault().prop_map(Outcome::Fault),
            text().prop_map(Outcome::Broken),
        ]
    };
    prop_oneof![
        (input(), prop_oneof![outcome(), Just(Outcome::Anything)])
            .prop_map(|(input, outcome)| (Event::Input(input), outcome)),
        prop_oneof![outcome(), Just(Outcome::NotNow)].prop_map(|outcome| (Event::Save, outcome)),
    ]
    .prop_map(|(event, outcome)| Step { line: 0, at: 0, event, outcome })
}

fn value() -> impl Strategy<Value = SettingValue> {
    let one = prop_oneof![
        any::<bool>().prop_map(SettingValue::Boolean),
        any::<i64>().prop_map(SettingValue::Integer),
        text().prop_map(SettingValue::Text),
    ];
    prop_oneof![one.clone(), vec(one, 0..3).prop_map(SettingValue::List)]
}

prop_compose! {
    fn trace()(
        driver in option::of(text()),
        mode in "[a-z]{1,5}",
        transport in "[a-z]{1,5}",
        settings in prop::collection::btree_map(text(), value(), 0..3),
        callback in option::of(text()),
        memory in vec((text(), bytes()), 0..3),
        saved in option::of(bytes()),
        refused in option::weighted(0.1, fault()),
        mut steps in vec(step(), 0..4),
    ) -> Trace {
        let over = |step: &Step| step.outcome.is_end();
        let most = if refused.is_some() { 0 } else { steps.iter().position(over).map_or(steps.len(), |last| last + 1) };
        steps.truncate(most);
        Trace { driver, mode, transport, settings, callback, memory, saved, refused, steps }
    }
}

proptest! {
    #[test]
    fn any_trace_comes_back(trace in trace()) {
        let text = trace.to_string();
        let mut again = Trace::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        for step in &mut again.steps {
            step.line = 0;
        }
        prop_assert_eq!(again, trace);
    }

    #[test]
    fn rubbish_is_refused_and_no_more(text: String) {
        let _ = Trace::parse(&text);
    }

    #[test]
    fn a_damaged_trace_is_taken_or_refused(place in 0..EVERYTHING.len(), length in 0_usize..9, rubbish in text()) {
        let mut text = EVERYTHING.to_owned();
        let end = (place + length).min(text.len());
        if text.is_char_boundary(place) && text.is_char_boundary(end) {
            text.replace_range(place..end, &rubbish);
        }
        if let Ok(trace) = Trace::parse(&text) {
            // What was taken can be printed and read again.
            prop_assert!(Trace::parse(&trace.to_string()).is_ok());
        }
    }
}
