//! The driver `acme/line`: readers of the (made-up) ACME Line 200 family, as a partner would write it.
//!
//! The protocol, as its manual would tell it. Messages go both ways over TCP, each a line `FIELD,FIELD…*CC` that ends in
//! `\r\n`; `CC` is the XOR of all bytes before the `*`, as two hexadecimal digits. The reader says `HELLO,serial,firmware`
//! once, and `CARD,sequence,number` for each card, again every second until it gets `OK,sequence`. It takes
//! `LED,colour,milliseconds`.
//!
//! So the driver owes the reader an `OK` for each `CARD`, and the person one decision for each card: a message that came
//! twice must not be two cards, and a damaged one must not be a card at all.

use cardinal_sdk::{
    prelude::*,
    state::{Loader, Saver},
};

cardinal_sdk::driver!(AcmeLine);

/// Bytes of the longest message; what is longer has lost its line end and fails its checksum.
const LONGEST: usize = 96;

/// A session with one reader.
#[derive(Debug)]
pub struct AcmeLine {
    light: u32,
    line: Vec<u8>,
    /// The sequence number of the last card, as the reader wrote it.
    last_card: String,
    last_swipe: Id,
    /// The last message was damaged.
    damaged: bool,
}

impl Driver for AcmeLine {
    fn manifest() -> Manifest {
        Manifest::new("acme", "line", env!("CARGO_PKG_VERSION"), "ACME Line 200 card readers").mode(
            Mode::new("line-200", "ACME Line 200", "On the reader's page choose `TCP server`.")
                .transport(Transport::Dial(4660))
                .setting(
                    Setting::integer("light_ms")
                        .title("Light")
                        .help("How long the light shows what became of a card, in milliseconds.")
                        .default("800"),
                ),
        )
    }

    fn open(context: Context) -> Result<Self, Fault> {
        let light = Settings::of(&context).integer("light_ms")?;
        let new = Self { light, line: Vec::new(), last_card: String::new(), last_swipe: 0, damaged: false };
        let Some(saved) = context.saved else { return Ok(new) };
        let mut state = Loader::new(&saved, 1)?;
        let session = Self {
            light,
            line: state.bytes()?.to_vec(),
            last_card: state.text()?.to_owned(),
            last_swipe: state.number()?,
            damaged: state.flag()?,
        };
        state.end()?;
        Ok(session)
    }

    fn handle(&mut self, _now: Millis, input: Input, out: &mut Outputs) -> Result<(), Fault> {
        match input {
            Input::Received(bytes) => {
                for byte in bytes {
                    if byte == b'\n' {
                        let line = std::mem::take(&mut self.line);
                        self.message(&line, out);
                    } else if self.line.len() < LONGEST {
                        self.line.push(byte);
                    }
                }
            }
            Input::Verdict(verdict) => {
                let colour = match verdict.code.as_str() {
                    "released" | "unlocked" | "registered" => "green",
                    "nothing-held" | "enter-pin" => "yellow",
                    _ => "red",
                };
                out.send(message(&format!("LED,{colour},{}", self.light)));
            }
            _ => {}
        }
        Ok(())
    }

    fn save(&self) -> Option<Vec<u8>> {
        let state = Saver::new(1).bytes(&self.line).text(&self.last_card).number(self.last_swipe).flag(self.damaged);
        Some(state.finish())
    }
}

impl AcmeLine {
    fn message(&mut self, line: &[u8], out: &mut Outputs) {
        let Some(text) = checked(line) else {
            if !self.damaged {
                out.degraded("the reader's messages arrive damaged; check its cabling");
            }
            self.damaged = true;
            return;
        };
        if self.damaged {
            out.online();
        }
        self.damaged = false;
        match text.split(',').collect::<Vec<_>>().as_slice() {
            ["HELLO", serial, firmware] => out.status("online", "", [("serial", serial), ("firmware", firmware)]),
            ["CARD", sequence, number] => {
                out.send(message(&format!("OK,{sequence}")));
                if self.last_card != *sequence {
                    (*sequence).clone_into(&mut self.last_card);
                    self.last_swipe = self.last_swipe.wrapping_add(1);
                    out.card(Card::new(self.last_swipe).number(*number));
                }
            }
            _ => {} // newer readers say more; none of it is a card
        }
    }
}

/// The text of a line whose checksum is right.
fn checked(line: &[u8]) -> Option<&str> {
    let (text, sum) = std::str::from_utf8(line).ok()?.trim_end().split_once('*')?;
    (u8::from_str_radix(sum, 16).ok()? == checksum(text)).then_some(text)
}

fn message(text: &str) -> String {
    format!("{text}*{:02X}\r\n", checksum(text))
}

fn checksum(text: &str) -> u8 {
    text.bytes().fold(0, |sum, byte| sum ^ byte)
}
