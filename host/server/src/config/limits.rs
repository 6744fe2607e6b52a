//! Bounds on what callers and readers may ask of the host.
#![allow(dead_code, reason = "the table's macro makes look-ups by name, which drivers' bounds alone need")]

use cardinal_domain::{
    bounds::{BoundsError, in_range},
    bounds_table,
};

const KIB: u64 = 1 << 10;

bounds_table! {
    /// What holds for callers before it is known who they are: `[callers]` in `cardinal.toml`.
    CallerLimits,
    /// The table behind [`CallerLimits`].
    CALLER_LIMITS:

    greeting_ms = 10_000, "ms", "Time for a TLS handshake, and as much again for a terminal's first line where it must be a token. Both take a fraction of a second.";
    at_once = 512, "callers", "Callers of one listener that are in their TLS handshake or first line at one time; a further one is closed and may call again.";
    at_once_per_address = 64, "callers", "Of these, callers from one address, so that one address leaves room for the others. Many terminals behind one address may come back at once after a power cut.";
    refused_told = 256, "addresses", "Addresses of refused terminals that are told of by name within a minute, each once; the others are told of as a number.";
}

bounds_table! {
    /// What one reader may ask of the host: `[sessions]` in `cardinal.toml`. What goes beyond waits at the reader: it is read
    /// more slowly.
    SessionLimits,
    /// The table behind [`SessionLimits`].
    SESSION_LIMITS:

    cards_waiting = 16, "cards", "Cards that wait for their verdict before the reader is read no further. People show one a second.";
    cards_per_second = 200, "cards", "Cards of one reader that are decided about in a second, when they come for longer than a second. Each is a few stored events.";
    bytes_per_second = 256 * KIB, "bytes", "What is read from one reader in a second, when it comes for longer than a second. A card is some twenty bytes; a read counts as 64 at least.";
    connections_per_minute = 60, "connections", "Connections of one terminal that calls us, when it calls again and again; ten are taken at once. Each is two stored events.";
    commands_waiting = 8, "commands", "Commands of operators that wait for one reader; a further one is refused.";
    call_answer_ms = 10_000, "ms", "Time for the driver of a reader that calls over HTTP to answer a call; then the host answers 504. A verdict takes milliseconds, and readers give up after some seconds.";
    sleep_after_ms = 10_000, "ms", "How long a reader's driver has nothing to do before it is saved and its instance is let go; the next input wakes it, which takes some 40 microseconds. Where the host has nearly as many instances as it may, a tenth of a second is enough.";
    failures = 5, "failures", "Failures of a driver on one reader (traps, crossed bounds, faults) before it is no longer started there, until it is freed by hand or another version of it is to run.";
    failures_within_ms = 600_000, "ms", "The time within which that many must happen.";
    rest_bytes = 64 * KIB, "bytes", "What had arrived when a connection ended and is still taken: what a person showed must not be lost, and a flood must not keep an ending connection alive.";
    facts = 64, "facts", "What a driver reports of its reader and the host keeps to show; each is cut at 1,024 characters.";
    calm_ms = 10_000, "ms", "How long a reader must have stayed within its bounds before a flood counts as over.";
}

impl CallerLimits {
    /// Whether a listener can work within these.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), BoundsError> {
        in_range("greeting_ms", self.greeting_ms, 100, 600_000, "")?;
        in_range("at_once", self.at_once, 1, 100_000, "")?;
        in_range("at_once_per_address", self.at_once_per_address, 1, self.at_once, "; at_once says so")?;
        in_range("refused_told", self.refused_told, 1, 100_000, "")
    }
}

impl SessionLimits {
    /// Whether a session can work within these.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), BoundsError> {
        in_range("cards_waiting", self.cards_waiting, 1, 10_000, "")?;
        in_range("cards_per_second", self.cards_per_second, 1, 100_000, "")?;
        in_range("bytes_per_second", self.bytes_per_second, KIB, 1 << 40, "")?;
        in_range("connections_per_minute", self.connections_per_minute, 1, 100_000, "")?;
        in_range("commands_waiting", self.commands_waiting, 1, 10_000, "")?;
        in_range("failures", self.failures, 1, 1_000, "")?;
        in_range("failures_within_ms", self.failures_within_ms, 1_000, 7 * 86_400_000, "")?;
        in_range("sleep_after_ms", self.sleep_after_ms, 10, 86_400_000, "")?;
        in_range("call_answer_ms", self.call_answer_ms, 100, 600_000, "")?;
        in_range("rest_bytes", self.rest_bytes, KIB, 1 << 30, "")?;
        in_range("facts", self.facts, 1, 10_000, "")?;
        in_range("calm_ms", self.calm_ms, 100, 86_400_000, "")
    }
}
