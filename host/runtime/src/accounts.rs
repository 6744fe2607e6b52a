//! The books of a session: what a driver has asked for and not yet got or given back.
//!
//! Pure counts, kept on the host's side and outliving any one instance: they go along through sleep and a change of
//! version, like the session's ids and clock. They decide which outputs cross a bound or break the contract; carrying
//! outputs out is the session's business.

use std::collections::{BTreeMap, BTreeSet};

use cardinal_domain::driver::{Context, Id, Input, Millis, Output};

use crate::bounds::Bounds;

/// The shortest time between two keepalives, as the contract says.
pub const SHORTEST_KEEPALIVE_MS: Millis = 100;

/// The books of one session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts {
    http: bool,
    timers: BTreeSet<Id>,
    fetches: BTreeSet<Id>,
    calls: BTreeSet<Id>,
    swipes: BTreeSet<Id>,
    log: Rate,
    reports: Rate,
    fetched: Rate,
    remembered: BTreeMap<String, u64>,
}

/// How many of something there were in the present minute of the session's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rate {
    minute: u64,
    count: u64,
}

impl Rate {
    /// Counts one more: how many that makes in this minute.
    fn count(&mut self, now: Millis) -> u64 {
        let minute = now / 60_000;
        if minute != self.minute {
            *self = Self { minute, count: 0 };
        }
        self.count += 1;
        self.count
    }
}

/// Outputs that may be carried out.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    /// In the driver's order.
    pub outputs: Vec<Output>,
    /// Calls that were answered when they were no longer open; the answers are dropped.
    pub late: Vec<Id>,
}

/// Why outputs may not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A bound is crossed: its name, its value, and what the driver did.
    Bound(&'static str, u64, String),
    /// The contract does not allow it.
    Contract(String),
}

impl Accounts {
    /// The books of a new session, in which the reader's memory is already filled.
    pub fn new(context: &Context) -> Self {
        let remembered = context.memory.iter().map(|(key, bytes)| (key.clone(), weight(key, bytes))).collect();
        Self { http: context.transport == "http", remembered, ..Self::default() }
    }

    /// Whether sleep or a change of version may happen now: no fetch and no call is open.
    pub fn quiet(&self) -> bool {
        self.fetches.is_empty() && self.calls.is_empty()
    }

    /// How many of the reader's calls wait for an answer. The host refuses a call beyond the bound `open_calls` by itself.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// Enters what the driver is told.
    pub fn input(&mut self, input: &Input) {
        // Whether it was there does not matter: the host may tell of what the driver has cancelled meanwhile.
        let _ = match input {
            Input::Timer(id) => self.timers.remove(id),
            Input::Fetched(id, _) => self.fetches.remove(id),
            Input::Called(call) => self.calls.insert(call.id),
            Input::CallEnded(id) => self.calls.remove(id),
            Input::Verdict(verdict) => self.swipes.remove(&verdict.swipe),
            Input::Connected(_)
            | Input::Resumed
            | Input::Received(_)
            | Input::Disconnected(_)
            | Input::Command(_, _) => false,
        };
    }

    /// Enters what the driver asks for, and takes out answers that come too late.
    ///
    /// # Errors
    /// The first output that may not be. The session is then over, and so are its books.
    pub fn outputs(&mut self, now: Millis, outputs: Vec<Output>, bounds: &Bounds) -> Result<Passed, Refused> {
        let mut passed = Passed { outputs: Vec::with_capacity(outputs.len()), late: Vec::new() };
        for output in outputs {
            self.enter(now, &output, bounds)?;
            match &output {
                Output::Answer(id, _) if !self.calls.remove(id) => {
                    self.report(now, bounds)?;
                    passed.late.push(*id);
                }
                _ => passed.outputs.push(output),
            }
        }
        Ok(passed)
    }

    fn enter(&mut self, now: Millis, output: &Output, bounds: &Bounds) -> Result<(), Refused> {
        match output {
            Output::SetTimer(id, _) => {
                self.timers.insert(*id);
                within("timers", self.timers.len() as u64, bounds.timers, "timers set at one time")
            }
            Output::CancelTimer(id) => {
                self.timers.remove(id);
                Ok(())
            }
            Output::Fetch(_) if !self.http => {
                Err(Refused::Contract("asked for a fetch, but its transport is not http".to_owned()))
            }
            Output::Answer(_, _) if !self.http => {
                Err(Refused::Contract("answered a call, but its transport is not http".to_owned()))
            }
            Output::Fetch(fetch) => {
                new_id(&mut self.fetches, fetch.id, "fetch", "in flight")?;
                let count = self.fetches.len() as u64;
                within("fetches_in_flight", count, bounds.fetches_in_flight, "fetches in flight")?;
                within("fetches_per_minute", self.fetched.count(now), bounds.fetches_per_minute, "fetches in a minute")
            }
            Output::Card(card) => {
                new_id(&mut self.swipes, card.swipe, "swipe", "waiting for its verdict")?;
                within("swipes_waiting", self.swipes.len() as u64, bounds.swipes_waiting, "cards without a verdict")
            }
            Output::Keepalive(Some(keepalive)) if keepalive.every < SHORTEST_KEEPALIVE_MS => Err(Refused::Contract(
                format!("asked for a keepalive every {} ms; at least {SHORTEST_KEEPALIVE_MS} ms", keepalive.every),
            )),
            Output::Remember(key, bytes) => {
                self.report(now, bounds)?;
                self.remember(key, bytes, bounds)
            }
            Output::Status(_) | Output::Typed(_, _) => self.report(now, bounds),
            Output::Log(_, _) => {
                let lines = self.log.count(now);
                within("log_lines_per_minute", lines, bounds.log_lines_per_minute, "lines of log in a minute")
            }
            Output::Send(_) | Output::Keepalive(_) | Output::Answer(_, _) | Output::Close(_) => Ok(()),
        }
    }

