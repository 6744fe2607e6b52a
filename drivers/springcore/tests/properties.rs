//! What holds for every stream of bytes and every order of calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;

use cardinal_sdk::{Output, Pair, prelude::*};
use cardinal_springcore::SpringCore;
use cardinal_testkit::{Component, Native, Subject, cards, cut, feed};
use proptest::{collection::vec, prelude::*};

const OPENING: &str = "mode springcore-tcp\ntransport dial";
const SHORT: &str = "mode springcore-tcp\ntransport dial\nsetting message_length = 64";

/// Streams in which messages, broken messages and rubbish meet often.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        r#"{"TagId":"047DAE02C84080","Uptime":"145:1860.081","Protocol":"NFC-A"}"#,
        r#"{"State":"online,ready","Uptime":"3:1.0"}"#,
        r#"{"a":"}{\"","TagId":"1","b":[{}]}"#,
        r#"{"TagId":"04","Move":"Remove"}"#,
        "{}",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "\r\n",
        "\"TagId\":",
        "\u{e9}",
    ];
    let piece = prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..6),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn cuts_and_saves_change_nothing(
        opening in prop::sample::select(vec![OPENING, SHORT]),
        bytes in stream(),
        places in vec(any::<usize>(), 0..12),
    ) {
        let driver = Native::<SpringCore>::new();
        let whole = feed(&driver, opening, &[&bytes], false)?;
        let pieces = cut(&bytes, &places);
        prop_assert_eq!(&feed(&driver, opening, &pieces, false)?, &whole);
        prop_assert_eq!(&feed(&driver, opening, &pieces, true)?, &whole);
        let bytewise: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&feed(&driver, opening, &bytewise, true)?, &whole);
    }

    /// The plain case, judged by a plainer program: rubbish without an opening brace between events costs none of them.
    #[test]
    fn events_are_cards(numbers in vec("[0-9A-F]{1,16}", 0..20), between in vec("[^{]{0,5}", 20)) {
        let event = |(number, rubbish): (&String, &String)| format!(r#"{rubbish}{{"Template":1,"TagId":"{number}"}}"#);
        let text: String = numbers.iter().zip(&between).map(event).collect();
        let outputs = feed(&Native::<SpringCore>::new(), OPENING, &[text.as_bytes()], false)?;
        prop_assert_eq!(cards(&outputs), numbers);
    }

    #[test]
    fn any_saved_state_is_taken_or_refused(saved: Vec<u8>) {
        let opening = format!("{OPENING}\nsaved \"{}\"", cardinal_sdk::text_of(&saved));
        let _ = feed(&Native::<SpringCore>::new(), &opening, &[b"{}"], false);
    }

    #[test]
    fn any_body_is_answered_or_waits(body: Vec<u8>, json in stream()) {
        for body in [body, json] {
            let mut reader = Http::open();
            reader.call(body);
            prop_assert_eq!(reader.answered.len() + reader.waiting.len(), 1);
        }
    }

    /// Whatever comes in whatever order: each call is answered once, unless the host ended it; each card has an id of its
    /// own; no number is told to anybody but the desk.
    #[test]
    fn every_call_is_answered_once(steps in vec((0..6_u8, 0..5_u32, 0..3_u32), 0..60)) {
        let mut reader = Http::open();
        for (kind, which, when) in steps {
            match kind {
                0 | 1 => reader.call(event(which, when).into_bytes()),
                2 => reader.call(br#"{"State":"online,ready"}"#.to_vec()),
                3 => reader.decide(which),
                4 => reader.end(which),
                _ => reader.save(),
            }
        }
        while !reader.waiting.is_empty() {
            reader.decide(0);
        }
        prop_assert_eq!(reader.calls.len(), reader.answered.len() + reader.ended.len());
        prop_assert!(reader.answered.is_disjoint(&reader.ended));
    }
}

/// One in three does not say when it was.
fn event(card: u32, when: u32) -> String {
    let uptime = if when == 0 { String::new() } else { format!(r#","Uptime":"1:{when}.000""#) };
    format!(r#"{{"Device":"DA1275B0","TagId":"5EC2E7{card:02}"{uptime}}}"#)
}

/// A session over HTTP, and what its host knows of it.
struct Http {
    session: SpringCore,
    now: Millis,
    calls: BTreeSet<Id>,
    answered: BTreeSet<Id>,
    ended: BTreeSet<Id>,
    /// Cards without a verdict.
    waiting: BTreeSet<Id>,
    swipes: u32,
}

impl Http {
    fn open() -> Self {
        let mut http = Self {
            session: SpringCore::open(context(None)).unwrap(),
            now: 0,
            calls: BTreeSet::new(),
            answered: BTreeSet::new(),
            ended: BTreeSet::new(),
            waiting: BTreeSet::new(),
            swipes: 0,
        };
        http.happens(Input::Connected(vec![0; 32]));
        http
    }

    fn call(&mut self, body: Vec<u8>) {
        let id = Id::try_from(self.calls.len()).unwrap();
        self.calls.insert(id);
        let (query, headers) = (Vec::new(), Vec::new());
        let (method, path) = ("POST".to_owned(), String::new());
        self.happens(Input::Called(Call { id, method, path, query, headers, body }));
    }

    fn decide(&mut self, which: u32) {
        let Some(swipe) = self.waiting.iter().nth(which as usize % self.waiting.len().max(1)).copied() else { return };
        self.waiting.remove(&swipe);
        self.happens(Input::Verdict(Verdict { swipe, code: "released".to_owned(), message: String::new() }));
    }

    fn end(&mut self, which: u32) {
        let open = self.calls.iter().filter(|call| !self.answered.contains(call) && !self.ended.contains(call));
        let Some(call) = open.copied().nth(which as usize) else { return };
        self.ended.insert(call);
        self.happens(Input::CallEnded(call));
    }

    fn save(&mut self) {
        let is_open = self.calls.len() > self.answered.len() + self.ended.len();
        let saved = self.session.save();
        assert_eq!(saved.is_none(), is_open, "state can be saved when no call is open, and only then");
        if let Some(saved) = saved {
            self.session = SpringCore::open(context(Some(saved))).unwrap();
            self.happens(Input::Resumed);
        }
    }

    fn happens(&mut self, input: Input) {
        self.now += 500;
        let mut out = Outputs::new();
        self.session.handle(self.now, input, &mut out).unwrap();
        for output in out.into_vec() {
            if !matches!(output, Output::Card(_)) {
                assert!(!format!("{output:?}").contains("5EC2E7"), "{output:?}");
            }
            match output {
                Output::Answer(answer) => {
                    assert!(self.calls.contains(&answer.id) && self.answered.insert(answer.id), "answered twice");
                }
                Output::Card(card) => {
                    self.swipes += 1;
                    assert!(card.swipe == self.swipes && self.waiting.insert(card.swipe));
                }
                _ => {}
            }
        }
    }
}

/// As a host opens it, with the defaults of the manifest.
fn context(saved: Option<Vec<u8>>) -> Context {
    let mode = SpringCore::manifest().modes.remove(1);
    let default = |setting: &Setting| Some(Pair::new(setting.key.clone(), setting.default.clone()?));
    Context {
        settings: mode.settings.iter().filter_map(default).collect(),
        mode: mode.id,
        transport: "http".to_owned(),
        callback: Some("http://print.example/r/secret".to_owned()),
        memory: Vec::new(),
        saved,
    }
}

fn both() -> [Box<dyn Subject>; 2] {
    let component = Component::of_package("cardinal-springcore", env!("CARGO_MANIFEST_DIR").as_ref()).unwrap();
    [Box::new(Native::<SpringCore>::new()), Box::new(component)]
}

#[test]
fn a_megabyte_in_one_string_costs_nothing() {
    let mut noise = b"{\"TagId\":\"".to_vec();
    noise.resize(1 << 20, b'7');
    // In the pieces in which a host hands bytes over.
    let mut pieces: Vec<&[u8]> = noise.chunks(16 * 1024).collect();
    pieces.push(b"\"}{\"TagId\":\"4711\"}");
    for subject in both() {
        let outputs = feed(subject.as_ref(), OPENING, &pieces, true).unwrap();
        assert_eq!(cards(&outputs), ["4711"], "{}", subject.how());
    }
}

#[test]
fn a_flood_of_events_and_of_nesting_stays_within_the_bounds() {
    let events = br#"{"TagId":"1"}"#.repeat(1024);
    let nested = b"{[".repeat(8 * 1024);
    for subject in both() {
        let outputs = feed(subject.as_ref(), OPENING, &[&nested, b"]", &events], false).unwrap();
        assert!(cards(&outputs).len() >= 63, "{}: {}", subject.how(), cards(&outputs).len());
    }
}
