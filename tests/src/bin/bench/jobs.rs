//! 100,000 held jobs: what a start, a list and a search take, beside the same with 1,000.
//!
//! The jobs are put into the spool as files, as a host finds them whose database was lost; so its first start is measured,
//! too.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use cardinal_domain::{
    job::{Job, JobState, NewJob},
    job_life::{self, JobInput},
    names::{QueueName, TraceId},
};
use cardinal_tests::host::Host;
use sha2::{Digest as _, Sha256};

use crate::table::Table;

const FEW: usize = 1_000;
const MANY: usize = 100_000;
/// How many people these jobs belong to.
const USERS: usize = 2_000;
/// How often each question is asked.
const TIMES: usize = 15;
/// How long a start may take.
const LONGEST_START: Duration = Duration::from_secs(1800);
const DOCUMENT: &[u8] = b"%PDF-1.7\nsmall";

pub(crate) async fn run() -> Result<()> {
    let (few, many) = (with_jobs(FEW).await?, with_jobs(MANY).await?);
    let mut table = Table::new("1,000", "100,000");
    table.add("start, every row rebuilt from the spool", "s", Some(few.rebuilding), many.rebuilding);
    table.add("start, nothing to mend", "s", Some(few.starting), many.starting);
    for (what, path) in [
        ("list the newest 100", "job"),
        ("list a user's", "job?user=u17"),
        ("list a queue's", "job?queue=find-me"),
        ("search by a document's name", "job?search=letter%20777"),
        ("search in vain", "job?search=nothing-like-it"),
    ] {
        for _ in 0..TIMES {
            table.add(what, "ms", Some(ask(&few.host, path).await), ask(&many.host, path).await);
        }
    }
    table.print();
    Ok(())
}

struct Filled {
    host: Host,
    rebuilding: f64,
    starting: f64,
}

async fn with_jobs(count: usize) -> Result<Filled> {
    let mut host = Host::init().await;
    host.set("CARDINAL_LOG__FILTER", "warn");
    host.serve().await;
    let users: String = (0..USERS).map(|user| format!("[[user]]\nname = \"u{user}\"\n")).collect();
    host.apply(&format!("{users}[[queue]]\nname = \"find-me\"\n")).await;
    host.terminate().await;
    fill(&host.folder().join("data/spool"), count)?;
    let begun = Instant::now();
    host.serve_within(LONGEST_START).await;
    let rebuilding = begun.elapsed().as_secs_f64();
    host.terminate().await;
    let begun = Instant::now();
    host.serve_within(LONGEST_START).await;
    Ok(Filled { host, rebuilding, starting: begun.elapsed().as_secs_f64() })
}

/// Documents with their headers, as `release::spool` writes them.
fn fill(spool: &Path, count: usize) -> Result<()> {
    let sha256: String = Sha256::digest(DOCUMENT).iter().map(|byte| format!("{byte:02x}")).collect();
    for number in 1..=count {
        let job = held(number, &sha256)?;
        fs::write(spool.join(format!("{}.doc", job.id)), DOCUMENT)?;
        let header = serde_json::json!({ "version": 1, "job": job });
        fs::write(spool.join(format!("{}.json", job.id)), serde_json::to_vec(&header)?)?;
    }
    Ok(())
}

fn held(number: usize, sha256: &str) -> Result<Job> {
    let new = NewJob {
        queue: QueueName::new("find-me")?,
        owner: format!("u{}", number % USERS),
        signed_in: None,
        name: format!("letter {number}"),
        format: "application/pdf".to_owned(),
        options: BTreeMap::new(),
    };
    let mut job = new.announced(i32::try_from(number)?, None);
    let arrived = JobInput::Arrived { bytes: DOCUMENT.len() as u64, sha256: sha256.to_owned() };
    job_life::step(&mut job, TraceId::new(), arrived)?;
    assert_eq!(job.state, JobState::Held);
    Ok(job)
}

/// Milliseconds that an answer of the API takes.
async fn ask(host: &Host, path: &str) -> f64 {
    let begun = Instant::now();
    let _: Vec<Job> = host.api().get(path).await;
    begun.elapsed().as_secs_f64() * 1e3
}
