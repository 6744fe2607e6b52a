//! 389 Directory Server, which FreeIPA is built on: an `ns-slapd` of its own, from the template that the package has for
//! new instances.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command as StdCommand,
};

use tempfile::TempDir;
use tokio::process::Command;

use super::{Access, Certificate, OpenLdap, PASSWORD, certificate::Files, ldif::Entry, openldap};
use crate::{cli, port, process::Process, program, wait};

/// What a new instance's settings are made from.
const TEMPLATE: &str = "/usr/share/dirsrv/data/template-dse.ldif";
/// The part of the schema that an instance has for itself: nothing, and it does not start without.
const OWN_SCHEMA: &str = "dn: cn=schema\n";
/// The host that its certificate names.
const HOST: &str = "ds.school.test";
/// Who may change everything.
const ADMIN: &str = "cn=Directory Manager";

/// A directory with the names of [`OpenLdap`]: its base, people, groups and readers.
#[derive(Debug)]
pub struct Ds389 {
    plain: SocketAddr,
    tls: SocketAddr,
    // Before the folder, so that it ends before its files go.
    _running: Process,
    folder: TempDir,
}

impl Ds389 {
    /// Starts it with these entries, in LDIF; it answers and has them when this returns. None, with the reason printed: not
    /// here.
    pub async fn start(entries: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: a 389 Directory Server takes root");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("cardinal-389-").tempdir().expect("a temporary folder");
        let (plain, tls) = (port::free(), port::free());
        let own = folder.path();
        for part in ["certs", "config/schema", "db", "other"] {
            fs::create_dir_all(own.join(part)).expect("a folder");
        }
        fs::write(own.join("config/schema/99user.ldif"), OWN_SCHEMA).expect("a file can be written");
        trusted(own).await;
        let template = fs::read_to_string(TEMPLATE).expect("the package's template");
        fs::write(own.join("config/dse.ldif"), settings(&template, own, plain, tls)).expect("a file can be written");

        let mut command = StdCommand::new(program::theirs("ns-slapd"));
        // Any level of debugging keeps it in the foreground.
        command.args(["-d", "0", "-D"]).arg(own.join("config")).arg("-i").arg(own.join("pid"));
        let mut process = Process::start("ns-slapd", &mut command, &own.join("ns-slapd.log"));
        let access = Access::new(format!("ldap://{plain}"), &Files::in_folder(own).authority, ADMIN.to_owned());
        wait::until("ns-slapd", async || {
            assert!(process.ended().is_none(), "ns-slapd ended: {}", process.said());
            access.signed_in().await.ok()
        })
        .await;
        let directory = Self { plain, tls, _running: process, folder };
        directory.change(&(openldap::frame() + entries)).await;
        directory.change(&lets_read()).await;
        Some(directory)
    }

    /// Changes entries as this text in LDIF says.
    pub async fn change(&self, ldif: &str) {
        self.ldap().of(ADMIN).change(ldif).await;
    }

    /// As the reader, in the clear.
    pub fn ldap(&self) -> Access {
        let authority = Files::in_folder(self.folder.path()).authority;
        Access::new(format!("ldap://{}", self.plain), &authority, OpenLdap::READER.to_owned())
    }

    /// As the reader, over TLS from the first byte.
    pub fn ldaps(&self) -> Access {
        Access { url: format!("ldaps://{}", self.tls), ..self.ldap() }
    }

    /// For a site file: the source `school`, with more of its keys.
    pub fn source(&self, more: &str) -> String {
        super::synced::source("389", &self.ldaps(), more)
    }

    /// A person, as [`OpenLdap::person`]; disabled as administrators of this server do it.
    pub fn disabled(uid: &str, full_name: &str, card: &str) -> Entry {
        OpenLdap::person(uid, full_name, card).with("nsAccountLock", "true")
    }
}

/// The certificate, in the store that this server has its keys in.
async fn trusted(own: &Path) {
    let files = Certificate::Good.make(own, Ipv4Addr::LOCALHOST, HOST);
    let both = own.join("both.p12");
    let mut pack = Command::new(program::theirs("openssl"));
    pack.args(["pkcs12", "-export", "-name", "Server-Cert", "-passout", "pass:"]);
    pack.arg("-in").arg(&files.certificate).arg("-inkey").arg(&files.key).arg("-out").arg(&both);
    let certs = own.join("certs");
    let mut store = Command::new(program::theirs("certutil"));
    store.args(["-N", "--empty-password", "-d"]).arg(&certs);
    let mut take = Command::new(program::theirs("pk12util"));
    take.args(["-W", "", "-K", "", "-i"]).arg(&both).arg("-d").arg(&certs);
    for command in [&mut pack, &mut store, &mut take] {
        cli::run(command).await.ok();
    }
}

/// The template with its gaps filled, and a database for our base. It listens on the loopback address alone.
fn settings(template: &str, own: &Path, plain: SocketAddr, tls: SocketAddr) -> String {
    let folder = |name: &str| own.join(name).display().to_string();
    let other = folder("other");
    let mut text = template.to_owned();
    for (gap, value) in [
        ("schema_dir", folder("config/schema").as_str()),
        ("cert_dir", &folder("certs")),
        ("config_dir", &folder("config")),
        ("db_dir", &folder("db")),
        ("db_home_dir", &folder("db")),
        ("lock_dir", &other),
        ("tmp_dir", &other),
        ("ldif_dir", &other),
        ("bak_dir", &other),
        ("run_dir", &other),
        ("inst_dir", &other),
        ("log_dir", &other),
        ("fqdn", HOST),
        ("ds_port", &plain.port().to_string()),
        ("ds_user", "root"),
        ("ds_suffix", OpenLdap::BASE),
        ("rootdn", ADMIN),
        ("ds_passwd", &format!("{{CLEAR}}{PASSWORD}")),
        ("ldapi_enabled", "off"),
        ("ldapi_autobind", "off"),
        ("ldapi", &folder("other/ldapi")),
        ("db_lib", "bdb"),
    ] {
        text = text.replace(&format!("%{gap}%"), value);
    }
    let ours = format!(
        "nsslapd-listenhost: {plain}\nnsslapd-securelistenhost: {tls}\nnsslapd-security: on\nnsslapd-secureport: {port}\n",
        plain = plain.ip(),
        tls = tls.ip(),
        port = tls.port(),
    );
    let text = text.replacen("nsslapd-localhost:", &format!("{ours}nsslapd-localhost:"), 1);
    // Two empty lines after one another are a mistake to it.
    let base = OpenLdap::BASE;
    format!(
        "{}\n\ndn: cn=userRoot,cn=ldbm database,cn=plugins,cn=config\nobjectClass: top\nobjectClass: extensibleObject\n\
         objectClass: nsBackendInstance\ncn: userRoot\nnsslapd-suffix: {base}\nnsslapd-directory: {db}\n\n\
         dn: cn=\"{base}\",cn=mapping tree,cn=config\nobjectClass: top\nobjectClass: extensibleObject\n\
         objectClass: nsMappingTree\ncn: \"{base}\"\nnsslapd-state: backend\nnsslapd-backend: userRoot\n",
        text.trim_end(),
        db = folder("db/userRoot"),
    )
}

/// Nobody may read anything of a new database.
fn lets_read() -> String {
    let rule = format!(
        "(targetattr=\"*\")(version 3.0; acl \"the reader reads\"; allow (read, search, compare) \
         userdn=\"ldap:///{}\";)",
        OpenLdap::READER
    );
    super::ldif::add(OpenLdap::BASE, "aci", &[&rule])
}
