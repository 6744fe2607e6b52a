//! Bounds on what the readers' listeners take: `[readers.bounds]` in `cardinal.toml`.
#![allow(dead_code, reason = "the table's macro makes look-ups by name, which drivers' bounds alone need")]

use std::time::Duration;

use cardinal_domain::{
    bounds::{BoundsError, in_range, size},
    bounds_table,
};

use crate::http::{Expected, ListenerLimits};

const KIB: u64 = 1 << 10;

bounds_table! {
    /// What holds for readers that call over HTTP. How large a body may be, and how many calls may wait for their answer, are
    /// bounds of the reader's driver: `http_body_bytes` and `open_calls`.
    CallLimits,
    /// The table behind [`CallLimits`].
    CALL_LIMITS:

    connections = 512, "connections", "Connections that one of the readers' listeners serves at one time; further ones wait. Addresses that no reader has get half of them at most.";
    connections_per_address = 32, "connections", "Of these, connections from one address, so that one address leaves room for the others; a further one is closed. A reader needs one or two. An IPv6 network (/64) without a reader counts as one address.";
    connection_ms = 300_000, "ms", "How long a connection is kept for further calls. A caller that reads no answers gives its place back then.";
    request_ms = 10_000, "ms", "Time for the head of a call, and as much again for its body. Both take a fraction of a second; a slow sender gives its place back.";
    head_bytes = 16 * KIB, "bytes", "The head of a call: its request line and headers. The card's number may be in the address.";
    headers = 64, "headers", "Headers of a call; one with more is refused. A reader sends some ten.";
    header_bytes = 2 * KIB, "bytes", "The value of a header; the driver is not shown one that is longer.";
    answer_ms = 60_000, "ms", "How long a call waits for its answer at the very most. The reader's session answers sooner.";
    calls_per_second = 20, "calls", "Calls of one reader in a second, when they come for longer than a second; a further one is answered 429. People show one card a second.";
}

impl CallLimits {
    /// Whether the listeners can work within these.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), BoundsError> {
        in_range("connections", self.connections, 1, 100_000, "")?;
        let most = self.connections;
        in_range("connections_per_address", self.connections_per_address, 1, most, "; connections says so")?;
        in_range("connection_ms", self.connection_ms, 100, 86_400_000, "")?;
        in_range("request_ms", self.request_ms, 100, 600_000, "")?;
        in_range("head_bytes", self.head_bytes, 8 * KIB, 1 << 20, "")?;
        in_range("headers", self.headers, 8, 1_000, "")?;
        in_range("header_bytes", self.header_bytes, 64, self.head_bytes, "; head_bytes says so")?;
        in_range("answer_ms", self.answer_ms, 1_000, 600_000, "")?;
        in_range("calls_per_second", self.calls_per_second, 1, 100_000, "")
    }

    /// How the listeners keep them, where these are expected to call.
    pub fn listener(&self, expected: Expected) -> ListenerLimits {
        ListenerLimits {
            connections: size(self.connections),
            connections_per_address: size(self.connections_per_address),
            head: Duration::from_millis(self.request_ms),
            head_bytes: Some(size(self.head_bytes)),
            headers: Some(size(self.headers)),
            connection: Duration::from_millis(self.connection_ms),
            // For the call that is under way.
            last_request: Duration::from_millis(self.request_ms.saturating_mul(2).saturating_add(self.answer_ms)),
            expected: Some(expected),
        }
    }
}
