//! A site: everything that is configured besides the host process itself, in the form of `site.toml`.

mod secret;
mod source;
mod token;

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use secret::Secret;
pub use source::{Bind, Domain, Rank, Security, ServerType, Source, SourceKind};
pub use token::Token;

use crate::{
    card::CardNumber,
    fingerprint::Fingerprint,
    names::{DeviceName, GroupName, PrinterName, QueueName, ReaderName, SourceName, UserName},
    password::{PasswordHash, PinDigest},
    settings::Settings,
};

/// Everything that `cardinal apply` takes and `cardinal export` gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Config keys that differ from their default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Where users and groups come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<Source>,
    /// People.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user: Vec<User>,
    /// Where jobs are delivered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub printer: Vec<Printer>,
    /// What people print to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<Queue>,
    /// What people stand at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device: Vec<Device>,
    /// What says that a card was shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reader: Vec<Reader>,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// As the directory has it.
    pub name: UserName,
    /// For people to read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub full_name: String,
    /// Where mail goes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// Where they work.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub department: String,
    /// Where they sit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub office: String,
    /// Further addresses that their mail comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_emails: Vec<String>,
    /// Another name that they print under.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub alias: String,
    /// Their home folder.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub home: String,
    /// The primary card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardNumber>,
    /// The secondary card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_card: Option<CardNumber>,
    /// The password's hash, for queues that ask for a sign-in; `cardinal user password NAME` makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<PasswordHash>,
    /// The digest of their PIN, made with this host's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinDigest>,
    /// The sync source that they came from; none: they were made here, and no sync touches them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Where a user or group came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The source.
    pub source: SourceName,
    /// What stays when the name changes: `objectGUID`, `entryUUID`; the name itself where a source has nothing better.
    pub key: String,
}

impl User {
    /// Somebody of this name, of whom nothing else is known.
    pub fn new(name: UserName) -> Self {
        Self {
            name,
            full_name: String::new(),
            email: String::new(),
            department: String::new(),
            office: String::new(),
            other_emails: Vec::new(),
            alias: String::new(),
            home: String::new(),
            card: None,
            second_card: None,
            password_hash: None,
            pin: None,
            origin: None,
        }
    }

    /// Both cards, as far as there are any.
    pub fn cards(&self) -> impl Iterator<Item = &CardNumber> {
        self.card.iter().chain(&self.second_card)
    }
}

/// Where jobs are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Printer {
    /// Its name here.
    pub name: PrinterName,
    /// `ipp://host[:port]/path`, `ipps://…` for the same over TLS, or `folder:path` (relative to the folder of
    /// `cardinal.toml`).
    pub uri: PrinterUri,
    /// With `ipps://`: the one certificate it has, as `cardinal printer trust NAME` shows it. None: it must have one that the
    /// system's authorities, or those of `printers.ca` in `cardinal.toml`, vouch for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Fingerprint>,
}

/// How a printer is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PrinterUri {
    /// An IPP printer: the whole address, beginning with `ipp://` or, for TLS, `ipps://`.
    Ipp(String),
    /// A folder, for trying out.
    Folder(String),
}

impl TryFrom<String> for PrinterUri {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("folder:") {
            return if path.is_empty() {
                Err("\"folder:\" names no folder; write it as folder:./delivered".to_owned())
            } else {
                Ok(Self::Folder(path.to_owned()))
            };
        }
        let rest = text.strip_prefix("ipp://").or_else(|| text.strip_prefix("ipps://"));
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
        if authority.is_some_and(|authority| authority.contains('@')) {
            // Not repeated here: it may hold a password.
            return Err("a printer address takes no user name and no password: leave out what stands before the @; \
                        write ipp://HOST[:PORT]/ipp/print"
                .to_owned());
        }
        match rest {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace) => {
                Ok(Self::Ipp(text))
            }
            _ => Err(format!(
                "{text:?} is no printer address; write ipp://HOST[:PORT]/ipp/print, or ipps://… for TLS, or folder:./delivered to try it out"
            )),
        }
    }
}

