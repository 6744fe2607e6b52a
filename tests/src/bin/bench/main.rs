//! What Cardinal costs, beside the same work done plainly in the same run. Prints tables and judges nothing: a time is never
//! a failure.
//!
//! A file per table. Each measures both sides in turn, so that a busy or slow machine shifts both; the ratio is what to
//! compare between machines.
#![allow(clippy::print_stdout, reason = "the tables on standard output are what this program is for")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot run has nothing to tell")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures of measurements are far below")]

mod cold;
mod delivery;
mod directory;
mod driver;
mod field;
mod fleet;
mod jobs;
mod large;
mod limits;
mod many;
mod memory;
mod readers;
mod stored;
mod swap;
mod swipes;
mod table;
mod taps;

use std::{env, fs, net::SocketAddr, num::NonZero, path::PathBuf, thread};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

/// Measure Cardinal, and print tables
#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    after_help = "Examples:\n  cargo xtask bench\n  cargo xtask bench taps delivery\n  cargo xtask bench driver --rounds 3"
)]
struct Arguments {
    /// What to measure; everything when nothing is named
    #[arg(value_enum)]
    what: Vec<What>,
    /// How often each thing is measured; the tables show medians
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Used by the measurement of taps itself: be the plain server that is compared with
    #[arg(long, hide = true)]
    echo: bool,
    /// Used by the measurements of swap and many themselves: be so many card terminals
    #[arg(long, hide = true, value_name = "COUNT")]
    field: Option<usize>,
    /// Used by the measurement of swipes itself: be the plain server that is compared with, at this address
    #[arg(long, hide = true, value_name = "ADDRESS", requires = "tls")]
    answer: Option<SocketAddr>,
    /// The folder with its certificate and key
    #[arg(long, hide = true, value_name = "FOLDER")]
    tls: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A driver as a component, against the same driver compiled in
    Driver,
    /// From tap to verdict through the whole host, against a bare echo
    Taps,
    /// From an HTTPS swipe to its answer through host and driver, against the same handler alone; 5,000 verified readers
    Swipes,
    /// From tap to the last byte at a printer, against ipptool printing straight to it
    Delivery,
    /// 10,000 connected readers: memory each
    Readers,
    /// A document of 500 MB: memory and time, against copying it
    Large,
    /// 100,000 held jobs: starting, listing, searching
    Jobs,
    /// A driver swapped under 10,000 live readers that show 1,000 cards a second, and swapped back
    Swap,
    /// 100,000 readers that sleep: memory each, waking, 1,000 cards a second
    Many,
    /// A cold start with 20 drivers from the cache, against one with the driver that comes with the host
    Cold,
    /// 100,000 people and 400 groups of an OpenLDAP: first import, nothing changed, 1 % changed, against reading them raw
    Directory,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    if arguments.echo {
        return runtime.block_on(taps::echo());
    }
    if let Some(count) = arguments.field {
        return runtime.block_on(fleet::serve(count));
    }
    if let (Some(address), Some(tls)) = (arguments.answer, &arguments.tls) {
        return runtime.block_on(swipes::answer(address, tls));
    }
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    println!("{cores} cores ({}); medians of up to {} rounds in turn", processor(), arguments.rounds);
    let all = What::value_variants();
    let mut early = 0;
    for what in if arguments.what.is_empty() { all } else { arguments.what.as_slice() } {
        let help = what.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        println!("\n## {}", help.unwrap_or_default());
        let done = match what {
            What::Driver => driver::run(arguments.rounds),
            What::Taps => runtime.block_on(taps::run(arguments.rounds.min(3))),
            What::Swipes => runtime.block_on(swipes::run(arguments.rounds.min(3))),
            What::Delivery => runtime.block_on(delivery::run(arguments.rounds * 3)),
            What::Readers => runtime.block_on(readers::run()),
            What::Large => runtime.block_on(large::run()),
            What::Jobs => runtime.block_on(jobs::run()),
            What::Swap => runtime.block_on(swap::run()),
            What::Many => runtime.block_on(many::run()),
            What::Cold => runtime.block_on(cold::run(arguments.rounds)),
            What::Directory => runtime.block_on(directory::run(arguments.rounds.min(3))),
        };
        // The other tables have nothing to do with it.
        if let Err(error) = done {
            println!("this table ended early: {error:#}");
            early += 1;
        }
    }
    ensure!(early == 0, "{early} tables ended early");
    Ok(())
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}
