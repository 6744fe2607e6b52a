//! OpenLDAP: a `slapd` of its own, which keeps its ports while it is switched off and on again.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command as StdCommand,
};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Command;

use super::{Access, Certificate, PASSWORD, certificate::Files, ldif::Entry};
use crate::{cli, port, process::Process, program, wait};

/// The host that its certificate names.
const HOST: &str = "ldap.school.test";

/// A directory, on or off.
#[derive(Debug)]
pub struct OpenLdap {
    running: Option<Process>,
    plain: SocketAddr,
    tls: SocketAddr,
    folder: TempDir,
}

impl OpenLdap {
    /// What everything lies below.
    pub const BASE: &str = "dc=school,dc=test";
    /// Where people lie.
    pub const PEOPLE: &str = "ou=people,dc=school,dc=test";
    /// Where groups lie.
    pub const GROUPS: &str = "ou=groups,dc=school,dc=test";
    /// Who may change everything.
    pub const ADMIN: &str = "cn=admin,dc=school,dc=test";
    /// Who may read everything, in pages of at most 1,000 entries.
    pub const READER: &str = "cn=reader,dc=school,dc=test";
    /// Who may read 500 entries, paged or not, and is then told "size limit exceeded" (result code 4).
    pub const LIMITED: &str = "cn=limited,dc=school,dc=test";

    /// Starts it with these entries, in LDIF, beside [`PEOPLE`](Self::PEOPLE), [`GROUPS`](Self::GROUPS) and the readers; it
    /// answers when this returns.
    pub async fn start(entries: &str) -> Self {
        Self::start_with(entries, Certificate::Good).await
    }

