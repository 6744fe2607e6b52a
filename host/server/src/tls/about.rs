//! What a certificate says, for people: whose it is, until when, and the fingerprint to compare.

use std::fmt;

use anyhow::{Result, anyhow};
use cardinal_domain::{event::Level, time::Timestamp};
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::parts;

/// How long before its end a certificate is warned about, in milliseconds: 30 days.
const WARN_BEFORE_MS: i64 = 30 * 24 * 3_600_000;

/// A certificate for people to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// Its subject.
    pub subject: String,
    /// Who signed it; itself where it is the same.
    pub issuer: String,
    /// The names and addresses it is good for.
    pub names: Vec<String>,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` shows it.
    pub fingerprint: String,
}

impl About {
    /// Reads a certificate.
    ///
    /// # Errors
    /// It is none.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self> {
        let parsed = parts::read(certificate).map_err(|_| anyhow!("it is no X.509 certificate"))?;
        let digest = Sha256::digest(certificate);
        let fingerprint = digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        Ok(Self {
            subject: parsed.subject,
            issuer: parsed.issuer,
            names: parsed.names,
            not_before: parsed.not_before,
            not_after: parsed.not_after,
            fingerprint,
        })
    }

    /// What is to be told of its end, if that is near or past.
    pub fn warning(&self, now: Timestamp) -> Option<(Level, String)> {
        let left = self.not_after.0.saturating_sub(now.0);
        let advice = "replace its files; they are read again while the host runs";
        if left < 0 {
            Some((Level::Error, format!("the host's certificate expired on {}: {advice}", self.not_after)))
        } else if left < WARN_BEFORE_MS {
            Some((Level::Warning, format!("the host's certificate expires on {}: {advice}", self.not_after)))
        } else {
            None
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer = if self.issuer == self.subject { "itself" } else { &self.issuer };
        writeln!(f, "subject       {}", self.subject)?;
        writeln!(f, "signed by     {issuer}")?;
        writeln!(f, "names         {}", self.names.join(", "))?;
        writeln!(f, "valid from    {}", self.not_before)?;
        writeln!(f, "valid until   {}", self.not_after)?;
        write!(f, "SHA-256       {}", self.fingerprint)
    }
}
