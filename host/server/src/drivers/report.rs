//! What is known of a driver's file before anybody accepts it: the answer of inspecting, of a dry run, and of installing.

use cardinal_domain::{driver::Manifest, time::Timestamp};
use cardinal_runtime::{Bounds, Driver};
use serde::{Deserialize, Serialize};

use super::{
    plan::Outcome,
    signature::{self, KeyId},
    verified::Standing,
};

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// What it says of itself: vendor, name, version, modes with their transports and settings.
    pub manifest: Manifest,
    /// Its size.
    pub bytes: u64,
    /// The version of the contract that it was built for.
    pub contract: String,
    /// What it wants from the host. Nothing: any other file is no driver.
    pub imports: Vec<String>,
    /// How long compiling it took, in milliseconds.
    pub compile_ms: u64,
    /// What it asks for at its start.
    pub asks: Vec<Ask>,
    pub signature: SignatureReport,
    /// What installing it does, or would do; none where no host was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it was installed; none: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<Timestamp>,
}

/// Something that a driver asks for at its start, beside its bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The bound's name.
    pub name: String,
    pub asked: u64,
    pub bound: u64,
}

/// How a file is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum SignatureReport {
    /// It may run, on this word.
    Verified { standing: Standing },
    /// It may not run.
    Refused { why: String },
    /// No host was asked. `key`: the one that the signature beside it says it was made with.
    Unchecked { key: Option<KeyId> },
}

impl SignatureReport {
    /// What can be said of a signature where there is no host.
    pub fn unchecked(signature: Option<&str>) -> Self {
        Self::Unchecked { key: signature.and_then(signature::key_of) }
    }

    /// In words for an operator.
    pub fn words(&self) -> String {
        match self {
            Self::Verified { standing } => standing.to_string(),
            Self::Refused { why } => format!("refused: {why}"),
            Self::Unchecked { key: None } => "there is none".to_owned(),
            Self::Unchecked { key: Some(key) } => {
                format!("says key {key}; not checked (`cardinal driver verify FILE` does)")
            }
        }
    }
}

impl Report {
    /// What is known of this driver, under these bounds.
    pub fn of(driver: &Driver, bounds: &Bounds, signature: SignatureReport) -> Self {
        let inspection = driver.inspection();
        let ask = |(name, asked, bound): (&str, u64, u64)| Ask { name: name.to_owned(), asked, bound };
        Self {
            digest: driver.digest().to_owned(),
            manifest: driver.manifest().clone(),
            bytes: inspection.bytes,
            contract: inspection.contract.to_string(),
            imports: Vec::new(),
            compile_ms: u64::try_from(driver.compiled_in().as_millis()).unwrap_or(u64::MAX),
            asks: inspection.declared.beside(bounds).into_iter().map(ask).collect(),
            signature,
            outcome: None,
            installed: None,
        }
    }
}
