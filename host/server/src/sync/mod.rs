//! Directory syncs: one at a time is read, planned, shown, and carried out where somebody, or the hour, says so.
//!
//! ```text
//! read every source (a child process each) ─▶ plan ─▶ kept in the store ─▶ carried out ─▶ undo
//!   (or: failed)                 └▶ waits for approval ┘
//! ```
//! Whatever goes wrong before a plan is carried out has changed nothing. A plan that waits is in the store: it can be approved
//! behind a restart, as long as users are as it was made for.

mod nightly;
mod planning;
pub mod reading;
mod run;
mod sources;
mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cardinal_directory::Figures;
use cardinal_domain::{names::SourceName, time::Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::{
    nightly::run as nightly,
    view::{Kind, Outcome, SourceRead, SyncView, Told},
};
use crate::host::Host;

/// What is wanted of a sync.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncBody {
    /// What is to be done.
    pub kind: Kind,
    /// Also remove users and groups that are in no source any more. Never at night.
    #[serde(default)]
    pub remove: bool,
    /// Carry the plan out without asking, unless it crosses a threshold.
    #[serde(default)]
    pub yes: bool,
}

/// Which plan is approved.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    /// The digest that was shown with it, or its beginning.
    pub digest: String,
}

/// Why a sync does not begin, or is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    NotFound(String),
    #[error(transparent)]
    Store(#[from] cardinal_store::StoreError),
}

/// The syncs of this host: the one under way, or the last one.
#[derive(Default)]
pub struct Syncs(Mutex<Option<Arc<Current>>>);

/// A sync that began in this process.
struct Current {
    view: Mutex<SyncView>,
    /// How far each source is read.
    reading: Mutex<Vec<(SourceName, watch::Receiver<Figures>)>>,
    call_off: CancellationToken,
}

impl Current {
    fn view(&self) -> SyncView {
        let mut view = lock(&self.view).clone();
        let reading = lock(&self.reading);
        if !reading.is_empty() {
            view.told.sources =
                reading.iter().map(|(name, figures)| SourceRead::under_way(name, &figures.borrow())).collect();
        }
        view
    }

    fn change(&self, change: impl FnOnce(&mut SyncView)) {
        change(&mut lock(&self.view));
    }
}

impl Syncs {
    /// Begins a sync, which goes on by itself.
    ///
    /// # Errors
    /// One is under way, or there is no source.
    pub fn start(&self, host: &Arc<Host>, body: &SyncBody) -> Result<SyncView, SyncError> {
        let sources = host.services.store.setup().sources.len();
        if sources == 0 && body.kind != Kind::Undo {
            return Err(SyncError::Refused(
                "there is no source to sync with; add one to the site, see docs/directory.md".to_owned(),
            ));
        }
        let mut current = lock(&self.0);
        if let Some(before) = current.as_ref().map(|current| current.view()).filter(|view| !view.outcome.is_over()) {
            return Err(SyncError::Conflict(format!(
                "a sync is under way since {}; wait for it, or `cardinal sync call-off`",
                before.began
            )));
        }
        let view = SyncView::begun(body.kind, body.remove, Timestamp::now());
        let begun = Arc::new(Current {
            view: Mutex::new(view.clone()),
            reading: Mutex::default(),
            call_off: host.stopping.child_token(),
        });
        *current = Some(Arc::clone(&begun));
        tokio::spawn(run::run(Arc::clone(host), begun, body.clone()));
        Ok(view)
    }

    /// The one under way, or the last one that began in this process.
    pub fn current(&self) -> Option<SyncView> {
        lock(&self.0).as_ref().map(|current| current.view())
    }

    /// Ends the one that is being read; nothing has changed then. False: none is.
    pub fn call_off(&self) -> bool {
        let current = lock(&self.0);
        let reading = current.as_ref().filter(|current| current.view().outcome == Outcome::Reading);
        reading.inspect(|current| current.call_off.cancel()).is_some()
    }

    /// Carries out a plan that waits.
    ///
    /// # Errors
    /// It does not wait, has another digest, or users have changed since it was made.
    pub async fn approve(&self, host: &Host, number: i64, digest: &str) -> Result<SyncView, SyncError> {
        let approved = run::approve(host, number, digest).await;
        let current = lock(&self.0).clone();
        if let Ok(view) = &approved
            && let Some(current) = current.filter(|current| current.view().number == Some(number))
        {
            current.change(|current| *current = view.clone());
        }
        approved
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
