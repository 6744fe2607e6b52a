//! `cargo xtask demo`: a person prints, the job is held, a card is tapped, the paper comes out.
//!
//! Told twice, for both kinds of reader: one that the host dials, and one that calls the host over HTTP. Everything is real
//! except the paper and the plastic: the host as its own process, the drivers as components, IPP, TCP and HTTP over the
//! loopback. Owns a temporary folder and the host's process, which ends with the demo however it ends.

mod host;
mod paper;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use cardinal_simulators::generic::{Command, GenericTerminal, Settings, Tls};
use cardinal_simulators::rfideas_241::{self, RfIdeas241};
use cardinal_simulators::typing;
use tokio::signal::unix::{SignalKind, signal};

use crate::steps::Steps;
use crate::workspace::Workspace;
use crate::{drivers, process};
use host::Host;

/// How long a reader may take to be connected; a driver that was never compiled before counts in.
const CONNECT: Duration = Duration::from_secs(60);

/// How long a released job may take to be delivered.
const DELIVERY: Duration = Duration::from_secs(30);

/// The packages of the demo's drivers.
const DRIVERS: [&str; 2] = ["cardinal-generic", "cardinal-rfideas-241"];

/// The steps of the story, once everything is built.
const STORY: usize = 7;

/// The reader that calls.
const CALLER: &str = "floor-2-west";

/// The card of the demo's only user.
const CARD: &str = "4711";

/// The document, from the workspace's root.
const DOCUMENT: &str = "examples/hello.pdf";

/// Builds, runs the story, and stays up; with `once` it ends by itself. Fails unless the document arrived whole.
pub(crate) fn run(workspace: &Workspace, once: bool) -> Result<()> {
    println!("A person prints, the job is held, a card is tapped, the paper comes out.");
    println!("The first time, most of the wait is compiling: 5 to 15 minutes and some 5 GB of disk.");
    let mut steps = Steps::new(2 + STORY);
    let packages = DRIVERS.map(str::to_owned);
    steps.run("Compiling the drivers to WebAssembly", || drivers::build(workspace, &packages))?;
    steps
        .run("Building Cardinal", || process::run(workspace.cargo().args(["build", "--package", "cardinal-server"])))?;
    begin(workspace, steps, once)
}

/// The same with what is built already, to its end.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    begin(workspace, Steps::new(STORY), true)
}

fn begin(workspace: &Workspace, mut steps: Steps, once: bool) -> Result<()> {
    // For the HTTP clients of this process; an error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::Builder::new().prefix("cardinal-demo-").tempdir().context("making a temporary folder")?;
    let ended = tokio::runtime::Runtime::new()?.block_on(play(workspace, folder.path(), &mut steps, once));
    if ended.is_err() {
        host::show_log(folder.path());
        println!("The demo's folder is kept: {}", folder.keep().display());
    }
    ended
}

async fn play(workspace: &Workspace, folder: &Path, steps: &mut Steps, once: bool) -> Result<()> {
    let mut interrupted = std::pin::pin!(interrupted());
    let mut demo = tokio::select! {
        demo = story(workspace, folder, steps) => demo.with_context(|| steps.failed())?,
        stopped = &mut interrupted => { stopped?; bail!("stopped before the document was delivered") }
    };
    println!(
        "\nDone in {}: the documents were held, and came out at the tap of a card, byte for byte, at both kinds of reader.",
        steps.elapsed()
    );
    if !once {
        tokio::select! {
            ended = demo.stay_up() => ended?,
            stopped = &mut interrupted => stopped?,
        }
        println!("\nStopping.");
    }
    demo.host.stop()
}

/// What runs once the story is told.
struct Demo {
    host: Host,
    terminal: GenericTerminal,
    caller: RfIdeas241,
    document: Vec<u8>,
}

