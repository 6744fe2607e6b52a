//! `cardinal.toml`: what one host process needs. Everything else lives in the store.
//!
//! [`keys::KEYS`] is the one list of keys with their help; the file that `cardinal init` writes is made from it. Environment
//! variables override: `CARDINAL_HTTP__LISTEN` is `listen` in `[http]`.

mod keys;
mod limits;
mod overrides;
pub mod template;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use cardinal_domain::{bounds::in_range, site::DriverRef, strict_toml};
use cardinal_release::ReleaseLimits;
use cardinal_runtime::{Bounds, EngineOptions};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub use self::limits::{CALLER_LIMITS, CallerLimits, SESSION_LIMITS, SessionLimits};

use crate::{calls::CallLimits, fetch::FetchLimits, recorder::RecorderLimits, retention::RetentionLimits};

/// A year: longer than anybody waits for an unused file to go.
const LONGEST_GRACE_MS: u64 = 366 * 86_400_000;

/// The host process's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub data: PathBuf,
    pub owner_token: PathBuf,
    pub http: Http,
    pub ipp: Ipp,
    pub ipps: Ipps,
    pub dns_sd: DnsSd,
    pub tls: Tls,
    pub callers: CallerLimits,
    pub sessions: SessionLimits,
    pub fetches: FetchLimits,
    pub readers: Readers,
    pub printers: Printers,
    pub directory: Directory,
    pub store: StoreConfig,
    pub log: Log,
    pub drivers: Drivers,
    pub release: ReleaseLimits,
    pub retention: RetentionLimits,
    pub recorder: RecorderLimits,
    /// The folder that relative paths start from: where `cardinal.toml` lies.
    #[serde(skip)]
    pub folder: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub listen: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ipp {
    pub listen: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ipps {
    /// None, written as an empty text: off.
    #[serde(serialize_with = "address_or_nothing", deserialize_with = "read_address_or_nothing")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsSd {
    pub announce: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub names: Vec<String>,
}

/// `[readers]`: where readers call us over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Readers {
    /// None: no readers that call over HTTPS.
    #[serde(serialize_with = "address_or_nothing", deserialize_with = "read_address_or_nothing")]
    pub listen: Option<SocketAddr>,
    /// None: no readers that call over plain HTTP.
    #[serde(serialize_with = "address_or_nothing", deserialize_with = "read_address_or_nothing")]
    pub plain_listen: Option<SocketAddr>,
    /// Empty: see [`crate::calls::Base`].
    pub url: String,
    /// Empty: likewise.
    pub plain_url: String,
    pub bounds: CallLimits,
}

impl Readers {
    fn check(&self) -> Result<()> {
        self.bounds.check().context("[readers.bounds]")?;
        check_url("url", &self.url, "https", "https://print.example.org:8633")?;
        check_url("plain_url", &self.plain_url, "http", "http://print.example.org:8634")
    }
}

/// Whether an address that readers are told is this scheme, a name and a port, and nothing else.
fn check_url(key: &str, url: &str, scheme: &str, example: &str) -> Result<()> {
    if url.is_empty() {
        return Ok(());
    }
    let url = reqwest::Url::parse(url).with_context(|| format!("[readers] {key} {url:?}: write it as {example}"))?;
    let bare = url.host().is_some()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if url.scheme() != scheme {
        bail!("[readers] {key} must begin with {scheme}://; write it as {example}");
    }
    if !bare {
        bail!("[readers] {key} has more, or less, than a name and a port; write it as {example}");
    }
    Ok(())
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Printers {
    pub ca: PathBuf,
}

/// `[directory]`: what sync sources may use of this host. They are configured by API, so that they name none of it by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Directory {
    pub ca: PathBuf,
    /// How long one run of a program may take, in seconds.
    pub program_within_s: u64,
    /// How long reading all sources may take, in seconds.
    pub read_within_s: u64,
    /// CSV and TSV files, by the name that a source has for them.
    pub files: BTreeMap<String, PathBuf>,
    /// Programs with their first arguments, likewise.
    pub programs: BTreeMap<String, Vec<String>>,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            ca: PathBuf::new(),
            program_within_s: 600,
            read_within_s: 14_400,
            files: BTreeMap::new(),
            programs: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    pub url: StoreUrl,
    pub durability: Durability,
}

/// `store.url`: it may hold a password, which is shown nowhere.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreUrl(pub String);

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "(not shown)" })
    }
}

/// `store.durability`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    #[default]
    Process,
    Power,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

