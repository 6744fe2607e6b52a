//! How readers reach this host.

use std::net::{IpAddr, SocketAddr};

use cardinal_domain::site::Reader;

use crate::{config::Readers, tls::About};

/// What stands before `/r/` in the addresses that readers call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing is listened on.
    None,
    /// It is not known; why.
    Unknown(String),
    /// Such as `https://print.example.org:8633`.
    At(String),
}

/// That of each of the readers' listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bases {
    pub(super) tls: Base,
    pub(super) plain: Base,
}

impl Bases {
    /// As configured, with where the listeners are: `readers.url` and `readers.plain_url`; without one the first name of the
    /// host's certificate, with the port that is listened on.
    pub fn of(readers: &Readers, tls: Option<SocketAddr>, plain: Option<SocketAddr>, certificate: &About) -> Self {
        Self {
            tls: Base::of("https", &readers.url, tls, certificate),
            plain: Base::of("http", &readers.plain_url, plain, certificate),
        }
    }

    /// The one that this reader is told: nobody but who asks for it is told the plain one.
    pub fn of_reader(&self, reader: &Reader) -> &Base {
        if reader.plain { &self.plain } else { &self.tls }
    }
}

impl Base {
    fn of(scheme: &str, url: &str, ours: Option<SocketAddr>, certificate: &About) -> Self {
        let Some(ours) = ours else { return Self::None };
        if !url.is_empty() {
            return Self::At(url.trim_end_matches('/').to_owned());
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
            let readers =
                Readers { url: url.to_owned(), plain_url: url.replacen("https", "http", 1), ..Readers::default() };
            let address = |text: Option<&str>| text.map(|text| text.parse().unwrap());
            let bases = Bases::of(&readers, address(tls), address(plain), &certificate);
            (bases.tls, bases.plain)
        };
        let at = |url: &str| Base::At(url.to_owned());
        let (any, other) = (Some("0.0.0.0:8633"), Some("0.0.0.0:8634"));
        assert_eq!(of("", None, None, &["print"]), (Base::None, Base::None));
        assert_eq!(of("", any, None, &["print", "localhost"]), (at("https://print:8633"), Base::None));
        assert_eq!(of("", any, other, &["print"]), (at("https://print:8633"), at("http://print:8634")));
        assert_eq!(of("", None, other, &["10.0.0.5"]), (Base::None, at("http://10.0.0.5:8634")));
        assert_eq!(of("", any, None, &["fd00::5"]).0, at("https://[fd00::5]:8633"));
        assert_eq!(of("", Some("127.0.0.1:8633"), None, &["print"]).0, at("https://127.0.0.1:8633"));
        assert_eq!(of("", Some("[::1]:8633"), None, &["print"]).0, at("https://[::1]:8633"));
        let urls = (at("https://p.example.org"), at("http://p.example.org"));
        assert_eq!(of("https://p.example.org/", any, other, &["x"]), urls);
        // An address without a listener leads nowhere.
        assert_eq!(of("https://p.example.org/", None, None, &["x"]), (Base::None, Base::None));
        for names in [&["*.example.org"][..], &["localhost"], &[]] {
            let (tls, plain) = of("", any, other, names);
            assert!(matches!((tls, plain), (Base::Unknown(_), Base::Unknown(_))), "{names:?}");
        }
    }
}
