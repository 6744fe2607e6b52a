//! Whose certificate is taken.
//!
//! Readers make their certificates themselves, and no authority vouches for them. So a reader over TLS has the one that is
//! pinned for it (`certificate`), or it is not talked to; the error names the one that it showed.

use std::sync::Arc;

use cardinal_domain::fingerprint::Fingerprint;
use reqwest::ClientBuilder;
use rustls::{
    ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};

/// Why a reader's certificate is not taken. Shown to people: it says what to do.
#[derive(Debug, thiserror::Error)]
enum Untrusted {
    #[error(
        "its certificate is {0}, and none is pinned; if it is the reader's own, pin it with `cardinal reader set NAME certificate={0}`"
    )]
    Unpinned(Fingerprint),
    #[error(
        "its certificate is {0}, not the pinned one; if it was changed on purpose, pin it with `cardinal reader set NAME certificate={0}`"
    )]
    Other(Fingerprint),
}

/// A client that takes this certificate alone, or none.
pub(super) fn with(builder: ClientBuilder, pin: Option<Fingerprint>) -> ClientBuilder {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Pinned { pin, provider: Arc::clone(&provider) });
    match ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions() {
        Ok(config) => {
            let config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
            builder.tls_backend_preconfigured(config)
        }
        // ring knows TLS 1.2 and 1.3; without them reqwest says what is wrong.
        Err(_) => builder.tls_backend_preconfigured(()),
    }
}

#[derive(Debug)]
struct Pinned {
    pin: Option<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Fingerprint::new(Sha256::digest(certificate).into());
        let refused = |why: Untrusted| Err(rustls::Error::Other(OtherError(Arc::new(why))));
        match self.pin {
            // The pin names this one certificate: whose names and which dates it bears says nothing more.
            Some(pin) if pin == seen => Ok(ServerCertVerified::assertion()),
            Some(_) => refused(Untrusted::Other(seen)),
            None => refused(Untrusted::Unpinned(seen)),
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
