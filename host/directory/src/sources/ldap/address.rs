//! Which server is meant, and the way to it as far as TCP. LDAP begins behind it.

use std::{net::SocketAddr, time::Duration};

use cardinal_domain::site::Security;
use tokio::{net::TcpStream, time::timeout};

use super::LdapError;

/// The most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// A server, as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// `host`, `host:port`, `[address]:port` or an address of version 6.
    pub(crate) fn parse(text: &str, security: Security) -> Result<Self, LdapError> {
        let usual = if security == Security::Ldaps { 636 } else { 389 };
        let wrong = || LdapError::Address(text.to_owned());
        let trimmed = text.trim();
        let (host, port) = match trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest))),
            None => match trimmed.split_once(':') {
                Some((_, rest)) if rest.contains(':') => (trimmed, None),
                Some((host, port)) => (host, Some(port)),
                None => (trimmed, None),
            },
        };
        let port = port.map_or(Ok(usual), |port| port.parse().map_err(|_| wrong()))?;
        let host = host.trim_end_matches('.').to_owned();
        if host.is_empty() || port == 0 || host.contains(['/', ' ', '@']) {
            Err(wrong())
        } else {
            Ok(Self { host, port })
        }
    }

    /// Its name, as a certificate has it.
    pub(crate) fn tls_name(&self) -> Result<&str, LdapError> {
        if self.host.contains(':') {
            // The library takes it with its brackets for a name.
            let why = "an address of version 6 cannot be checked against a certificate; name the server by its name";
            Err(LdapError::Tls(format!("{why} ({})", self.host)))
        } else {
            Ok(&self.host)
        }
    }

    /// Connects. Finding the name and each of its addresses may take as long as `patience`.
    pub(crate) async fn connect(&self, patience: Duration) -> Result<TcpStream, LdapError> {
        let seconds = patience.as_secs();
        let found = timeout(patience, tokio::net::lookup_host((self.host.as_str(), self.port))).await;
        let found: Vec<SocketAddr> = match found {
            Ok(found) => found.map_err(LdapError::Name)?.take(MOST_ADDRESSES).collect(),
            Err(_) => return Err(LdapError::Timeout { doing: "resolving its name", seconds }),
        };
        let mut last = LdapError::Name(std::io::Error::other("it has no address"));
        for socket in found {
            match timeout(patience, TcpStream::connect(socket)).await {
                Ok(Ok(tcp)) => {
                    // Questions are small and wait for their answer.
                    let _ = tcp.set_nodelay(true);
                    return Ok(tcp);
                }
                Ok(Err(error)) => last = LdapError::Connect(error),
                Err(_) => last = LdapError::Timeout { doing: "connecting", seconds },
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_for_names_and_addresses_of_version_4() {
        let name = |host: &str| Address { host: host.into(), port: 636 }.tls_name().map(str::to_owned).ok();
        assert_eq!((name("dc1"), name("127.0.0.1")), (Some("dc1".into()), Some("127.0.0.1".into())));
        assert_eq!(name("::1"), None);
    }

    #[test]
    fn servers_are_read_in_every_form() {
        let parse = |text: &str| Address::parse(text, Security::Ldaps).map(|a| (a.host, a.port)).ok();
        assert_eq!(parse("dc1.school.example."), Some(("dc1.school.example".into(), 636)));
        assert_eq!(parse("dc1:1636"), Some(("dc1".into(), 1636)));
        assert_eq!(parse("[::1]:1636"), Some(("::1".into(), 1636)));
        assert_eq!(parse("[::1]"), Some(("::1".into(), 636)));
        assert_eq!(parse("fe80::2"), Some(("fe80::2".into(), 636)));
        assert_eq!(Address::parse("dc1", Security::StartTls).unwrap().port, 389);
        for wrong in ["", ":636", "dc1:x", "dc1:0", "dc1:99999", "ldaps://dc1", "[::1]x", "a b"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
