//! All sources of a site, read whole, and how far that is.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use cardinal_directory::{Locals, Mark, Progress, Snapshot};
use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
    site::Source,
};

use super::{
    Current, Kind, SourceRead, SyncBody, lock,
    reading::{self, Request},
};
use crate::sessions::Services;

/// How often it is told as an event how far reading is.
const PROGRESS: Duration = Duration::from_secs(10);

/// All sources, whole, or why not.
pub(super) async fn read_all(
    services: &Services,
    current: &Current,
    body: &SyncBody,
    sources: &[&Source],
    config: &BTreeMap<String, String>,
    options_digest: &str,
    trace: TraceId,
) -> Result<Vec<Snapshot>> {
    // Of two sources, what one says is nothing without what the other says of the same user.
    let is_delta = body.kind == Kind::Changes && sources.len() == 1;
    let paths = &services.config.directory;
    let ca = Some(&paths.ca).filter(|ca| !ca.as_os_str().is_empty()).map(|ca| services.config.path(ca));
    let locals = Locals {
        files: paths.files.iter().map(|(name, path)| (name.clone(), services.config.path(path))).collect(),
        programs: paths.programs.clone(),
        program_within: Duration::from_secs(paths.program_within_s),
    };
    let reading = sources.iter().map(|source| {
        let (progress, figures) = Progress::new();
        lock(&current.reading).push((source.name.clone(), figures));
        let request = Request {
            source: Source::clone(source),
            config: config.clone(),
            ca: ca.clone(),
            locals: locals.clone(),
            since: None,
        };
        read_one(services, is_delta.then_some(options_digest), request, progress)
    });
    let reading = futures_util::future::try_join_all(reading);
    let telling = tell_progress(services, current, trace);
    let read = tokio::select! {
        read = reading => read?,
        () = telling => bail!("reading ended"),
        () = tokio::time::sleep(Duration::from_secs(paths.read_within_s)) => bail!(too_slow(current, paths.read_within_s)),
    };
    let (snapshots, told) = read.into_iter().unzip();
    current.change(|view| view.told.sources = told);
    lock(&current.reading).clear();
    Ok(snapshots)
}

/// Where reading was when its time was over.
fn too_slow(current: &Current, within_s: u64) -> String {
    let at: Vec<_> = current.view().told.sources.iter().map(so_far).collect();
    format!(
        "reading took longer than {within_s} s: {}; find out what is slow, or allow more in cardinal.toml \
         (directory.read_within_s)",
        at.join("; ")
    )
}

/// How far reading a source is, for people.
fn so_far(source: &SourceRead) -> String {
    let SourceRead { source, server, entries, of, .. } = source;
    if server.is_empty() {
        return format!("source {source}: no answer yet");
    }
    let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
    format!("source {source}: {entries}{of} entries read from {server}")
}

/// `since`: read only what changed since the last sync with these options, where the source can do that.
async fn read_one(
    services: &Services,
    since: Option<&str>,
    mut request: Request,
    progress: Progress,
) -> Result<(Snapshot, SourceRead)> {
    let began = Instant::now();
    if let Some(options) = since {
        let mark = services.store.sync_mark(&request.source.name).await?;
        request.since = mark.and_then(|mark| Some(Mark(mark.strip_prefix(options)?.trim_start().to_owned())));
    }
    let snapshot = reading::read(&request, &progress).await?;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let told = SourceRead::of(&snapshot, took_ms);
    Ok((snapshot, told))
}

/// Tells now and then how far reading is. Does not end.
async fn tell_progress(services: &Services, current: &Current, trace: TraceId) {
    loop {
        tokio::time::sleep(PROGRESS).await;
        for source in current.view().told.sources {
            let event = EventBody::new(trace, EventKind::SyncProgress, so_far(&source))
                .fact("source", source.source.to_string())
                .fact("entries", source.entries.to_string());
            services.tell(event).await;
        }
    }
}
