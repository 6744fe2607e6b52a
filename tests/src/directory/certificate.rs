//! The certificate that a directory shows, signed by an authority made for it.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// What is to be found when a certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Nothing: it names the directory's address and host.
    Good,
    /// It has expired.
    Expired,
    /// It names another host.
    OfAnother,
}

/// Where the files lie, all PEM.
pub(super) struct Files {
    pub(super) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Files {
    pub(super) fn in_folder(folder: &Path) -> Self {
        let file = |name: &str| folder.join(name);
        Self { authority: file("authority.pem"), certificate: file("certificate.pem"), key: file("key.pem") }
    }
}

impl Certificate {
    /// Makes an authority and a certificate of it for this address and host.
    pub(super) fn make(self, folder: &Path, address: Ipv4Addr, host: &str) -> Files {
        let mut about = CertificateParams::default();
        about.distinguished_name.push(DnType::CommonName, "the tests' own authority");
        about.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        about.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(about, KeyPair::generate().expect("a key")).expect("an authority");

        let names = match self {
            Self::OfAnother => vec!["another.test".to_owned()],
            _ => vec![address.to_string(), host.to_owned()],
        };
        let mut about = CertificateParams::new(names).expect("names for a certificate");
        about.distinguished_name.push(DnType::CommonName, host);
        if self == Self::Expired {
            about.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = about.signed_by(&key, &authority).expect("a certificate");

        let files = Files::in_folder(folder);
        fs::write(&files.authority, authority.pem()).expect("a file can be written");
        fs::write(&files.certificate, certificate.pem()).expect("a file can be written");
        fs::write(&files.key, key.serialize_pem()).expect("a file can be written");
        // Samba takes no key that others can read.
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).expect("rights of a file");
        files
    }
}
