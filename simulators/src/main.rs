//! `cardinal-simulator`: a reader on the command line.
//!
//! A subcommand per kind of reader, a file each in `command/`; the readers themselves are the library's. Owns what is
//! printed: one line an event, so that a person follows and a script can wait for a line.
#![allow(clippy::print_stdout, reason = "the lines on standard output are what this program is for")]

mod command;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Card readers that can be run without hardware.
#[derive(Parser)]
#[command(name = "cardinal-simulator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Generic(command::generic::Arguments),
    #[command(name = "rfideas-241")]
    RfIdeas241(command::rfideas_241::Arguments),
    Springcore(command::springcore::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Generic(arguments) => command::generic::run(arguments).await,
        Command::RfIdeas241(arguments) => command::rfideas_241::run(arguments).await,
        Command::Springcore(arguments) => command::springcore::run(arguments).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
