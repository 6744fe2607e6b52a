//! The program that looks for inputs: libFuzzer around one target, which `CARDINAL_FUZZ_TARGET` names.
//!
//! One program for all targets, because linking one takes longer than running it over its corpus. `cargo xtask fuzz` builds
//! it with coverage and calls it.
#![no_main]
#![allow(unsafe_code, reason = "the macro exports the function that libFuzzer calls")]
#![allow(clippy::panic, reason = "without a target there is nothing to do")]

use std::sync::LazyLock;

use cardinal_fuzz::{TARGETS, Target, find};
use libfuzzer_sys::fuzz_target;

static CHOSEN: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("CARDINAL_FUZZ_TARGET").unwrap_or_default();
    find(&name).unwrap_or_else(|| {
        let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        panic!("set CARDINAL_FUZZ_TARGET to one of: {}", known.join(", "))
    })
});

fuzz_target!(|bytes: &[u8]| (CHOSEN.run)(bytes));
