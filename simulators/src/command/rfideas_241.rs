//! `cardinal-simulator rfideas-241`: an RF IDeas Ethernet 241 in client mode.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use cardinal_simulators::{
    generic::Tls,
    rfideas_241::{Event, Record, RfIdeas241, Settings, Trouble},
    typing,
};
use clap::{ArgGroup, Args};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::duration;

/// An RF IDeas Ethernet 241 in client mode: configured over HTTP, it calls Cardinal with each card
///
/// Prints `listening on ADDRESS` and then a line for each thing that happens. Every line typed is a card; a line of `!` does
/// something else: `!drift` forgets the configuration, `!firmware 2.03` has another version, `!move 127.0.0.2:8080` goes to
/// another address, `!login-page`, `!status 500`, `!endless`, `!redirect URL` and `!silent` misbehave, `!well` ends that.
/// Its pages are those of the driver's default profile, assumed and not verified on hardware. Runs until Ctrl-C.
#[derive(Args)]
#[command(group = ArgGroup::new("trouble"))]
#[command(after_help = "\
Examples:
  A reader that taps a card once Cardinal has configured it; data/tls/certificate.pem is the host's own certificate:
    cardinal-simulator rfideas-241 --card 4711 --ca ./site/data/tls/certificate.pem
  One that does not look at the certificate; type card numbers to tap them:
    cardinal-simulator rfideas-241 --listen 127.0.0.9:8080 --insecure
  One that taps two cards in turn, every five seconds, and calls again where no answer comes:
    cardinal-simulator rfideas-241 --card 4711 --card EMP123 --swipe-every 5s --retry --insecure
  One that forgets its configuration when it was checked three times, and loses every tenth packet:
    cardinal-simulator rfideas-241 --drift-after 3 --drop 10 --insecure
  One whose firmware is too old, and one that wants a login:
    cardinal-simulator rfideas-241 --firmware 2.03
    cardinal-simulator rfideas-241 --user admin --password SECRET --insecure

The reader's address in Cardinal is the one listened on, with its port: address = \"127.0.0.1:8080\".")]
pub(crate) struct Arguments {
    /// Where the reader's pages are; it calls from this address too. Port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// A card to tap once the reader is configured; may be given several times
    #[arg(long = "card", value_name = "NUMBER")]
    cards: Vec<String>,
    /// The pause before each card
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    tap_after: Duration,
    /// Tap the cards again and again, with this pause
    #[arg(long, value_name = "TIME", requires = "cards", value_parser = duration)]
    swipe_every: Option<Duration>,
    /// The firmware version that the reader tells
    #[arg(long, value_name = "VERSION", default_value = "2.04")]
    firmware: String,
    /// Forget the configuration, once, after it was shown this many times
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..))]
    drift_after: Option<u32>,
    /// Answer every request with a login page
    #[arg(long, group = "trouble")]
    login_page: bool,
    /// Answer every request with this status of HTTP
    #[arg(long, value_name = "STATUS", group = "trouble", value_parser = clap::value_parser!(u16).range(200..=599))]
    status: Option<u16>,
    /// Answer every request with a body that never ends
    #[arg(long, group = "trouble")]
    endless: bool,
    /// Send every request to this address
    #[arg(long, value_name = "URL", group = "trouble")]
    redirect: Option<String>,
    /// Answer no request
    #[arg(long, group = "trouble")]
    silent: bool,
    /// Repeat a call that gets no answer, twice
    #[arg(long)]
    retry: bool,
    /// How long the answer to a call is waited for
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    answer_within: Duration,
    /// Of a hundred requests and calls, lose this many
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    drop: u8,
    /// The user that the reader's pages want, with --password
    #[arg(long, value_name = "NAME", requires = "password")]
    user: Option<String>,
    /// The password that they want
    #[arg(long, value_name = "TEXT", requires = "user")]
    password: Option<String>,
    /// A PEM file with the certificate that signed the host's, or with the host's own
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Take any certificate
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

