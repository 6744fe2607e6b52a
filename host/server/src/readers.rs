//! A reader's configuration held against the drivers that are installed: what its session starts with, or what to change.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use cardinal_domain::{
    driver::{Pair, Transport},
    fingerprint::Fingerprint,
    names::ReaderName,
    nearest::nearest,
    settings,
    site::{Link, Reader, Token},
};
use cardinal_runtime::{Bounds, Driver};

use crate::{config::Config, drivers::Drivers};

/// What a session needs besides a connection.
pub struct Prepared {
    pub driver: Driver,
    pub bounds: Bounds,
    pub settings: Vec<Pair>,
    pub commands: Vec<String>,
    pub way: Way,
}

/// How host and reader reach each other. Two readers cannot share one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// We dial this address.
    Dial(String),
    /// It calls us.
    Listen(Listen),
    /// We fetch from it, and it calls us.
    Http(Http),
}

/// How a reader is reached over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Its name or address, as it stands in a URL.
    pub host: String,
    /// The ports of its mode, the usual one first.
    pub ports: Vec<u16>,
    /// The port in its address, which stands for all of these.
    pub port: Option<u16>,
    /// The one certificate that it has.
    pub certificate: Option<Fingerprint>,
}

impl Http {
    /// Where a fetch goes for which the driver names this port, or none. None: that is no port of the mode.
    pub fn port(&self, named: Option<u16>) -> Option<u16> {
        let of_mode =
            named.map_or_else(|| self.ports.first(), |named| self.ports.iter().find(|port| **port == named))?;
        Some(self.port.unwrap_or(*of_mode))
    }

    /// All ports that are fetched from.
    fn fetched(&self) -> &[u16] {
        self.port.as_ref().map_or(&self.ports, std::slice::from_ref)
    }
}

/// How a reader calls us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where we listen.
    pub ours: SocketAddr,
    /// Where it calls from.
    pub theirs: IpAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// What its first line must be.
    pub token: Option<Token>,
}

/// The ways of many readers, to find those that cannot be told apart.
#[derive(Default)]
pub struct Ways<'r> {
    dialled: BTreeMap<String, &'r ReaderName>,
    tls: BTreeMap<SocketAddr, (bool, &'r ReaderName)>,
    callers: BTreeMap<(SocketAddr, IpAddr), BTreeMap<Option<Token>, &'r ReaderName>>,
    fetched: BTreeMap<(String, u16), &'r ReaderName>,
}

impl<'r> Ways<'r> {
    /// Adds a reader's. If it cannot go with those before: one of them, and why.
    pub fn add(&mut self, way: Way, reader: &'r ReaderName) -> Option<(&'r ReaderName, String)> {
        let both = |other: &ReaderName| format!("readers {:?} and {:?}", other.as_str(), reader.as_str());
        match way {
            Way::Dial(address) => {
                let problem = |other| {
                    (
                        other,
                        format!("{} have the same address {address}; a terminal belongs to one reader", both(other)),
                    )
                };
                self.dialled.insert(address.clone(), reader).map(problem)
            }
            Way::Listen(Listen { ours, theirs, tls, token }) => {
                if let Some((_, other)) = self.tls.get(&ours).filter(|(theirs, _)| *theirs != tls) {
                    let both = both(other);
                    return Some((
                        other,
                        format!("{both} listen on {ours}, one with tls and one without; say the same in both"),
                    ));
                }
                self.tls.insert(ours, (tls, reader));
                let there = self.callers.entry((ours, theirs)).or_default();
                let same = there.get(&token).map(|other| (*other, token.is_some()));
                let other = there.iter().next().map(|(other, name)| (*name, other.is_some() && token.is_some()));
                let problem = match (same, other) {
                    (Some((other, true)), _) => {
                        Some((other, format!("{} have the same token; give each its own", both(other))))
                    }
                    (Some((other, _)), _) | (None, Some((other, false))) => Some((
                        other,
                        format!(
                            "{} listen on {ours} and have the same address {theirs}; a terminal belongs to one reader, \
                             unless every reader of the address has a token",
                            both(other)
                        ),
                    )),
                    _ => None,
                };
                there.insert(token, reader);
                problem
            }
            Way::Http(way) => {
                let mut problem = None;
                let host = &way.host;
                for port in way.fetched() {
                    // Whoever answers there is configured to call one of them.
                    if let Some(other) =
                        self.fetched.insert((host.clone(), *port), reader).filter(|other| *other != reader)
                    {
                        let both = both(other);
                        problem = Some((
                            other,
                            format!(
                                "{both} have the same address {host}, and port {port} both; a device belongs to one reader"
                            ),
                        ));
                    }
                }
                problem
            }
        }
    }
}

impl Way {
    /// Its name in the contract.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dial(_) => "dial",
            Self::Listen(_) => "listen",
            Self::Http(_) => "http",
        }
    }
}

/// What a reader's session starts with, in the version of its driver that it is to run.
///
/// # Errors
/// What to change, in words for the administrator.
pub fn check(drivers: &Drivers, config: &Config, spec: &Reader) -> Result<Prepared, String> {
    prepare(drivers.find_for(spec)?, config, spec)
}