    /// The same with another certificate.
    pub async fn start_with(entries: &str, certificate: Certificate) -> Self {
        let folder = tempfile::Builder::new().prefix("cardinal-openldap-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("data")).expect("a folder");
        let files = certificate.make(folder.path(), Ipv4Addr::LOCALHOST, HOST);
        fs::write(folder.path().join("slapd.conf"), settings(folder.path(), &files)).expect("a file can be written");
        fs::write(folder.path().join("data.ldif"), frame() + entries).expect("a file can be written");
        // Without its checks (`-q`) it takes 100,000 entries in seconds; it still knows its schema.
        let mut command = Command::new(program::theirs("slapadd"));
        command.arg("-q").arg("-f").arg(folder.path().join("slapd.conf"));
        cli::run(command.arg("-l").arg(folder.path().join("data.ldif"))).await.ok();
        let mut directory = Self { running: None, plain: port::free(), tls: port::free(), folder };
        directory.switch_on().await;
        directory
    }

    /// Switches it on; it answers when this returns.
    pub async fn switch_on(&mut self) {
        let mut command = StdCommand::new(program::theirs("slapd"));
        // Any level of debugging keeps it in the foreground.
        command.args(["-d", "0", "-h", &format!("ldap://{} ldaps://{}", self.plain, self.tls), "-f"]);
        command.arg(self.folder.path().join("slapd.conf"));
        let mut process = Process::start("slapd", &mut command, &self.folder.path().join("slapd.log"));
        wait::until("slapd", async || {
            assert!(process.ended().is_none(), "slapd ended: {}", process.said());
            self.ldap().signed_in().await.ok()
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
        self.ldap().of(Self::ADMIN).change(ldif).await;
    }

    /// As the reader, in the clear.
    pub fn ldap(&self) -> Access {
        Access::new(format!("ldap://{}", self.plain), &self.authority(), Self::READER.to_owned())
    }

    /// As the reader, over TLS from the first byte.
    pub fn ldaps(&self) -> Access {
        Access { url: format!("ldaps://{}", self.tls), ..self.ldap() }
    }

    /// For a site file: the source `school`, with more of its keys.
    pub fn source(&self, more: &str) -> String {
        super::synced::source("openldap", &self.ldaps(), more)
    }

    /// The file (PEM) with the authority that signed its certificate.
    pub fn authority(&self) -> PathBuf {
        Files::in_folder(self.folder.path()).authority
    }

    fn process(&self) -> &Process {
        self.running.as_ref().expect("it is on")
    }

    /// A person, with what a sync reads of one. The card number is the `employeeNumber`.
    pub fn person(uid: &str, full_name: &str, card: &str) -> Entry {
        Entry::new(format!("uid={uid},{}", Self::PEOPLE))
            .with("objectClass", "inetOrgPerson")
            .with("uid", uid)
            .with("cn", full_name)
            .with("sn", full_name)
            .with("mail", format!("{uid}@school.test"))
            .with("employeeNumber", card)
    }

    /// A group of these entries, which may be groups. There is no group without a member.
    pub fn group(name: &str, members: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Entry {
        let entry = Entry::new(format!("cn={name},{}", Self::GROUPS)).with("objectClass", "groupOfNames");
        entry.with("cn", name).with_all("member", members)
    }
}

/// Many people and groups, made by counting.
#[derive(Debug, Clone, Copy)]
pub struct Company {
    /// How many people there are: `u0`, `u1` and so on, with the cards 100000000 and up.
    pub people: usize,
    /// How many groups there are: `g0`, `g1` and so on.
    pub groups: usize,
    /// How many people are members of each group itself.
    pub members: usize,
    /// How many groups stand in a row, each of which is a member of the next; 1: no group is in another.
    pub depth: usize,
}

impl Company {
    /// Its entries, in LDIF.
    pub fn entries(&self) -> String {
        let mut text = String::new();
        for number in 0..self.people {
            let card = (100_000_000 + number).to_string();
            let person = OpenLdap::person(&format!("u{number}"), &format!("Person {number}"), &card)
                .with("departmentNumber", format!("Department {}", number % 50))
                .with("physicalDeliveryOfficeName", format!("Room {}", number % 700));
            write!(text, "{person}").expect("a text takes an entry");
        }
        for number in 0..self.groups {
            let people = (0..self.members).map(|nth| (number * self.members + nth) % self.people);
            let inner = (number % self.depth > 0).then(|| format!("cn=g{},{}", number - 1, OpenLdap::GROUPS));
            let members = people.map(|person| format!("uid=u{person},{}", OpenLdap::PEOPLE)).chain(inner);
            let group = OpenLdap::group(&format!("g{number}"), members);
            write!(text, "{group}").expect("a text takes an entry");
        }
        text
    }
}

/// The entries that every instance has.
pub(super) fn frame() -> String {
    let base = Entry::new(OpenLdap::BASE).with("objectClass", "domain").with("dc", "school");
    let units = [(OpenLdap::PEOPLE, "people"), (OpenLdap::GROUPS, "groups")]
        .map(|(dn, name)| Entry::new(dn).with("objectClass", "organizationalUnit").with("ou", name));
    let readers = [(OpenLdap::READER, "reader"), (OpenLdap::LIMITED, "limited")].map(|(dn, name)| {
        let role = Entry::new(dn).with_all("objectClass", ["organizationalRole", "simpleSecurityObject"]);
        role.with("cn", name).with("userPassword", PASSWORD)
    });
    [base].iter().chain(&units).chain(&readers).map(Entry::to_string).collect()
}

fn settings(folder: &Path, files: &Files) -> String {
    let schemas: String = ["core", "cosine", "inetorgperson", "nis"]
        .map(|name| format!("include /etc/ldap/schema/{name}.schema\n"))
        .concat();
    // Nothing here outlives the machine, so nothing waits for the disk. The database is a map of a file with holes.
    format!(
        "{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {own}/slapd.pid\nargsfile {own}/slapd.args\n\
         sizelimit 500\nTLSCertificateFile {certificate}\nTLSCertificateKeyFile {key}\n\
         database mdb\nmaxsize 2147483648\nsuffix {base}\nrootdn {admin}\nrootpw {PASSWORD}\ndirectory {own}/data\n\
         index objectClass,uid,mail,employeeNumber,member,entryUUID,entryCSN eq\n\
         limits dn.exact={reader} size=unlimited size.pr=1000\ndbnosync\n",
        own = folder.display(),
        certificate = files.certificate.display(),
        key = files.key.display(),
        base = OpenLdap::BASE,
        admin = OpenLdap::ADMIN,
        reader = OpenLdap::READER,
    )
}
