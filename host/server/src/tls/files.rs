//! The two files that hold the certificate and its key.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use super::{About, make, provider};
use crate::{
    config::Config,
    files::{private_folder, write_private},
};

/// The largest file taken, in bytes: a certificate with its chain has a few thousand.
const LARGEST: u64 = 1 << 20;

/// Where certificate and key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Whether they are the host's own: made by it, in its data folder.
    pub own: bool,
}

/// What tells one state of the files from another without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([Option<([i64; 4], u64, u64)>; 2]);

impl Files {
    /// The files of this configuration.
    ///
    /// # Errors
    /// Only one of the two is named.
    pub fn of(config: &Config) -> Result<Self> {
        let (certificate, key) = (&config.tls.certificate, &config.tls.key);
        match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
            (true, true) => {
                let folder = config.data_path("tls");
                Ok(Self { certificate: folder.join("certificate.pem"), key: folder.join("key.pem"), own: true })
            }
            (false, false) => Ok(Self { certificate: config.path(certificate), key: config.path(key), own: false }),
            _ => bail!(
                "tls.certificate and tls.key belong together: name both files in cardinal.toml, or neither for a \
                 certificate that the host makes itself"
            ),
        }
    }

    /// Makes the host's own certificate if it has none. Files of the operator are left alone.
    ///
    /// # Errors
    /// It cannot be made or written, or one of the two files is missing.
    pub fn make_if_absent(&self, config: &Config) -> Result<()> {
        if !self.own {
            return Ok(());
        }
        let (there, missing) = match (self.certificate.exists(), self.key.exists()) {
            (true, true) => return Ok(()),
            (false, false) => return self.make(config),
            (true, false) => (&self.certificate, &self.key),
            (false, true) => (&self.key, &self.certificate),
        };
        // Not made in passing: everybody who trusts the old one would be locked out.
        bail!(
            "{} is there, but {} is missing: put it back, or make both anew with `cardinal tls renew` (everybody who \
             trusted the old certificate must be told)",
            there.display(),
            missing.display()
        )
    }

    /// Makes the host's own certificate, whether or not there is one. Files of the operator are refused.
    ///
    /// # Errors
    /// It cannot be made or written, or the files are not the host's own.
    pub fn make(&self, config: &Config) -> Result<()> {
        if !self.own {
            bail!("tls.certificate and tls.key are files of yours; the host makes no certificate in their place");
        }
        let made = make::make(config)?;
        private_folder(&config.path(&config.data))?;
        if let Some(folder) = self.key.parent() {
            private_folder(folder)?;
        }
        // The key first: a certificate never lies there without its key.
        for (path, text) in [(&self.key, &made.key), (&self.certificate, &made.certificate)] {
            write_private(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Reads both.
    ///
    /// # Errors
    /// They cannot be read, are no PEM, do not belong together, or others may read the key.
    pub fn load(&self) -> Result<(CertifiedKey, About)> {
        let chain = self.chain()?;
        let about = self.about_of(&chain)?;
        let rights = fs::metadata(&self.key).map(|about| about.permissions().mode()).unwrap_or_default();
        if rights & 0o007 != 0 {
            bail!(
                "everybody may read the key {0}; run `chmod o= {0}`, or make a new one if they did",
                self.key.display()
            );
        }
        let bytes = read(&self.key, "tls.key")?;
        // The error of a damaged key is not shown: it might quote from it.
        let key = PrivateKeyDer::from_pem_slice(&bytes).ok().with_context(|| {
            format!("{} holds no private key in PEM form (PKCS#8, PKCS#1 or SEC1)", self.key.display())
        })?;
        let certified = CertifiedKey::from_der(chain, key, &provider()).with_context(|| {
            format!("{} and {} cannot be used together", self.certificate.display(), self.key.display())
        })?;
        Ok((certified, about))
    }

    /// What the certificate says, without its key.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn about(&self) -> Result<About> {
        self.about_of(&self.chain()?)
    }

    fn about_of(&self, chain: &[CertificateDer<'_>]) -> Result<About> {
        let none = || format!("{} holds no certificate in PEM form", self.certificate.display());
        About::of(chain.first().with_context(none)?).with_context(none)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        let bytes = read(&self.certificate, "tls.certificate")?;
        CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<_, _>>()
            .with_context(|| format!("{} is damaged", self.certificate.display()))
    }

    /// How the files are now.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp([&self.certificate, &self.key].map(|path| {
            let about = fs::metadata(path).ok()?;
            // The time of the last change, too: `chmod` touches nothing else.
            let times = [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()];
            Some((times, about.len(), about.ino()))
        }))
    }
}

fn read(path: &Path, key: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {} ({key})", path.display()))?;
    Ok(bytes)
}
