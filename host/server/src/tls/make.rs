//! A certificate that the host makes for itself: signed by itself, for this machine's names.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use crate::config::Config;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Ten years. It is never renewed by itself: whoever trusts it has pinned its fingerprint, and would be locked out.
const VALID: Duration = Duration::from_secs(3_650 * 24 * 3_600);

/// A certificate and its key, both PEM.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Makes one for the names of this configuration.
///
/// # Errors
/// A name that no certificate can hold.
pub(super) fn make(config: &Config) -> Result<Made> {
    let names = names(config);
    let subject = names.first().cloned().unwrap_or_else(|| "cardinal".to_owned());
    let mut about =
        CertificateParams::new(names).context("tls.names holds what is neither a host name nor an address")?;
    about.distinguished_name = DistinguishedName::new();
    about.distinguished_name.push(DnType::CommonName, subject);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    // A day back: the clocks of small devices are not exact.
    about.not_before = rcgen::date_time_ymd(1970, 1, 1) + now.saturating_sub(DAY);
    about.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + VALID;
    about.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    about.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().context("no key could be made")?;
    let certificate = about.self_signed(&key).context("the certificate could not be signed")?;
    Ok(Made { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// `tls.names`; without it this machine's name, the loopback, and the addresses that are listened on.
fn names(config: &Config) -> Vec<String> {
    let mut names = config.tls.names.clone();
    if names.is_empty() {
        names.extend(host_name());
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        let listens = [Some(config.http.listen), Some(config.ipp.listen), config.ipps.listen, config.readers.listen];
        let addresses = listens.into_iter().flatten().map(|address| address.ip());
        names.extend(addresses.filter(|address| !address.is_unspecified()).map(|address| address.to_string()));
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// What this machine calls itself, where that is a host name.
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_ascii_lowercase();
    let fits =
        !name.is_empty() && name.len() <= 253 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    fits.then_some(name)
}