/// `log.format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drivers {
    pub bundled: PathBuf,
    pub unsigned: Unsigned,
    /// How long a driver's file stays that nothing names, in milliseconds.
    pub grace_ms: u64,
    pub engine: EngineOptions,
    pub bounds: Bounds,
    /// Bounds of single drivers, by `vendor/name`: what is not named there is as in `bounds`.
    pub of: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Default for Drivers {
    fn default() -> Self {
        Self {
            bundled: PathBuf::new(),
            unsigned: Unsigned::default(),
            grace_ms: 86_400_000,
            engine: EngineOptions::default(),
            bounds: Bounds::default(),
            of: BTreeMap::new(),
        }
    }
}

/// `drivers.unsigned`: what becomes of drivers that no trusted publisher signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsigned {
    #[default]
    Refuse,
    Allow,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "data".into(),
            owner_token: "owner.token".into(),
            http: Http::default(),
            ipp: Ipp::default(),
            ipps: Ipps::default(),
            dns_sd: DnsSd::default(),
            tls: Tls::default(),
            callers: CallerLimits::default(),
            sessions: SessionLimits::default(),
            fetches: FetchLimits::default(),
            readers: Readers::default(),
            printers: Printers::default(),
            directory: Directory::default(),
            store: StoreConfig::default(),
            log: Log::default(),
            drivers: Drivers::default(),
            release: ReleaseLimits::default(),
            retention: RetentionLimits::default(),
            recorder: RecorderLimits::default(),
            folder: PathBuf::new(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 8630).into() }
    }
}

impl Default for Ipp {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 8631).into() }
    }
}

impl Default for Ipps {
    fn default() -> Self {
        Self { listen: Some(([127, 0, 0, 1], 8632).into()) }
    }
}

#[allow(clippy::ref_option, reason = "serde asks for a reference")]
fn address_or_nothing<S: Serializer>(address: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_str(""),
    }
}

