//! Active Directory: a domain controller of Samba, alone in its domain, on a loopback address of its own with the usual ports.
//!
//! A new domain takes many seconds to make, so each realm is made once and kept as a template under the target folder; an
//! instance is a copy of it. Samba is told never to wait for the disk: a change takes milliseconds instead of dozens.
//! It ends when its standard input does, so it does not outlive us, however we end. Needs root, like everything that makes
//! ports below 1024 its own.

use std::{
    fs::{self, File},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command as StdCommand, Stdio},
};

use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{
    Access, Certificate, PASSWORD,
    certificate::Files,
    ldif::{self, Entry},
};
use crate::{port, process::Process, program, wait};

/// What it listens on: Kerberos, LDAP, changing of passwords, LDAPS, and the catalogue of all domains, plain and over TLS.
const PORTS: [u16; 6] = [88, 389, 464, 636, 3268, 3269];
/// What the controller is called within its domain.
const HOST: &str = "dc1";
/// Samba's own switch, for tests of databases: nothing waits for the disk.
const NO_WAITING: (&str, &str) = ("TDB_NO_FSYNC", "1");

/// A domain with its controller, on or off.
#[derive(Debug)]
pub struct Samba {
    running: Option<Process>,
    address: Ipv4Addr,
    realm: String,
    folder: TempDir,
}

impl Samba {
    /// `userAccountControl` of an ordinary user (0x200) who may be without a password (0x20).
    pub const ENABLED: &str = "544";
    /// The same of one who is disabled (0x2).
    pub const DISABLED: &str = "546";

    /// A controller of this realm, such as `EAST.TEST`; it answers when this returns. The first of a realm takes a while. None,
    /// with the reason printed: not here.
    pub async fn start(realm: &str) -> Option<Self> {
        Self::start_with(realm, Certificate::Good).await
    }

