//! SQLite: moving what was committed from the write-ahead log into the file, beside the writes instead of within them.
//!
//! By itself SQLite does so within the commit that fills the log's thousandth page, which then waits for the disk twice: one
//! tap in two hundred would pay for the others.

use std::{sync::Weak, time::Duration};

use tokio::time::sleep;

use crate::{Store, connect::Inner};

/// How often. The disk is busy for some milliseconds each time, and a tap just then is slower.
const EVERY: Duration = Duration::from_secs(3);
/// A log of so many pages (4 KiB each) is moved by the writer after all: while there are always writes, it is never
/// empty after a move beside them, and only an empty log begins anew.
pub(crate) const BY_THE_WRITER: &str = "PRAGMA wal_autocheckpoint = 16384";
/// Moves what no reader needs, and makes nobody wait.
const MOVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Moves now and then, until the store is closed or gone.
pub(crate) async fn run(inner: Weak<Inner>) {
    loop {
        sleep(EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.is_closed() {
            return;
        }
        let store = Store { inner };
        // A disk that is full says so to whoever writes; here nothing is lost by trying again.
        if let Err(error) = store.all("move the write-ahead log", MOVE, &[]).await {
            tracing::debug!(%error, "the write-ahead log was not moved");
        }
    }
}
