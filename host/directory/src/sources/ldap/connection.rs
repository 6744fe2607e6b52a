//! A connection to an LDAP server: bytes in, whole messages out. It owns the socket, TLS, the numbering of messages and the
//! time that each step may take; it knows nothing of searches.

use std::{net::SocketAddr, ops::Range, time::Duration};

use cardinal_domain::site::Security;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;

use super::{
    ber,
    error::{self, LdapError},
    message::{self, Body},
};
use crate::sources::Trust;

/// The largest message, in bytes. An entry is one message: a group of half a million members fits.
const LONGEST_MESSAGE: usize = 64 << 20;
/// How much is read at once, in bytes.
const AT_ONCE: usize = 64 << 10;
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
}

/// What a connection runs over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection.
pub(crate) struct Connection<S = Box<dyn Stream>> {
    io: S,
    /// What came, from `begin` on not yet looked at.
    buffer: Vec<u8>,
    begin: usize,
    last_id: i32,
    patience: Duration,
    #[cfg(feature = "gssapi")]
    pub(super) seal: Option<super::kerberos::Seal>,
}

impl Connection {
    /// Connects, and secures the way as it is asked for. Each step may take as long as `patience`.
    pub(crate) async fn open(
        address: &Address,
        security: Security,
        trust: &Trust,
        patience: Duration,
    ) -> Result<Self, LdapError> {
        let tcp = connect(address, patience).await?;
        // Questions are small and wait for their answer.
        let _ = tcp.set_nodelay(true);
        match security {
            Security::Plain => Ok(Self::over(Box::new(tcp), patience)),
            Security::Ldaps => Ok(Self::over(Box::new(secure(tcp, address, trust, patience).await?), patience)),
            Security::StartTls => {
                let tcp = ask_for_tls(tcp, patience).await?;
                Ok(Self::over(Box::new(secure(tcp, address, trust, patience).await?), patience))
            }
        }
    }
}

impl<S: Stream> Connection<S> {
    fn over(io: S, patience: Duration) -> Self {
        Self {
            io,
            buffer: Vec::new(),
            begin: 0,
            last_id: 0,
            patience,
            #[cfg(feature = "gssapi")]
            seal: None,
        }
    }

    /// Until when a step that begins now may take.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Sends a request, and gives its number.
    pub(crate) async fn send(
        &mut self,
        operation: &[u8],
        controls: &[u8],
        doing: &'static str,
    ) -> Result<i32, LdapError> {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let bytes = message::request(self.last_id, operation, controls);
        #[cfg(feature = "gssapi")]
        let bytes = match &mut self.seal {
            Some(seal) => seal.wrap(&bytes)?,
            None => bytes,
        };
        let sent = timeout(self.patience, async {
            self.io.write_all(&bytes).await?;
            self.io.flush().await
        });
        match sent.await {
            Ok(Ok(())) => Ok(self.last_id),
            Ok(Err(error)) => Err(LdapError::Closed(error.to_string())),
            Err(_) => Err(self.too_slow(doing)),
        }
    }

