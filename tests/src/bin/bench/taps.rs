//! From tap to verdict through the whole host, as its own process, against a bare echo of the same line, which is a process
//! of its own, too, and dials the same terminals.

use std::{
    env,
    fmt::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Result;
use cardinal_tests::{host::Host, process::Process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::MissedTickBehavior,
};

use crate::{
    field::Field,
    table::{Table, percentile},
};

/// Readers that are connected.
const READERS: usize = 1_000;
/// Taps a second, over all of them.
const RATE: u32 = 200;
/// Taps of one measurement.
const TAPS: usize = 2_000;
/// Taps before it counts: the first ones fill caches.
const WARM_UP: usize = 200;

pub(crate) async fn run(rounds: usize) -> Result<()> {
    println!("{READERS} readers connected, {RATE} taps a second from them in turn, {TAPS} taps a round");
    let mut table = Table::new("echo", "Cardinal");
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "warn");
    host.serve().await;
    let mut site = String::from(
        "[[printer]]\nname = \"east\"\nuri = \"folder:./delivered\"\n[[queue]]\nname = \"find-me\"\n[[device]]\nname = \"lobby\"\nprinter = \"east\"\n",
    );
    for user in 0..READERS {
        let _ = write!(site, "[[user]]\nname = \"u{user}\"\ncard = \"{}\"\n", card(user));
    }
    for _ in 0..rounds {
        let mut plain = Field::new(READERS)?;
        let terminals = plain.addresses().collect::<Vec<_>>().join(",");
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("echo.log");
        let mut command = Command::new(env::current_exe()?);
        // Too long for a command line on some systems, not for a pipe.
        let mut echo = Process::start_with("the echo", command.arg("--echo"), &log, Stdio::null(), Stdio::piped());
        std::io::Write::write_all(echo.input(), format!("{terminals}\n").as_bytes())?;
        plain.connected().await?;
        let echoed = load(&mut plain).await?;
        drop(echo);
        plain.deserted().await?;

        let mut ours = Field::new(READERS)?;
        host.apply(&format!("{site}{}", ours.readers("lobby"))).await;
        ours.connected().await?;
        let decided = load(&mut ours).await?;
        for (what, part) in [("median", 0.5), ("99th percentile", 0.99), ("slowest", 1.0)] {
            table.add(what, "µs", percentile(&echoed, part), percentile(&decided, part).unwrap_or_default());
        }
    }
    table.print();
    Ok(())
}

fn card(user: usize) -> String {
    format!("{}", 5_235_000_000_u64 + user as u64)
}

/// Taps at a steady rate, whether or not verdicts come; microseconds from each tap to its verdict.
async fn load(field: &mut Field) -> Result<Vec<f64>> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut took = Vec::new();
    let mut sent = 0;
    while took.len() < WARM_UP + TAPS {
        tokio::select! {
            _ = ticks.tick(), if sent < WARM_UP + TAPS => {
                // Far apart, as people are.
                let terminal = sent * 389 % READERS;
                field.shows(terminal, &card(terminal)).await?;
                sent += 1;
            }
            verdict = field.verdict() => took.push(verdict?.as_secs_f64() * 1e6),
        }
    }
    Ok(took.split_off(WARM_UP))
}

/// The plain server: dials every terminal that a line of standard input names, and answers each line with a byte.
pub(crate) async fn echo() -> Result<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let mut all = JoinSet::new();
    for address in line.trim().split(',').map(str::to_owned) {
        all.spawn(async move {
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            let (from, mut to) = stream.into_split();
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).await? > 0 {
                to.write_all(b"b").await?;
                line.clear();
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = all.join_next().await {
        // Whoever started it sees that in its log.
        if let Err(error) = ended? {
            eprintln!("a terminal was lost: {error}");
        }
    }
    Ok(())
}
