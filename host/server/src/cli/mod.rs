//! The command line: a verb a file.
#![allow(clippy::print_stdout, reason = "standard output is where a command answers")]

mod apply;
mod capture;
mod card;
mod client;
mod compile_driver;
mod config;
mod device;
mod driver;
mod duration;
mod entity;
mod event;
mod export;
mod group;
mod init;
mod job;
mod output;
mod password;
mod printer;
mod read_source;
mod reader;
mod rotate;
mod serve;
mod source;
mod sync;
mod tls;
mod user;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};

use self::client::Client;
use crate::config::Config;

/// The server between a card reader and a printer.
#[derive(Debug, Parser)]
#[command(
    name = "cardinal",
    version,
    max_term_width = 110,
    after_help = "\
A first host:
  cardinal init ./site
  export CARDINAL_CONFIG=./site/cardinal.toml
  cardinal serve &
  cardinal apply site.toml
  cardinal event tail"
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct Global {
    /// The host's configuration, as `cardinal init` wrote it
    #[arg(long, global = true, env = "CARDINAL_CONFIG", default_value = "cardinal.toml", value_name = "FILE")]
    config: PathBuf,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Init),
    Serve(serve::Serve),
    Apply(apply::Apply),
    Export(export::Export),
    /// People and their cards
    #[command(subcommand, after_help = entity::USER)]
    User(user::Action),
    /// Where jobs are delivered
    #[command(subcommand, after_help = printer::EXAMPLES)]
    Printer(printer::Action),
    /// Groups of users
    #[command(subcommand, after_help = group::EXAMPLES)]
    Group(group::Action),
    /// Where users and groups come from
    #[command(subcommand, after_help = source::EXAMPLES)]
    Source(source::Action),
    /// Users and groups from the company's directory
    #[command(subcommand, after_help = sync::EXAMPLES)]
    Sync(sync::Action),
    /// Config keys, under the names that administrators of this field know
    #[command(subcommand, after_help = config::EXAMPLES)]
    Config(config::Action),
    /// What people print to
    #[command(subcommand, after_help = entity::QUEUE)]
    Queue(entity::Action),
    /// What people stand at: a printer with its reader
    #[command(subcommand, after_help = device::EXAMPLES)]
    Device(device::Action),
    /// What says that a card was shown
    #[command(subcommand, after_help = reader::EXAMPLES)]
    Reader(reader::Action),
    /// What readers said, recorded on purpose
    #[command(subcommand, after_help = capture::EXAMPLES)]
    Capture(capture::Action),
    /// Card numbers: try a conversion, or find one from examples
    #[command(subcommand, after_help = card::EXAMPLES)]
    Card(card::Action),
    /// Jobs that are held, on their way, or done
    #[command(subcommand, after_help = job::EXAMPLES)]
    Job(job::Action),
    /// Reader drivers
    #[command(subcommand, after_help = driver::EXAMPLES)]
    Driver(driver::Action),
    /// Every step of every swipe and job
    #[command(subcommand, after_help = event::EXAMPLES)]
    Event(event::Action),
    /// The host's certificate
    #[command(subcommand, after_help = tls::EXAMPLES)]
    Tls(tls::Action),
    #[command(hide = true)]
    CompileDriver(compile_driver::CompileDriver),
    #[command(hide = true, name = crate::sync::reading::COMMAND)]
    ReadSource,
}

/// Runs one command.
///
/// # Errors
/// Whatever went wrong, in words for the operator.
pub fn run(cli: Cli) -> Result<()> {
    match cli.verb {
        Verb::Init(init) => init.run(),
        Verb::CompileDriver(compile) => compile.run(),
        Verb::ReadSource => read_source::run(),
        Verb::Card(card) if !card.asks_host() => card.run_here(cli.global.json),
        Verb::Driver(action) if action.is_offline() => action.run_here(&cli.global.config, cli.global.json),
        Verb::Event(event::Action::Kinds) => event::kinds(cli.global.json),
        Verb::Tls(action) => action.run(&Config::load(&cli.global.config)?, cli.global.json),
        Verb::Serve(serve) => serve.run(Config::load(&cli.global.config)?),
        verb => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start an async runtime")?;
            runtime.block_on(ask(&cli.global, verb))
        }
    }
}

async fn ask(global: &Global, verb: Verb) -> Result<()> {
    let client = Client::new(&Config::load(&global.config)?, global.json)?;
    match verb {
        Verb::Apply(apply) => apply.run(&client).await,
        Verb::Export(export) => export.run(&client).await,
        Verb::User(action) => action.run(&client).await,
        Verb::Printer(action) => action.run(&client).await,
        Verb::Queue(action) => action.run(&client, "queue").await,
        Verb::Source(action) => action.run(&client).await,
        Verb::Device(action) => action.run(&client).await,
        Verb::Reader(action) => action.run(&client).await,
        Verb::Card(action) => action.run(&client).await,
        Verb::Job(action) => action.run(&client).await,
        Verb::Group(action) => action.run(&client).await,
        Verb::Config(action) => action.run(&client).await,
        Verb::Sync(action) => action.run(&client).await,
        Verb::Driver(action) => action.run(&client).await,
        Verb::Capture(action) => action.run(&client).await,
        Verb::Event(action) => action.run(&client).await,
        Verb::Init(_) | Verb::Serve(_) | Verb::Tls(_) | Verb::CompileDriver(_) | Verb::ReadSource => Ok(()),
    }
}
