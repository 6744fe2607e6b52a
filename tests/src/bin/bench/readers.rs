//! What a connected reader costs in memory: the host's own pages before and after 10,000 of them.

use std::time::Instant;

use anyhow::Result;
use cardinal_tests::host::Host;

use crate::{field::Field, memory::Memory};

const READERS: usize = 10_000;

pub(crate) async fn run() -> Result<()> {
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "warn");
    host.serve().await;
    let field = Field::new(READERS)?;
    let rest = "[[printer]]\nname = \"east\"\nuri = \"folder:./delivered\"\n[[queue]]\nname = \"find-me\"\n\
                [[device]]\nname = \"lobby\"\nprinter = \"east\"\n";
    host.apply(rest).await;
    let process = host.process_id().to_string();
    let before = Memory::of(&process);
    let begun = Instant::now();
    host.apply(&format!("{rest}{}", field.readers("lobby"))).await;
    let applied = begun.elapsed();
    field.connected().await?;
    let connected = begun.elapsed();
    let mut field = field;
    // Each has read a card: what an open alone touches is less than a session in use has.
    for terminal in 0..READERS {
        field.shows(terminal, "4711").await?;
        field.verdict().await?;
    }
    let after = Memory::of(&process);
    let each = |after: f64, before: f64| (after - before) / READERS as f64 / 1024.0;
    println!("{READERS} readers, each with a live instance that has read a card");
    println!("applied in {applied:.1?}, all connected after {connected:.1?}");
    println!("the host without readers           {:>8.1} MiB of its own", before.own / 1024.0 / 1024.0);
    println!("each reader                        {:>8.1} KiB of its own", each(after.own, before.own));
    println!("the same as RSS                    {:>8.1} KiB", each(after.resident, before.resident));
    Ok(())
}
