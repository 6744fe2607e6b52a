//! Writes one capture, in a task of its own: sessions wait for no disk, and a disk that is full ends the capture alone.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use cardinal_domain::{
    event::{EventBody, EventKind, Level},
    names::{DeviceName, TraceId},
    time::Timestamp,
};
use cardinal_store::Store;
use tokio::{
    fs::{File, OpenOptions},
    io::AsyncWriteExt as _,
    sync::mpsc,
    time::Instant,
};

use super::{
    captures::{Capture, Captures},
    limits::RecorderLimits,
    tape::{Line, Tape, Waiting},
};

/// What a file says first.
const WARNING: &str = "\
# WARNING: this holds card numbers, and whatever else the reader and its driver said, in clear. Keep it as you keep those,
# show it to nobody who may not see them, and remove it when it has served. Settings of the kind `secret` and the address
# that the reader calls have stand-ins (xxxx); what such a reader itself says in other words cannot be found.
";

pub(super) struct Writer {
    pub(super) capture: Capture,
    pub(super) device: DeviceName,
    pub(super) trace: TraceId,
    pub(super) captures: Arc<Captures>,
    pub(super) limits: RecorderLimits,
    pub(super) store: Store,
    pub(super) tape: Tape,
    pub(super) cause: Arc<OnceLock<String>>,
}

impl Writer {
    /// Writes what comes until the capture ends, and tells of that.
    pub(super) async fn run(mut self, mut lines: mpsc::Receiver<Waiting>, time: Duration) {
        let end = Instant::now() + time;
        let mut file = None;
        let mut failed = None;
        loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                () = tokio::time::sleep_until(end) => break,
            };
            // It has its room until it is written.
            let Some(Waiting { line, _room }) = line else { break };
            if let Err(why) = self.write(&mut file, line).await {
                failed = Some(why);
                break;
            }
        }
        self.tape.close(Some(&self.capture.id), None);
        // What was said before the end belongs to it.
        while failed.is_none()
            && let Ok(Waiting { line, _room }) = lines.try_recv()
        {
            failed = self.write(&mut file, line).await.err();
        }
        if let Some(file) = file
            && let Err(error) = file.sync_all().await
        {
            failed = failed.or_else(|| Some((Level::Error, format!("it cannot be written: {error}"))));
        }
        self.ended(failed).await;
    }

    /// Why it ends with that, and how bad that is.
    async fn write(&mut self, file: &mut Option<File>, line: Line) -> Result<(), (Level, String)> {
        let text = match line {
            Line::Session { driver, digest, head } => {
                if self.capture.sessions >= self.limits.capture_sessions {
                    let why = format!("it has {} sessions (capture_sessions)", self.limits.capture_sessions);
                    return Err((Level::Info, why));
                }
                *file = Some(self.next_file().await.map_err(|error| (Level::Error, unwritten(&error)))?);
                format!("{WARNING}{}{head}", self.about(&driver, &digest))
            }
            Line::Step(step) => step,
        };
        let Some(file) = file else { return Ok(()) };
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if self.capture.bytes.saturating_add(length) > self.limits.capture_bytes {
            return Err((Level::Info, format!("it has {} bytes (capture_bytes)", self.limits.capture_bytes)));
        }
        if let Err(error) = append(file, text.as_bytes()).await {
            return Err((Level::Error, unwritten(&error)));
        }
        self.capture.bytes += length;
        self.captures.grown(&self.capture.id, self.capture.sessions, self.capture.bytes);
        Ok(())
    }

    async fn next_file(&mut self) -> io::Result<File> {
        let path = self.captures.session_file(&self.capture.id, self.capture.sessions + 1);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path).await?;
        self.capture.sessions += 1;
        Ok(file)
    }

    /// Where it comes from, as comments.
    fn about(&self, driver: &str, digest: &str) -> String {
        let Capture { id, reader, by, note, .. } = &self.capture;
        let (session, now) = (self.capture.sessions, Timestamp::now());
        let plain = |note: &String| {
            let note: String = note.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("# {note}\n")
        };
        let note = note.as_ref().map(plain).unwrap_or_default();
        format!(
            "# Capture {id}, session {session}: reader {reader}, from {now}, opened by {by}.\n{note}\
             # Driver {driver}, sha256 {digest}; Cardinal {version}.\n",
            version = env!("CARGO_PKG_VERSION")
        )
    }

    async fn ended(mut self, failed: Option<(Level, String)>) {
        let (level, why) = match (failed, self.cause.get()) {
            (Some(failed), _) => failed,
            (None, Some(cause)) => (Level::Info, cause.clone()),
            (None, None) => (Level::Info, "its time was over".to_owned()),
        };
        self.capture.ended = Some(Timestamp::now());
        self.capture.why = Some(why);
        if let Err(error) = self.captures.put(self.capture.clone()) {
            tracing::error!(capture = self.capture.id, %error, "that a capture ended cannot be written to its folder");
        }
        let event = ended(self.trace, &self.capture).level(level).device(&self.device);
        if let Err(error) = self.store.record(vec![event]).await {
            tracing::error!(error = &error as &dyn std::error::Error, "an event was lost");
        }
    }
}

/// The event of its end.
pub(super) fn ended(trace: TraceId, capture: &Capture) -> EventBody {
    let Capture { id, reader, sessions, bytes, why, .. } = capture;
    let message = format!("the capture of {reader} ended: {}", why.as_deref().unwrap_or_default());
    EventBody::new(trace, EventKind::CaptureEnded, message)
        .reader(reader)
        .fact("capture", &**id)
        .fact("sessions", sessions.to_string())
        .fact("bytes", bytes.to_string())
}

fn unwritten(error: &io::Error) -> String {
    format!("it cannot be written: {error}")
}

/// Writes it wholly or not at all, so that the file stays a trace.
async fn append(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let before = file.metadata().await?.len();
    let mut written = file.write_all(bytes).await;
    if written.is_ok() {
        written = file.flush().await;
    }
    if written.is_err() {
        file.set_len(before).await?;
    }
    written
}
