//! Why something about a driver was not done.

use std::path::PathBuf;

use cardinal_store::StoreError;

use super::signature::KeyId;

/// Why a driver was not installed, chosen or removed, or a publisher not changed.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("{0}")]
    Refused(String),
    #[error("cannot keep the driver in {folder}: {source}; is the disk full?", folder = folder.display())]
    Keep { folder: PathBuf, source: std::io::Error },
    #[error("no driver {0} is installed; see `cardinal driver list`")]
    Unknown(String),
    #[error("driver {driver} is used by reader {readers}; give them another driver first")]
    InUse { driver: String, readers: String },
    #[error("key {key} was never trusted for vendor {vendor}; see `cardinal driver trust list`")]
    NoPublisher { vendor: String, key: KeyId },
    #[error(transparent)]
    Store(#[from] StoreError),
}
