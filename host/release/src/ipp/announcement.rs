//! What DNS-SD says of a queue: the same as Get-Printer-Attributes, in the words of a TXT record. Who sends it out, and
//! where to, is the host's business.

use cardinal_domain::{names::QueueName, site::Queue};
use ipp::{attribute::IppAttribute, value::IppValue};

use super::{
    call,
    capabilities::{self, FORMATS},
    printer::{LOCATION, MAKE_AND_MODEL, uuid},
    template,
};
use crate::{
    options::Serving,
    values::{as_text, cut, each},
};

/// The longest instance name made here, in bytes: a label of DNS has 63 (RFC 1035 §2.3.4), and where somebody has the
/// name, a number comes behind it.
const LONGEST_NAME: usize = 57;
/// The longest part of a host name that is this machine's name, in bytes: a number and a word come behind it.
const LONGEST_MACHINE: usize = 45;

/// What is said of a queue on one of its two ways, `_ipp._tcp` or `_ipps._tcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The instance name, as people see it: one label, which the network makes unique where somebody else has it.
    pub name: String,
    /// The host name that leads to the listener, without `.local`: one label, and no other service has it.
    pub host: String,
    /// The TXT record (PWG 5100.14 §4.2, Bonjour Printing Specification 1.2.1), in the order in which it is sent.
    pub txt: Vec<(&'static str, String)>,
}

impl Announcement {
    /// What is said of this queue where a listener takes jobs, over TLS or not, on this port. None: it takes none there.
    pub(crate) fn of(queue: &Queue, serving: &Serving, tls: bool, port: u16) -> Option<Self> {
        // Nobody signs in without TLS.
        if queue.sign_in && !tls {
            return None;
        }
        let uuid = uuid(&serving.host_id, &queue.name);
        // A name of its own for each service. This machine's name belongs to its own responder (avahi-daemon), which
        // knows other addresses; and a service that goes takes its host name's addresses out of everybody's caches.
        let number = uuid.get(..8).unwrap_or_default();
        let machine = cut(&serving.machine, LONGEST_MACHINE);
        let host = format!("{machine}-{number}{}", if tls { "-tls" } else { "" });
        let path = call::path(&queue.name);
        let page = format!("{}://{host}.local:{port}{path}", if tls { "https" } else { "http" });
        let yes_or_no = |is: bool| if is { "T" } else { "F" }.to_owned();
        let mut txt = vec![
            // First, as the specification has it.
            ("txtvers", "1".to_owned()),
            ("qtotal", "1".to_owned()),
            ("rp", path.trim_start_matches('/').to_owned()),
            ("ty", MAKE_AND_MODEL.to_owned()),
            ("note", LOCATION.to_owned()),
            ("adminurl", page),
            // The middle, and the default: a queue is no better and no worse than a printer beside it.
            ("priority", "50".to_owned()),
            ("pdl", pdl()),
            ("Color", yes_or_no(told(&capabilities::described(), "color-supported", is_true))),
            ("Duplex", yes_or_no(told(&template::described(), "sides-supported", is_two_sided))),
            ("UUID", uuid),
        ];
        if queue.sign_in {
            txt.push(("air", "username,password".to_owned()));
        }
        if tls {
            // The newest version that the listener speaks.
            txt.push(("TLS", "1.3".to_owned()));
        }
        Some(Self { name: instance_name(&queue.name, &serving.machine), host, txt })
    }
}

/// The name under which a queue is announced, `printer-dns-sd-name`. In lower case, because DNS does not tell it from
/// upper case, and without dots, which stand between the labels of a name.
pub(super) fn instance_name(queue: &QueueName, machine: &str) -> String {
    let queue = queue.as_str().to_ascii_lowercase().replace('.', "-");
    let name = if machine.is_empty() { queue } else { format!("{queue} @ {machine}") };
    cut(&name, LONGEST_NAME).trim_end().to_owned()
}

