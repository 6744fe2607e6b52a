//! The HTTP clients that printers are reached with, and whose certificates they take.
//!
//! A printer over TLS is never taken unverified: it has the certificate that is pinned for it, or one that the system's
//! authorities, or those of the operator's own file, vouch for. What a printer shows can be looked at without trusting it:
//! then the handshake is broken off, and nothing is ever sent.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use cardinal_domain::{fingerprint::Fingerprint, site::Printer};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};

use crate::{ReleaseError, engine::lock};

/// Why a printer's certificate is not taken. Shown to people: it says what to do.
#[derive(Debug, thiserror::Error)]
enum Untrusted {
    #[error(
        "its certificate ({seen}) is vouched for by no authority known here ({why}); if it is the printer's own, pin it with `cardinal printer trust`"
    )]
    Unknown { seen: Fingerprint, why: String },
    #[error(
        "its certificate is {seen}, not the pinned one; if it was changed on purpose, pin it with `cardinal printer trust`"
    )]
    Other { seen: Fingerprint },
    #[error("its certificate was only looked at")]
    LookedAt,
}

/// A certificate as a printer showed it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) fingerprint: Fingerprint,
    /// Why the authorities known here do not vouch for it. None: they do.
    pub(crate) untrusted: Option<String>,
}

/// The clients.
pub(crate) struct Clients {
    connect_timeout: Duration,
    provider: Arc<CryptoProvider>,
    own_authorities: Vec<CertificateDer<'static>>,
    /// Read when the first printer needs them.
    authorities: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
    without_tls: reqwest::Client,
    by_authorities: OnceLock<reqwest::Client>,
    pinned: Mutex<HashMap<Fingerprint, reqwest::Client>>,
}

impl Clients {
    /// `authorities`: a PEM file with certificates of the operator's own authorities.
    ///
    /// # Errors
    /// The file cannot be read, or a broken system cannot make a client.
    pub(crate) fn new(connect_timeout: Duration, authorities: Option<&Path>) -> Result<Self, ReleaseError> {
        let own_authorities = match authorities {
            None => Vec::new(),
            Some(file) => read_authorities(file)
                .map_err(|problem| ReleaseError::Authorities { file: file.to_owned(), problem })?,
        };
        let provider = Arc::new(ring::default_provider());
        // It speaks no TLS: no certificate would be taken.
        let without_tls = client(connect_timeout, &provider, Check::Pin(Fingerprint::new([0; 32])), false)
            .map_err(ReleaseError::Client)?;
        Ok(Self {
            connect_timeout,
            provider,
            own_authorities,
            authorities: OnceLock::new(),
            without_tls,
            by_authorities: OnceLock::new(),
            pinned: Mutex::default(),
        })
    }

    /// The client for this printer.
    ///
    /// # Errors
    /// A broken system cannot make one.
    pub(crate) fn of(&self, printer: &Printer, uri: &str) -> Result<reqwest::Client, reqwest::Error> {
        if !is_tls(uri) {
            return Ok(self.without_tls.clone());
        }
        let make = |check| client(self.connect_timeout, &self.provider, check, true);
        if let Some(pin) = printer.certificate {
            let mut pinned = lock(&self.pinned);
            if let Some(client) = pinned.get(&pin) {
                return Ok(client.clone());
            }
            let client = make(Check::Pin(pin))?;
            pinned.insert(pin, client.clone());
            return Ok(client);
        }
        if let Some(client) = self.by_authorities.get() {
            return Ok(client.clone());
        }
        let client = make(Check::Authorities(self.authorities()))?;
        Ok(self.by_authorities.get_or_init(|| client).clone())
    }

    /// The certificate that stands behind this address. Err: it could not be seen, in words.
    pub(crate) async fn certificate(&self, url: String, patience: Duration) -> Result<Shown, String> {
        let shown = Arc::new(Mutex::new(None));
        let check = Check::Look { shown: Arc::clone(&shown), authorities: self.authorities() };
        let client = client(self.connect_timeout, &self.provider, check, true).map_err(|error| error.to_string())?;
        let asked = tokio::time::timeout(patience, client.get(url).send()).await;
        let seen = lock(&shown).take();
        seen.ok_or_else(|| match asked {
            Err(_) => "it did not answer in time".to_owned(),
            Ok(Err(error)) => root_cause(&error.without_url()),
            Ok(Ok(_)) => "it does not speak TLS".to_owned(),
        })
    }

