//! How a terminal that speaks TLS knows its server: by who signed the certificate, or by the certificate's fingerprint.

use std::{io, sync::Arc};

use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

/// TLS as a terminal speaks it.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts what these certificates (PEM) have signed, themselves included.
    pub fn trusting(pem: &[u8]) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        if roots.is_empty() {
            return Err(io::Error::other("there is no certificate in PEM form"));
        }
        Ok(Self(Arc::new(builder()?.with_root_certificates(roots).with_no_client_auth())))
    }

    /// Trusts the certificate with this SHA-256 fingerprint alone: 64 hexadecimal digits, with or without colons.
    pub fn pinned(fingerprint: &str) -> io::Result<Self> {
        let wrong = || io::Error::other("a fingerprint is 64 hexadecimal digits, with or without colons between them");
        let digits: Vec<u32> = fingerprint
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let bytes: Vec<u8> =
            digits.chunks_exact(2).filter_map(|pair| u8::try_from(pair.first()? << 4 | pair.get(1)?).ok()).collect();
        let fingerprint: [u8; 32] = bytes.try_into().ok().filter(|_| digits.len() == 64).ok_or_else(wrong)?;
        Self::verified_by(Some(fingerprint))
    }

    /// Trusts every certificate, as a reader does that does not look.
    pub fn unchecked() -> io::Result<Self> {
        Self::verified_by(None)
    }

    /// Trusts no certificate.
    pub(crate) fn nobody() -> io::Result<Self> {
        Ok(Self(Arc::new(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())))
    }

    fn verified_by(fingerprint: Option<[u8; 32]>) -> io::Result<Self> {
        let pinned = Pinned { fingerprint, provider: Arc::new(ring::default_provider()) };
        let config = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(pinned)).with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

type Builder = tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::WantsVerifier>;

fn builder() -> io::Result<Builder> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)
}

/// One certificate, or any, whatever its names and dates are.
#[derive(Debug)]
struct Pinned {
    /// None: any.
    fingerprint: Option<[u8; 32]>,
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
    ) -> Result<ServerCertVerified, Error> {
        if self.fingerprint.is_none_or(|pinned| <[u8; 32]>::from(Sha256::digest(certificate)) == pinned) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::Tls;

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons() {
        let plain = "0123456789abcdef".repeat(4);
        let colons: Vec<String> = (0..32).map(|_| "A0".to_owned()).collect();
        assert!(Tls::pinned(&plain).is_ok() && Tls::pinned(&colons.join(":")).is_ok());
        for wrong in ["", "00", &plain[1..], &format!("{plain}0"), &plain.replace('0', "g")] {
            assert!(Tls::pinned(wrong).is_err(), "{wrong}");
        }
        assert!(Tls::trusting(b"nothing").is_err());
    }
}
