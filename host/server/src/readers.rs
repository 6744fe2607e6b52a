//! A reader's configuration held against the drivers that are installed: what its session starts with, or what to change.

use std::net::{IpAddr, SocketAddr};

use cardinal_domain::{
    driver::{Pair, Transport},
    nearest::nearest,
    settings,
    site::{Link, Reader},
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// We dial this address.
    Dial(String),
    /// We listen on the first, it calls from the second.
    Listen(SocketAddr, IpAddr),
}

impl Way {
    /// Its name in the contract.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dial(_) => "dial",
            Self::Listen(..) => "listen",
        }
    }
}

/// What a reader's session starts with.
///
/// # Errors
/// What to change, in words for the administrator.
pub fn check(drivers: &Drivers, config: &Config, spec: &Reader) -> Result<Prepared, String> {
    let driver = drivers.find(&spec.driver)?;
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
    let way = match (transport, spec.listen) {
        (Transport::Dial(_), Some(_)) => {
            return Err("listen says something only with transport = \"listen\"; remove it, or add that".to_owned());
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
            Way::Listen(ours, theirs.to_canonical())
        }
        (Transport::Http(_), _) => {
            return Err(format!("mode {:?} speaks HTTP, which this version of Cardinal does not serve yet", mode.id));
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