/// What a reader's session starts with in this version of its driver.
///
/// # Errors
/// What to change, in words for the administrator.
pub fn prepare(driver: Driver, config: &Config, spec: &Reader) -> Result<Prepared, String> {
    let manifest = driver.manifest();
    let mode = manifest.mode(&spec.mode).ok_or_else(|| {
        let known: Vec<_> = manifest.modes.iter().map(|mode| mode.id.as_str()).collect();
        let near = nearest(&spec.mode, &known);
        format!("driver {} has no mode {:?}{near}; it has: {}", driver.label(), spec.mode, known.join(", "))
    })?;
    let transport = match &spec.transport {
        None => mode.transports.first(),
        Some(wanted) => mode.transports.iter().find(|transport| transport.name() == wanted),
    }
    .ok_or_else(|| {
        let known: Vec<_> = mode.transports.iter().map(Transport::name).collect();
        format!("mode {:?} has no transport {:?}; it has: {}", mode.id, spec.transport, known.join(", "))
    })?;
    if spec.certificate.is_some() && transport.name() != "http" {
        return Err("certificate says something only where a reader is reached over HTTP; remove it".to_owned());
    }
    if spec.plain && transport.name() != "http" {
        return Err("plain = true is for readers that call us over HTTP (transport = \"http\"); remove it".to_owned());
    }
    let way = match (transport, spec.listen) {
        (Transport::Dial(_), Some(_)) => {
            return Err("listen says something only with transport = \"listen\"; remove it, or add that".to_owned());
        }
        (Transport::Dial(_), None) if spec.tls => {
            return Err(
                "tls = true is for terminals that call us (transport = \"listen\"): readers that Cardinal dials \
                        speak plain TCP in this version; remove it"
                    .to_owned(),
            );
        }
        (Transport::Dial(_), None) if spec.token.is_some() => {
            return Err("token says something only with transport = \"listen\"; remove it".to_owned());
        }
        (Transport::Dial(port), None) => Way::Dial(crate::sessions::with_port(&spec.address, *port)?),
        (Transport::Listen, None) => {
            return Err(
                "transport \"listen\" needs our own address and port, such as listen = \"0.0.0.0:7778\"".to_owned()
            );
        }
        (Transport::Listen, Some(ours)) if ours.port() == 0 => {
            return Err(format!("listen = \"{ours}\" names no port; terminals must know where to call"));
        }
        (Transport::Listen, Some(ours)) => {
            let theirs: IpAddr = spec.address.parse().map_err(|_| {
                format!(
                    "with transport \"listen\" the address is the IP address the terminal calls from, not {:?}",
                    spec.address
                )
            })?;
            Way::Listen(Listen { ours, theirs: theirs.to_canonical(), tls: spec.tls, token: spec.token.clone() })
        }
        (Transport::Http(_), Some(_)) => {
            return Err("listen says something only with transport = \"listen\"; remove it".to_owned());
        }
        (Transport::Http(_), None) if spec.tls || spec.token.is_some() => {
            let key = if spec.tls { "tls = true" } else { "token" };
            return Err(format!("{key} says something only with transport = \"listen\"; remove it"));
        }
        (Transport::Http(ports), None) => {
            let (host, port) = crate::fetch::host_and_port(&spec.address)?;
            if port.is_some() && ports.is_empty() {
                return Err(format!(
                    "address {:?} has a port, but nothing is fetched from readers of this mode; write {host:?} alone",
                    spec.address
                ));
            }
            Way::Http(Http { host, ports: ports.clone(), port, certificate: spec.certificate })
        }
    };
    check_link(&spec.link)?;
    let settings = settings::check(mode, &spec.settings).map_err(|error| error.to_string())?;
    let bounds = config.bounds_of(&manifest.id()).map_err(|error| format!("{error:#}"))?;
    Ok(Prepared { bounds, settings, commands: mode.commands.clone(), way, driver })
}

/// A day: nobody wants to wait longer, and no clock overflows.
const LONGEST_MS: u64 = 86_400_000;

fn check_link(link: &Link) -> Result<(), String> {
    for (key, value, least) in [
        ("connect_timeout_ms", link.connect_timeout_ms, 100),
        ("retry_first_ms", link.retry_first_ms, 10),
        ("retry_longest_ms", link.retry_longest_ms, link.retry_first_ms),
        ("dead_after_ms", link.dead_after_ms, 1_000),
    ] {
        if !(least..=LONGEST_MS).contains(&value) {
            return Err(format!("link.{key} = {value} is out of range: it may be {least} to {LONGEST_MS}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_the_address_stands_for_those_of_the_mode_and_lets_through_no_other() {
        let way = |port| Http { host: "h".to_owned(), ports: vec![80, 443], port, certificate: None };
        for (named, by_mode, by_address) in
            [(None, Some(80), Some(8080)), (Some(80), Some(80), Some(8080)), (Some(443), Some(443), Some(8080))]
        {
            assert_eq!((way(None).port(named), way(Some(8080)).port(named)), (by_mode, by_address), "{named:?}");
        }
        // The one in the address is the operator's to name, not the driver's.
        for named in [22, 8080] {
            assert_eq!((way(None).port(Some(named)), way(Some(8080)).port(Some(named))), (None, None), "{named}");
        }
        assert_eq!(Http { ports: Vec::new(), ..way(None) }.port(None), None);
    }

    #[test]
    fn one_host_has_many_readers_behind_ports_of_their_own() {
        let names = ["a", "b", "c"].map(|name| ReaderName::new(name).unwrap());
        let way = |port| Way::Http(Http { host: "h".to_owned(), ports: vec![80, 443], port, certificate: None });
        let problem = |ports: [Option<u16>; 3]| {
            let mut ways = Ways::default();
            let added = names.iter().zip(ports).filter_map(|(name, port)| ways.add(way(port), name));
            added.map(|(other, why)| format!("{other}: {why}")).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(problem([None, Some(8080), Some(8081)]), "");
        assert!(problem([Some(8081), Some(8080), Some(8081)]).contains("same address h, and port 8081"));
        assert!(problem([None, Some(8080), Some(443)]).starts_with("a: "));
    }
}