    /// Enters something that costs the host a stored event or a commit.
    fn report(&mut self, now: Millis, bounds: &Bounds) -> Result<(), Refused> {
        let reports = self.reports.count(now);
        within("reports_per_minute", reports, bounds.reports_per_minute, "reports in a minute")
    }

    fn remember(&mut self, key: &str, bytes: &[u8], bounds: &Bounds) -> Result<(), Refused> {
        if bytes.is_empty() {
            self.remembered.remove(key);
        } else {
            self.remembered.insert(key.to_owned(), weight(key, bytes));
        }
        let sum = self.remembered.values().fold(0_u64, |sum, weight| sum.saturating_add(*weight));
        within("remembered_bytes", sum, bounds.remembered_bytes, "bytes to remember")
    }
}

fn weight(key: &str, bytes: &[u8]) -> u64 {
    (key.len() as u64).saturating_add(bytes.len() as u64)
}

fn within(name: &'static str, count: u64, most: u64, what: &str) -> Result<(), Refused> {
    if count <= most { Ok(()) } else { Err(Refused::Bound(name, most, format!("{count} {what}"))) }
}

fn new_id(known: &mut BTreeSet<Id>, id: Id, what: &str, state: &str) -> Result<(), Refused> {
    if known.insert(id) {
        Ok(())
    } else {
        Err(Refused::Contract(format!("used the id {id} for a new {what} while the earlier one is still {state}")))
    }
}

#[cfg(test)]
mod tests {
    use cardinal_domain::driver::{
        Call, CardRead, Fetch, Health, Keepalive, LogLevel, Response, Status, Verdict, VerdictCode,
    };

    use super::*;

    fn http() -> Accounts {
        Accounts::new(&Context { transport: "http".to_owned(), ..Context::default() })
    }

    fn card(swipe: Id) -> Output {
        Output::Card(CardRead {
            swipe,
            number: Some("1".to_owned()),
            bits: None,
            technology: None,
            port: 0,
            facts: Vec::new(),
        })
    }

    fn fetch(id: Id) -> Output {
        Output::Fetch(Fetch {
            id,
            port: None,
            tls: false,
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
        })
    }

    fn call(id: Id) -> Input {
        Input::Called(Call {
            id,
            method: "GET".to_owned(),
            path: String::new(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
        })
    }

    fn answer(id: Id) -> Output {
        Output::Answer(id, Response { status: 200, headers: Vec::new(), body: Vec::new() })
    }

    fn crossed(result: Result<Passed, Refused>) -> &'static str {
        match result {
            Err(Refused::Bound(name, ..)) => name,
            other => panic!("not a bound: {other:?}"),
        }
    }

    #[test]
    fn timers_are_set_replaced_cancelled_and_fire() {
        let bounds = Bounds { timers: 2, ..Bounds::default() };
        let mut books = http();
        let set = |id| Output::SetTimer(id, 5);
        books.outputs(0, vec![set(1), set(2), set(2), Output::CancelTimer(1), set(3)], &bounds).unwrap();
        books.input(&Input::Timer(2));
        books.outputs(0, vec![set(4)], &bounds).unwrap();
        assert_eq!(crossed(books.outputs(0, vec![set(5)], &bounds)), "timers");
    }

    #[test]
    fn a_swipe_id_is_free_again_after_its_verdict() {
        let bounds = Bounds { swipes_waiting: 2, ..Bounds::default() };
        let mut books = http();
        books.outputs(0, vec![card(1)], &bounds).unwrap();
        assert!(matches!(books.clone().outputs(0, vec![card(1)], &bounds), Err(Refused::Contract(_))));
        books.input(&Input::Verdict(Verdict { swipe: 1, code: VerdictCode::Denied, message: String::new() }));
        books.outputs(0, vec![card(1), card(2)], &bounds).unwrap();
        assert_eq!(crossed(books.outputs(0, vec![card(3)], &bounds)), "swipes_waiting");
    }

