//! Both ends of a print job: sent over IPP as any client does, found in the folder that stands in for a printer.

use std::fs;
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ipp::prelude::{AsyncIppClient, IppOperationBuilder, IppPayload, Uri};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long a print client waits for the answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Prints a document to a queue. Fails with the queue's status when the job is not taken.
pub(super) async fn print(host: SocketAddr, queue: &str, user: &str, title: &str, document: &[u8]) -> Result<()> {
    let uri: Uri = format!("ipp://{host}/queues/{queue}").parse().context("the queue's address")?;
    let operation = IppOperationBuilder::print_job(uri.clone(), IppPayload::new(Cursor::new(document.to_owned())))
        .user_name(user)
        .job_title(title)
        .document_format("application/pdf")
        .build()?;
    let answer = AsyncIppClient::builder(uri.clone())
        .request_timeout(ANSWER)
        .build()
        .send(operation)
        .await
        .with_context(|| format!("printing to {uri}"))?;
    let status = answer.header().status_code();
    if !status.is_success() {
        bail!("{uri} did not take the job: {status}");
    }
    Ok(())
}

/// A file in the printer's folder.
pub(super) struct Found {
    pub(super) path: PathBuf,
    content: Vec<u8>,
}

/// What has come out of the printer so far.
pub(super) fn found(folder: &Path) -> Vec<Found> {
    // The folder is made with the first delivery.
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter_map(|path| fs::read(&path).ok().map(|content| Found { path, content }))
        .collect()
}

/// Waits until the document has come out whole so many times, and gives the last of the files.
pub(super) async fn out(folder: &Path, document: &[u8], times: usize, limit: Duration) -> Result<PathBuf> {
    let begun = Instant::now();
    loop {
        let files = found(folder);
        let mut whole = files.iter().filter(|file| file.content == document).map(|file| file.path.clone());
        if let Some(file) = whole.nth(times.saturating_sub(1)) {
            return Ok(file);
        }
        if begun.elapsed() > limit {
            let seen: Vec<String> =
                files.iter().map(|file| format!("{} ({} bytes)", file.path.display(), file.content.len())).collect();
            let seen = if seen.is_empty() { "nothing".to_owned() } else { seen.join(", ") };
            bail!(
                "the document ({} bytes) did not come out {times} times within {limit:?}; what did: {seen}",
                document.len()
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}
