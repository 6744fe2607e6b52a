//! A cold start: from the exec of `cardinal serve` to the first reader, with 20 drivers in the data folder that were compiled
//! before, beside a host that has the one that came with it.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use cardinal_tests::{host::Host, program, versions::altered};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    field,
    limits::{apply, within},
    swap::place,
    table::Table,
};

/// Drivers of the host that has many.
const DRIVERS: usize = 20;
/// How long a start may take, until the reader is connected and has its verdict.
const LONGEST: Duration = Duration::from_secs(120);
/// The version of the driver that comes with the host; all are this one with another version in it.
const OURS: &str = env!("CARGO_PKG_VERSION");

pub(crate) async fn run(rounds: usize) -> Result<()> {
    let (mut one, mut many) = (Cold::new(1).await?, Cold::new(DRIVERS).await?);
    println!(
        "{DRIVERS} versions of the Generic driver ({} bytes each), installed and compiled; {rounds} starts in turn, the \
         files in the system's cache",
        fs::metadata(program::component("cardinal-generic"))?.len()
    );
    let mut table = Table::new("1 driver", "20 drivers");
    for _ in 0..rounds {
        let (one, many) = (one.start().await?, many.start().await?);
        for (what, one, many) in [
            ("from exec to the reader's connection", one.connected, many.connected),
            ("from exec to the verdict of a card shown at once", one.verdict, many.verdict),
        ] {
            table.add(what, "ms", Some(one.as_secs_f64() * 1e3), many.as_secs_f64() * 1e3);
        }
    }
    table.print();
    Ok(())
}

/// A host that does not run, with a reader that waits for it.
struct Cold {
    host: Host,
    terminal: TcpListener,
}

/// What a start took.
struct Started {
    connected: Duration,
    verdict: Duration,
}

impl Cold {
    /// With so many drivers.
    async fn new(drivers: usize) -> Result<Self> {
        let mut host = Host::init().await;
        host.set("CARDINAL_LOG__FILTER", "warn");
        host.set("CARDINAL_DRIVERS__UNSIGNED", "allow");
        host.serve().await;
        let wasm = fs::read(program::component("cardinal-generic"))?;
        for version in (1..drivers).map(|number| format!("9.{}.{}", number / 10, number % 10)) {
            let same = OURS.len() == version.len();
            ensure!(same, "version {OURS} of the driver is not as long as {version}: write these otherwise in cold.rs");
            let file = host.folder().join(format!("generic-{version}.wasm"));
            fs::write(&file, altered(&wasm, &[(OURS, &version)]))?;
            host.cli_with(&["driver", "install", &file.to_string_lossy()]).await.ok();
        }
        let installed: Vec<BTreeMap<String, Value>> = host.api().get("driver").await;
        ensure!(installed.len() == drivers, "{} drivers are installed, not {drivers}", installed.len());
        // At the address that the reader of a site file has.
        let terminal = TcpListener::bind(SocketAddr::from((field::address(0), 0))).await?;
        let port = terminal.local_addr()?.port();
        apply(&host, &format!("{}{}", place(), field::readers(1, port, "lobby")), LONGEST).await?;
        // It has been connected before, as a reader in use has.
        let accepted = within(LONGEST, "the host to dial its reader", terminal.accept()).await?;
        let connection = accepted.context("the reader cannot accept")?;
        host.terminate().await;
        // Not earlier: the host would have dialled again, and the next start would find that connection.
        drop(connection);
        Ok(Self { host, terminal })
    }

    /// A start to the first verdict; then it is stopped again.
    async fn start(&mut self) -> Result<Started> {
        let begun = Instant::now();
        let terminal = &self.terminal;
        let read = within(LONGEST, "a verdict at the reader of a host that was started", async {
            let (mut stream, _) = terminal.accept().await.context("the reader cannot accept")?;
            let connected = begun.elapsed();
            verdict(&mut stream).await?;
            anyhow::Ok((Started { connected, verdict: begun.elapsed() }, stream))
        });
        let ((), started) = tokio::join!(self.host.serve_within(LONGEST), read);
        let (started, connection) = started??;
        self.host.terminate().await;
        drop(connection);
        Ok(started)
    }
}

/// Shows a card and waits for its verdict.
async fn verdict(stream: &mut TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"4711\n").await?;
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).await.context("the host hung up before its verdict")?;
        // Keepalives are none.
        if byte.iter().all(u8::is_ascii_alphabetic) {
            return Ok(());
        }
    }
}
