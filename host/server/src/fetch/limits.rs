//! Bounds on what is fetched from readers.
#![allow(dead_code, reason = "the table's macro makes look-ups by name, which drivers' bounds alone need")]

use cardinal_domain::{
    bounds::{BoundsError, in_range},
    bounds_table,
};

const KIB: u64 = 1 << 10;

bounds_table! {
    /// What holds for fetches from readers: `[fetches]` in `cardinal.toml`. How large a body may be is a bound of the driver,
    /// `http_body_bytes`, and how many fetches one reader may have at once, too: `fetches_in_flight`.
    FetchLimits,
    /// The table behind [`FetchLimits`].
    FETCH_LIMITS:

    connect_ms = 5_000, "ms", "Time for a connection with a reader, its name's look-up and TLS included.";
    whole_ms = 15_000, "ms", "Time for a whole fetch, from its turn to the last byte of the answer. Small web servers take seconds at times, and one that dribbles must not keep its place.";
    at_once = 64, "fetches", "Fetches from all readers at one time; a further one waits for its turn.";
    headers = 64, "headers", "Headers of one answer; small web servers send ten.";
    header_bytes = 16 * KIB, "bytes", "Names and values of the headers of one answer.";
}

impl FetchLimits {
    /// Whether readers can be asked within these.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), BoundsError> {
        in_range("connect_ms", self.connect_ms, 100, 600_000, "")?;
        in_range("whole_ms", self.whole_ms, 100, 600_000, "")?;
        in_range("at_once", self.at_once, 1, 10_000, "")?;
        in_range("headers", self.headers, 1, 1_000, "")?;
        in_range("header_bytes", self.header_bytes, KIB, 256 * KIB, "")
    }
}