    /// The next message of the answer to this request, which must come until the deadline.
    pub(crate) async fn answer(
        &mut self,
        id: i32,
        deadline: Instant,
        doing: &'static str,
    ) -> Result<Body<'_>, LdapError> {
        let range = loop {
            if let Some(range) = self.whole()? {
                break range;
            }
            match timeout_at(deadline, self.fill()).await {
                Ok(filled) => filled?,
                Err(_) => return Err(self.too_slow(doing)),
            }
        };
        self.begin = range.end;
        let bytes = self.buffer.get(range).unwrap_or_default();
        let message = message::read(bytes).map_err(|_| LdapError::Protocol("a message is malformed"))?;
        match (message.id, message.body) {
            (0, Body::Extended(outcome)) => Err(LdapError::Leaving(outcome)),
            (of, body) if of == i64::from(id) => Ok(body),
            _ => Err(LdapError::Protocol("it answers what was not asked")),
        }
    }

    /// Where the next message stands in the buffer, if all of it came.
    fn whole(&self) -> Result<Option<Range<usize>>, LdapError> {
        let bytes = self.buffer.get(self.begin..).unwrap_or_default();
        if bytes.first().is_some_and(|tag| *tag != ber::SEQUENCE) {
            return Err(LdapError::Protocol("it does not begin like a message"));
        }
        match ber::header(bytes) {
            Err(_) => Err(LdapError::Protocol("a message has no length")),
            Ok(Some((_, end))) if end > LONGEST_MESSAGE => {
                Err(LdapError::TooMuch(format!("a message of {end} bytes, of which {LONGEST_MESSAGE} are taken")))
            }
            Ok(Some((_, end))) if end <= bytes.len() => Ok(Some(self.begin..self.begin + end)),
            Ok(_) => Ok(None),
        }
    }

    async fn fill(&mut self) -> Result<(), LdapError> {
        self.buffer.drain(..self.begin);
        self.begin = 0;
        #[cfg(feature = "gssapi")]
        if let Some(seal) = &mut self.seal {
            return seal.fill(&mut self.io, &mut self.buffer).await;
        }
        self.buffer.reserve(AT_ONCE);
        match self.io.read_buf(&mut self.buffer).await {
            Ok(0) => Err(LdapError::Closed("end of the connection".into())),
            Ok(_) => Ok(()),
            Err(error) => Err(LdapError::Closed(error.to_string())),
        }
    }

    fn too_slow(&self, doing: &'static str) -> LdapError {
        LdapError::Timeout { doing, seconds: self.patience.as_secs() }
    }

    /// Says good-bye, if the server still listens.
    pub(crate) async fn close(mut self) {
        if self.send(message::UNBIND, &[], "closing").await.is_ok() {
            let _ = timeout(Duration::from_secs(1), self.io.shutdown()).await;
        }
    }
}

async fn connect(address: &Address, patience: Duration) -> Result<TcpStream, LdapError> {
    let seconds = patience.as_secs();
    let found = timeout(patience, tokio::net::lookup_host((address.host.as_str(), address.port))).await;
    let found: Vec<SocketAddr> = match found {
        Ok(found) => found.map_err(LdapError::Name)?.take(MOST_ADDRESSES).collect(),
        Err(_) => return Err(LdapError::Timeout { doing: "resolving its name", seconds }),
    };
    let mut last = LdapError::Name(std::io::Error::other("it has no address"));
    for socket in found {
        match timeout(patience, TcpStream::connect(socket)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = LdapError::Connect(error),
            Err(_) => last = LdapError::Timeout { doing: "connecting", seconds },
        }
    }
    Err(last)
}

async fn secure(
    tcp: TcpStream,
    address: &Address,
    trust: &Trust,
    patience: Duration,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, LdapError> {
    let name = ServerName::try_from(address.host.clone()).map_err(|_| LdapError::Address(address.host.clone()))?;
    match timeout(patience, TlsConnector::from(trust.0.clone()).connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error::tls(&error)),
        Err(_) => Err(LdapError::Timeout { doing: "the TLS handshake", seconds: patience.as_secs() }),
    }
}

/// Asks for TLS on a plain connection, and gives it back where the server agrees (RFC 4511, 4.14).
async fn ask_for_tls(tcp: TcpStream, patience: Duration) -> Result<TcpStream, LdapError> {
    const DOING: &str = "asking for TLS";
    let mut plain = Connection::over(tcp, patience);
    let id = plain.send(&message::start_tls(), &[], DOING).await?;
    let deadline = plain.deadline();
    match plain.answer(id, deadline, DOING).await? {
        Body::Extended(outcome) if outcome.code == 0 => {}
        Body::Extended(outcome) => {
            return Err(LdapError::Tls(format!("starttls is refused: {}", LdapError::Result(outcome))));
        }
        _ => return Err(LdapError::Protocol("starttls is answered by something else")),
    }
    // Whatever came along unprotected could be somebody else's, to be read as if it were protected.
    if plain.buffer.len() > plain.begin {
        return Err(LdapError::Protocol("something came unprotected after starttls"));
    }
    Ok(plain.io)
}

#[cfg(test)]
mod tests {
    use super::*;

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
