//! `cardinal card infer`. The search is the domain's; here it gets its time, and its answer is told.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use cardinal_domain::{
    config_keys::{CARD_NO_CONVERTER, CARD_NO_REGEX},
    convert::{
        Chain, MOST_STEPS,
        infer::{Bounds, Inferred, Pair, Progress, infer},
    },
};
use clap::Args;
use serde_json::json;

use super::pairs::{self, Written};
use crate::cli::output::{self, say};

/// How many chains are shown where several fit.
const MOST_SHOWN: usize = 8;
/// Below this many pairs, chains that fit by chance are likely.
const FEW: usize = 3;

/// Find the shortest chain that makes the numbers on record of reads
///
/// Show a few cards at a reader, and note what it sends and the number on record of each: from these pairs the value of
/// ext-device.card-no-converter is found. The exit status is 0 where a chain fits all of them.
#[derive(Args)]
#[command(after_help = "\
Examples:
  cardinal card infer --pairs pairs.csv
  cardinal card infer 28BD6E94,2490285352 C3B2A104,77705923 C3D2E1F0,4041331395
  cardinal card infer --bits 26 --pairs - < pairs.csv

A file has a line READ,NUMBER for each pair; empty lines and lines that begin with # are passed over.")]
pub(in crate::cli) struct Infer {
    /// A read and its number on record
    #[arg(value_name = "READ,NUMBER", required_unless_present = "pairs")]
    pair: Vec<String>,
    /// A file of such pairs, a line each; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "pair")]
    pairs: Option<PathBuf>,
    /// The reads are N raw bits, written as N digits 0 and 1 or as hexadecimal numbers
    #[arg(long, value_name = "N")]
    bits: Option<u32>,
    /// How long to search
    #[arg(long, value_name = "N", default_value_t = 20)]
    seconds: u32,
    /// The longest chain to try
    #[arg(long, value_name = "N", default_value_t = Bounds::default().steps)]
    steps: usize,
}

impl Infer {
    pub(super) fn run(self, json: bool) -> Result<()> {
        let written = pairs::read(self.pairs.as_ref(), &self.pair, self.bits)?;
        let pairs: Vec<Pair> = written.iter().map(|written| written.pair.clone()).collect();
        if pairs.len() < FEW {
            let count = count(pairs.len(), "pair");
            eprintln!("warning: {count} may be fitted by chance; with {FEW} or more it is known which chain is right");
        }
        let bounds = Bounds { steps: self.steps.min(MOST_STEPS), ..Bounds::default() };
        let found = infer(&pairs, bounds, told(Duration::from_secs(self.seconds.into())));
        if json {
            output::json(&as_json(&found, &written))?;
        } else {
            show(&found, &written);
        }
        self.warn(&found);
        let end = if found.complete { "" } else { "; the search came to its limit, --seconds N gives it longer" };
        match (found.chains.is_empty(), found.misfits.len()) {
            (true, _) => bail!("no chain of at most {} steps fits{end}", bounds.steps),
            (false, 0) => Ok(()),
            (false, misfits) => bail!("{misfits} of {} do not fit{end}", count(written.len(), "pair")),
        }
    }
}

impl Infer {
    /// Tells on standard error what a chain that was found leaves open.
    fn warn(&self, found: &Inferred) {
        if found.chains.is_empty() {
            return;
        }
        // With misfits, the error says so.
        if !found.complete && found.misfits.is_empty() {
            eprintln!("warning: not all was tried: the search came to its limit, --seconds N gives it longer");
        }
        eprintln!(
            "warning: a pattern of the site ({CARD_NO_REGEX}) is not applied here; give the reads as it leaves them"
        );
        if self.bits.is_none() && found.asks_for_bits() {
            eprintln!(
                "warning: the chain begins with a step that asks for bits: where the driver gives raw bits it works on \
                 them, and not on the text that it was found from; then give the bits, with --bits N"
            );
        }
    }
}

/// Tells on standard error how far the search is, once a second, and ends it after its time.
fn told(limit: Duration) -> impl FnMut(Progress) -> bool {
    let began = Instant::now();
    let mut next = Duration::from_secs(1);
    move |progress| {
        let passed = began.elapsed();
        if passed >= next {
            eprintln!("{} s: trying chains of {}", passed.as_secs(), count(progress.steps, "step"));
            next = passed + Duration::from_secs(1);
        }
        passed < limit
    }
}

fn show(found: &Inferred, written: &[Written]) {
    let Some((best, others)) = found.chains.split_first() else { return };
    let pairs = count(written.len(), "pair");
    match found.misfits.len() {
        0 => say!("fits {}{pairs}:", if written.len() > 1 { "all " } else { "" }),
        misfits => say!("no chain fits all {pairs}; fits {}:", written.len() - misfits),
    }
    say!("\n  {}\n", named(best));
    for misfit in &found.misfits {
        let Some(Written { place, read, pair }) = written.get(misfit.pair) else { continue };
        let gives = match &misfit.gives {
            Ok(number) => format!("{read} gives {number}, on record is {}", pair.number),
            Err(error) => format!("{read}: {error}"),
        };
        say!("{}", output::plain(&format!("does not fit: {place}: {gives}")));
    }
    if !found.misfits.is_empty() {
        say!("Look whether these reads and numbers belong to the same cards.\n");
    }
    if !others.is_empty() {
        let (fit, them) = if others.len() == 1 { ("fits", "it") } else { ("fit", "them") };
        say!(
            "{} of the same length {fit} the same pairs. Another pair, of a card unlike these (another length, zeros \
             elsewhere), would tell {them} apart:\n",
            count(others.len(), "other chain")
        );
        others.iter().take(MOST_SHOWN).for_each(|chain| say!("  {}", named(chain)));
        if others.len() > MOST_SHOWN {
            say!("  … and {} more (--json shows all)", others.len() - MOST_SHOWN);
        }
        say!("");
    }
    if !best.0.is_empty() {
        say!("For the site file, under [config] (or card_no_converter = … of one [[device]]):\n");
        say!("{CARD_NO_CONVERTER:?} = {:?}", best.to_string());
    }
}

fn named(chain: &Chain) -> String {
    if chain.0.is_empty() { "(no conversion: the reads are the numbers)".to_owned() } else { chain.to_string() }
}

fn as_json(found: &Inferred, written: &[Written]) -> serde_json::Value {
    let misfits = found.misfits.iter().filter_map(|misfit| {
        let Written { place, read, pair } = written.get(misfit.pair)?;
        let (gives, error) = match &misfit.gives {
            Ok(number) => (Some(number), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Some(json!({ "place": place, "read": read, "number": pair.number, "gives": gives, "error": error }))
    });
    json!({
        "chains": found.chains.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "pairs": written.len(),
        "misfits": misfits.collect::<Vec<_>>(),
        "complete": found.complete,
    })
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
