//! A document of 500 MB on its way through the host: its memory stays flat, and its time is told beside that of copying a
//! file of that size with the same care for the disk.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use cardinal_domain::job::JobState;
use cardinal_tests::{document, host::Host, ipp_client};

use crate::{memory::Memory, table::Table};

const BYTES: usize = 500_000_000;

pub(crate) async fn run() -> Result<()> {
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "warn");
    host.serve().await;
    host.apply("[[printer]]\nname = \"east\"\nuri = \"folder:./delivered\"\n[[queue]]\nname = \"find-me\"\n").await;
    let process = host.process_id().to_string();
    let source = host.folder().join("source");
    fs::write(&source, document::arbitrary(BYTES, 1))?;
    let mut table = Table::new("copying", "Cardinal");

    // Once unmeasured: the first document touches what every later one uses again.
    ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
    let copied = copy(&source)?;
    let before = Memory::of(&process).own;
    let peak = Peak::watch(process.clone());
    let begun = Instant::now();
    let number = ipp_client::print_file(&host.queue("find-me"), "ada", &source).await;
    table.add("taken and held", "s", Some(copied), begun.elapsed().as_secs_f64());
    let taking = peak.end() - before;

    let copied = copy(&source)?;
    let peak = Peak::watch(process);
    let begun = Instant::now();
    host.cli(&format!("job release {number} --printer east")).await.ok();
    while host.api().job(number).await.state != JobState::Delivered {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    table.add("released and delivered to a folder", "s", Some(copied), begun.elapsed().as_secs_f64());
    let giving = peak.end() - before;

    println!("{} MB; the host's own memory before: {:.1} MiB", BYTES / 1_000_000, mebibytes(before));
    println!(
        "the most it grew while the document came in: {:.1} MiB, while it went out: {:.1} MiB",
        mebibytes(taking),
        mebibytes(giving)
    );
    table.print();
    Ok(())
}

fn mebibytes(bytes: f64) -> f64 {
    bytes / 1024.0 / 1024.0
}

/// Seconds to copy a file and sync the copy.
fn copy(source: &Path) -> io::Result<f64> {
    let copy = source.with_extension("copy");
    let begun = Instant::now();
    io::copy(&mut File::open(source)?, &mut File::create(&copy)?)?;
    File::open(&copy)?.sync_all()?;
    let took = begun.elapsed().as_secs_f64();
    fs::remove_file(&copy)?;
    Ok(took)
}

/// The most memory that a process had of its own while it was watched.
struct Peak {
    stop: Arc<AtomicBool>,
    watching: std::thread::JoinHandle<f64>,
}

impl Peak {
    fn watch(process: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let watching = std::thread::spawn(move || {
            let mut most = 0.0_f64;
            while !stopped.load(Ordering::Relaxed) {
                most = most.max(Memory::of(&process).own);
                std::thread::sleep(Duration::from_millis(10));
            }
            most
        });
        Self { stop, watching }
    }

    fn end(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.watching.join().unwrap()
    }
}
