//! How readers reach this host.

use std::net::{IpAddr, SocketAddr};

use crate::{config::Readers, tls::About};

/// What stands before `/r/` in the addresses that readers call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing is listened on for readers.
    None,
    /// It is not known; why.
    Unknown(String),
    /// Such as `https://print.example.org:8633`.
    At(String),
}

impl Base {
    /// `readers.url`; without it the first name of the host's certificate, with the port that is listened on. Over TLS where
    /// the host speaks TLS to readers at all.
    pub fn of(readers: &Readers, tls: Option<SocketAddr>, plain: Option<SocketAddr>, certificate: &About) -> Self {
        let (scheme, ours) = match (tls, plain) {
            (Some(ours), _) => ("https", ours),
            (None, Some(ours)) => ("http", ours),
            (None, None) => return Self::None,
        };
        if !readers.url.is_empty() {
            return Self::At(readers.url.trim_end_matches('/').to_owned());
        }
        if ours.ip().is_loopback() {
            return Self::At(format!("{scheme}://{ours}"));
        }
        let port = ours.port();
        match certificate.names.first() {
            // Most likely somebody else's machine, seen from the reader.
            Some(name) if name == "localhost" => Self::Unknown("the host's certificate is for localhost".to_owned()),
            Some(name) if name.contains('*') => Self::Unknown(format!("the host's certificate is for {name}")),
            Some(name) => match name.parse() {
                Ok(IpAddr::V6(address)) => Self::At(format!("{scheme}://[{address}]:{port}")),
                _ => Self::At(format!("{scheme}://{name}:{port}")),
            },
            None => Self::Unknown("the host's certificate has no name".to_owned()),
        }
    }

    /// Whether what readers say, the secret included, can be read on its way.
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::At(url) if url.starts_with("http:"))
    }
}

#[cfg(test)]
mod tests {
    use cardinal_domain::time::Timestamp;

    use super::*;

    #[test]
    fn readers_are_told_what_the_certificate_is_for() {
        let of = |url: &str, tls: Option<&str>, plain: Option<&str>, name: &[&str]| {
            let certificate = About {
                subject: String::new(),
                issuer: String::new(),
                names: name.iter().map(|name| (*name).to_owned()).collect(),
                not_before: Timestamp(0),
                not_after: Timestamp(0),
                fingerprint: String::new(),
            };
            let readers = Readers { url: url.to_owned(), ..Readers::default() };
            let address = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            Base::of(&readers, address(tls), address(plain), &certificate)
        };
        let at = |url: &str| Base::At(url.to_owned());
        let any = Some("0.0.0.0:8633");
        assert_eq!(of("", None, None, &["print"]), Base::None);
        assert_eq!(of("", any, None, &["print", "localhost"]), at("https://print:8633"));
        assert_eq!(of("", any, Some("0.0.0.0:8634"), &["print"]), at("https://print:8633"));
        assert_eq!(of("", None, Some("0.0.0.0:8634"), &["10.0.0.5"]), at("http://10.0.0.5:8634"));
        assert_eq!(of("", any, None, &["fd00::5"]), at("https://[fd00::5]:8633"));
        assert_eq!(of("", Some("127.0.0.1:8633"), None, &["print"]), at("https://127.0.0.1:8633"));
        assert_eq!(of("", Some("[::1]:8633"), None, &["print"]), at("https://[::1]:8633"));
        assert_eq!(of("https://p.example.org/", any, None, &["x"]), at("https://p.example.org"));
        for names in [&["*.example.org"][..], &["localhost"], &[]] {
            assert!(matches!(of("", any, None, names), Base::Unknown(_)), "{names:?}");
        }
        assert!(of("", None, any, &["print"]).is_plain() && !of("", any, any, &["print"]).is_plain());
    }
}