    #[test]
    fn fetches_need_http_and_a_free_id() {
        let bounds = Bounds { fetches_in_flight: 1, ..Bounds::default() };
        let mut books = http();
        books.outputs(0, vec![fetch(1)], &bounds).unwrap();
        assert!(!books.quiet());
        assert!(matches!(books.clone().outputs(0, vec![fetch(1)], &bounds), Err(Refused::Contract(_))));
        assert_eq!(crossed(books.clone().outputs(0, vec![fetch(2)], &bounds)), "fetches_in_flight");
        books.input(&Input::Fetched(1, Err(cardinal_domain::driver::Fault::new("timeout", ""))));
        assert!(books.quiet());
        books.outputs(0, vec![fetch(1)], &bounds).unwrap();
        let mut socket = Accounts::new(&Context { transport: "dial".to_owned(), ..Context::default() });
        assert!(matches!(socket.outputs(0, vec![fetch(1)], &bounds), Err(Refused::Contract(_))));
    }

    #[test]
    fn fetches_are_counted_by_the_minute_of_the_session() {
        let bounds = Bounds { fetches_per_minute: 2, ..Bounds::default() };
        let ended = || Input::Fetched(1, Err(cardinal_domain::driver::Fault::new("refused", "")));
        let mut books = http();
        for now in [59_998, 59_999, 60_000, 60_001] {
            books.outputs(now, vec![fetch(1)], &bounds).unwrap();
            books.input(&ended());
        }
        assert_eq!(crossed(books.outputs(60_002, vec![fetch(1)], &bounds)), "fetches_per_minute");
    }

    #[test]
    fn a_late_answer_is_dropped_and_told() {
        let bounds = Bounds::default();
        let mut books = http();
        books.input(&call(1));
        books.input(&call(2));
        assert_eq!(books.open_calls(), 2);
        books.input(&Input::CallEnded(1));
        let passed = books.outputs(0, vec![answer(1), answer(2), answer(2)], &bounds).unwrap();
        assert_eq!(passed, Passed { outputs: vec![answer(2)], late: vec![1, 2] });
        assert!(books.quiet());
    }

    #[test]
    fn the_log_is_counted_by_the_minute_of_the_session() {
        let bounds = Bounds { log_lines_per_minute: 2, ..Bounds::default() };
        let line = || Output::Log(LogLevel::Info, "x".to_owned());
        let mut books = http();
        books.outputs(59_999, vec![line(), line()], &bounds).unwrap();
        books.outputs(60_000, vec![line(), line()], &bounds).unwrap();
        assert_eq!(crossed(books.outputs(60_001, vec![line()], &bounds)), "log_lines_per_minute");
    }

    #[test]
    fn whatever_is_stored_is_counted_by_the_minute_of_the_session() {
        let bounds = Bounds { reports_per_minute: 4, ..Bounds::default() };
        let status = || Output::Status(Status { health: Health::Online, reason: String::new(), facts: Vec::new() });
        let each = || {
            let remember = Output::Remember("k".to_owned(), vec![0]);
            vec![status(), Output::Typed(0, "1".to_owned()), remember, answer(9)]
        };
        let mut books = http();
        books.input(&call(1));
        books.outputs(59_999, [each(), vec![answer(1)]].concat(), &bounds).unwrap();
        for one in each() {
            assert_eq!(crossed(books.clone().outputs(59_999, vec![one], &bounds)), "reports_per_minute");
        }
        books.outputs(60_000, each(), &bounds).unwrap();
        assert_eq!(crossed(books.outputs(60_001, vec![status()], &bounds)), "reports_per_minute");
    }

    #[test]
    fn a_call_is_answered_over_http_alone() {
        let mut socket = Accounts::new(&Context { transport: "listen".to_owned(), ..Context::default() });
        match socket.outputs(0, vec![answer(1)], &Bounds::default()) {
            Err(Refused::Contract(why)) => assert!(why.contains("transport is not http"), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn memory_is_counted_from_what_is_there() {
        let bounds = Bounds { remembered_bytes: 10, ..Bounds::default() };
        let mut books = Accounts::new(&Context { memory: vec![("k".to_owned(), vec![0; 7])], ..Context::default() });
        let keep = |key: &str, size| Output::Remember(key.to_owned(), vec![0; size]);
        books.outputs(0, vec![keep("k", 9)], &bounds).unwrap();
        assert_eq!(crossed(books.clone().outputs(0, vec![keep("l", 1)], &bounds)), "remembered_bytes");
        books.outputs(0, vec![keep("k", 0), keep("l", 9)], &bounds).unwrap();
    }

    #[test]
    fn keepalives_have_a_floor() {
        let keepalive = |every| Output::Keepalive(Some(Keepalive { every, bytes: vec![0] }));
        let mut books = http();
        books.outputs(0, vec![keepalive(100), Output::Keepalive(None)], &Bounds::default()).unwrap();
        assert!(matches!(books.outputs(0, vec![keepalive(99)], &Bounds::default()), Err(Refused::Contract(_))));
    }
}