/// The life of one print job, told step by step.
async fn story(workspace: &Workspace, folder: &Path, steps: &mut Steps) -> Result<Demo> {
    let document = fs::read(workspace.root.join(DOCUMENT)).with_context(|| format!("reading {DOCUMENT}"))?;

    steps.begin("Starting a host of its own, a card terminal and a reader over HTTP");
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let terminal = GenericTerminal::listen(free, Settings::default()).await.context("starting the terminal")?;
    let host = Host::start(&workspace.program("cardinal"), folder).await?;
    let certificate = fs::read(folder.join("data/tls/certificate.pem")).context("reading the host's certificate")?;
    let settings = rfideas_241::Settings { tls: Some(Tls::trusting(&certificate)?), ..Default::default() };
    let caller = RfIdeas241::listen(free, settings).await.context("starting the reader over HTTP")?;
    println!("      host      http://{} and ipp://{}", host.http, host.ipp);
    println!("      terminal  {} (simulated, of Generic mode)", terminal.address());
    println!("      reader    {} (simulated, an RF IDeas 241)", caller.address());
    println!("      folder    {}", folder.display());

    steps.begin("Applying the site: Ada, a printer, a hold queue, both readers");
    let site = folder.join("site.toml");
    fs::write(&site, site_text(terminal.address(), caller.address())).context("writing site.toml")?;
    host.tell(&["apply".as_ref(), site.as_os_str()]).await?;

    steps.begin("Waiting until the host has connected to the terminal, and configured the reader over HTTP to call it");
    terminal.connected(CONNECT).await?;
    println!("      connected");
    caller.configured(CONNECT).await?;
    println!("      configured");

    steps.begin(format!("Ada prints {DOCUMENT} to the queue find-me"));
    paper::print(host.ipp, "find-me", "ada", DOCUMENT, &document).await?;
    println!("      accepted; nothing comes out of the printer yet:");
    host.tell(&["job".as_ref(), "list".as_ref()]).await?;
    let delivered = folder.join("delivered");
    if let Some(early) = paper::found(&delivered).first() {
        bail!("{} came out before any card was tapped", early.path.display());
    }

    steps.begin(format!("Ada taps her card {CARD}"));
    terminal.tap(CARD).await?;
    let file = paper::out(&delivered, &document, 1, DELIVERY).await?;
    terminal.wait_for(DELIVERY, |record| record.count(Command::Beep) > 0).await?;
    println!("      the terminal beeped");
    println!("      delivered: {} ({} bytes, the same as printed)", file.display(), document.len());

    steps.begin(format!("Ada prints again, and taps her card at {CALLER}, the reader that calls over HTTPS"));
    paper::print(host.ipp, "find-me", "ada", DOCUMENT, &document).await?;
    let answer = caller.tap(CARD).await?;
    if answer.status != 200 {
        bail!("the reader's call was not answered as it should be: {answer:?}");
    }
    println!("      its call was answered with: {} {}", answer.status, answer.body);
    paper::out(&delivered, &document, 2, DELIVERY).await?;
    println!("      delivered");

    steps.begin("What the host says of it");
    host.tell(&["job".as_ref(), "list".as_ref(), "--all".as_ref()]).await?;
    host.tell(&["event".as_ref(), "list".as_ref()]).await?;
    Ok(Demo { host, terminal, caller, document })
}

impl Demo {
    /// Lets the person tap and print. Ends only with an error: the host is gone.
    async fn stay_up(&mut self) -> Result<()> {
        println!("\nIt stays up until Ctrl-C. Try it:");
        println!("  {CARD} + Enter        taps Ada's card at the terminal; any other number is a stranger's");
        println!("  call + Enter        taps Ada's card at the reader over HTTP");
        println!("  print + Enter       prints the document again as Ada");
        println!("  jobs + Enter        lists the jobs");
        println!("  in another window   {}", self.host.command_line("event list"));
        let mut lines = typing::lines();
        loop {
            tokio::select! {
                Some(line) = lines.recv() => {
                    if let Err(error) = self.obey(line.trim()).await {
                        println!("      {error:#}");
                    }
                }
                ended = self.host.ended() => return Err(ended),
            }
        }
    }

    async fn obey(&self, line: &str) -> Result<()> {
        match line {
            "" => Ok(()),
            "print" => {
                paper::print(self.host.ipp, "find-me", "ada", DOCUMENT, &self.document).await?;
                println!("      accepted and held");
                Ok(())
            }
            "jobs" => self.host.tell(&["job".as_ref(), "list".as_ref()]).await,
            "call" => {
                let answer = self.caller.tap(CARD).await?;
                println!("      answered {} {}", answer.status, answer.body);
                Ok(())
            }
            card => {
                self.terminal.tap(card).await?;
                println!("      tapped {card}");
                Ok(())
            }
        }
    }
}

/// The site of `examples/site.toml`, with the terminal where it is, and the reader that calls.
fn site_text(terminal: SocketAddr, caller: SocketAddr) -> String {
    let dialled = include_str!("../../../examples/site.toml").replace("127.0.0.1:7778", &terminal.to_string());
    format!(
        "{dialled}\n[[reader]]\nname = \"{CALLER}\"\ndriver = \"cardinal/rfideas-241\"\nmode = \"rfideas-241-client\"\n\
         address = \"{caller}\"\ndevice = \"floor-2-east\"\n"
    )
}

/// Ends when a person or the system wants us to.
async fn interrupted() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        told = interrupt.recv() => told,
        told = terminate.recv() => told,
        told = hang_up.recv() => told,
    }
    .ok_or_else(|| anyhow!("no signals can be received"))
}

#[cfg(test)]
mod tests {
    use super::site_text;

    #[test]
    fn the_site_names_the_readers_where_they_are() {
        let site = site_text("127.0.0.1:4321".parse().unwrap(), "127.0.0.1:8765".parse().unwrap());
        for address in ["address = \"127.0.0.1:4321\"", "address = \"127.0.0.1:8765\""] {
            assert!(site.contains(address), "{site}");
        }
    }
}