impl From<PrinterUri> for String {
    fn from(uri: PrinterUri) -> Self {
        uri.to_string()
    }
}

impl fmt::Display for PrinterUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipp(uri) => f.write_str(uri),
            Self::Folder(path) => write!(f, "folder:{path}"),
        }
    }
}

/// What people print to: `ipp://HOST:8631/queues/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Its name, part of its address.
    pub name: QueueName,
    /// Whether jobs wait for their owner. False: they pass straight on to `printer`.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub hold: bool,
    /// Where jobs that are not held go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub printer: Option<PrinterName>,
    /// Networks, besides this machine, from which jobs are taken, such as `10.1.0.0/16`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<IpNet>,
    /// Whether clients must sign in with name and password (HTTP Basic, over `ipps://` only).
    #[serde(default, skip_serializing_if = "is_false")]
    pub sign_in: bool,
    /// With `sign_in`: the groups whose members may sign in. None named: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupName>,
}

impl Queue {
    /// Whether a client at this address may print here: this machine always may, others as `allow` says.
    pub fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        client.is_loopback() || self.allow.iter().any(|network| network.contains(&client))
    }
}

/// What a person stands at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its name.
    pub name: DeviceName,
    /// The printer that released jobs come out of.
    pub printer: PrinterName,
    /// What a card does here.
    #[serde(default)]
    pub on_card: OnCard,
    /// The hold queues whose jobs this device may print. None named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueName>,
    /// The groups whose members may release here, members of groups inside them included. None named: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupName>,
    /// `ext-device.card-no-regex` for this device. None, or `GLOBAL`: the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_no_regex: Option<String>,
    /// `ext-device.card-no-converter` for this device. None, or `GLOBAL`: the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_no_converter: Option<String>,
}

impl Device {
    /// Whether jobs of this queue may be released here.
    pub fn may_print(&self, queue: &QueueName) -> bool {
        self.queues.is_empty() || self.queues.contains(queue)
    }
}

/// What a card does at a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCard {
    /// Every job that the person has waiting, and that this device may print, is released.
    #[default]
    ReleaseAll,
}

/// What says that a card was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reader {
    /// Its name.
    pub name: ReaderName,
    /// `vendor/name`, or `vendor/name@version` to stay with one version.
    pub driver: DriverRef,
    /// The driver's connection mode.
    pub mode: String,
    /// `dial`, `listen` or `http`. None: the mode's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The reader's address: `host[:port]` to dial; the IP address it calls from, to listen; `host[:port]` for HTTP, where a
    /// port stands for all ports of the mode.
    pub address: String,
    /// To listen: our own address and port, such as `0.0.0.0:7778`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<std::net::SocketAddr>,
    /// To listen: whether the terminal speaks TLS. All readers of one `listen` address say the same.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tls: bool,
    /// To listen: what the terminal's first line must be. It tells readers behind one address apart, and lets nobody else
    /// take the reader's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// For HTTP, where the driver fetches over TLS: the one certificate that the reader has. None: nothing is fetched over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Fingerprint>,
    /// For HTTP: whether it calls over plain HTTP, for readers that cannot speak TLS. Whoever is on the way then reads its cards
    /// and can call in its name.
    #[serde(default, skip_serializing_if = "is_false")]
    pub plain: bool,
    /// The device it stands at.
    pub device: DeviceName,
    /// Whether it is in use.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub enabled: bool,
    /// How the connection is kept.
    #[serde(default, skip_serializing_if = "Link::is_default")]
    pub link: Link,
    /// What the mode's settings are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: Settings,
}

/// How a connection with a reader is kept. Not published by any vendor: chosen here, and settable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Link {
    /// How long dialling may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// The pause before the first retry, in milliseconds; it doubles each time, with jitter.
    pub retry_first_ms: u64,
    /// The longest pause between retries, in milliseconds.
    pub retry_longest_ms: u64,
    /// How long a silent peer may stay unacknowledged before the connection counts as lost, in milliseconds
    /// (TCP keepalive and user timeout): a pulled cable is noticed after this long.
    pub dead_after_ms: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self { connect_timeout_ms: 5_000, retry_first_ms: 1_000, retry_longest_ms: 60_000, dead_after_ms: 30_000 }
    }
}

