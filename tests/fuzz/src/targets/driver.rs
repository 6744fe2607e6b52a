//! The drivers natively, each with a host that keeps its books: whatever a reader does, and whatever bytes a session is
//! opened with, the driver breaks no contract, crosses no bound, and can be opened again with what it saved.

use std::{collections::BTreeSet, sync::LazyLock};

use cardinal_domain::driver::{Call, Context, Fault, Id, Input, Millis, Output, Response, Verdict, VerdictCode};
use cardinal_generic::Generic;
use cardinal_rfideas_241::RfIdeas241;
use cardinal_runtime::{Accounts, Bounds};
use cardinal_springcore::SpringCore;
use cardinal_testkit::{Native, Session, Stop, Subject};

/// A reader's address for its calls, whose path is a secret.
const CALLBACK: &str = "https://host.example:8443/r/a-secret-that-is-long-enough";
/// Cards that wait before the host reads no further, as `cards_waiting` has it.
const CARDS_WAITING: usize = 16;
/// What drivers understand, so that an input reaches deep: one byte says which, and that it is one of these.
const WORDS: [&str; 16] = [
    r#"{"TagId":"047DAE02C84080","Uptime":"145:1860.081","Sequence":7}"#,
    r#"{"TagId":"04","Move":"Remove"}"#,
    r#"{"State":"online,ready","Uptime":"3:1.0"}"#,
    "4711\r\n",
    "{\"a\":\"}{\\\"",
    "mode=client\nscheme=https\nhost=host.example\nport=8443\npath=/r/a-secret-that-is-long-enough/card\nparameter=card\n",
    "Firmware: 2.04",
    "<input type=password>",
    "4711",
    "GET",
    "POST",
    "/",
    "/card",
    "card",
    "configure",
    "check",
];

/// What sessions are opened with. Made once: a manifest takes longer than what a reader does.
static GENERIC: LazyLock<Context> = LazyLock::new(|| context(&Native::<Generic>::new(), "generic", "dial"));
static SPRINGCORE_TCP: LazyLock<Context> =
    LazyLock::new(|| context(&Native::<SpringCore>::new(), "springcore-tcp", "dial"));
static SPRINGCORE_HTTP: LazyLock<Context> =
    LazyLock::new(|| context(&Native::<SpringCore>::new(), "springcore-http", "http"));
static RFIDEAS_241: LazyLock<Context> =
    LazyLock::new(|| context(&Native::<RfIdeas241>::new(), "rfideas-241-client", "http"));

/// What the SpringCore driver's readers do: the first byte chooses the mode.
pub fn springcore(bytes: &[u8]) {
    let Some((which, rest)) = bytes.split_first() else { return };
    let context = if which % 2 == 0 { &SPRINGCORE_TCP } else { &SPRINGCORE_HTTP };
    drive(&Native::<SpringCore>::new(), context, rest);
}

/// What an RF IDeas Ethernet 241 does, and what its pages say.
pub fn rfideas_241(bytes: &[u8]) {
    drive(&Native::<RfIdeas241>::new(), &RFIDEAS_241, bytes);
}

/// A session opened with arbitrary state: the first byte chooses the driver, the next how many bytes are state, in tens; what
/// is left is what its reader does.
pub fn saved_state(bytes: &[u8]) {
    let [which, tens, rest @ ..] = bytes else { return };
    let (saved, script) = rest.split_at_checked(usize::from(*tens) * 10).unwrap_or((rest, &[]));
    match which % 4 {
        0 => go_on(&Native::<Generic>::new(), &GENERIC, saved, script),
        1 => go_on(&Native::<SpringCore>::new(), &SPRINGCORE_TCP, saved, script),
        2 => go_on(&Native::<SpringCore>::new(), &SPRINGCORE_HTTP, saved, script),
        _ => go_on(&Native::<RfIdeas241>::new(), &RFIDEAS_241, saved, script),
    }
}

/// This mode and transport, and the settings as they are by default.
fn context(driver: &dyn Subject, mode: &str, transport: &str) -> Context {
    let manifest = driver.manifest().expect("a sound manifest");
    let settings = &manifest.modes.iter().find(|known| known.id == mode).expect("the driver has the mode").settings;
    let defaults = settings.iter().filter_map(|setting| Some((setting.key.clone(), setting.default.clone()?)));
    Context {
        mode: mode.to_owned(),
        transport: transport.to_owned(),
        settings: defaults.collect(),
        callback: (transport == "http").then(|| CALLBACK.to_owned()),
        ..Context::default()
    }
}

fn drive(driver: &dyn Subject, context: &'static Context, script: &[u8]) {
    let mut host = Host::new(driver.open(context.clone()).expect("it can be opened"), context);
    host.tell(Input::Connected(vec![7; 32]));
    host.play(script);
}

fn go_on(driver: &dyn Subject, context: &'static Context, saved: &[u8], script: &[u8]) {
    match driver.open(Context { saved: Some(saved.to_vec()), ..context.clone() }) {
        // Foreign state is refused in words.
        Err(Stop::Fault(fault)) => assert!(!fault.message.is_empty()),
        Err(stop) => panic!("{stop:?}"),
        // It passes for the driver's own. Its ids may be anything then, so the books say nothing.
        Ok(session) => {
            let mut host = Host { books: None, ..Host::new(session, context) };
            host.tell(Input::Resumed);
            host.play(script);
            host.reopen();
        }
    }
}