    fn authorities(&self) -> Option<Arc<WebPkiServerVerifier>> {
        let read = || {
            let system = rustls_native_certs::load_native_certs();
            for error in &system.errors {
                tracing::warn!(%error, "an authority of the system cannot be read");
            }
            let mut roots = RootCertStore::empty();
            // What cannot be parsed vouches for nobody.
            roots.add_parsable_certificates(system.certs);
            roots.add_parsable_certificates(self.own_authorities.iter().cloned());
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build().ok()
        };
        self.authorities.get_or_init(read).clone()
    }
}

/// Whether an address asks for TLS.
pub(crate) fn is_tls(uri: &str) -> bool {
    uri.starts_with("ipps://")
}

fn read_authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(certificates.iter().cloned());
    match (certificates.len(), ignored) {
        (0, _) => Err("it holds no certificate in PEM".to_owned()),
        (_, 0) => Ok(certificates),
        (_, ignored) => Err(format!("{ignored} of its certificates cannot be used")),
    }
}

fn client(
    connect_timeout: Duration,
    provider: &Arc<CryptoProvider>,
    check: Check,
    tls_only: bool,
) -> Result<reqwest::Client, reqwest::Error> {
    let verifier = Arc::new(Verifier { check, provider: Arc::clone(provider) });
    let builder = reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .https_only(tls_only)
        // A printer chooses no other address for us, and no environment variable a way through somebody else.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // A connection that died while idle would look like one lost in the middle of a document.
        .pool_max_idle_per_host(0);
    match ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions() {
        Ok(config) => {
            let config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
            builder.tls_backend_preconfigured(config).build()
        }
        // ring knows TLS 1.2 and 1.3; without them reqwest says what is wrong.
        Err(_) => builder.tls_backend_preconfigured(()).build(),
    }
}

/// The last error of a chain is the one that says what happened ("Connection refused").
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let words = last.to_string();
    crate::values::clean(words.strip_prefix("other error: ").unwrap_or(&words))
}

#[derive(Debug)]
enum Check {
    Authorities(Option<Arc<WebPkiServerVerifier>>),
    Pin(Fingerprint),
    Look { shown: Arc<Mutex<Option<Shown>>>, authorities: Option<Arc<WebPkiServerVerifier>> },
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Fingerprint::new(Sha256::digest(certificate).into());
        let vouched = |authorities: &Option<Arc<WebPkiServerVerifier>>| match authorities {
            Some(known) => known.verify_server_cert(certificate, intermediates, server, ocsp, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let refused = |why: Untrusted| Err(rustls::Error::Other(OtherError(Arc::new(why))));
        match &self.check {
            Check::Authorities(authorities) => {
                vouched(authorities).or_else(|why| refused(Untrusted::Unknown { seen, why: short(&why) }))
            }
            // The pin names this one certificate: whose names and which dates it bears says nothing more.
            Check::Pin(pin) if *pin == seen => Ok(ServerCertVerified::assertion()),
            Check::Pin(_) => refused(Untrusted::Other { seen }),
            Check::Look { shown, authorities } => {
                let untrusted = vouched(authorities).err().map(|why| short(&why));
                *lock(shown) = Some(Shown { fingerprint: seen, untrusted });
                refused(Untrusted::LookedAt)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn short(error: &rustls::Error) -> String {
    let words = error.to_string();
    crate::values::clean(words.strip_prefix("invalid peer certificate: ").unwrap_or(&words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_must_hold_some() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let problem = |file: &Path| Clients::new(Duration::from_secs(1), Some(file)).err().unwrap().to_string();
        assert!(problem(&file).contains("ca.pem"), "{}", problem(&file));
        std::fs::write(&file, "rubbish").unwrap();
        assert!(problem(&file).contains("holds no certificate"), "{}", problem(&file));
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(problem(&file).contains("1 of its certificates cannot be used"), "{}", problem(&file));
    }
}