    /// The same with another certificate.
    pub async fn start_with(realm: &str, certificate: Certificate) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: a domain controller takes root");
            return None;
        }
        let of_realm = realm.to_owned();
        let template = tokio::task::spawn_blocking(move || template(&of_realm)).await.expect("a template");
        let folder = tempfile::Builder::new().prefix("cardinal-samba-").tempdir().expect("a temporary folder");
        let domain = folder.path().join("domain");
        run(StdCommand::new("cp").arg("-a").arg(&template).arg(&domain));
        let mut samba = Self { running: None, address: port::free_address(&PORTS), realm: realm.to_owned(), folder };
        let files = certificate.make(samba.folder.path(), samba.address, &samba.host());
        fs::create_dir_all(domain.join("run")).expect("a folder");
        fs::write(samba.settings(), samba.settings_text(&domain, &files)).expect("a file can be written");
        fs::write(samba.krb5_conf(), samba.krb5_conf_text()).expect("a file can be written");
        samba.switch_on().await;
        // A controller of Windows gives Kerberos tickets for its LDAP service without being told.
        let own = format!("CN={HOST},OU=Domain Controllers,{}", samba.base());
        // By its address, too: no name server knows its name.
        let services = [format!("ldap/{}", samba.host()), format!("ldap/{}", samba.address)];
        samba.change(&ldif::add(&own, "servicePrincipalName", &services.each_ref().map(String::as_str))).await;
        Some(samba)
    }

    /// Switches it on; it answers when this returns.
    pub async fn switch_on(&mut self) {
        let mut command = StdCommand::new(program::theirs("samba"));
        command.args(["--interactive", "--debug-stdout", "--model=single"]).arg("-s").arg(self.settings());
        command.env(NO_WAITING.0, NO_WAITING.1);
        let log = self.folder.path().join("samba.log");
        let said = File::options().create(true).append(true).open(&log).expect("a log can be written");
        let mut process = Process::start_with("samba", &mut command, &log, said.into(), Stdio::piped());
        wait::until("samba", async || {
            assert!(process.ended().is_none(), "samba ended: {}", process.said());
            self.ldap().root().await.ok()
        })
        .await;
        self.running = Some(process);
    }

    /// Switches it off at once, as a power cut would. What was changed stays.
    pub async fn switch_off(&mut self) {
        self.running.take().expect("it is on").end(Signal::KILL).await;
    }

    /// From now on it takes connections and says nothing, until it [goes on](Self::goes_on).
    pub async fn hangs(&self) {
        self.process().freeze().await;
    }

    /// It answers again.
    pub fn goes_on(&self) {
        self.process().signal(Signal::CONT);
    }

    /// Changes entries as this text in LDIF says.
    pub async fn change(&self, ldif: &str) {
        self.ldaps().change(ldif).await;
    }

    /// As the domain's administrator, in the clear: to a simple bind it says "stronger authentication required" (result code 8).
    pub fn ldap(&self) -> Access {
        let user = format!("Administrator@{}", self.domain());
        Access::new(format!("ldap://{}", self.address), &self.authority(), user)
    }

    /// As the domain's administrator, over TLS from the first byte.
    pub fn ldaps(&self) -> Access {
        Access { url: format!("ldaps://{}", self.address), ..self.ldap() }
    }

    /// The file (PEM) with the authority that signed its certificate.
    pub fn authority(&self) -> PathBuf {
        Files::in_folder(self.folder.path()).authority
    }

    /// The domain's DNS name, such as `east.test`.
    pub fn domain(&self) -> String {
        self.realm.to_lowercase()
    }

    /// The controller's DNS name, which no name server knows.
    pub fn host(&self) -> String {
        format!("{HOST}.{}", self.domain())
    }

    /// What everything of the domain lies below, such as `DC=east,DC=test`.
    pub fn base(&self) -> String {
        self.domain().split('.').map(|part| format!("DC={part}")).collect::<Vec<_>>().join(",")
    }

    /// An organisational unit, below this entry.
    pub fn unit(name: &str, below: &str) -> Entry {
        Entry::new(format!("OU={name},{below}")).with("objectClass", "organizationalUnit")
    }

    /// A user with an address for mail, below this entry. Nobody signs in as such a one: Samba takes 25 ms to make the keys of
    /// a password, which is much for a domain of thousands.
    pub fn user(&self, name: &str, below: &str) -> Entry {
        Entry::new(format!("CN={name},{below}"))
            .with("objectClass", "user")
            .with("sAMAccountName", name)
            .with("userPrincipalName", format!("{name}@{}", self.domain()))
            .with("mail", format!("{name}@{}", self.domain()))
            .with("userAccountControl", Self::ENABLED)
    }

    /// The same who can sign in.
    pub fn user_with_password(&self, name: &str, below: &str) -> Entry {
        let password: Vec<u8> = format!("\"{PASSWORD}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.user(name, below).with("unicodePwd", password)
    }

    /// A group of these entries, which may be groups, below this entry.
    pub fn group(name: &str, below: &str, members: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Entry {
        let entry = Entry::new(format!("CN={name},{below}")).with("objectClass", "group");
        entry.with("sAMAccountName", name).with_all("member", members)
    }

    /// What an entry of this domain is called as a member of a group in another.
    pub async fn foreign(&self, dn: &str) -> String {
        let found = self.ldaps().read(dn, "(objectSid=*)", &["objectSid"], 1).await.expect("an entry with a SID");
        let entry = found.first().unwrap_or_else(|| panic!("{dn} is not there"));
        // Bytes that happen to be text stand among the texts.
        let text = || Some(entry.attrs.get("objectSid")?.first()?.clone().into_bytes());
        let sid = entry.bin_attrs.get("objectSid").and_then(|values| values.first().cloned()).or_else(text);
        let hexadecimal: String = sid.expect("a SID").iter().map(|byte| format!("{byte:02x}")).collect();
        format!("<SID={hexadecimal}>")
    }

    /// The file that `KRB5_CONFIG` names for programs that use this realm.
    pub fn krb5_conf(&self) -> PathBuf {
        self.folder.path().join("krb5.conf")
    }

    /// Signs a user in by Kerberos; gives the file with the ticket, which `KRB5CCNAME` names.
    pub fn ticket(&self, user: &str) -> PathBuf {
        let (password, cache) =
            (self.folder.path().join("password"), self.folder.path().join(format!("{user}.ticket")));
        fs::write(&password, PASSWORD).expect("a file can be written");
        let mut command = StdCommand::new(program::theirs("kinit"));
        command.env("KRB5_CONFIG", self.krb5_conf()).arg("-c").arg(&cache).arg(format!("{user}@{}", self.realm));
        run(command.stdin(File::open(&password).expect("a file can be read")));
        cache
    }

    /// The keys of a user's or service's principal, in a file as `KRB5_KTNAME` names it.
    pub fn keytab(&self, principal: &str) -> PathBuf {
        let file = self.folder.path().join(format!("{}.keytab", principal.replace('/', "-")));
        let mut command = StdCommand::new(program::theirs("samba-tool"));
        command.args(["domain", "exportkeytab", &format!("--principal={principal}")]).arg(&file);
        run(command.arg("-s").arg(self.settings()));
        file
    }

    fn process(&self) -> &Process {
        self.running.as_ref().expect("it is on")
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("smb.conf")
    }

    fn settings_text(&self, domain: &Path, files: &Files) -> String {
        format!(
            "[global]\nnetbios name = {HOST}\nrealm = {realm}\nworkgroup = {workgroup}\n\
             server role = active directory domain controller\nserver services = ldap, kdc\n\
             interfaces = {address}/8\nbind interfaces only = yes\ndns update command = /bin/true\n\
             lock directory = {own}\nstate directory = {own}/state\ncache directory = {own}\n\
             private dir = {own}/private\npid directory = {own}/run\nncalrpc dir = {own}/run/ncalrpc\n\
             ntlm auth = ntlmv2-only\nldap server require strong auth = allow_sasl_over_tls\n\
             tls certfile = {certificate}\ntls keyfile = {key}\ntls cafile = {authority}\n",
            realm = self.realm,
            workgroup = workgroup(&self.realm),
            address = self.address,
            own = domain.display(),
            certificate = files.certificate.display(),
            key = files.key.display(),
            authority = files.authority.display(),
        )
    }

    /// Nothing is asked of a name server.
    fn krb5_conf_text(&self) -> String {
        format!(
            "[libdefaults]\ndefault_realm = {realm}\ndns_lookup_kdc = false\ndns_lookup_realm = false\n\
             dns_canonicalize_hostname = false\nrdns = false\n\
             [realms]\n{realm} = {{\nkdc = {address}:88\nkpasswd_server = {address}:464\n}}\n\
             [domain_realm]\n.{domain} = {realm}\n{domain} = {realm}\n",
            realm = self.realm,
            address = self.address,
            domain = self.domain(),
        )
    }
}

/// The folder with a new domain, made now if it is not there.
fn template(realm: &str) -> PathBuf {
    let arguments = [
        "domain".to_owned(),
        "provision".to_owned(),
        "--server-role=dc".to_owned(),
        "--use-rfc2307".to_owned(),
        "--dns-backend=SAMBA_INTERNAL".to_owned(),
        "--host-ip=127.0.0.1".to_owned(),
        format!("--host-name={HOST}"),
        format!("--realm={realm}"),
        format!("--domain={}", workgroup(realm)),
        format!("--adminpass={PASSWORD}"),
    ];
    let version = run(StdCommand::new(program::theirs("samba")).arg("--version"));
    let digest = Sha256::digest(format!("{version}{arguments:?}"));
    let key: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let kept = program::built().parent().expect("a target folder").join("tmp");
    fs::create_dir_all(&kept).expect("a folder");
    let name = format!("samba-{}-{key}", realm.to_lowercase());
    let template = kept.join(&name);

    // Held until it is there: tests that run side by side, in this process or another, make it once.
    let lock = File::create(kept.join(format!("{name}.lock"))).expect("a file to lock");
    lock.lock().expect("a lock");
    if template.is_dir() {
        return template;
    }
    // Made in a folder with a short name, since the names of sockets are limited.
    let folder = tempfile::Builder::new().prefix("cardinal-samba-").tempdir().expect("a temporary folder");
    // Without this machine's own settings.
    let empty = folder.path().join("empty.conf");
    fs::write(&empty, "").expect("a file can be written");
    let made = folder.path().join("made");
    let mut provision = StdCommand::new(program::theirs("samba-tool"));
    provision.args(arguments).arg("--targetdir").arg(&made).arg("-s").arg(&empty).env(NO_WAITING.0, NO_WAITING.1);
    run(&mut provision);
    // It appears whole or not at all.
    let part = kept.join(format!("{name}.part"));
    let _ = fs::remove_dir_all(&part);
    run(StdCommand::new("cp").arg("-a").arg(&made).arg(&part));
    fs::rename(&part, &template).expect("a folder can be renamed");
    template
}

/// The domain's short name.
fn workgroup(realm: &str) -> &str {
    realm.split('.').next().unwrap_or(realm)
}

/// Runs a program to its end, and gives what it answered.
fn run(command: &mut StdCommand) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
