//! A driver of a reader that speaks HTTP, for the tests of whoever runs such sessions.
//!
//! It tells its reader the callback address as drivers of real readers do, with a fetch (`GET /configure?url=…`), and asks
//! again until that works. What a call does is said by its path: `/card?card=NUMBER` reads a card and answers with the
//! verdict's code, `/now` answers at once, `/never` never, `/bye` when the session ends, `/trap` traps. The command `probe`
//! fetches a path of the reader and logs what came of it; `send` sends bytes, which HTTP has no way for; `tell` says aloud
//! where the reader calls, and `fail` fails with it, which no driver should. Never installed anywhere.

use std::hint::black_box;

use cardinal_sdk::prelude::*;

/// The reader's ports that this driver may use.
const PORTS: [u16; 2] = [18_080, 18_443];
/// The fetch that configures, and the timer that repeats it.
const CONFIGURE: Id = 0;

/// The calls and probes that are open.
pub struct Caller {
    callback: String,
    /// A swipe that waits for its verdict, its number, and the calls that it will answer.
    swipes: Vec<(Id, String, Vec<Id>)>,
    /// Calls that are answered at the end.
    late: Vec<Id>,
    probes: Vec<(Id, String)>,
    next: Id,
}

impl Driver for Caller {
    fn manifest() -> Manifest {
        let mode = Mode::new("http", "HTTP", "Calls, and is called.")
            .transport(Transport::Http(PORTS.to_vec()))
            .command("probe")
            .command("send")
            .command("tell")
            .command("fail");
        Manifest::new("test", "caller", "1.0.0", "Speaks HTTP for tests").mode(mode)
    }

    fn open(context: Context) -> Result<Self, Fault> {
        let callback = context.callback.ok_or_else(|| Fault::new("no-callback", "it was given no callback"))?;
        Ok(Self { callback, swipes: Vec::new(), late: Vec::new(), probes: Vec::new(), next: 1 })
    }

    fn handle(&mut self, _: Millis, input: Input, out: &mut Outputs) -> Result<(), Fault> {
        match input {
            Input::Connected(_) | Input::Timer(CONFIGURE) => {
                out.fetch(Fetch::get(CONFIGURE, "/configure").query("url", &*self.callback));
            }
            Input::Fetched(Fetched { id: CONFIGURE, outcome }) => Self::configured(outcome, out),
            Input::Fetched(Fetched { id, outcome }) => self.probed(id, outcome, out),
            Input::Called(call) => self.called(&call, out),
            Input::CallEnded(id) => {
                self.late.retain(|late| *late != id);
                for (_, _, calls) in &mut self.swipes {
                    calls.retain(|call| *call != id);
                }
                out.log("info", "a call was answered by the host");
            }
            Input::Verdict(verdict) => self.decided(&verdict, out),
            Input::Command(command) if command.name == "send" => {
                out.send("bytes");
                out.keepalive(100, "alive");
            }
            Input::Command(command) if command.name == "tell" => {
                out.log("info", format!("told: {}", self.callback));
                out.status("degraded", &*self.callback, [("callback", &*self.callback)]);
            }
            Input::Command(command) if command.name == "fail" => return Err(Fault::new("failed", &*self.callback)),
            Input::Command(command) => self.probe(&command, out),
            Input::Disconnected(_) => {
                for id in self.late.drain(..) {
                    out.answer(id, Response::new(200).body("bye"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Caller {
    fn configured(outcome: Result<Response, Fault>, out: &mut Outputs) {
        match outcome {
            Ok(answer) if answer.status == 200 => {
                let firmware = String::from_utf8_lossy(&answer.body).into_owned();
                out.status("online", "", [("firmware", &*firmware)]);
                return;
            }
            Ok(answer) => out.error(format!("the reader answered {}", answer.status)),
            Err(fault) => out.error(format!("{}: {}", fault.code, fault.message)),
        }
        out.set_timer(CONFIGURE, 1_000);
    }

    fn called(&mut self, call: &Call, out: &mut Outputs) {
        match call.path.as_str() {
            "/card" => {
                let number = call.query.iter().find(|pair| pair.key == "card").map(|pair| pair.value.clone());
                let number = number.unwrap_or_default();
                // A reader that hears nothing asks again: the same swipe, and one verdict for both.
                if let Some((_, _, calls)) = self.swipes.iter_mut().find(|(_, known, _)| *known == number) {
                    calls.push(call.id);
                    return;
                }
                let swipe = self.id();
                self.swipes.push((swipe, number.clone(), vec![call.id]));
                out.card(Card::new(swipe).number(number));
            }
            "/now" => {
                let said = format!("{} {}", call.method, String::from_utf8_lossy(&call.body));
                out.answer(call.id, Response::new(201).header("x-driver", "caller").body(said));
            }
            "/bye" => {
                self.late.push(call.id);
                out.log("info", "a call waits for the end");
            }
            "/trap" => {
                let nothing: Option<u8> = black_box(None);
                #[allow(clippy::unwrap_used, reason = "this is the trap")]
                let _ = nothing.unwrap();
            }
            _ => out.log("info", "a call is not answered"),
        }
    }

    fn decided(&mut self, verdict: &Verdict, out: &mut Outputs) {
        let Some(place) = self.swipes.iter().position(|(swipe, ..)| *swipe == verdict.swipe) else { return };
        let (_, _, calls) = self.swipes.swap_remove(place);
        for call in calls {
            out.answer(call, Response::new(200).body(&*verdict.code));
        }
    }

    fn probe(&mut self, command: &Command, out: &mut Outputs) {
        let argument = |key: &str| {
            command.arguments.iter().find(|pair| pair.key == key).map(|pair| pair.value.clone()).unwrap_or_default()
        };
        let id = self.id();
        let path = argument("path");
        let fetch = Fetch::get(id, &*path).tls(argument("tls") == "true").query("q", "a b+c");
        out.fetch(match argument("port").parse() {
            Ok(port) => fetch.port(port),
            Err(_) => fetch,
        });
        self.probes.push((id, path));
    }

    fn probed(&mut self, id: Id, outcome: Result<Response, Fault>, out: &mut Outputs) {
        let Some(place) = self.probes.iter().position(|(probe, _)| *probe == id) else { return };
        let (_, path) = self.probes.swap_remove(place);
        let line = match outcome {
            Ok(answer) => {
                let location = answer.headers.iter().find(|header| header.name == "location");
                let location = location.map_or("nowhere", |header| &header.value);
                format!("probe {path}: {} with {} bytes to {location}", answer.status, answer.body.len())
            }
            Err(fault) => format!("probe {path}: {}: {}", fault.code, fault.message),
        };
        out.log("info", line);
    }

    fn id(&mut self) -> Id {
        self.next += 1;
        self.next
    }
}

cardinal_sdk::driver!(Caller);