impl Link {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which driver a reader uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DriverRef {
    /// `vendor/name`.
    pub id: String,
    /// The version to stay with. None: the driver's chosen version, or the newest where none was chosen.
    pub version: Option<String>,
}

impl TryFrom<String> for DriverRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (id, version) = match text.split_once('@') {
            Some((id, version)) if !version.is_empty() => (id, Some(version.to_owned())),
            Some(_) => return Err(format!("{text:?} names no version behind the @")),
            None => (text.as_str(), None),
        };
        match id.split_once('/') {
            Some((vendor, name)) if !vendor.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { id: id.to_owned(), version })
            }
            _ => Err(format!("{text:?} is no driver; write vendor/name, such as cardinal/generic")),
        }
    }
}

impl From<DriverRef> for String {
    fn from(driver: DriverRef) -> Self {
        driver.to_string()
    }
}

impl fmt::Display for DriverRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.id),
            None => f.write_str(&self.id),
        }
    }
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_toml;

    const SITE: &str = r#"
        [config]
        "ext-device.card-no-regex" = "(.{4})"
        [[user]]
        name = "ada"
        full_name = "Ada Lovelace"
        card = "4711"
        second_card = "EMP123"
        [[printer]]
        name = "east"
        uri = "ipp://127.0.0.1:28701/ipp/print"
        [[queue]]
        name = "find-me"
        allow = ["10.1.0.0/16"]
        [[device]]
        name = "floor-2-east"
        printer = "east"
        on_card = "release-all"
        [[reader]]
        name = "floor-2-east"
        driver = "cardinal/generic"
        mode = "generic"
        address = "127.0.0.1:7778"
        device = "floor-2-east"
        [reader.settings]
        keepalive_seconds = 30
    "#;

    #[test]
    fn a_site_comes_back_from_toml() {
        let site: Site = strict_toml::parse(SITE).unwrap();
        let written = toml::to_string(&site).unwrap();
        assert_eq!(strict_toml::parse::<Site>(&written).unwrap(), site, "{written}");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let error = |from: &str, to: &str| strict_toml::parse::<Site>(&SITE.replace(from, to)).unwrap_err().to_string();
        assert!(error("keepalive_seconds = 30", "[reader.link]\nretry = 4").contains("unknown key \"retry\""));
        let message = error("address = ", "adress = ");
        assert!(message.starts_with("line 23: unknown key \"adress\" (did you mean \"address\"?)"), "{message}");
        assert!(
            error("release-all", "release-al").contains("unknown value \"release-al\" (did you mean \"release-all\"?)")
        );
        let message = error("ipp://", "lpd://");
        assert!(message.contains("line 11: \"lpd://127.0.0.1:28701/ipp/print\" is no printer address"), "{message}");
        let message = error("127.0.0.1:28701", "ada:geheim@127.0.0.1:28701");
        assert!(message.contains("takes no user name and no password") && !message.contains("geheim"), "{message}");
        assert!(PrinterUri::try_from("ipp://p/ipp/print?to=a@b".to_owned()).is_ok());
        assert!(PrinterUri::try_from("ipps://p/ipp/print".to_owned()).is_ok());
        assert!(PrinterUri::try_from("ipps://ada:geheim@p/".to_owned()).is_err());
        assert!(error("4711", "47-11").contains("line 7: a card number is letters and digits only"));
        assert!(error("cardinal/generic", "generic").contains("is no driver; write vendor/name"));
    }

    #[test]
    fn a_queue_takes_jobs_from_this_machine_and_its_list_alone() {
        let site: Site = strict_toml::parse(SITE).unwrap();
        let queue = site.queue.first().unwrap();
        for (client, allowed) in
            [("127.0.0.1", true), ("::1", true), ("::ffff:127.0.0.1", true), ("10.1.2.3", true), ("10.2.0.1", false)]
        {
            assert_eq!(queue.allows(client.parse().unwrap()), allowed, "{client}");
        }
    }
}
