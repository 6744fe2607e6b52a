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
mod fuzz;
mod kill;
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
    /// Look for inputs that break a parser of outside bytes
    #[command(after_help = "Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz ipp-request --seconds 600")]
    Fuzz {
        /// The target, a folder of tests/fuzz/corpus; all when none is given
        target: Option<String>,
        /// How long each target looks
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Kill the host again and again while people print, and judge what became of their jobs
    #[command(after_help = "Examples:\n  cargo xtask kill --times 200\n  cargo xtask kill --times 50 --seed 7")]
    Kill {
        /// How often
        #[arg(long, default_value_t = 200)]
        times: u32,
        /// What is left to chance depends on this number; one that failed is printed with the failure
        #[arg(long)]
        seed: Option<u64>,
        /// The `store.url` of the host, an empty database; without it the host keeps its own
        #[arg(long)]
        store_url: Option<String>,
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
        Command::Fuzz { target, seconds } => fuzz::run(&workspace, target.as_deref(), fuzz::Reach::Seconds(seconds)),
        Command::Kill { times, seed, store_url } => kill::run(&workspace, times, seed, store_url.as_deref()),
        Command::Setup => setup::run(),
        Command::Drivers { package } => drivers::build(&workspace, &package),
    }
}