/// Runs the reader until it is told to stop. Fails where the port cannot be had.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let settings = Settings {
        firmware: arguments.firmware.clone(),
        login: arguments.user.clone().zip(arguments.password.clone()),
        drift_after: arguments.drift_after,
        drop_percent: arguments.drop,
        trouble: trouble(&arguments),
        tls: tls(&arguments)?,
        answer_within: arguments.answer_within,
        retries: if arguments.retry { 2 } else { 0 },
    };
    let listen = arguments.listen;
    let reader = RfIdeas241::listen(listen, settings)
        .await
        .with_context(|| format!("listening on {listen} (ports below 1024 may need rights, see --help)"))?;
    println!("listening on {}", reader.address());
    tokio::select! {
        () = show(reader.watch()) => {}
        () = act(&reader, &arguments) => {}
        () = obey(&reader) => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn trouble(arguments: &Arguments) -> Option<Trouble> {
    match arguments {
        Arguments { login_page: true, .. } => Some(Trouble::LoginPage),
        Arguments { status: Some(status), .. } => Some(Trouble::Status(*status)),
        Arguments { endless: true, .. } => Some(Trouble::Endless),
        Arguments { redirect: Some(url), .. } => Some(Trouble::Redirect(url.clone())),
        Arguments { silent: true, .. } => Some(Trouble::Silent),
        _ => None,
    }
}

/// How the server is known, where it is called by HTTPS.
fn tls(arguments: &Arguments) -> Result<Option<Tls>> {
    match &arguments.ca {
        Some(file) => {
            let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Some(Tls::trusting(&pem).with_context(|| format!("{} cannot be used", file.display()))?))
        }
        None if arguments.insecure => Ok(Some(Tls::unchecked()?)),
        None => Ok(None),
    }
}

/// Prints what happens, a line each.
async fn show(mut record: watch::Receiver<Record>) {
    let mut shown = 0;
    while record.changed().await.is_ok() {
        let events: Vec<Event> = record.borrow_and_update().events.iter().skip(shown).cloned().collect();
        shown += events.len();
        for event in events {
            println!("{event}");
        }
    }
}

/// Does what the options ask, then nothing more.
async fn act(reader: &RfIdeas241, arguments: &Arguments) {
    loop {
        for card in &arguments.cards {
            tokio::time::sleep(arguments.swipe_every.unwrap_or(arguments.tap_after)).await;
            // Ends with an error only when the reader itself is gone.
            let _ = reader.watch().wait_for(|record| record.configured).await;
            complain(reader.tap(card).await);
        }
        if arguments.swipe_every.is_none() {
            return std::future::pending().await;
        }
    }
}

/// Taps what is typed; without anybody who types, for ever silent.
async fn obey(reader: &RfIdeas241) {
    let mut lines = typing::lines();
    while let Some(line) = lines.recv().await {
        let line = line.trim();
        match line.strip_prefix('!') {
            Some(order) => obey_order(reader, order).await,
            None if line.is_empty() => {}
            None => complain(reader.tap(line).await),
        }
    }
    std::future::pending().await
}

async fn obey_order(reader: &RfIdeas241, order: &str) {
    match order.split_once(' ').unwrap_or((order, "")) {
        ("drift", "") => reader.drift(),
        ("well", "") => reader.misbehave(None),
        ("firmware", version) if !version.is_empty() => reader.set_firmware(version),
        ("move", address) => match address.parse() {
            Ok(address) => complain(reader.move_to(address).await),
            Err(_) => eprintln!("`!move` is followed by an address and a port, such as 127.0.0.2:8080"),
        },
        _ => match order.parse() {
            Ok(trouble) => reader.misbehave(Some(trouble)),
            Err(error) => eprintln!("{error}; and drift, firmware VERSION, move ADDRESS, well"),
        },
    }
}

fn complain<T, E: std::fmt::Display>(outcome: Result<T, E>) {
    if let Err(error) = outcome {
        eprintln!("{error}");
    }
}
