//! How the release engine fails.

use std::path::PathBuf;

use cardinal_domain::{
    bounds::BoundsError,
    job_life::JobError,
    names::{JobId, PrinterName},
};
use cardinal_store::StoreError;

/// Why the release engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The spool folder cannot be used.
    #[error(
        "cannot use the spool folder {folder}: check that it is a folder of the user that runs Cardinal, with space"
    )]
    Spool {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The spool folder is not the one in which the documents of open jobs are.
    #[error(
        "the spool folder {folder} is not the one that was used before (its file {marker} is missing), but {jobs} jobs have their documents there: check that its disk is mounted. If the documents are lost for good, make an empty file of that name: then those jobs are cancelled"
    )]
    SpoolAbsent {
        /// The folder.
        folder: PathBuf,
        /// The name of the file by which the spool is known again.
        marker: &'static str,
        /// How many jobs are open whose document came.
        jobs: usize,
    },
    /// A bound in the configuration is out of range.
    #[error("in [release] of cardinal.toml: {0}")]
    Limits(#[from] BoundsError),
    /// What was asked for broke off inside; the panic is in the log.
    #[error("an inner task broke off; please report this with the log around it")]
    Broken(#[from] tokio::task::JoinError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such job.
    #[error("no job has the id {id}; `cardinal job list` shows them")]
    NoSuchJob {
        /// What was asked for.
        id: JobId,
    },
    /// There is no such printer.
    #[error("no printer {printer:?}{nearest}; `cardinal printer list` shows them", printer = printer.as_str())]
    NoSuchPrinter {
        /// What was asked for.
        printer: PrinterName,
        /// A hint at what may have been meant.
        nearest: String,
    },
    /// The file with the certificates of authorities cannot be used.
    #[error("cannot use {file} (printers.ca in cardinal.toml): {problem}")]
    Authorities {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate was asked for where there is none.
    #[error("printer {printer:?} is not reached by TLS, so it shows no certificate; give it an address that begins with ipps://", printer = printer.as_str())]
    NoTls {
        /// The printer.
        printer: PrinterName,
    },
    /// A printer showed no certificate.
    #[error("printer {printer:?} showed no certificate: {why}", printer = printer.as_str())]
    NoCertificate {
        /// The printer.
        printer: PrinterName,
        /// Why, as far as it is known.
        why: String,
    },
    /// The job is where that cannot be done.
    #[error(transparent)]
    Refused(#[from] JobError),
    /// No HTTP client could be made; only a broken system does that.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
}
