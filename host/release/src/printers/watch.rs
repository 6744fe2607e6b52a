//! When a printer is looked at that has no jobs, and its certificate when an operator asks.
//!
//! One task plans for all: each printer has its own next time, spread over the period so that a site of thousands is asked
//! evenly, and only so many are asked at a time, so that a floor without power holds up nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cardinal_domain::{
    fingerprint::Fingerprint,
    names::PrinterName,
    site::{Printer, PrinterUri},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::PrinterStatus;
use crate::{
    ReleaseError,
    backends::{ipp::http_url, tls::is_tls},
    engine::{Engine, Release, lock},
};

/// How often it is seen who is due.
const TICK: Duration = Duration::from_secs(1);
/// How many printers are asked at a time.
const AT_ONCE: usize = 16;
/// New printers are first looked at over a time that grows so much with each: those of a small site at once.
const SPREAD: Duration = Duration::from_millis(50);

/// Looks at printers until the host stops.
pub(crate) async fn watch(engine: Arc<Engine>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let setup = engine.store.setup();
        engine.printers.keep(|name| setup.printers.contains_key(name));
        let looked_at: Vec<_> = setup.printers.values().filter(|spec| matches!(spec.uri, PrinterUri::Ipp(_))).collect();
        for spec in &looked_at {
            if !is_due(&engine, spec, looked_at.len()) {
                continue;
            }
            // Who has no place now is due at the next tick.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { break };
            plan(&engine, spec, engine.limits.printer_poll());
            let (engine_, spec) = (Arc::clone(&engine), (*spec).clone());
            engine.spawn(async move {
                let stop = engine_.stop.clone();
                // No job waits for this: a printer that tells nothing may take its time.
                stop.run_until_cancelled(engine_.look_unless(&spec, TICK, TICK)).await;
                drop(place);
            });
        }
        if engine.stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_none() {
            return;
        }
    }
}

/// Whether a printer is to be looked at now. One that is new is given its first time.
fn is_due(engine: &Engine, spec: &Printer, count: usize) -> bool {
    let known = engine.printers.of(spec);
    let next = lock(&known.inner).next;
    match (next, engine.limits.printer_poll()) {
        (Some(next), _) => Instant::now() >= next,
        (None, None) => false,
        (None, Some(period)) => {
            let window = SPREAD.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)).min(period / 10);
            let first = Instant::now() + window.mul_f64(rand::random());
            lock(&known.inner).next = Some(first);
            Instant::now() >= first
        }
    }
}

/// The next time of a printer: after the period, more or less, so that they do not fall into step.
fn plan(engine: &Engine, spec: &Printer, period: Option<Duration>) {
    let next = period.map(|period| Instant::now() + period.mul_f64(0.9 + rand::random::<f64>() / 5.0));
    lock(&engine.printers.of(spec).inner).next = next;
}

/// The certificate that a printer shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeenCertificate {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Whether it is the one that is pinned.
    pub pinned: bool,
    /// Why the authorities known here do not vouch for it. None: they do, and it needs no pin.
    pub untrusted: Option<String>,
}

impl Release {
    /// How a printer is, as of the last look.
    pub fn printer_status(&self, printer: &Printer) -> PrinterStatus {
        self.engine.printers.status(printer)
    }

    /// The certificate that a printer shows now. Nothing is sent to the printer.
    ///
    /// # Errors
    /// There is no such printer, it has no `ipps://` address, or no certificate could be seen.
    pub async fn certificate(&self, name: &PrinterName) -> Result<SeenCertificate, ReleaseError> {
        let spec = self.engine.printer(name)?;
        let uri = match &spec.uri {
            PrinterUri::Ipp(uri) if is_tls(uri) => uri,
            _ => return Err(ReleaseError::NoTls { printer: name.clone() }),
        };
        let patience = self.engine.limits.connect_timeout() + self.engine.limits.answer_timeout();
        let shown = self.engine.clients.certificate(http_url(uri), patience).await;
        let shown = shown.map_err(|why| ReleaseError::NoCertificate { printer: name.clone(), why })?;
        let pinned = spec.certificate == Some(shown.fingerprint);
        Ok(SeenCertificate { fingerprint: shown.fingerprint, pinned, untrusted: shown.untrusted })
    }
}
