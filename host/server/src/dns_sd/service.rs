//! Which queues are announced, and on which networks. No I/O.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use cardinal_domain::{names::QueueName, site::Queue};
use cardinal_release::Announcement;
use if_addrs::{IfAddr, Interface};
use ipnet::IpNet;
use mdns_sd::{IfKind, IfPredicate, ServiceInfo};

use crate::host::Listening;

/// A listener that other machines reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) tls: bool,
    pub(super) address: SocketAddr,
}

/// The listeners that other machines reach.
pub(super) fn ways(listening: &Listening) -> Vec<Way> {
    [(false, Some(listening.ipp)), (true, listening.ipps)]
        .into_iter()
        .filter_map(|(tls, address)| Some(Way { tls, address: address? }))
        .filter(|way| !way.address.ip().to_canonical().is_loopback())
        .collect()
}

impl Way {
    /// The service type.
    fn kind(self) -> &'static str {
        if self.tls { "_ipps._tcp" } else { "_ipp._tcp" }
    }

    /// Whether who connects to this address of the interface with this index comes out at the listener.
    pub(super) fn is_reached_at(self, address: IpAddr, index: Option<u32>) -> bool {
        if address.is_loopback() {
            return false;
        }
        match self.address {
            SocketAddr::V4(own) if own.ip().is_unspecified() => address.is_ipv4(),
            // Linux takes IPv4 there, too.
            SocketAddr::V6(own) if own.ip().is_unspecified() => true,
            // The same link-local address may stand on several interfaces.
            SocketAddr::V6(own) if own.scope_id() != 0 => address == *own.ip() && index == Some(own.scope_id()),
            own => address == own.ip().to_canonical(),
        }
    }
}

/// A queue as it is announced on one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// The networks from which somebody may print.
    allow: Vec<IpNet>,
    way: Way,
    said: Announcement,
}

/// What is to be announced.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// By full name.
    pub(super) services: BTreeMap<String, Service>,
    /// Queues that are left out, because another has their name as DNS sees it.
    pub(super) alike: BTreeSet<QueueName>,
}

/// What is to be announced of these queues, where `said` tells what is said of each.
pub(super) fn wanted<'q>(
    queues: impl Iterator<Item = &'q Queue>,
    ways: &[Way],
    said: impl Fn(&Queue, Way) -> Option<Announcement>,
) -> Wanted {
    let mut wanted = Wanted::default();
    let mut taken = BTreeMap::new();
    // Where nobody else may print, nobody else needs to know.
    for queue in queues.filter(|queue| !queue.allow.is_empty()) {
        for way in ways {
            let Some(said) = said(queue, *way) else { continue };
            // One name on several ways is one printer to those who look.
            if *taken.entry(said.name.clone()).or_insert(&queue.name) != &queue.name {
                wanted.alike.insert(queue.name.clone());
                continue;
            }
            let service = Service { allow: queue.allow.clone(), way: *way, said };
            wanted.services.insert(service.full_name(), service);
        }
    }
    wanted
}

impl Service {
    fn full_name(&self) -> String {
        format!("{}.{}.local.", self.said.name, self.way.kind())
    }

    /// The service as the library takes it. It finds the addresses by itself, and again when they change.
    ///
    /// # Errors
    /// A TXT record that is too long.
    pub(super) fn info(&self) -> mdns_sd::Result<ServiceInfo> {
        // The library takes one subtype for a service: the one of IPP Everywhere (PWG 5100.14 §4.2). `_universal` is
        // AirPrint's, whose clients send image/urf, which queues do not take.
        let kind = format!("_print._sub.{}.local.", self.way.kind());
        let host = format!("{}.local.", self.said.host);
        let port = self.way.address.port();
        let mut info =
            ServiceInfo::new(&kind, &self.said.name, &host, (), port, &self.said.txt[..])?.enable_addr_auto();
        let (allow, way) = (self.allow.clone(), self.way);
        let is_said = move |interface: &Interface| is_said_on(&allow, way, interface);
        info.set_interfaces(vec![IfKind::Predicate(IfPredicate::new(is_said))]);
        Ok(info)
    }
}

