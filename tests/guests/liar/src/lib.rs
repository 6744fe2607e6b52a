//! A driver that cannot be asked what it is: its `describe` traps. Never installed anywhere.
//!
//! What `describe` does is one text in the file, so that a test can have it do something else by writing another text of
//! the same length over it: files that lie otherwise, without a guest for each.

use std::{
    hint::{black_box, spin_loop},
    sync::atomic::{AtomicU32, Ordering},
};

use cardinal_sdk::prelude::*;

/// What it does when it is asked. Tests look for this text.
const DEED: &str = "when asked: trap    ";

/// How often it was asked in this instance.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// Never opened.
pub struct Liar;

impl Driver for Liar {
    #[allow(clippy::panic, reason = "this is the trap")]
    fn manifest() -> Manifest {
        let mode = || Mode::new("any", "Any", "Is never opened.").transport(Transport::Dial(0));
        let named = |version: &str, summary: &str| Manifest::new("test", "liar", version, summary).mode(mode());
        match black_box(DEED).trim_start_matches("when asked: ").trim_end() {
            "loop" => loop {
                spin_loop();
            },
            "recurse" => named("1.0.0", &recurse(black_box(1)).to_string()),
            "memory" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(black_box(vec![1_u8; 1 << 16]));
                }
            }
            "megabyte" => named("1.0.0", &"x".repeat(1 << 20)),
            "long" => named("1.0.0", &"x".repeat(100_000)),
            "modes" => (0..1_000).fold(named("1.0.0", ""), |manifest, _| manifest.mode(mode())),
            // Another answer each time, as far as an instance can know that it was asked before.
            "turn" => named(&format!("1.0.{}", ASKED.fetch_add(1, Ordering::Relaxed)), ""),
            "honest" => named("1.0.0", "Says what it is"),
            _ => panic!("a driver that does not know what it is"),
        }
    }

    fn open(_: Context) -> Result<Self, Fault> {
        Ok(Self)
    }

    fn handle(&mut self, _: u64, _: Input, _: &mut Outputs) -> Result<(), Fault> {
        Ok(())
    }
}

fn recurse(depth: u64) -> u64 {
    if depth == 0 { 0 } else { recurse(black_box(depth + 1)) + black_box(depth) }
}

cardinal_sdk::driver!(Liar);
