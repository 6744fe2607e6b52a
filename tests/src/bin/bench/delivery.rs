//! From the tap of a card to the last byte at a real printer, against `ipptool` printing the same document straight to it.

use std::time::{Duration, Instant};

use anyhow::Result;
use cardinal_tests::{document, host::Host, ipp_client, ipp_printer::IppPrinter, ipptool, program};

use crate::{field::Field, table::Table};

pub(crate) async fn run(rounds: usize) -> Result<()> {
    let printer = IppPrinter::start().await;
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "warn");
    host.serve().await;
    let field = Field::new(1)?;
    host.apply(&format!(
        "[[user]]\nname = \"ada\"\ncard = \"4711\"\n[[printer]]\nname = \"east\"\nuri = \"{}\"\n[[queue]]\nname = \"find-me\"\n\
         [[device]]\nname = \"lobby\"\nprinter = \"east\"\n{}",
        printer.uri(),
        field.readers("lobby")
    ))
    .await;
    field.connected().await?;
    let hello = program::in_workspace("examples/hello.pdf");
    let mut table = Table::new("ipptool", "a tap");
    println!(
        "a document of {} bytes to ippeveprinter, {rounds} rounds in turn; ipptool's time has its start in it",
        document::hello().len()
    );
    let mut out = 0;
    for _ in 0..rounds {
        let begun = Instant::now();
        ipptool::print(&printer.uri(), "ada", &hello).await.ok();
        out += 1;
        let plain = came_out(&printer, out, begun).await;

        ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
        let begun = Instant::now();
        field.shows(0, "4711").await?;
        out += 1;
        let ours = came_out(&printer, out, begun).await;
        table.add("to the last byte at the printer", "ms", Some(plain), ours);
    }
    table.print();
    Ok(())
}

/// Milliseconds until so many documents have come out.
async fn came_out(printer: &IppPrinter, count: usize, begun: Instant) -> f64 {
    while printer.came_out().len() < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.elapsed().as_secs_f64() * 1e3
}