fn read_address_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let problem = |_| D::Error::custom(format!("{text:?} is no address and port, such as \"0.0.0.0:8632\""));
    text.parse().map(Some).map_err(problem)
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Config {
    /// Reads the file and what the environment overrides.
    ///
    /// # Errors
    /// The file is not there, or something in it or in the environment is not known or does not fit.
    pub fn load(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| {
            format!(
                "cannot read {}; make a host with `cardinal init DIR`, then say --config DIR/cardinal.toml or set CARDINAL_CONFIG",
                file.display()
            )
        })?;
        let read: Self = strict_toml::parse(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
        let mut config = overrides::apply(&read, |name| std::env::var(name).ok())?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        config.folder = std::path::absolute(folder).context("cannot tell the current folder")?;
        config.callers.check().with_context(|| format!("{}: [callers]", file.display()))?;
        config.sessions.check().with_context(|| format!("{}: [sessions]", file.display()))?;
        config.fetches.check().with_context(|| format!("{}: [fetches]", file.display()))?;
        config.recorder.check().with_context(|| format!("{}: [recorder]", file.display()))?;
        in_range("grace_ms", config.drivers.grace_ms, 0, LONGEST_GRACE_MS, "")
            .with_context(|| format!("{}: [drivers]", file.display()))?;
        for (name, seconds) in
            [("program_within_s", config.directory.program_within_s), ("read_within_s", config.directory.read_within_s)]
        {
            in_range(name, seconds, 1, 86_400, "").with_context(|| format!("{}: [directory]", file.display()))?;
        }
        if let Some((name, _)) = config.directory.programs.iter().find(|(_, command)| command.is_empty()) {
            bail!(
                "{}: [directory.programs] {name} is empty: name a program, such as [\"/usr/local/bin/staff\"]",
                file.display()
            );
        }
        config.readers.check().with_context(|| format!("{}", file.display()))?;
        // The session answers for its driver, in words of its own; the listener's end is for a session that is stuck.
        let (answer_ms, at_least) = (config.readers.bounds.answer_ms, config.sessions.call_answer_ms);
        in_range("answer_ms", answer_ms, at_least, 600_000, "; call_answer_ms in [sessions] says so")
            .with_context(|| format!("{}: [readers.bounds]", file.display()))?;
        for id in config.drivers.of.keys() {
            DriverRef::try_from(id.clone()).map_err(|error| anyhow!("{}: [drivers.of]: {error}", file.display()))?;
            config.bounds_of(id).with_context(|| format!("{}: [drivers.of.{id:?}]", file.display()))?;
        }
        Ok(config)
    }

    /// The configuration of a new host in this folder: the defaults, and what the environment overrides.
    ///
    /// # Errors
    /// Something in the environment does not fit.
    pub fn of_new(folder: &Path) -> Result<Self> {
        let mut config = overrides::apply(&Self::default(), |name| std::env::var(name).ok())?;
        config.folder = std::path::absolute(folder).context("cannot tell the current folder")?;
        Ok(config)
    }

    /// A path of the configuration, made absolute.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// A path in the data folder.
    pub fn data_path(&self, name: &str) -> PathBuf {
        self.folder.join(&self.data).join(name)
    }

    /// The bounds that hold for this driver (`vendor/name`).
    ///
    /// # Errors
    /// An override of a bound that there is not, or out of range.
    pub fn bounds_of(&self, driver: &str) -> Result<Bounds> {
        let mut bounds = self.drivers.bounds.clone();
        for (name, value) in self.drivers.of.get(driver).into_iter().flatten() {
            let known: Vec<_> = cardinal_runtime::BOUNDS.iter().map(|info| info.name).collect();
            *bounds.get_mut(name).ok_or_else(|| {
                anyhow!("unknown bound {name:?}{}", cardinal_domain::nearest::nearest(name, &known))
            })? = *value;
        }
        bounds.check(&self.drivers.engine)?;
        Ok(bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cardinal.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&file)
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = load("").unwrap();
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8630");
        assert!(!config.dns_sd.announce, "nothing is said that nobody asked for");
        assert!(config.folder.is_absolute());
    }

    #[test]
    fn nothing_is_listened_on_for_ipps_where_the_address_is_empty() {
        assert_eq!(load("[ipps]\nlisten = ''\n").unwrap().ipps.listen, None);
        let error = load("[ipps]\nlisten = 'x'\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("no address and port"), "{error}");
        let error = format!("{:#}", load("[sessions]\ncards_waiting = 0\n").unwrap_err());
        assert!(error.contains("cards_waiting = 0 is out of range"), "{error}");
    }

    #[test]
    fn readers_are_told_an_address_that_can_be_one() {
        let readers = |lines: &str| load(&format!("[readers]\n{lines}\n")).map(|config| config.readers);
        assert_eq!(load("").unwrap().readers, Readers::default());
        assert_eq!(readers("listen = ''").unwrap().listen, None);
        let both = "listen = '0.0.0.0:8633'\nplain_listen = '0.0.0.0:8634'\n";
        let urls = "url = 'https://print.example.org:8633'\nplain_url = 'http://print.example.org:8634/'";
        assert!(readers(&format!("{both}{urls}")).is_ok());
        let error = format!("{:#}", readers("plain_url = 'https://print'").unwrap_err());
        assert!(error.contains("plain_url must begin with http://"), "{error}");
        for (url, words) in [
            ("print.example.org:8633", "must begin with https://"),
            ("https://print/r", "more, or less"),
            ("https://u:p@print", "more, or less"),
            ("https://print?x", "more, or less"),
            ("http://print", "must begin with https://"),
            ("print", "write it as https://"),
        ] {
            let error = format!("{:#}", readers(&format!("{both}url = '{url}'")).unwrap_err());
            assert!(error.contains(words), "{url}: {error}");
        }
        let error = format!("{:#}", readers("[readers.bounds]\nhead_bytes = 1").unwrap_err());
        assert!(error.contains("[readers.bounds]: head_bytes = 1 is out of range"), "{error}");
    }

    #[test]
    fn unknown_keys_name_their_line_and_the_nearest_known() {
        let error = load("\n[http]\nlisen = '127.0.0.1:1'\n").unwrap_err().to_string();
        assert!(
            error.ends_with("line 3: unknown key \"lisen\" (did you mean \"listen\"?); known here: listen"),
            "{error}"
        );
        let error = load("[htp]\n").unwrap_err().to_string();
        assert!(error.contains("line 1: unknown key \"htp\" (did you mean \"http\"?)"), "{error}");
    }

    #[test]
    fn the_password_of_the_store_is_shown_nowhere() {
        let config = load("[store]\nurl = 'postgres://u:s3cret@h/db'\n").unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn the_listener_waits_no_shorter_for_an_answer_than_the_session() {
        let both = |answer: u64, call: u64| {
            load(&format!("[readers.bounds]\nanswer_ms = {answer}\n[sessions]\ncall_answer_ms = {call}\n"))
        };
        assert!(both(10_000, 10_000).is_ok());
        let error = format!("{:#}", both(9_999, 10_000).unwrap_err());
        assert!(error.contains("[readers.bounds]: answer_ms = 9999 is out of range"), "{error}");
        assert!(error.contains("call_answer_ms in [sessions] says so"), "{error}");
    }

    #[test]
    fn a_driver_can_have_bounds_of_its_own() {
        let config = load("[drivers.bounds]\ntimers = 3\n[drivers.of.\"acme/x\"]\nmemory_bytes = 8388608\n").unwrap();
        let bounds = config.bounds_of("acme/x").unwrap();
        assert_eq!((bounds.timers, bounds.memory_bytes), (3, 8_388_608));
        let error = format!("{:#}", load("[drivers.of.\"acme/x\"]\nmemory_byte = 1\n").unwrap_err());
        assert!(error.contains("unknown bound \"memory_byte\" (did you mean \"memory_bytes\"?)"), "{error}");
    }
}
