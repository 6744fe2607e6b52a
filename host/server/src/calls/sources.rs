//! Where readers' calls come from: the address that each is configured with, which may be a name.
//!
//! Names are looked up beside the calls, never for one: no caller waits for a name server, or learns from the wait.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::look_up::look_up;

/// How long the addresses behind a name are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How often a name is looked up when calls come from other addresses than it had: the reader may have a new one.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a name server may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Where a caller calls from, as far as a reader is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whence {
    /// Its address.
    Its,
    Elsewhere,
    /// Its name was not found yet.
    Unknown,
}

/// The addresses behind the names of readers, as they were when last looked up.
#[derive(Default)]
pub(super) struct Sources(Mutex<HashMap<String, Named>>);

#[derive(Default)]
struct Named {
    /// None: it was not found yet.
    addresses: Option<Vec<IpAddr>>,
    /// Somebody called from another address.
    other: Arc<Notify>,
}

impl Sources {
    /// Whether a caller's address is the reader's.
    pub(super) fn admit(&self, reader: &str, caller: IpAddr) -> Whence {
        let host = host_of(reader);
        if host.is_empty() {
            return Whence::Its;
        }
        let caller = caller.to_canonical();
        let its = |its: bool| if its { Whence::Its } else { Whence::Elsewhere };
        if let Some(address) = address_of(reader) {
            return its(address == caller);
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(named) = known.get(host) else { return Whence::Unknown };
        let Some(addresses) = &named.addresses else { return Whence::Unknown };
        let admitted = addresses.contains(&caller);
        if !admitted {
            named.other.notify_one();
        }
        its(admitted)
    }

    /// Whether some name led here when it was last looked up.
    pub(super) fn found(&self, address: IpAddr) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().flat_map(|named| &named.addresses).any(|addresses| addresses.contains(&address))
    }

    /// Looks up a reader's name again and again while what is returned lives. None: there is no name to look up.
    pub(super) fn follow(self: &Arc<Self>, reader: &str) -> Option<AbortOnDropHandle<()>> {
        let host = host_of(reader);
        if host.is_empty() || host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let (own, host) = (Arc::clone(self), host.to_owned());
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let other = {
                let mut known = own.0.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(&known.entry(host.clone()).or_default().other)
            };
            loop {
                own.look_up(&host).await;
                sleep(AGAIN).await;
                let _ = timeout(REMEMBERED.saturating_sub(AGAIN), other.notified()).await;
            }
        })))
    }

    async fn look_up(&self, host: &str) {
        let found = match timeout(LOOK_UP, look_up(host)).await {
            Ok(Ok(found)) => found.into_iter().map(|address| address.to_canonical()).collect(),
            // A name server that is away must not lock the reader out: what was known stays.
            Ok(Err(error)) => return tracing::debug!(host, %error, "a reader's name was not found"),
            Err(_) => return tracing::debug!(host, "a reader's name was not found in time"),
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(host.to_owned()).or_default().addresses = Some(found);
    }
}

/// The IP address of a reader, unless it has a name.
pub(super) fn address_of(reader: &str) -> Option<IpAddr> {
    host_of(reader).parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The host in `host[:port]`.
fn host_of(address: &str) -> &str {
    if let Some((host, _)) = address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host;
    }
    match address.split_once(':') {
        // With more colons it is an IPv6 address.
        Some((host, port)) if !port.contains(':') => host,
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_itself_in_every_writing() {
        let sources = Sources::default();
        for (reader, caller, admitted) in [
            ("10.0.0.5", "10.0.0.5", true),
            ("10.0.0.5:80", "::ffff:10.0.0.5", true),
            ("::ffff:10.0.0.5", "10.0.0.5", true),
            ("[fd00::5]:80", "fd00::5", true),
            ("fd00::5", "fd00:0:0::5", true),
            ("[fd00::5]", "fd00::6", false),
            ("10.0.0.5", "10.0.0.6", false),
            ("10.0.0.5:80", "fd00::5", false),
            ("", "10.0.0.6", true),
        ] {
            let expected = if admitted { Whence::Its } else { Whence::Elsewhere };
            assert_eq!(sources.admit(reader, caller.parse().unwrap()), expected, "{reader} {caller}");
        }
        assert_eq!(sources.admit("reader.example.org", [10, 0, 0, 6].into()), Whence::Unknown);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_while_it_is_followed() {
        let sources = Arc::new(Sources::default());
        let local = IpAddr::from([127, 0, 0, 1]);
        assert!(sources.follow("10.0.0.5:80").is_none() && sources.follow("").is_none());
        let following = sources.follow("localhost:80").unwrap();
        while sources.admit("localhost:80", local) != Whence::Its {
            assert!(!sources.found(local));
            sleep(Duration::from_millis(5)).await;
        }
        assert!(sources.found(local));
        assert_eq!(sources.admit("localhost", IpAddr::from([127, 0, 0, 2])), Whence::Elsewhere);
        drop(following);
        assert_eq!(sources.admit("localhost", local), Whence::Its, "what was known stays");
    }
}
