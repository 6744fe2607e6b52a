//! Where a reader's name may lead.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::look_up::look_up;

/// Looks a name up once for each connection, which is then made to one of the addresses found and no other. A loopback
/// or link-local address is not taken from a name (nor one of many machines): whoever answers for a name could else lead the
/// host to what listens for this machine alone. This machine's other addresses are taken as any other. One that an
/// administrator wrote as such is never looked up, and so never comes here.
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = look_up(name.as_str()).await?;
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            let (taken, refused): (Vec<_>, Vec<_>) = found.partition(|address| is_elsewhere(address.ip()));
            match refused.first() {
                Some(address) if taken.is_empty() => Err(io::Error::other(format!(
                    "the name {} leads to {}, which no reader has; if it is meant, write the address itself",
                    name.as_str(),
                    address.ip()
                ))
                .into()),
                _ => Ok(Box::new(taken.into_iter()) as Addrs),
            }
        })
    }
}

fn is_elsewhere(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let own = address.is_loopback() || address.is_link_local() || address.is_unspecified();
            !(own || address.is_multicast() || address.is_broadcast())
        }
        IpAddr::V6(address) => {
            let own = address.is_loopback() || address.is_unspecified() || address.is_unicast_link_local();
            !(own || address.is_multicast())
        }
    }
}

/// The parts of a reader's address, `host[:port]`; the host as it stands in a URL.
///
/// # Errors
/// What is wrong with it, in words for the administrator.
pub fn host_and_port(address: &str) -> Result<(String, Option<u16>), String> {
    let split = match address.parse::<IpAddr>() {
        // Its colons lead to no port.
        Ok(_) => None,
        Err(_) => address.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')),
    };
    let Some((named, port)) = split else { return Ok((host(address)?, None)) };
    if named.contains(':') && !named.ends_with(']') {
        return Err(format!("{address:?} is no address; write an IPv6 address with a port as [ADDRESS]:PORT"));
    }
    // No sign, no space: digits alone.
    let number =
        Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit())).and_then(|port| port.parse().ok());
    let number = number.filter(|port| *port > 0);
    let number = number.ok_or_else(|| format!("address {address:?} ends in no port; it may be 1 to 65535"))?;
    Ok((host(named)?, Some(number)))
}

fn host(address: &str) -> Result<String, String> {
    let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if let Ok(ip) = inner.parse::<IpAddr>() {
        if ip.is_unspecified() || ip.is_multicast() {
            return Err(format!("address {address:?} is no reader's; write its host name or its IP address"));
        }
        return Ok(match ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // A last part of digits would be taken for an address in a fashion of old (RFC 3986, section 7.4).
    let is_number =
        |name: &str| name.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    let name = address.strip_suffix('.').unwrap_or(address);
    if name.len() > 253 || !name.split('.').all(is_label) || is_number(name) {
        return Err(format!("{address:?} is no address; write the reader's host name or its IP address"));
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_or_an_ip_address_and_may_have_a_port() {
        for (written, taken, port) in [
            ("10.0.0.21", "10.0.0.21", None),
            ("10.0.0.21:8080", "10.0.0.21", Some(8080)),
            ("::ffff:10.0.0.21", "10.0.0.21", None),
            ("fe80::1", "[fe80::1]", None),
            ("fe80::1:8080", "[fe80::1:8080]", None),
            ("[fe80::1]", "[fe80::1]", None),
            ("[fe80::1]:8080", "[fe80::1]", Some(8080)),
            ("Reader-2.example.org.", "reader-2.example.org", None),
            ("Reader-2.example.org:1", "reader-2.example.org", Some(1)),
        ] {
            assert_eq!(host_and_port(written).unwrap(), (taken.to_owned(), port), "{written}");
        }
        for wrong in [
            "",
            ".",
            "a b",
            "a/b",
            "u@h",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "2130706433",
            "0x7f.1",
            "a..b",
            "h?x",
            "h:",
            "h:0",
            "h:65536",
            "h:+80",
            "h:80:80",
            ":80",
            "u@h:80",
            "0.0.0.0:80",
            "[::1",
            "[::1]:",
            "[h]:80",
            "fe80::x:80",
        ] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_name_does_not_lead_to_this_machine() {
        let Err(error) = Names.resolve("localhost".parse().unwrap()).await else { panic!("it does") };
        assert!(error.to_string().contains("write the address itself"), "{error}");
        for (address, elsewhere) in [
            ("10.0.0.1", true),
            ("2001:db8::1", true),
            ("127.0.0.2", false),
            ("169.254.169.254", false),
            ("::ffff:127.0.0.1", false),
            ("fe80::1", false),
            ("224.0.0.1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_elsewhere(address.parse().unwrap()), elsewhere, "{address}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_taken_of_an_address_is_one_host_in_a_url(address in "[a-z0-9.:\\[\\]@/?#% -]{0,24}") {
            if let Ok((host, port)) = host_and_port(&address) {
                let url = reqwest::Url::parse(&format!("http://{host}:{}/", port.unwrap_or(1))).unwrap();
                proptest::prop_assert_eq!(url.host_str(), Some(host.as_str()));
                proptest::prop_assert_eq!(url.port_or_known_default(), Some(port.unwrap_or(1)));
                proptest::prop_assert_eq!((url.path(), url.query(), url.fragment(), url.username()), ("/", None, None, ""));
            }
        }
    }
}
