//! The commands of the project, run as `cargo xtask COMMAND`.
//!
//! Each command brings what it needs by itself and says what it does. This crate owns building and trying out; it
//! holds nothing that a running Cardinal needs, and no rule of the product.
#![allow(clippy::print_stdout, reason = "a command of the project talks to the person who called it")]

mod apt;
mod bench;
mod checks;
mod demo;
mod drivers;
mod process;
mod setup;
mod steps;
mod wasm_target;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use workspace::Workspace;

/// The commands of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print, tap a card and see the paper come out, on this machine and without hardware
    #[command(after_help = "Examples:\n  cargo xtask demo\n  cargo xtask demo --once")]
    Demo {
        /// End by itself, with success only if the document arrived whole
        #[arg(long)]
        once: bool,
    },
    /// Check everything: format, lints, unit, property, component and end-to-end tests
    Test,
    /// Measure, and print tables
    #[command(
        after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench taps delivery\n  cargo xtask bench -- --help"
    )]
    Bench {
        /// Passed on to the benchmarks
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        argument: Vec<String>,
    },
    /// Install the programs that the tests talk to (Debian packages), as far as they are missing
    Setup,
    /// Compile the drivers (and the guests of the tests) to WebAssembly components
    #[command(after_help = "Examples:\n  cargo xtask drivers\n  cargo xtask drivers cardinal-generic")]
    Drivers {
        /// Packages to build; all when none is given
        package: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Demo { once } => demo::run(&workspace, once),
        Command::Test => checks::run(&workspace),
        Command::Bench { argument } => bench::run(&workspace, &argument),
        Command::Setup => setup::run(),
        Command::Drivers { package } => drivers::build(&workspace, &package),
    }
}