/// A host with one session.
struct Host {
    session: Box<dyn Session>,
    context: &'static Context,
    /// None: nothing is held against them.
    books: Option<Accounts>,
    bounds: Bounds,
    now: Millis,
    timers: BTreeSet<Id>,
    fetches: BTreeSet<Id>,
    calls: BTreeSet<Id>,
    swipes: BTreeSet<Id>,
    last_call: Id,
    is_over: bool,
}

impl Host {
    fn new(session: Box<dyn Session>, context: &'static Context) -> Self {
        let books = Some(Accounts::new(context));
        let [timers, fetches, calls, swipes] = [(); 4].map(|()| BTreeSet::new());
        let bounds = Bounds::default();
        Self { session, context, books, bounds, now: 0, timers, fetches, calls, swipes, last_call: 0, is_over: false }
    }

    fn is_http(&self) -> bool {
        self.context.transport == "http"
    }

    /// Does what the script says, one byte for what happens and some for what it brings.
    fn play(&mut self, script: &[u8]) {
        let mut script = Script(script);
        while let (false, Some(step)) = (self.is_over, script.byte()) {
            self.now += 5;
            match step % 10 {
                0 | 1 if !self.is_http() && self.swipes.len() < CARDS_WAITING => {
                    let bytes = script.text();
                    self.tell(Input::Received(bytes));
                }
                0..=2 if self.is_http() && self.has_room() => self.call(&mut script),
                3 => self.fetched(&mut script),
                4 => {
                    if let Some(id) = self.timers.pop_first() {
                        self.tell(Input::Timer(id));
                    }
                }
                5 => {
                    if let Some(swipe) = self.swipes.pop_first() {
                        let code = if script.byte().unwrap_or_default() % 2 == 0 {
                            VerdictCode::Released
                        } else {
                            VerdictCode::UnknownCard
                        };
                        self.tell(Input::Verdict(Verdict { swipe, code, message: "a word".to_owned() }));
                    }
                }
                6 => {
                    if let Some(id) = self.calls.pop_first() {
                        self.tell(Input::CallEnded(id));
                    }
                }
                7 => self.reopen(),
                8 => {
                    let name = script.word();
                    self.tell(Input::Command(name, Vec::new()));
                }
                9 => self.now += 100 * Millis::from(script.byte().unwrap_or_default()),
                _ => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        self.swipes.len() < CARDS_WAITING && (self.calls.len() as u64) < self.bounds.open_calls
    }

    fn call(&mut self, script: &mut Script<'_>) {
        self.last_call += 1;
        let (method, path, name, value) = (script.word(), script.word(), script.word(), script.word());
        self.calls.insert(self.last_call);
        self.tell(Input::Called(Call {
            id: self.last_call,
            method,
            path,
            query: vec![(name, value)],
            headers: Vec::new(),
            body: script.text(),
        }));
    }

    fn fetched(&mut self, script: &mut Script<'_>) {
        let Some(id) = self.fetches.pop_first() else { return };
        let outcome = match script.byte().unwrap_or_default() % 4 {
            0 => Err(Fault::new("timeout", "nothing came")),
            1 => Ok(500),
            _ => Ok(200),
        };
        let outcome = outcome.map(|status| Response { status, headers: Vec::new(), body: script.text() });
        self.tell(Input::Fetched(id, outcome));
    }

    /// Gives the driver an input and carries out what it answers.
    fn tell(&mut self, input: Input) {
        if let Some(books) = &mut self.books {
            books.input(&input);
        }
        let outputs = match self.session.handle(self.now, input) {
            Ok(outputs) => outputs,
            // A driver may give up, in words.
            Err(Stop::Fault(fault)) => {
                assert!(!fault.message.is_empty());
                self.is_over = true;
                return;
            }
            Err(stop) => panic!("{stop:?}"),
        };
        if let Some(books) = &mut self.books {
            books.outputs(self.now, outputs.clone(), &self.bounds).unwrap_or_else(|refused| panic!("{refused:?}"));
        }
        for output in outputs {
            match output {
                Output::SetTimer(id, _) => drop(self.timers.insert(id)),
                Output::CancelTimer(id) => drop(self.timers.remove(&id)),
                Output::Fetch(fetch) => drop(self.fetches.insert(fetch.id)),
                Output::Answer(id, _) => drop(self.calls.remove(&id)),
                Output::Card(card) => drop(self.swipes.insert(card.swipe)),
                Output::Close(_) => self.is_over = true,
                _ => {}
            }
        }
    }

    /// Saves the session and goes on with it, at a quiet point.
    fn reopen(&mut self) {
        if self.is_over || !self.fetches.is_empty() || !self.calls.is_empty() {
            return;
        }
        let Ok(Some(saved)) = self.session.save() else { return };
        assert!(saved.len() as u64 <= self.bounds.saved_bytes, "{} bytes", saved.len());
        let context = Context { saved: Some(saved), ..self.context.clone() };
        self.session.reopen(context).expect("its own state is taken");
        self.tell(Input::Resumed);
    }
}

/// What is left of an input.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// One of the words, or as many bytes as the first one says.
    fn text(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte().unwrap_or_default());
        if let Some(word) = length.checked_sub(256 - WORDS.len()).and_then(|which| WORDS.get(which)) {
            return word.as_bytes().to_vec();
        }
        let (text, rest) = self.0.split_at_checked(length).unwrap_or((self.0, &[]));
        self.0 = rest;
        text.to_vec()
    }

    fn word(&mut self) -> String {
        String::from_utf8_lossy(&self.text()).into_owned()
    }
}
