//! The doors through which a fuzzer reaches the parsers of this crate, which nobody else outside needs. They do no I/O.

pub use crate::{backends::ipp::fuzz::answer, ipp::fuzz::request};
