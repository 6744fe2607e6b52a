//! `cardinal driver install`, and the report on a file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;

use super::{
    super::{
        client::Client,
        output::{self, say},
    },
    files, show_mode,
};
use crate::{
    drivers::{Outcome, Report, SignatureReport},
    http::{InstallQuery, NamesKept, SIGNATURE},
};

/// Inspect, verify, compile and install a driver file
#[derive(Debug, Args)]
#[command(after_help = "\
The signature is taken from FILE.minisig where that is there. Readers that name no version keep the one they have.

Examples:
  cardinal driver install acme-line.wasm --dry-run      what it is and what would become of it; nothing changes
  cardinal driver install acme-line.wasm
  cardinal driver install acme-line.wasm --older        a version below the highest there ever was")]
pub(in crate::cli) struct Install {
    file: PathBuf,
    /// The signature, where it is not FILE.minisig
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The names of its functions, where they are not in FILE.names beside FILE.wasm; for the backtraces of its faults
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Only say what the file is and what would become of it
    #[arg(long)]
    dry_run: bool,
    /// Let it take the place of the same version, while you develop it
    #[arg(long)]
    replace: bool,
    /// Take a version that is older than the newest there ever was
    #[arg(long)]
    older: bool,
}

impl Install {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let read = files::read(&self.file, self.signature.as_deref())?;
        let query = InstallQuery { dry_run: self.dry_run, replace: self.replace, older: self.older };
        let report =
            upload(client, read, &query).await.with_context(|| format!("{} was not installed", self.file.display()))?;
        let kept =
            if self.dry_run { None } else { keep_names(client, &self.file, self.names.as_deref(), &report).await };
        if client.json {
            return output::json(&report);
        }
        if let Some(kept) = kept {
            say!("names of {} functions, for backtraces", kept.functions);
        }
        if self.dry_run {
            whole(&report);
            say!("nothing was changed (--dry-run)");
        } else {
            short(&report);
        }
        Ok(())
    }
}

async fn upload(client: &Client, read: files::Read, query: &InstallQuery) -> Result<Report> {
    let signature = read.signature.map(|text| (SIGNATURE, BASE64_STANDARD.encode(text)));
    client.upload("driver", query, signature, read.wasm).await
}

/// Gives the host the names of an installed driver's functions, where there are any. Without them, or with wrong ones, the
/// driver runs all the same: that is told, and no error.
pub(super) async fn keep_names(
    client: &Client,
    file: &Path,
    names: Option<&Path>,
    report: &Report,
) -> Option<NamesKept> {
    let kept = async {
        let Some(text) = files::names(file, names)? else { return Ok(None) };
        client.put_text(&format!("driver/{}/names", label(report)), text).await.map(Some)
    };
    let kept: Result<Option<NamesKept>> = kept.await;
    kept.unwrap_or_else(|error| {
        eprintln!("the driver is installed without the names of its functions: {error:#}");
        None
    })
}

/// Installs a file that is developed: in place of the same version, and of a newer one.
///
/// # Errors
/// The host does not take it.
pub(super) async fn replace(client: &Client, file: &Path) -> Result<Report> {
    let query = InstallQuery { replace: true, older: true, ..InstallQuery::default() };
    let report = upload(client, files::read(file, None)?, &query).await?;
    keep_names(client, file, None, &report).await;
    Ok(report)
}

/// What the host says of a file's signature.
///
/// # Errors
/// The host does not take it, or cannot be asked.
pub(super) async fn verify(client: &Client, file: &Path, read: files::Read) -> Result<()> {
    let query = InstallQuery { dry_run: true, ..InstallQuery::default() };
    let report = upload(client, read, &query).await?;
    if let SignatureReport::Refused { why } = &report.signature {
        bail!("{} is not good for this host: {why}", file.display());
    }
    if client.json {
        return output::json(&report);
    }
    say!("{}: {} ({})", file.display(), label(&report), report.signature.words());
    Ok(())
}

pub(super) fn label(report: &Report) -> String {
    format!("{}@{}", report.manifest.id(), report.manifest.version)
}

fn short(report: &Report) {
    let manifest = &report.manifest;
    let modes: Vec<_> = manifest.modes.iter().map(|mode| mode.id.as_str()).collect();
    say!("{}: {}", label(report), output::plain(&manifest.summary));
    say!("modes {}; {}; sha256 {}", modes.join(", "), report.signature.words(), report.digest);
    if let Some(outcome) = &report.outcome {
        say!("{}", output::plain(&outcome.words(&manifest.id(), &manifest.version)));
    }
}

/// The whole report, for people.
pub(super) fn whole(report: &Report) {
    let manifest = &report.manifest;
    say!("{}: {}", label(report), output::plain(&manifest.summary));
    say!("  sha256      {}", report.digest);
    say!("  size        {} bytes; compiled in {} ms", report.bytes, report.compile_ms);
    say!("  contract    {}", report.contract);
    say!("  imports     {}", if report.imports.is_empty() { "none".to_owned() } else { report.imports.join(", ") });
    for ask in &report.asks {
        say!("  {:11} {} at its start; the bound {} is {}", what(&ask.name), ask.asked, ask.name, ask.bound);
    }
    say!("  signature   {}", output::plain(&report.signature.words()));
    match &report.outcome {
        None => {}
        Some(outcome @ Outcome::Refused { .. }) => {
            say!("  installing  {}", output::plain(&outcome.words(&manifest.id(), &manifest.version)));
        }
        Some(outcome) => say!("  installing  {}", outcome.words(&manifest.id(), &manifest.version)),
    }
    for mode in &manifest.modes {
        show_mode(mode);
    }
}

fn what(bound: &str) -> &str {
    match bound {
        "memory_bytes" => "memory",
        "table_elements" => "table",
        other => other,
    }
}
