//! What holds whatever the reader, the host and the clock do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use cardinal_domain::driver::{Call, Context, Fault, Input, Millis, Output, Response, Verdict, VerdictCode};
use cardinal_rfideas_241::RfIdeas241;
use cardinal_testkit::{Native, Session, Subject as _};
use proptest::{collection::vec, prelude::*};

const SECRET: &str = "xSECRETx";

/// A host that keeps the books which the contract speaks of.
struct Host {
    context: Context,
    session: Box<dyn Session>,
    now: Millis,
    fetches: BTreeSet<u32>,
    calls: BTreeSet<u32>,
    last_call: u32,
    /// Cards that wait for a verdict.
    swipes: BTreeMap<u32, String>,
    timers: BTreeSet<u32>,
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Wait(Millis),
    Call(&'static str, &'static str, &'static str, String),
    Answer(Option<u16>, String),
    Timer,
    Verdict(bool),
    CallEnded,
    Save,
    Command(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    let card =
        prop_oneof![8 => "CARD[1-3]", 1 => "\\PC{0,20}", 1 => Just("7".repeat(600)), 1 => Just("\u{0}".to_owned())];
    let good = format!("mode=client\nscheme=https\nhost=h\nport=443\npath=/r/{SECRET}/card\nparameter=card\n");
    let page = prop_oneof![
        3 => Just("Firmware: 2.04".to_owned()),
        4 => Just(good),
        1 => Just("Firmware: 1.0".to_owned()),
        1 => Just(format!("<input type=password> {SECRET}")),
        1 => Just(String::new()),
        1 => "\\PC{0,80}",
    ];
    let status = prop_oneof![6 => Just(Some(200)), 1 => (200_u16..600).prop_map(Some), 1 => Just(None)];
    let word =
        |mostly: &'static str, seldom: &'static str| prop::sample::select(vec![mostly, mostly, mostly, mostly, seldom]);
    let call = (word("GET", "POST"), word("/card", "/other"), word("card", "cart"), card);
    prop_oneof![
        2 => (0_u64..4_000).prop_map(Step::Wait),
        5 => call.prop_map(|(method, path, name, card)| Step::Call(method, path, name, card)),
        5 => (status, page).prop_map(|(status, page)| Step::Answer(status, page)),
        3 => Just(Step::Timer),
        4 => any::<bool>().prop_map(Step::Verdict),
        1 => Just(Step::CallEnded),
        2 => Just(Step::Save),
        1 => prop::sample::select(vec!["check", "configure", "nonsense"]).prop_map(Step::Command),
    ]
}

/// Cards here have CARD, and the address to call and whatever a reader should not see repeated have [`SECRET`].
fn tells_nothing(text: &str) {
    assert!(!text.contains(SECRET) && !text.contains("CARD"), "{text}");
}

impl Host {
    fn new(same_swipe: &str) -> Self {
        let mode = Native::<RfIdeas241>::new().manifest().unwrap().modes.remove(0);
        let value = |key: &str, default: &Option<String>| {
            if key == "same_swipe_ms" { Some(same_swipe.to_owned()) } else { default.clone() }
        };
        let settings = mode.settings.iter();
        let context = Context {
            mode: mode.id.clone(),
            transport: "http".to_owned(),
            settings: settings.filter_map(|one| Some((one.key.clone(), value(&one.key, &one.default)?))).collect(),
            callback: Some(format!("https://h/r/{SECRET}")),
            ..Context::default()
        };
        let session = Native::<RfIdeas241>::new().open(context.clone()).unwrap();
        let (fetches, calls, swipes, timers) = Default::default();
        let mut host = Self { context, session, now: 0, fetches, calls, last_call: 0, swipes, timers };
        host.give(Input::Connected(vec![0; 32]));
        host
    }

    /// Gives an input, and checks what comes of it.
    fn give(&mut self, input: Input) {
        let outputs = self.session.handle(self.now, input).unwrap();
        for output in outputs {
            match output {
                Output::Fetch(fetch) => assert!(self.fetches.insert(fetch.id) && self.fetches.len() == 1),
                Output::Answer(id, _) => assert!(self.calls.remove(&id), "an answer to a call that is not open"),
                Output::Card(card) => {
                    let number = card.number.unwrap();
                    assert!(number.chars().count() <= 512 && !number.contains(char::is_control));
                    assert_eq!(self.swipes.insert(card.swipe, number), None, "a swipe's id is free");
                }
                Output::SetTimer(id, _) => {
                    self.timers.insert(id);
                }
                Output::Status(status) => {
                    let facts = status.facts.iter().map(|(key, value)| format!("{key}={value}"));
                    tells_nothing(&facts.chain([status.reason]).collect::<String>());
                }
                Output::Log(_, message) => tells_nothing(&message),
                other => panic!("{other:?}"),
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Wait(time) => self.now += time,
            Step::Call(method, path, name, card) => {
                // A host refuses what is beyond.
                if self.calls.len() < 8 {
                    self.last_call += 1;
                    self.calls.insert(self.last_call);
                    self.give(Input::Called(Call {
                        id: self.last_call,
                        method: method.to_owned(),
                        path: path.to_owned(),
                        query: vec![(name.to_owned(), card)],
                        headers: Vec::new(),
                        body: Vec::new(),
                    }));
                }
            }
            Step::Answer(status, page) => {
                if let Some(id) = self.fetches.pop_first() {
                    let answer = |status| Response { status, headers: Vec::new(), body: page.into_bytes() };
                    let lost = Fault { code: "lost".to_owned(), message: SECRET.to_owned() };
                    self.give(Input::Fetched(id, status.map(answer).ok_or(lost)));
                }
            }
            Step::Timer => {
                if let Some(id) = self.timers.pop_first() {
                    self.now += 2_000;
                    self.give(Input::Timer(id));
                }
            }
            Step::Verdict(newest) => {
                let swipe = if newest { self.swipes.pop_last() } else { self.swipes.pop_first() };
                if let Some((swipe, _)) = swipe {
                    let code = VerdictCode::Released;
                    self.give(Input::Verdict(Verdict { swipe, code, message: "CARD".to_owned() }));
                }
            }
            Step::CallEnded => {
                if let Some(id) = self.calls.pop_first() {
                    self.give(Input::CallEnded(id));
                }
            }
            Step::Save => {
                if let Some(saved) = self.session.save().unwrap() {
                    assert!(self.fetches.is_empty() && self.calls.is_empty() && self.swipes.is_empty());
                    tells_nothing(&String::from_utf8_lossy(&saved));
                    self.context.saved = Some(saved);
                    self.session.reopen(self.context.clone()).unwrap();
                    self.give(Input::Resumed);
                }
            }
            Step::Command(name) => self.give(Input::Command(name.to_owned(), Vec::new())),
        }
    }
}

proptest! {
    #[test]
    fn every_call_is_answered_once_and_nothing_secret_is_told(
        same_swipe in prop::sample::select(vec!["0", "2000"]),
        steps in vec(step(), 0..120),
    ) {
        let mut host = Host::new(same_swipe);
        for step in steps {
            host.take(step);
        }
        // The reader is asked for ever: there is a request under way, or a timer for the next.
        prop_assert!(!host.fetches.is_empty() || host.timers.contains(&1));
        while !host.swipes.is_empty() {
            host.take(Step::Verdict(false));
        }
        prop_assert!(host.calls.is_empty(), "every card is decided: no call waits");
        while !host.fetches.is_empty() {
            host.take(Step::Answer(None, String::new()));
        }
        host.now += 60_000;
        host.give(Input::Timer(2));
        prop_assert!(host.session.save().unwrap().is_some(), "nothing is held");
    }

    /// The same card while the first call is open, and shortly after: one swipe.
    #[test]
    fn a_repeated_card_is_one_swipe(repeats in 1_usize..7, after in 0_usize..7) {
        let mut host = Host::new("2000");
        let call = || Step::Call("GET", "/card", "card", "CARD1".to_owned());
        for _ in 0..repeats {
            host.take(call());
        }
        prop_assert_eq!((host.swipes.len(), host.calls.len()), (1, repeats));
        host.take(Step::Verdict(true));
        for _ in 0..after {
            host.take(call());
        }
        prop_assert_eq!((host.swipes.len(), host.calls.len()), (0, 0));
    }

    #[test]
    fn any_saved_state_is_taken_or_refused(saved: Vec<u8>) {
        let mut context = Host::new("2000").context;
        context.saved = Some(saved);
        let _ = Native::<RfIdeas241>::new().open(context);
    }

    /// Whatever an administrator writes is taken or refused with the setting's name.
    #[test]
    fn any_profile_is_taken_or_refused(key in 0_usize..26, value in "(GET /)?[ -~]{0,30}") {
        let mut context = Host::new("2000").context;
        let all = Native::<RfIdeas241>::new().manifest().unwrap().modes.remove(0).settings;
        let setting = &all[key % all.len()];
        context.settings.retain(|(known, _)| *known != setting.key);
        context.settings.push((setting.key.clone(), value));
        match Native::<RfIdeas241>::new().open(context) {
            Ok(mut session) => drop(session.handle(0, Input::Connected(vec![0; 32])).unwrap()),
            Err(cardinal_testkit::Stop::Fault(fault)) => {
                prop_assert!(fault.message.contains(&format!("`{}`", setting.key)), "{fault}");
                prop_assert!(!fault.message.contains(SECRET));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Calls that the host gave up pile up no further than the driver says.
#[test]
fn a_flood_of_cards_stays_within_the_bounds() {
    let mut host = Host::new("0");
    for card in 0..500 {
        host.take(Step::Call("GET", "/card", "card", card.to_string()));
        host.take(Step::CallEnded);
    }
    assert_eq!(host.swipes.len(), 64);
    assert!(host.calls.is_empty());
}
