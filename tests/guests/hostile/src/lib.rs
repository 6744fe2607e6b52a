//! A driver that misbehaves on demand, for the tests of whoever runs drivers.
//!
//! The settings `open` and `save` say what goes wrong there; each line of text received says what `handle` does, and the
//! setting `connected` what it does at the start, over HTTP, too. `every MS DEED` does a thing again and again, `last DEED`
//! when the connection is over. `echo` is the one honest deed, by which a test sees that a session still works. Never
//! installed anywhere.

use std::hint::{black_box, spin_loop};

use cardinal_sdk::{Log, Mode, Output, Setting, Status, prelude::*};

/// The timer of what is done again and again. Those of `timers` and `ticks` begin at 0.
const AGAIN: Id = 1_000;

/// How it is to misbehave, and how many lines it has echoed. Only that number is saved.
pub struct Hostile {
    connected: String,
    save: String,
    echoed: u8,
    /// What is done again and again, and how many milliseconds lie between.
    again: Option<(Millis, String)>,
    /// What it does when it is told that the connection is over.
    last: String,
    /// Whether each timer is set again when it is due.
    ticks: bool,
    /// Whether each fetch is made again when it has ended.
    fetches: bool,
}

impl Driver for Hostile {
    fn manifest() -> Manifest {
        let mode = Mode::new("any", "Any", "Misbehaves as told.")
            .transport(Transport::Dial(0))
            .transport(Transport::Listen)
            .transport(Transport::Http(vec![18_080]))
            .setting(Setting::text("open").title("Open").help("What goes wrong in open.").default("nothing"))
            .setting(Setting::text("save").title("Save").help("What goes wrong in save.").default("nothing"))
            .setting(Setting::text("connected").title("Connected").help("What it does first.").default("nothing"));
        Manifest::new("test", "hostile", "1.0.0", "Misbehaves on demand").mode(mode)
    }

    fn open(context: Context) -> Result<Self, Fault> {
        let setting = |key: &str| {
            context.settings.iter().find(|pair| pair.key == key).map(|pair| pair.value.clone()).unwrap_or_default()
        };
        misbehave(&setting("open"))?;
        let echoed = context.saved.as_deref().and_then(|saved| saved.first().copied()).unwrap_or_default();
        let (connected, save) = (setting("connected"), setting("save"));
        Ok(Self { connected, save, echoed, again: None, last: String::new(), ticks: false, fetches: false })
    }

    fn handle(&mut self, _: u64, input: Input, out: &mut Outputs) -> Result<(), Fault> {
        match input {
            Input::Connected(_) => self.obey(&self.connected.clone(), out),
            Input::Timer(AGAIN) => {
                let Some((every, deed)) = self.again.clone() else { return Ok(()) };
                out.set_timer(AGAIN, every);
                self.obey(&deed, out)
            }
            Input::Timer(id) => {
                if self.ticks {
                    out.set_timer(id, 0);
                }
                Ok(())
            }
            Input::Fetched(fetched) => {
                if self.fetches {
                    out.fetch(Fetch::get(fetched.id, "/"));
                }
                Ok(())
            }
            Input::Received(bytes) => self.obey(&String::from_utf8_lossy(&bytes), out),
            Input::Resumed => {
                out.send([self.echoed]);
                Ok(())
            }
            Input::Disconnected(_) => self.obey(&self.last.clone(), out),
            _ => Ok(()),
        }
    }

    fn save(&self) -> Option<Vec<u8>> {
        match self.save.as_str() {
            "never" => return None,
            "huge" => return Some(vec![0; 100_000]),
            "enormous" => return Some(vec![0; 1 << 21]),
            deed => misbehave(deed).ok(),
        };
        Some(vec![self.echoed])
    }
}

/// What can go wrong anywhere.
fn misbehave(deed: &str) -> Result<(), Fault> {
    match deed {
        "fault" => Err(Fault::new("told-so", "it was told to fail")),
        "loop" => loop {
            spin_loop();
        },
        "trap" => {
            let nothing: Option<u8> = black_box(None);
            #[allow(clippy::unwrap_used, reason = "this is the trap")]
            let _ = nothing.unwrap();
            Ok(())
        }
        "recurse" => {
            black_box(recurse(black_box(1)));
            Ok(())
        }
        "memory" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; 1 << 16]));
            }
        }
        _ => Ok(()),
    }
}

fn recurse(depth: u64) -> u64 {
    if depth == 0 { 0 } else { recurse(black_box(depth + 1)) + black_box(depth) }
}

impl Hostile {
    fn obey(&mut self, line: &str, out: &mut Outputs) -> Result<(), Fault> {
        let (deed, argument) = line.split_once(' ').unwrap_or((line, ""));
        let number: u32 = argument.parse().unwrap_or_default();
        let size = number as usize;
        match deed {
            "echo" => {
                self.echoed = self.echoed.wrapping_add(1);
                out.send(argument);
            }
            "every" => {
                let (every, deed) = argument.split_once(' ').unwrap_or((argument, ""));
                let every = every.parse().unwrap_or_default();
                self.again = Some((every, deed.to_owned()));
                out.set_timer(AGAIN, every);
            }
            "ticks" => {
                self.ticks = true;
                (0..number).for_each(|id| out.set_timer(id, 0));
            }
            "fetching" => {
                self.fetches = true;
                (0..number).for_each(|id| out.fetch(Fetch::get(id, "/")));
            }
            "outputs" => (0..number).for_each(|_| out.send([0])),
            "bytes" => out.send(vec![0; size]),
            "timers" => (0..number).for_each(|id| out.set_timer(id, 1_000)),
            "logs" => (0..number).for_each(|_| out.warn("again")),
            "statuses" => (0..number).for_each(|_| out.online()),
            "typed" => (0..number).for_each(|_| out.typed(0, "1")),
            "memories" => (0..number).for_each(|_| out.remember("key", [0])),
            "answers" => (0..number).for_each(|id| out.answer(id, Response::new(200))),
            "remember" => out.remember("key", vec![0; size]),
            "fetches" => (0..number).for_each(|id| out.fetch(Fetch::get(id, "/"))),
            "cards" => (0..number).for_each(|swipe| out.card(Card::new(swipe).number("4711"))),
            "card" => out.card(Card::new(number).number("4711")),
            "answer" => out.answer(number, Response::new(200)),
            "keepalive" => out.keepalive(number.into(), [0]),
            "bits" => out.card(Card::new(1).bits([0xff], number)),
            "blank-card" => out.card(Card::new(1)),
            "long-log" => out.warn("x".repeat(size)),
            "level" => {
                out.push(Output::Log(Log { level: "loud".to_owned(), message: String::new() }));
            }
            "health" => {
                let facts = Vec::new();
                out.push(Output::Status(Status { health: "poorly".to_owned(), reason: String::new(), facts }));
            }
            "lie" => {
                #[allow(unsafe_code, reason = "no safe code lies like this")]
                // SAFETY: nobody in here reads it as text; the host must find out that it is none.
                let lie = unsafe { String::from_utf8_unchecked(vec![0xff]) };
                out.warn(lie);
            }
            "last" => argument.clone_into(&mut self.last),
            "header" => out.answer(1, Response::new(200).header("x", "a\r\nset-cookie: b")),
            other => misbehave(other)?,
        }
        Ok(())
    }
}

cardinal_sdk::driver!(Hostile);
