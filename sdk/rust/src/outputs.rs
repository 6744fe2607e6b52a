//! What a driver answers to an input, put together call by call.

use crate::{Answer, Card, Fault, Fetch, Id, Keepalive, Log, Millis, Output, Pair, Response, Status, Timer, Typed};

/// What should happen, carried out by the host in the order in which it was put here.
#[derive(Debug, Default)]
pub struct Outputs(Vec<Output>);

impl Outputs {
    /// Nothing yet. A driver is given one; tests make their own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Any output of the contract. The other methods are shorter.
    pub fn push(&mut self, output: Output) {
        self.0.push(output);
    }

    /// Send these bytes to the reader. None: nothing happens.
    pub fn send(&mut self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        if !bytes.is_empty() {
            self.push(Output::Send(bytes));
        }
    }

    /// Have the host send these bytes every so often (100 ms at least), until replaced.
    pub fn keepalive(&mut self, every: Millis, bytes: impl Into<Vec<u8>>) {
        self.push(Output::Keepalive(Some(Keepalive { every, bytes: bytes.into() })));
    }

    /// Stop the keepalive.
    pub fn stop_keepalive(&mut self) {
        self.push(Output::Keepalive(None));
    }

    /// A card was shown. Exactly one [`crate::Verdict`] of the same swipe will come.
    pub fn card(&mut self, card: Card) {
        self.push(Output::Card(card));
    }

    /// A person typed something at this port of the reader.
    pub fn typed(&mut self, port: u8, text: impl Into<String>) {
        self.push(Output::Typed(Typed { port, text: text.into() }));
    }

    /// Fire [`crate::Input::Timer`] once, this long from now. An id set again replaces the old one.
    pub fn set_timer(&mut self, id: Id, after: Millis) {
        self.push(Output::SetTimer(Timer { id, after }));
    }

    /// Forget a timer; one that is not set is ignored.
    pub fn cancel_timer(&mut self, id: Id) {
        self.push(Output::CancelTimer(id));
    }

    /// Make an HTTP request to the reader. Exactly one [`crate::Fetched`] of the same id will come.
    pub fn fetch(&mut self, fetch: Fetch) {
        self.push(Output::Fetch(fetch));
    }

    /// Answer the reader's call of this id.
    pub fn answer(&mut self, id: Id, response: Response) {
        self.push(Output::Answer(Answer { id, response }));
    }

    /// The reader is as it should be.
    pub fn online(&mut self) {
        self.status("online", "", []);
    }

    /// The reader works, but there is something to look at.
    pub fn degraded(&mut self, reason: impl Into<String>) {
        self.status("degraded", reason, []);
    }

    /// The reader does not work.
    pub fn error(&mut self, reason: impl Into<String>) {
        self.status("error", reason, []);
    }

    /// How the reader is, with facts such as `firmware`. Facts add up over the session; an empty value removes one.
    pub fn status<const N: usize>(&mut self, health: &str, reason: impl Into<String>, facts: [(&str, &str); N]) {
        let facts = facts.into_iter().map(|(key, value)| Pair::new(key, value)).collect();
        self.push(Output::Status(Status { health: health.to_owned(), reason: reason.into(), facts }));
    }

    /// Keep these bytes for later sessions of this reader, across restarts: they come back in `context.memory`.
    pub fn remember(&mut self, key: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.push(Output::Remember((key.into(), bytes.into())));
    }

    /// Forget what was remembered under this key.
    pub fn forget(&mut self, key: impl Into<String>) {
        self.remember(key, []);
    }

    /// A line for the operator's log: `debug`, `info`, `warn` or `error`. Never a card number, a PIN or a secret.
    pub fn log(&mut self, level: &str, message: impl Into<String>) {
        self.push(Output::Log(Log { level: level.to_owned(), message: message.into() }));
    }

    /// [`Outputs::log`] at level `warn`.
    pub fn warn(&mut self, message: impl Into<String>) {
        self.log("warn", message);
    }

    /// End the session and its connection; the host begins another after its retry delay.
    pub fn close(&mut self, code: &str, message: impl Into<String>) {
        self.push(Output::Close(Fault::new(code, message)));
    }

    /// What has been put here so far.
    pub fn as_slice(&self) -> &[Output] {
        &self.0
    }

    /// All of it.
    pub fn into_vec(self) -> Vec<Output> {
        self.0
    }
}
