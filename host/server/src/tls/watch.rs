//! Looks after the certificate while the host runs: reads changed files, warns before its end.

use std::{sync::Arc, time::Duration};

use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
    time::Timestamp,
};
use cardinal_store::Store;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{About, Tls};

/// How often the files are looked at. Two looks that see the same are needed: whoever replaces both is given time.
const LOOK: Duration = Duration::from_secs(2);
/// How long after a failed try files that look the same are tried again: what was in the way may lie outside them, such as
/// the rights of their folder.
const RETRY: Duration = Duration::from_secs(60);
/// How often a certificate near its end is warned about.
const WARN_EVERY: Duration = Duration::from_secs(24 * 3_600);

/// Runs until stopped. `about` is the certificate in use.
pub async fn watch(tls: Arc<Tls>, mut about: About, store: Store, stop: CancellationToken) {
    let mut loaded = tls.files.stamp();
    let mut before = loaded;
    let mut refused: Option<Instant> = None;
    let mut warn_at = Instant::now();
    loop {
        if Instant::now() >= warn_at {
            warn_at = Instant::now() + WARN_EVERY;
            if let Some((level, message)) = about.warning(Timestamp::now()) {
                let event = EventBody::new(TraceId::new(), EventKind::TlsExpires, message).level(level);
                tell(&store, event.fact("fingerprint", about.fingerprint.clone())).await;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let now = tls.files.stamp();
        let is_new = now != loaded && now == before;
        let is_again = now == loaded && refused.is_some_and(|at| at.elapsed() >= RETRY);
        if is_new || is_again {
            loaded = now;
            let event = match tls.reload() {
                Ok(new) => {
                    refused = None;
                    let message = format!("the host's certificate was read again: {}", new.fingerprint);
                    about = new;
                    warn_at = Instant::now();
                    let event = EventBody::new(TraceId::new(), EventKind::TlsReloaded, message);
                    Some(event.fact("fingerprint", about.fingerprint.clone()))
                }
                Err(error) => {
                    refused = Some(Instant::now());
                    let message = format!("the new certificate cannot be used, the one before is kept: {error:#}");
                    // Told once, not at every try.
                    is_new.then(|| EventBody::new(TraceId::new(), EventKind::TlsRefused, message))
                }
            };
            if let Some(event) = event {
                tell(&store, event).await;
            }
        }
        before = now;
    }
}

async fn tell(store: &Store, event: EventBody) {
    let said = event.message.clone();
    if let Err(error) = store.record(vec![event]).await {
        tracing::error!(said, error = &error as &dyn std::error::Error, "an event was lost");
    }
}
