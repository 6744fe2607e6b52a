//! `cardinal-simulator generic`: a terminal of Generic mode.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use cardinal_simulators::generic::{Event, Fault, GenericTerminal, Record, Settings, Tls};
use cardinal_simulators::typing;
use clap::{ArgGroup, Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::duration;

/// A terminal of Generic mode: card numbers over TCP, plain or with TLS
///
/// Prints `listening on ADDRESS` (or `dialing ADDRESS`) and then a line for each thing that happens. Every line typed
/// is a card; a line of `!` and a fault's name misbehaves (`!drop`), `!wake` ends a silence. Runs until Ctrl-C.
#[derive(Args)]
#[command(group = ArgGroup::new("direction").required(true))]
#[command(after_help = "\
Examples:
  A terminal that waits for Cardinal; type card numbers to tap them:
    cardinal-simulator generic --listen 127.0.0.1:7778
  One that taps two cards, a second apart, when Cardinal has connected:
    cardinal-simulator generic --listen 127.0.0.1:7778 --card 4711 --card EMP123 --tap-after 1s
  One that calls Cardinal and taps a card every five seconds:
    cardinal-simulator generic --dial 127.0.0.1:7779 --card 4711 --every 5s
  One that calls over TLS and says its token first; data/tls/certificate.pem is the host's own certificate:
    cardinal-simulator generic --dial 127.0.0.1:7779 --tls --ca ./site/data/tls/certificate.pem --token SECRET-OF-THIS-READER
  The same, knowing the server by the fingerprint that `cardinal tls show` prints:
    cardinal-simulator generic --dial 127.0.0.1:7779 --tls --fingerprint AB:CD:…:EF
  One that sends rubbish and then a card:
    cardinal-simulator generic --listen 127.0.0.1:7778 --fault rubbish --card 4711")]
pub(crate) struct Arguments {
    /// Wait for the server at this address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", group = "direction")]
    listen: Option<SocketAddr>,
    /// Call the server at this address, again and again
    #[arg(long, value_name = "ADDRESS", group = "direction")]
    dial: Option<SocketAddr>,
    /// With --dial: our own address, such as 127.0.0.2
    #[arg(long, value_name = "ADDRESS", requires = "dial")]
    from: Option<IpAddr>,
    /// With --dial: what the first line says, before anything else (a reader's `token`)
    #[arg(long, value_name = "TEXT", requires = "dial")]
    token: Option<String>,
    /// With --dial: speak TLS; the server is known by --ca or --fingerprint
    #[arg(long, requires = "dial", requires = "trust")]
    tls: bool,
    /// With --tls: a PEM file with the certificate that signed the server's, or with the server's own
    #[arg(long, value_name = "FILE", requires = "tls", group = "trust")]
    ca: Option<PathBuf>,
    /// With --tls: the SHA-256 fingerprint of the server's certificate, as `cardinal tls show` prints it
    #[arg(long, value_name = "SHA256", requires = "tls", group = "trust")]
    fingerprint: Option<String>,
    /// A card to tap once a server is connected; may be given several times
    #[arg(long = "card", value_name = "NUMBER")]
    cards: Vec<String>,
    /// The pause before each card
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    tap_after: Duration,
    /// Tap the cards again and again, with this pause
    #[arg(long, value_name = "TIME", requires = "cards", value_parser = duration)]
    every: Option<Duration>,
    /// Misbehave once a server is connected, before the cards: rubbish, pieces, megabyte, flood, half-line, silence,
    /// drop or reset; may be given several times
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// What follows a card number
    #[arg(long, value_enum, default_value_t = Ending::Lf)]
    ending: Ending,
    /// The answer when the server asks for the version
    #[arg(long, value_name = "TEXT", default_value = "Cardinal simulator")]
    version_text: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ending {
    Lf,
    Crlf,
    Cr,
}

impl Ending {
    fn text(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::Crlf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// Runs the terminal until it is told to stop. Fails where the port cannot be had.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let settings = Settings {
        version: arguments.version_text.clone(),
        ending: arguments.ending.text().to_owned(),
        from: arguments.from,
        token: arguments.token.clone(),
        tls: tls(&arguments)?,
        ..Settings::default()
    };
    let terminal = match (arguments.listen, arguments.dial) {
        (_, Some(server)) => {
            println!("dialing {server}");
            GenericTerminal::dial(server, settings)
        }
        (listen, None) => {
            let address = listen.context("either --listen or --dial is needed")?;
            let terminal =
                GenericTerminal::listen(address, settings).await.with_context(|| format!("listening on {address}"))?;
            println!("listening on {}", terminal.address());
            terminal
        }
    };
    tokio::select! {
        () = show(terminal.watch()) => {}
        () = act(&terminal, &arguments) => {}
        () = obey(&terminal) => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// How the server is known, where TLS is spoken.
fn tls(arguments: &Arguments) -> Result<Option<Tls>> {
    match (&arguments.ca, &arguments.fingerprint) {
        (Some(file), _) => {
            let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Some(Tls::trusting(&pem).with_context(|| format!("{} cannot be used", file.display()))?))
        }
        (None, Some(fingerprint)) => Ok(Some(Tls::pinned(fingerprint)?)),
        (None, None) => Ok(None),
    }
}

/// Prints what happens, a line each.
async fn show(mut record: watch::Receiver<Record>) {
    let mut shown = 0;
    let mut unreachable = String::new();
    while record.changed().await.is_ok() {
        let events: Vec<Event> = record.borrow_and_update().events.iter().skip(shown).cloned().collect();
        shown += events.len();
        for event in events {
            match event {
                // The server is called several times a second; a person wants to know once.
                Event::Unreachable(why) if why == unreachable => continue,
                Event::Unreachable(ref why) => unreachable.clone_from(why),
                _ => unreachable.clear(),
            }
            println!("{event}");
        }
    }
}

/// Does what the options ask, then nothing more.
async fn act(terminal: &GenericTerminal, arguments: &Arguments) {
    let card = arguments.cards.first().map_or("4711", String::as_str);
    wait_for_server(terminal).await;
    for fault in &arguments.faults {
        wait_for_server(terminal).await;
        complain(terminal.misbehave(*fault, card).await);
    }
    loop {
        for card in &arguments.cards {
            tokio::time::sleep(arguments.every.unwrap_or(arguments.tap_after)).await;
            wait_for_server(terminal).await;
            complain(terminal.tap(card).await);
        }
        if arguments.every.is_none() {
            return std::future::pending().await;
        }
    }
}

/// Taps what is typed; without anybody who types, for ever silent.
async fn obey(terminal: &GenericTerminal) {
    let mut lines = typing::lines();
    while let Some(line) = lines.recv().await {
        match line.trim().strip_prefix('!') {
            Some("wake") => terminal.wake(),
            Some(fault) => match fault.parse::<Fault>() {
                Ok(fault) => complain(terminal.misbehave(fault, "4711").await),
                Err(error) => eprintln!("{error}, wake"),
            },
            None if line.trim().is_empty() => {}
            None => complain(terminal.tap(line.trim()).await),
        }
    }
    std::future::pending().await
}

async fn wait_for_server(terminal: &GenericTerminal) {
    // Ends with an error only when the terminal itself is gone.
    let _ = terminal.watch().wait_for(|record| record.server.is_some()).await;
}

fn complain<E: std::fmt::Display>(outcome: Result<(), E>) {
    if let Err(error) = outcome {
        eprintln!("{error}");
    }
}
