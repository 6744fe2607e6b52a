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

/// How long the addresses behind a name are remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How often a name is looked up when calls come from other addresses than it had: the reader may have a new one.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a name server may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// The addresses behind the names of readers, as they were when last looked up.
#[derive(Default)]
pub(super) struct Sources(Mutex<HashMap<String, Named>>);

#[derive(Default)]
struct Named {
    addresses: Vec<IpAddr>,
    /// Somebody called from another address.
    other: Arc<Notify>,
}

impl Sources {
    /// Whether a caller's address is the reader's. A name that was never found is nobody's.
    pub(super) fn admit(&self, reader: &str, caller: IpAddr) -> bool {
        let host = host_of(reader);
        if host.is_empty() {
            return true;
        }
        let caller = caller.to_canonical();
        if let Ok(address) = host.parse::<IpAddr>() {
            return address.to_canonical() == caller;
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(named) = known.get(host) else { return false };
        let admitted = named.addresses.contains(&caller);
        if !admitted {
            named.other.notify_one();
        }
        admitted
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
        let found = match timeout(LOOK_UP, tokio::net::lookup_host((host, 0))).await {
            Ok(Ok(found)) => found.map(|address| address.ip().to_canonical()).collect::<Vec<_>>(),
            // A name server that is away must not lock the reader out: what was known stays.
            Ok(Err(error)) => return tracing::debug!(host, %error, "a reader's name was not found"),
            Err(_) => return tracing::debug!(host, "a reader's name was not found in time"),
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(host.to_owned()).or_default().addresses = found;
    }
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
            ("reader.example.org", "10.0.0.6", false),
        ] {
            assert_eq!(sources.admit(reader, caller.parse().unwrap()), admitted, "{reader} {caller}");
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_while_it_is_followed() {
        let sources = Arc::new(Sources::default());
        let local = IpAddr::from([127, 0, 0, 1]);
        assert!(sources.follow("10.0.0.5:80").is_none() && sources.follow("").is_none());
        let following = sources.follow("localhost:80").unwrap();
        while !sources.admit("localhost:80", local) {
            sleep(Duration::from_millis(5)).await;
        }
        assert!(!sources.admit("localhost", IpAddr::from([127, 0, 0, 2])));
        drop(following);
        assert!(sources.admit("localhost", local), "what was known stays");
    }
}
