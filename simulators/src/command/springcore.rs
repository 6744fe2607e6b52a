//! `cardinal-simulator springcore`: a SpringCard reader.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use cardinal_simulators::springcore::{HttpReader, HttpSettings, Record, Tag, TcpReader};
use cardinal_simulators::typing;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::duration;

/// A SpringCard reader with SpringCore firmware: JSON over TCP or HTTP
///
/// Prints a line for each thing that happens, and in words what its lights and its buzzer do. Every line typed is a card;
/// `!drop` drops the connection (over HTTP: shows a card and loses the answer), `!restart` takes its power away. Runs
/// until Ctrl-C.
#[derive(Args)]
#[command(after_help = "\
Examples:
  A reader that waits for Cardinal on port 4000; type card numbers to show them:
    cardinal-simulator springcore
  One that shows two cards, ten seconds apart, again and again:
    cardinal-simulator springcore --listen 127.0.0.1:4001 --card 047DAE02C84080 --card DEADBEEF --swipe-every 10s
  One that calls Cardinal for each card, and says every 20 seconds that it is there:
    cardinal-simulator springcore --mode http --url http://127.0.0.1:8631/r/SECRET --card 047DAE02C84080 --status-every 20s
  One that loses the answer to its first card and calls again:
    cardinal-simulator springcore --mode http --url http://127.0.0.1:8631/r/SECRET --card 04AA --drop --retry 2
  One that calls over HTTPS, which real ones do not; data/tls/certificate.pem is the host's own certificate:
    cardinal-simulator springcore --mode http --url https://127.0.0.1:8632/r/SECRET --ca ./site/data/tls/certificate.pem")]
pub(crate) struct Arguments {
    /// Who calls: the host over TCP, or the reader over HTTP
    #[arg(long, value_enum, default_value_t = Mode::Tcp)]
    mode: Mode,
    /// tcp: wait for the host at this address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4000")]
    listen: SocketAddr,
    /// http: the address that Cardinal shows for this reader
    #[arg(long, value_name = "URL", required_if_eq("mode", "http"))]
    url: Option<String>,
    /// http: a PEM file with the certificate that signed the host's, or with the host's own
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// http: take any certificate
    #[arg(long)]
    insecure: bool,
    /// A card to show; may be given several times
    #[arg(long = "card", value_name = "NUMBER")]
    cards: Vec<String>,
    /// Show the cards again and again, with this pause before each
    #[arg(long, value_name = "TIME", requires = "cards", value_parser = duration)]
    swipe_every: Option<Duration>,
    /// http: send a STATUS so often
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    status_every: Duration,
    /// http: call again so many times for an event that was not answered
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    retry: u32,
    /// Drop the connection after the first card (over HTTP: before its answer comes)
    #[arg(long)]
    drop: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Tcp,
    Http,
}

/// How long a reader that is to lose an answer gives the host to take its card.
const IMPATIENCE: Duration = Duration::from_secs(2);
/// The pause before a card that is shown once.
const BEFORE_CARD: Duration = Duration::from_millis(500);

/// Runs the reader until it is told to stop. Fails where the port cannot be had or a certificate cannot be used.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut reader = match arguments.mode {
        Mode::Tcp => {
            let address = arguments.listen;
            let reader = TcpReader::listen(address).await.with_context(|| format!("listening on {address}"))?;
            println!("listening on {}", reader.address());
            Reader::Tcp(reader)
        }
        Mode::Http => {
            let url = arguments.url.as_deref().context("--mode http needs --url")?;
            let ca = arguments
                .ca
                .as_ref()
                .map(|file| std::fs::read(file).with_context(|| format!("cannot read {}", file.display())));
            let settings = HttpSettings {
                retries: arguments.retry,
                ca: ca.transpose()?,
                insecure: arguments.insecure,
                ..HttpSettings::new(url)
            };
            println!("calling");
            Reader::Http(HttpReader::new(settings)?)
        }
    };
    let record = reader.watch();
    tokio::select! {
        () = show(record) => {}
        () = act(&mut reader, &arguments) => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// A reader of either kind.
enum Reader {
    Tcp(TcpReader),
    Http(HttpReader),
}

impl Reader {
    fn watch(&self) -> watch::Receiver<Record> {
        match self {
            Self::Tcp(reader) => reader.watch(),
            Self::Http(reader) => reader.watch(),
        }
    }

    async fn tap(&self, card: &str) {
        match self {
            Self::Tcp(reader) => {
                if let Err(error) = reader.tap(&Tag::new(card)).await {
                    eprintln!("{error}");
                }
            }
            // What came of it is in the record.
            Self::Http(reader) => drop(reader.tap(&Tag::new(card)).await),
        }
    }

    /// The connection breaks while this card is shown.
    async fn drop(&self, card: &str) {
        match self {
            Self::Tcp(reader) => {
                self.tap(card).await;
                reader.drop_connection().await;
            }
            Self::Http(reader) => {
                // What came of it is in the record.
                drop(reader.tap_and_drop(&Tag::new(card), IMPATIENCE).await);
            }
        }
    }

    async fn restart(&mut self) {
        match self {
            Self::Tcp(reader) => reader.restart().await,
            Self::Http(reader) => reader.restart(),
        }
    }

    /// Over TCP: waits for the host.
    async fn is_ready(&self) {
        if let Self::Tcp(reader) = self {
            // Ends with an error only when the reader itself is gone.
            let _ = reader.watch().wait_for(|record| record.host.is_some()).await;
        }
    }
}

/// Prints what happens, a line each.
async fn show(mut record: watch::Receiver<Record>) {
    let mut shown = 0;
    while record.changed().await.is_ok() {
        let lines: Vec<String> =
            record.borrow_and_update().events.iter().skip(shown).map(ToString::to_string).collect();
        shown += lines.len();
        lines.iter().for_each(|line| println!("{line}"));
    }
}

/// Does what the options ask and what is typed, for ever.
async fn act(reader: &mut Reader, arguments: &Arguments) {
    let mut lines = typing::lines();
    let mut is_typed = true;
    let again = arguments.swipe_every.is_some();
    let mut cards: Box<dyn Iterator<Item = &String> + Send> =
        if again { Box::new(arguments.cards.iter().cycle()) } else { Box::new(arguments.cards.iter()) };
    let mut next = cards.next();
    let mut drops = arguments.drop;
    let mut due = tokio::time::Instant::now() + arguments.swipe_every.unwrap_or(BEFORE_CARD);
    let mut status = tokio::time::interval(arguments.status_every.max(Duration::from_millis(100)));
    loop {
        let ready = async {
            tokio::time::sleep_until(due).await;
            reader.is_ready().await;
        };
        tokio::select! {
            () = ready, if next.is_some() => {
                if let Some(card) = next {
                    if std::mem::take(&mut drops) { reader.drop(card).await } else { reader.tap(card).await }
                }
                next = cards.next();
                due = tokio::time::Instant::now() + arguments.swipe_every.unwrap_or(BEFORE_CARD);
            }
            line = lines.recv(), if is_typed => match line.as_deref().map(str::trim) {
                None => is_typed = false,
                Some("") => {}
                Some("!drop") => reader.drop("4711").await,
                Some("!restart") => reader.restart().await,
                Some(card) => reader.tap(card).await,
            },
            _ = status.tick() => if let Reader::Http(reader) = &*reader {
                reader.status("online,ready").await;
            },
        }
    }
}