/// Whether a queue is announced with this address: the listener is reached there, and somebody on its network may print.
/// Who cannot print is not shown a printer, and nobody is led to an address from whose network nothing is taken.
fn is_said_on(allow: &[IpNet], way: Way, interface: &Interface) -> bool {
    let may_print =
        |network: IpNet| allow.iter().any(|allowed| allowed.contains(&network) || network.contains(allowed));
    way.is_reached_at(interface.ip(), interface.index) && network(&interface.addr).is_some_and(may_print)
}

fn network(address: &IfAddr) -> Option<IpNet> {
    let bits = match address {
        IfAddr::V4(address) => address.prefixlen,
        IfAddr::V6(address) => address.prefixlen,
    };
    IpNet::new(address.ip(), bits).ok()
}

/// The instance name in a full name.
pub(super) fn label(full_name: &str) -> &str {
    full_name.split("._ipp").next().unwrap_or(full_name)
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn queue(name: &str, allow: &[&str]) -> Queue {
        let allow = allow.iter().map(|network| network.parse().unwrap()).collect();
        Queue {
            name: QueueName::new(name).unwrap(),
            hold: true,
            printer: None,
            allow,
            sign_in: false,
            groups: Vec::new(),
        }
    }

    fn way(address: &str) -> Way {
        Way { tls: false, address: address.parse().unwrap() }
    }

    fn interface(network: &str, index: u32) -> Interface {
        let addr = match network.parse().unwrap() {
            IpNet::V4(v4) => IfAddr::V4(Ifv4Addr {
                ip: v4.addr(),
                netmask: v4.netmask(),
                prefixlen: v4.prefix_len(),
                broadcast: None,
            }),
            IpNet::V6(v6) => IfAddr::V6(Ifv6Addr {
                ip: v6.addr(),
                netmask: v6.netmask(),
                prefixlen: v6.prefix_len(),
                broadcast: None,
            }),
        };
        Interface { name: "eth0".to_owned(), addr, index: Some(index), oper_status: IfOperStatus::Up, is_p2p: false }
    }

    fn said(queue: &Queue, _: Way) -> Option<Announcement> {
        let name = queue.name.as_str().to_ascii_lowercase();
        Some(Announcement { name, host: "h".to_owned(), txt: vec![("rp", "queues/x".to_owned())] })
    }

    #[test]
    fn what_listens_on_this_machine_alone_is_no_way() {
        let listening = |ipp: &str, ipps: Option<&str>| Listening {
            http: "127.0.0.1:1".parse().unwrap(),
            ipp: ipp.parse().unwrap(),
            ipps: ipps.map(|ipps| ipps.parse().unwrap()),
            readers: None,
            readers_plain: None,
        };
        assert_eq!(ways(&listening("127.0.0.1:8631", Some("[::1]:8632"))), []);
        assert_eq!(ways(&listening("[::ffff:127.0.0.1]:8631", None)), []);
        assert_eq!(ways(&listening("0.0.0.0:8631", Some("127.0.0.1:8632"))), [way("0.0.0.0:8631")]);
        let tls = Way { tls: true, address: "10.1.0.5:8632".parse().unwrap() };
        assert_eq!(ways(&listening("127.0.0.1:8631", Some("10.1.0.5:8632"))), [tls]);
    }

    #[test]
    fn a_listener_is_reached_at_its_own_addresses_alone() {
        for (listen, address, index, reached) in [
            ("0.0.0.0:1", "10.1.0.5", 2, true),
            ("0.0.0.0:1", "127.0.0.1", 1, false),
            ("0.0.0.0:1", "fd00::5", 2, false),
            ("[::]:1", "10.1.0.5", 2, true),
            ("[::]:1", "fd00::5", 2, true),
            ("[::]:1", "::1", 1, false),
            ("10.1.0.5:1", "10.1.0.5", 2, true),
            ("10.1.0.5:1", "10.1.0.6", 2, false),
            ("[::ffff:10.1.0.5]:1", "10.1.0.5", 2, true),
            ("[fe80::5%2]:1", "fe80::5", 2, true),
            ("[fe80::5%2]:1", "fe80::5", 3, false),
        ] {
            let is_reached = way(listen).is_reached_at(address.parse().unwrap(), Some(index));
            assert_eq!(is_reached, reached, "{listen} at {address} on {index}");
        }
    }

    #[test]
    fn a_queue_is_announced_where_somebody_may_print() {
        for (allow, network, is_said) in [
            (&["10.1.0.0/16"][..], "10.1.2.3/24", true),
            (&["10.1.2.128/25"], "10.1.2.3/24", true),
            (&["10.2.0.0/16", "10.1.2.200/32"], "10.1.2.3/24", true),
            (&["10.2.0.0/16"], "10.1.2.3/24", false),
            (&["0.0.0.0/0"], "fe80::5/64", false),
            (&["::/0"], "fe80::5/64", true),
            (&["127.0.0.0/8"], "127.0.0.1/8", false),
        ] {
            let found = is_said_on(&queue("find-me", allow).allow, way("[::]:1"), &interface(network, 2));
            assert_eq!(found, is_said, "{allow:?} at {network}");
        }
    }

    #[test]
    fn queues_are_announced_on_every_way_but_those_for_this_machine_alone() {
        let queues = [queue("find-me", &["10.1.0.0/16"]), queue("mine", &[])];
        let tls = Way { tls: true, address: "0.0.0.0:8632".parse().unwrap() };
        let wanted = wanted(queues.iter(), &[way("0.0.0.0:8631"), tls], said);
        let names: Vec<_> = wanted.services.keys().map(String::as_str).collect();
        assert_eq!(names, ["find-me._ipp._tcp.local.", "find-me._ipps._tcp.local."]);
        assert!(wanted.alike.is_empty());
        let info = wanted.services.values().next().unwrap().info().unwrap();
        assert_eq!(info.get_fullname(), names[0]);
        assert_eq!(info.get_subtype().as_deref(), Some("_print._sub._ipp._tcp.local."));
        assert_eq!((info.get_port(), info.get_hostname()), (8631, "h.local."));
    }

    #[test]
    fn of_two_queues_that_dns_cannot_tell_apart_one_is_announced() {
        let queues = [queue("Find-Me", &["10.1.0.0/16"]), queue("find-me", &["10.1.0.0/16"])];
        let wanted = wanted(queues.iter(), &[way("0.0.0.0:8631")], said);
        assert_eq!(wanted.services.len(), 1);
        assert_eq!(wanted.alike.iter().map(QueueName::as_str).collect::<Vec<_>>(), ["find-me"]);
    }

    #[test]
    fn one_name_is_one_queue_on_all_ways() {
        let queues = [queue("Find-Me", &["10.1.0.0/16"]), queue("find-me", &["10.1.0.0/16"])];
        let tls = Way { tls: true, address: "0.0.0.0:8632".parse().unwrap() };
        let over_tls_alone = |queue: &Queue, way: Way| {
            if queue.name.as_str() == "Find-Me" && !way.tls { None } else { said(queue, way) }
        };
        let wanted = wanted(queues.iter(), &[way("0.0.0.0:8631"), tls], over_tls_alone);
        let names: Vec<_> = wanted.services.keys().map(String::as_str).collect();
        assert_eq!(names, ["find-me._ipps._tcp.local."]);
        assert_eq!(wanted.alike.len(), 1);
    }

    #[test]
    fn the_instance_is_found_in_a_full_name() {
        assert_eq!(label("find-me @ office (2)._ipps._tcp.local."), "find-me @ office (2)");
    }
}
