//! Whose certificates are believed: those that the system's authorities vouch for, or the operator's own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub struct Trust(pub Arc<ClientConfig>);

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file with the operator's own authorities cannot be used.
    #[error("directory.ca: {file} cannot be used: {problem}", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The library knows no version of TLS.
    #[error("TLS cannot be used on this system")]
    Tls(#[from] rustls::Error),
}

impl Trust {
    /// The system's authorities, and those in this PEM file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn new(own: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        // One that cannot be read vouches for nobody; a system without any is told of where a server is refused.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = own {
            let failed = |problem| TrustError::File { file: file.to_owned(), problem };
            let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let (added, ignored) = roots.add_parsable_certificates(read.map_err(|error| failed(error.to_string()))?);
            if ignored > 0 || added == 0 {
                return Err(failed(format!("{added} of its certificates can be used, {ignored} cannot")));
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}