/// The document formats that say what a document is written in.
fn pdl() -> String {
    FORMATS.into_iter().filter(|format| *format != "application/octet-stream").collect::<Vec<_>>().join(",")
}

/// Whether one of the values that Get-Printer-Attributes tells is such a one.
fn told(attributes: &[IppAttribute], name: &str, is: fn(&IppValue) -> bool) -> bool {
    attributes.iter().filter(|one| one.name().as_str() == name).any(|one| each(one.value()).iter().any(is))
}

fn is_true(value: &IppValue) -> bool {
    matches!(value, IppValue::Boolean(true))
}

fn is_two_sided(value: &IppValue) -> bool {
    as_text(value).is_some_and(|sides| sides.starts_with("two-sided"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, sign_in: bool) -> Queue {
        let name = QueueName::new(name).unwrap();
        Queue { name, hold: true, printer: None, allow: Vec::new(), sign_in, groups: Vec::new() }
    }

    fn serving() -> Serving {
        Serving { host_id: [7; 16], machine: "office".to_owned(), ..Serving::default() }
    }

    #[test]
    fn a_queue_says_where_it_is_and_what_it_takes() {
        let said = Announcement::of(&queue("find-me", false), &serving(), false, 8631).unwrap();
        let uuid = uuid(&[7; 16], &QueueName::new("find-me").unwrap());
        let number = &uuid[..8];
        assert_eq!(said.name, "find-me @ office");
        assert_eq!(said.host, format!("office-{number}"));
        let page = format!("http://office-{number}.local:8631/queues/find-me");
        let pdl = "application/pdf,application/postscript,application/vnd.hp-pcl,image/jpeg,image/png,image/pwg-raster,\
                   text/plain";
        let expected = [
            ("txtvers", "1"),
            ("qtotal", "1"),
            ("rp", "queues/find-me"),
            ("ty", "Cardinal print queue"),
            ("note", ""),
            ("adminurl", &page),
            ("priority", "50"),
            ("pdl", pdl),
            ("Color", "T"),
            ("Duplex", "T"),
            ("UUID", &uuid),
        ];
        assert_eq!(said.txt, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn over_tls_it_says_so_and_has_another_host_name() {
        let plain = Announcement::of(&queue("find-me", false), &serving(), false, 8631).unwrap();
        let said = Announcement::of(&queue("find-me", false), &serving(), true, 8632).unwrap();
        assert_eq!(said.name, plain.name);
        assert_eq!(said.host, format!("{}-tls", plain.host));
        assert_eq!(said.txt.last().unwrap(), &("TLS", "1.3".to_owned()));
        let page = said.txt.iter().find(|(key, _)| *key == "adminurl").unwrap();
        assert_eq!(page.1, format!("https://{}.local:8632/queues/find-me", said.host));
    }

    #[test]
    fn who_must_sign_in_is_told_so_and_led_to_tls_alone() {
        assert_eq!(Announcement::of(&queue("staff", true), &serving(), false, 8631), None);
        let said = Announcement::of(&queue("staff", true), &serving(), true, 8632).unwrap();
        assert!(said.txt.contains(&("air", "username,password".to_owned())));
    }

    #[test]
    fn names_fit_into_dns_whatever_queue_and_machine_are_called() {
        let (queue_name, machine) = ("Q.".repeat(32), "m".repeat(63));
        let serving = Serving { machine, ..serving() };
        let said = Announcement::of(&queue(&queue_name, false), &serving, true, 65_535).unwrap();
        assert!(said.name.len() <= LONGEST_NAME && said.name.starts_with("q-q-"), "{}", said.name);
        assert!(!said.name.contains('.') && said.host.len() <= 63, "{}", said.host);
        // RFC 6763 §6.1: key, `=` and value together have 255 bytes.
        assert!(said.txt.iter().all(|(key, value)| key.len() + 1 + value.len() <= 255), "{:?}", said.txt);
    }
}
