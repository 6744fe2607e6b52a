//! Jobs: listed, released and cancelled by an operator.

use std::sync::Arc;

use axum::{Json, extract::State};
use cardinal_domain::{
    job::{Job, JobState},
    names::{PrinterName, QueueName, UserName},
};
use cardinal_store::JobFilter;
use serde::{Deserialize, Serialize};

use super::{
    ApiError,
    extract::{Body, Path, Query},
};
use crate::host::Host;

/// Which jobs to list.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// Also those at their end.
    pub all: bool,
    /// Only those with this text in their owner, user or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Only those with a lower number: the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// How an operator releases a job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseBody {
    pub printer: PrinterName,
}

/// How many jobs are listed where no limit is given, and at the most.
const USUAL: u32 = 100;
const MOST: u32 = 10_000;
/// How long a text may be that is searched for, in characters: no name of a job or a user is longer.
const LONGEST_SEARCH: usize = 1_024;

pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Query(query): Query<JobQuery>,
) -> Result<Json<Vec<Job>>, ApiError> {
    if query.search.as_ref().is_some_and(|search| search.chars().count() > LONGEST_SEARCH) {
        return Err(ApiError::refused(format!("search for at most {LONGEST_SEARCH} characters")));
    }
    let filter = JobFilter {
        queue: query.queue,
        user: query.user,
        open: !query.all && query.state.is_none(),
        state: query.state,
        search: query.search,
        before: query.before,
        limit: i64::from(query.limit.unwrap_or(USUAL).min(MOST)),
    };
    Ok(Json(host.services.store.jobs(&filter).await?))
}

pub(super) async fn show(State(host): State<Arc<Host>>, Path(number): Path<i32>) -> Result<Json<Job>, ApiError> {
    find(&host, number).await.map(Json)
}

pub(super) async fn release(
    State(host): State<Arc<Host>>,
    Path(number): Path<i32>,
    Body(body): Body<ReleaseBody>,
) -> Result<Json<Job>, ApiError> {
    let job = find(&host, number).await?;
    let trace = host.services.store.trace_of_job(job.id).await?;
    Ok(Json(host.services.release.release(trace, job.id, body.printer).await?))
}

pub(super) async fn cancel(State(host): State<Arc<Host>>, Path(number): Path<i32>) -> Result<Json<Job>, ApiError> {
    let job = find(&host, number).await?;
    let trace = host.services.store.trace_of_job(job.id).await?;
    Ok(Json(host.services.release.cancel(trace, job.id, "by an operator").await?))
}

async fn find(host: &Host, number: i32) -> Result<Job, ApiError> {
    let found = host.services.store.job_by_number(number).await?;
    found.ok_or_else(|| ApiError::not_found(format!("there is no job {number}; `cardinal job list --all` shows them")))
}
