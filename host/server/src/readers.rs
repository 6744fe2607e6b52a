//! A reader's configuration held against the drivers that are installed: what its session starts with, or what to change.

use std::net::{IpAddr, SocketAddr};

use cardinal_domain::{
    driver::{Pair, Transport},
    nearest::nearest,
    settings,
    site::Reader,
};
use cardinal_runtime::{Bounds, Driver};

use crate::{config::Config, drivers::Drivers, sessions::Services};

/// What a session needs besides a connection.
pub struct Prepared {
    pub driver: Driver,
    pub bounds: Bounds,
    pub settings: Vec<Pair>,
    pub commands: Vec<String>,
    pub way: Way,
}

/// How host and reader reach each other.
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
pub fn prepare(services: &Services, spec: &Reader) -> Result<Prepared, String> {
    check(&services.drivers, &services.config, spec)
}

/// The same for a reader that is not configured yet.
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
    let settings = settings::check(mode, &spec.settings).map_err(|error| error.to_string())?;
    let bounds = config.bounds_of(&manifest.id()).map_err(|error| format!("{error:#}"))?;
    Ok(Prepared { bounds, settings, commands: mode.commands.clone(), way, driver })
}
