//! A way to a directory: where it is, what is trusted, and who asks.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry,
    adapters::{Adapter, EntriesOnly, PagedResults},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::process::Command;

use super::PASSWORD;
use crate::{cli, program, wait};

/// Who asks a directory, and how.
#[derive(Debug, Clone)]
pub struct Access {
    /// Its address: `ldap://` or `ldaps://`.
    pub url: String,
    /// Whether a plain connection becomes one of TLS before anything is said.
    pub starttls: bool,
    /// The file (PEM) with the authority that signed its certificate.
    pub authority: PathBuf,
    /// The DN of who asks, or what else the directory takes for it.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Access {
    pub(super) fn new(url: String, authority: &Path, user: String) -> Self {
        Self { url, starttls: false, authority: authority.to_owned(), user, password: PASSWORD.to_owned() }
    }

    /// The same over StartTLS.
    pub fn starttls(self) -> Self {
        Self { starttls: true, ..self }
    }

    /// The same for somebody else, with everybody's password.
    pub fn of(self, user: &str) -> Self {
        Self { user: user.to_owned(), password: PASSWORD.to_owned(), ..self }
    }

    /// What the directory says of itself to anybody.
    pub(super) async fn root(&self) -> Result<SearchEntry, LdapError> {
        let mut ldap = self.connected().await?;
        ldap.with_timeout(wait::LIMIT);
        let (found, _) = ldap.search("", Scope::Base, "(objectClass=*)", ["namingContexts"]).await?.success()?;
        ldap.unbind().await?;
        Ok(SearchEntry::construct(found.into_iter().next().expect("an entry")))
    }

    /// A connection on which this user is signed in.
    ///
    /// # Errors
    /// What went wrong on the way, or the directory's refusal.
    pub async fn signed_in(&self) -> Result<Ldap, LdapError> {
        let mut ldap = self.connected().await?;
        ldap.with_timeout(wait::LIMIT).simple_bind(&self.user, &self.password).await?.success()?;
        Ok(ldap)
    }

    async fn connected(&self) -> Result<Ldap, LdapError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.authority).expect("the authority's file") {
            roots.add(certificate.expect("a certificate")).expect("an authority");
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().expect("versions of TLS").with_root_certificates(roots);
        let settings = LdapConnSettings::new()
            .set_conn_timeout(wait::LIMIT)
            .set_starttls(self.starttls)
            .set_config(Arc::new(tls.with_no_client_auth()));
        let (connection, ldap) = LdapConnAsync::with_settings(settings, &self.url).await?;
        // It ends with the last handle. What goes wrong on it comes back from the call that it breaks.
        tokio::spawn(connection.drive());
        Ok(ldap)
    }

    /// Tells every entry below `base` that a filter finds, read in pages of this many. Referrals are left alone.
    ///
    /// # Errors
    /// What went wrong on the way, or a page that did not end with result code 0.
    pub async fn each(
        &self,
        base: &str,
        filter: &str,
        attributes: &[&str],
        page: i32,
        mut tell: impl FnMut(SearchEntry),
    ) -> Result<(), LdapError> {
        let mut ldap = self.signed_in().await?;
        let adapters: Vec<Box<dyn Adapter<_, _>>> =
            vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(page))];
        let attributes = attributes.to_vec();
        let mut found = ldap.streaming_search_with(adapters, base, Scope::Subtree, filter, attributes).await?;
        while let Some(entry) = found.next().await? {
            tell(SearchEntry::construct(entry));
        }
        found.finish().await.success()?;
        ldap.unbind().await
    }

    /// All of them, in the order of the directory.
    ///
    /// # Errors
    /// The same.
    pub async fn read(
        &self,
        base: &str,
        filter: &str,
        attributes: &[&str],
        page: i32,
    ) -> Result<Vec<SearchEntry>, LdapError> {
        let mut found = Vec::new();
        self.each(base, filter, attributes, page, |entry| found.push(entry)).await?;
        Ok(found)
    }

    /// Changes entries as this text in LDIF says. Panics at the first change that is refused.
    pub async fn change(&self, ldif: &str) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(ldif.as_bytes()).expect("a file can be written");
        let mut command = Command::new(program::theirs("ldapmodify"));
        // `-a`: a record that does not say what to do adds its entry.
        command.args(["-a", "-x", "-H", &self.url, "-D", &self.user, "-w", &self.password, "-f"]).arg(file.path());
        // Whatever the certificate: the test changes something, and checks nothing.
        command.args(self.starttls.then_some("-ZZ")).env("LDAPTLS_REQCERT", "never");
        cli::run(&mut command).await.ok();
    }
}
