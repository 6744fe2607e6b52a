//! Every parser of outside bytes, with anything at all.
//!
//! A target takes any bytes and must come back: a panic, a hang or memory without bound is a bug. Where there is more to
//! say than that (what is taken can be printed and read again, cuts change nothing), the target says it with `assert`.
//! `cargo xtask fuzz` looks for inputs that break one; the corpus is run by `cargo test` as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a target that panics has found something")]

pub mod targets;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A parser of outside bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its folder in `corpus/`, and of its file in `dictionaries/` if it has one.
    pub name: &'static str,
    /// What the bytes are and who sends them, in a line.
    pub what: &'static str,
    /// Takes any bytes. Panics where something is wrong with our code.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "ipp-request",
        what: "what a print client sends to a queue",
        run: cardinal_release::fuzzing::request,
    },
    Target {
        name: "ipp-answer",
        what: "what a printer answers about its jobs",
        run: cardinal_release::fuzzing::answer,
    },
    Target { name: "site", what: "a site file and what applying it would do", run: targets::site },
    Target {
        name: "directory-rows",
        what: "what a file or a sync program says about users",
        run: cardinal_directory::fuzzing::rows,
    },
    Target { name: "trace", what: "a trace file", run: targets::trace },
    Target { name: "bytes-text", what: "bytes written as text in a setting", run: targets::bytes_text },
    Target { name: "generic", what: "what a reader sends to the Generic driver, in any pieces", run: targets::generic },
    Target { name: "springcore", what: "what a SpringCore reader sends and calls", run: targets::springcore },
    Target { name: "rfideas-241", what: "what an RF IDeas Ethernet 241 calls and answers", run: targets::rfideas_241 },
    Target { name: "saved-state", what: "state that a driver's session is opened with", run: targets::saved_state },
    Target { name: "card", what: "what a reader says is a card, and the site's pattern", run: targets::card },
    Target { name: "component", what: "a file that is to be installed as a driver", run: targets::component },
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// The folder of its corpus.
    pub fn corpus(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name)
    }

    /// Runs every file of its corpus, and gives how many there are. Panics where something is wrong with our code, after
    /// saying with which file.
    pub fn replay(&self) -> usize {
        /// Says which file it was if it is dropped by a panic.
        struct At(PathBuf);
        impl Drop for At {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    eprintln!("the input was {}", self.0.display());
                }
            }
        }
        let folder = self.corpus();
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        for path in &paths {
            let at = At(path.clone());
            (self.run)(&fs::read(&at.0).unwrap());
        }
        paths.len()
    }
}
