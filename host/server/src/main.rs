//! The program `cardinal`: it wires the rooms of the house together, and talks to operators.
//!
//! `serve` runs a host; every other command talks to a running host by its API. Errors are `anyhow` here, where they end:
//! a chain is shown once, at the edge.
#![allow(missing_docs, reason = "a binary: nothing here is another crate's to use")]
#![allow(unreachable_pub, reason = "a binary: `pub` marks what a module offers to its neighbours")]

mod calls;
mod cli;
mod config;
mod dns_sd;
mod drivers;
mod fetch;
mod files;
mod hex;
mod host;
mod http;
mod look_up;
mod memory;
mod readers;
mod recorder;
mod retention;
mod sessions;
mod sign_in;
mod swap;
mod sync;
mod tls;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

/// A sync makes and drops millions of small texts on several threads, and what glibc keeps for each thread adds up. Not
/// mimalloc: it begins by reserving a gibibyte of addresses, which is all that compiling a driver may have.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tls::choose_provider();
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
