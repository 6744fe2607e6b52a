//! `cargo xtask kill`: kills the host as often as asked, judges what happened, and prints a table.
#![allow(clippy::print_stdout, reason = "the table on standard output is what this program is for")]

use std::{env, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use cardinal_tests::kill::{self, Options, history};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = options(&env::args().skip(1).collect::<Vec<_>>())?;
    println!("seed {}", options.seed);
    let (history, table) = kill::run(&options).await;
    println!("\n{table}");
    let wrong = history::check(&history);
    if wrong.is_empty() {
        println!("The history is as it may be: nothing was lost, and nothing was printed twice by itself.");
        return Ok(ExitCode::SUCCESS);
    }
    wrong.iter().for_each(|wrong| println!("WRONG: {wrong}"));
    println!("{} things are wrong; again with --seed {}", wrong.len(), options.seed);
    Ok(ExitCode::FAILURE)
}

fn options(mut arguments: &[String]) -> Result<Options> {
    let mut options = Options { times: 200, seed: rand::random(), store_url: None, tells: true };
    while let [name, value, rest @ ..] = arguments {
        match name.as_str() {
            "--times" => options.times = value.parse().context("--times wants a number")?,
            "--seed" => options.seed = value.parse().context("--seed wants a number")?,
            "--store-url" => options.store_url = Some(value.clone()),
            _ => bail!("this takes --times N, --seed N and --store-url URL, not {name}"),
        }
        arguments = rest;
    }
    match arguments {
        [] => Ok(options),
        [name, ..] => bail!("{name} wants a value"),
    }
}
