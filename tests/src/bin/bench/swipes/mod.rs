//! From an HTTPS swipe to its answer: through host and driver against the same handler without them, and while the host
//! verifies the configuration of 5,000 other readers against while it does not.

mod callers;
mod plain;
mod verified;

use std::{
    env, fs,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::Result;
use cardinal_tests::{host::Host, port, process::Process, program, wait};
use serde::Deserialize;
use tokio::net::TcpStream;

use self::callers::{Callers, Connections, READERS};
use crate::table::{Table, percentile};

pub(crate) use plain::answer;

/// Swipes a second, over all readers.
const RATE: u32 = 200;
/// Swipes of one measurement.
const SWIPES: usize = 1_000;
/// What of the times is shown.
const PARTS: [(&str, f64); 2] = [("median", 0.5), ("99th percentile", 0.99)];

/// What the host answers of a reader's callback address.
#[derive(Deserialize)]
struct Callback {
    url: String,
}

pub(crate) async fn run(rounds: usize) -> Result<()> {
    let begun = Instant::now();
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "warn");
    host.set("CARDINAL_READERS__LISTEN", "127.0.0.1:0");
    host.serve().await;
    for driver in ["cardinal-springcore", "cardinal-rfideas-241"] {
        let component = program::component(driver);
        host.cli_with(&["driver", "install", component.to_str().unwrap()]).await.ok();
    }
    let site = callers::site();
    host.apply(&site).await;
    let mut urls = Vec::new();
    for reader in 0..READERS {
        let callback: Callback = host.api().get(&format!("reader/r{reader}/callback")).await;
        urls.push(callback.url);
    }
    let certificate = fs::read(host.certificate())?;
    let callers = |urls: &[String], connections| Callers::new(urls, &certificate, connections, begun);
    against_plain(&host, &urls, rounds, callers).await?;
    println!();
    verified::run(&host, &site, &callers(&urls, Connections::Kept)?).await
}

/// The same swipes to the plain server and to the host.
async fn against_plain(
    host: &Host,
    urls: &[String],
    rounds: usize,
    callers: impl Fn(&[String], Connections) -> Result<Callers>,
) -> Result<()> {
    println!(
        "{READERS} readers (springcore-http), {RATE} swipes a second from them in turn, {SWIPES} swipes a measurement,\n\
         a handshake is a full one: neither side gives tickets"
    );
    let address = port::free();
    let log = host.folder().join("plain.log");
    let mut command = Command::new(env::current_exe()?);
    command.arg("--answer").arg(address.to_string()).arg("--tls").arg(host.folder().join("data/tls"));
    let _plain = Process::start_with("the plain server", &mut command, &log, Stdio::null(), Stdio::null());
    wait::until("the plain server", async || TcpStream::connect(address).await.ok()).await;
    // With a path of the same length, as its caller does not matter to it.
    let plain_urls: Vec<_> = urls.iter().map(|url| elsewhere(url, address)).collect();

    let mut table = Table::new("handler", "Cardinal");
    for _ in 0..rounds {
        for (connections, names) in [
            (Connections::Kept, ["kept connection, median", "kept connection, 99th percentile"]),
            (Connections::Fresh, ["new connection each, median", "new connection each, 99th percentile"]),
        ] {
            let alone = callers(&plain_urls, connections)?.load(RATE, SWIPES).await?;
            let ours = callers(urls, connections)?.load(RATE, SWIPES).await?;
            for (what, (_, part)) in names.into_iter().zip(PARTS) {
                table.add(what, "µs", percentile(&alone, part), percentile(&ours, part).unwrap_or_default());
            }
        }
    }
    table.print();
    Ok(())
}

/// The same path at another host.
fn elsewhere(url: &str, address: SocketAddr) -> String {
    let path = url.find("/r/").and_then(|at| url.get(at..)).unwrap_or_default();
    format!("https://{address}{path}")
}
