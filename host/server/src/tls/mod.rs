//! The host's certificate, and the TLS that its listeners speak with it.
//!
//! One certificate for all listeners, from two PEM files: the operator's, or ones that the host made for itself. It is read
//! again when the files change, without touching connections that stand. TLS 1.2 and 1.3 with the ring provider, chosen by
//! name everywhere; no client certificates.

mod about;
mod crowd;
mod files;
mod make;
mod parts;
mod watch;

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub use self::{about::About, crowd::Crowd, files::Files, make::host_name, watch::watch};
use crate::{config::CallerLimits, config::Config};

/// Makes ring the process's provider, too, for libraries that ask for a default one. Called once, first of all.
pub fn choose_provider() {
    // An error says that there is one already, which can only be this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificate in use, and what accepts connections with it.
pub struct Tls {
    files: Files,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

/// The certificate that the next handshake shows.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// Reads the certificate of this configuration; makes one where the host has none of its own yet.
    ///
    /// # Errors
    /// The files cannot be read or made, or do not belong together.
    pub fn open(config: &Config) -> Result<(Self, About)> {
        let files = Files::of(config)?;
        files.make_if_absent(config)?;
        let (key, about) = files.load()?;
        let current = Arc::new(Current(RwLock::new(Arc::new(key))));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&current) as _;
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        // CUPS 2.4 takes a ticket, which comes unasked, for the beginning of an answer, hangs up and calls again for ever.
        server.send_tls13_tickets = 0;
        Ok((Self { files, current, acceptor: TlsAcceptor::from(Arc::new(server)) }, about))
    }

    /// Reads the files again. What cannot be used leaves the certificate as it is.
    fn reload(&self) -> Result<About> {
        let (key, about) = self.files.load()?;
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        Ok(about)
    }

    /// Carries out the handshake of a connection that was just accepted, within this time.
    ///
    /// # Errors
    /// Why there is no TLS with this client, in words.
    pub async fn handshake(&self, stream: TcpStream, limit: Duration) -> Result<Box<TlsStream<TcpStream>>, String> {
        // Boxed: it is many times as large as a socket.
        match tokio::time::timeout(limit, Box::pin(self.acceptor.accept(stream).into_fallible())).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err((error, mut stream))) => {
                // The alert that says why is on its way; a close in order lets the client read it.
                let _ = stream.shutdown().await;
                Err(explained(&error))
            }
            Err(_) => Err(format!("the TLS handshake was not finished within {limit:?}")),
        }
    }
}

/// What went wrong in a handshake, with what is the matter as a rule.
fn explained(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => "it speaks no TLS, which is spoken here".to_owned(),
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("it broke off the TLS handshake ({alert:?}); does it trust this host's certificate?")
        }
        _ => format!("the TLS handshake failed: {error}"),
    }
}

/// A listener's way in over TLS: a bounded number of handshakes, in bounded time.
#[derive(Clone)]
pub struct Door {
    tls: Arc<Tls>,
    crowd: Arc<Crowd>,
    limit: Duration,
}

impl Door {
    pub fn new(tls: Arc<Tls>, limits: &CallerLimits) -> Self {
        Self { tls, crowd: Arc::new(Crowd::new(limits)), limit: Duration::from_millis(limits.greeting_ms) }
    }

    /// The connection once TLS stands; none where it does not come to that, which is no more than a word in the log.
    pub async fn enter(&self, stream: TcpStream, peer: IpAddr) -> Option<Box<TlsStream<TcpStream>>> {
        let Some(_entered) = self.crowd.enter(peer.to_canonical()) else {
            tracing::debug!(%peer, "a connection was closed: too many TLS handshakes are under way");
            return None;
        };
        match self.tls.handshake(stream, self.limit).await {
            Ok(stream) => Some(stream),
            Err(why) => {
                tracing::debug!(%peer, why, "a connection was closed before TLS stood");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
