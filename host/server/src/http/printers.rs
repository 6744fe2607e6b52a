//! Printers with how they are.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use cardinal_domain::{job::JobState, names::PrinterName, nearest::nearest, site::Printer};
use cardinal_release::{PrinterStatus, SeenCertificate};
use cardinal_store::JobFilter;
use serde::{Deserialize, Serialize};

use super::{ApiError, extract::Path};
use crate::host::Host;

/// A printer, how it is, and how many of our jobs are on their way to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct PrinterView {
    #[serde(flatten)]
    pub spec: Printer,
    pub status: PrinterStatus,
    pub jobs: usize,
}

pub(super) async fn list(State(host): State<Arc<Host>>) -> Result<Json<Vec<PrinterView>>, ApiError> {
    let jobs = on_their_way(&host).await?;
    let setup = host.services.store.setup();
    Ok(Json(setup.printers.values().map(|spec| view(&host, spec, &jobs)).collect()))
}

pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Path(name): Path<PrinterName>,
) -> Result<Json<PrinterView>, ApiError> {
    let jobs = on_their_way(&host).await?;
    let setup = host.services.store.setup();
    let spec = setup.printers.get(&name).ok_or_else(|| {
        let known: Vec<_> = setup.printers.keys().map(PrinterName::as_str).collect();
        ApiError::not_found(format!("there is no printer {:?}{}", name.as_str(), nearest(name.as_str(), &known)))
    })?;
    Ok(Json(view(&host, spec, &jobs)))
}

/// The certificate it shows now; nothing is sent to it.
pub(super) async fn certificate(
    State(host): State<Arc<Host>>,
    Path(name): Path<PrinterName>,
) -> Result<Json<SeenCertificate>, ApiError> {
    Ok(Json(host.services.release.certificate(&name).await?))
}

fn view(host: &Host, spec: &Printer, jobs: &BTreeMap<PrinterName, usize>) -> PrinterView {
    PrinterView {
        status: host.services.release.printer_status(spec),
        jobs: jobs.get(&spec.name).copied().unwrap_or_default(),
        spec: spec.clone(),
    }
}

/// How many jobs each printer has, or is to get.
async fn on_their_way(host: &Host) -> Result<BTreeMap<PrinterName, usize>, ApiError> {
    let mut counts = BTreeMap::new();
    for state in [JobState::Releasing, JobState::Sending, JobState::Printing] {
        let filter = JobFilter { state: Some(state), limit: i64::MAX, ..JobFilter::default() };
        for printer in host.services.store.jobs(&filter).await?.into_iter().filter_map(|job| job.printer) {
            *counts.entry(printer).or_default() += 1;
        }
    }
    Ok(counts)
}
