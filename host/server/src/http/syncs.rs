//! Directory syncs.

use std::sync::Arc;

use axum::{Json, extract::State};
use cardinal_domain::{names::UserName, sync::Shown, time::Timestamp};
use cardinal_store::{ArchivedUser, SyncRun};
use serde::{Deserialize, Serialize};

use super::{
    ApiError,
    extract::{Body, Path, Query},
};
use crate::{
    host::Host,
    sync::{ApproveBody, Kind, SyncBody, SyncError, SyncView},
};

/// Which runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncQuery {
    /// From before this number.
    pub before: Option<i64>,
    /// At most so many; 20 where it is not said.
    pub limit: Option<u32>,
}

/// Which of a plan's changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeQuery {
    /// From this one on, counted from 0.
    pub from: usize,
    /// At most so many; 100 where it is not said, and never more than [`MOST_CHANGES`].
    pub limit: Option<usize>,
}

/// How many changes one answer has at most. They are some hundred bytes each, and more of them are a next page.
const MOST_CHANGES: usize = 5_000;
/// How many users that were removed one answer has at most.
const MOST_ARCHIVED: u32 = 10_000;

/// Begins a sync. It goes on by itself; ask for the current one to see how it is.
pub(super) async fn start(
    State(host): State<Arc<Host>>,
    Body(body): Body<SyncBody>,
) -> Result<Json<SyncView>, ApiError> {
    // Silence would leave somebody believing that it removes.
    if body.remove && !matches!(body.kind, Kind::Test | Kind::Now) {
        return Err(ApiError::refused(format!(
            "a sync of kind {:?} never removes anybody; leave \"remove\" out, or ask for kind \"now\"",
            body.kind.to_string()
        )));
    }
    Ok(Json(host.syncs.start(&host, &body)?))
}

/// The one under way, or the last one that began since the host started.
pub(super) async fn current(State(host): State<Arc<Host>>) -> Result<Json<SyncView>, ApiError> {
    let view = host.syncs.current();
    view.map(Json)
        .ok_or_else(|| ApiError::not_found("there was no sync since the host started; see `cardinal sync list`"))
}

/// A user who was removed by a sync.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ArchivedView {
    pub name: UserName,
    pub full_name: String,
    pub removed: Timestamp,
    /// The sync that removed them; `cardinal sync undo` brings them back while it is the last one.
    pub sync: i64,
}

/// Who was removed by syncs, the latest first.
pub(super) async fn archived(
    State(host): State<Arc<Host>>,
    Query(query): Query<SyncQuery>,
) -> Result<Json<Vec<ArchivedView>>, ApiError> {
    let archived = host.services.store.archived_users(query.limit.unwrap_or(100).min(MOST_ARCHIVED).into()).await?;
    let view = |of: ArchivedUser| ArchivedView {
        name: of.user.name,
        full_name: of.user.full_name,
        removed: of.removed,
        sync: of.sync,
    };
    Ok(Json(archived.into_iter().map(view).collect()))
}

/// Ends the one that is being read.
pub(super) async fn call_off(State(host): State<Arc<Host>>) -> Result<Json<()>, ApiError> {
    if host.syncs.call_off() { Ok(Json(())) } else { Err(ApiError::conflict("no sync is being read")) }
}

/// The history, the latest first.
pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Query(query): Query<SyncQuery>,
) -> Result<Json<Vec<SyncView>>, ApiError> {
    let (before, limit) = (query.before.unwrap_or(i64::MAX), query.limit.unwrap_or(20).min(1_000));
    let runs = host.services.store.sync_runs(before, limit.into()).await?;
    Ok(Json(runs.into_iter().map(SyncView::from).collect()))
}

pub(super) async fn show(State(host): State<Arc<Host>>, Path(number): Path<i64>) -> Result<Json<SyncView>, ApiError> {
    Ok(Json(run(&host, number).await?.into()))
}

async fn run(host: &Host, number: i64) -> Result<SyncRun, ApiError> {
    let run = host.services.store.sync_runs(number.saturating_add(1), 1).await?.pop();
    let run = run.filter(|run| run.number == number);
    run.ok_or_else(|| ApiError::not_found(format!("there is no sync {number}; see `cardinal sync list`")))
}

/// What it did or would do. Card numbers are masked.
pub(super) async fn changes(
    State(host): State<Arc<Host>>,
    Path(number): Path<i64>,
    Query(query): Query<ChangeQuery>,
) -> Result<Json<Vec<Shown>>, ApiError> {
    // Nothing changed is another answer than nothing known.
    run(&host, number).await?;
    let most = query.limit.unwrap_or(100).min(MOST_CHANGES);
    let changes = host.services.store.sync_changes(number, query.from, most).await?;
    Ok(Json(changes.iter().map(cardinal_domain::sync::Change::shown).collect()))
}

/// Carries out a plan that waits.
pub(super) async fn approve(
    State(host): State<Arc<Host>>,
    Path(number): Path<i64>,
    Body(body): Body<ApproveBody>,
) -> Result<Json<SyncView>, ApiError> {
    Ok(Json(host.syncs.approve(&host, number, &body.digest).await?))
}

impl From<SyncError> for ApiError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Refused(message) => Self::refused(message),
            SyncError::Conflict(message) => Self::conflict(message),
            SyncError::NotFound(message) => Self::not_found(message),
            SyncError::Store(error) => error.into(),
        }
    }
}
