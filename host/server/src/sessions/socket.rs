//! What a socket to a reader needs set, so that a pulled cable is noticed although nothing is said.

use std::{io, time::Duration};

use cardinal_domain::site::Link;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Probes that stay unanswered before the kernel gives up.
const PROBES: u32 = 3;

/// Sets TCP keepalive (an idle peer is asked) and user timeout (what was sent must be acknowledged), both so that a dead
/// peer is found within `dead_after_ms`, and sends small writes at once.
pub(super) fn prepare(stream: &TcpStream, link: &Link) -> io::Result<()> {
    let dead_after = Duration::from_millis(link.dead_after_ms);
    // The kernel counts these in whole seconds.
    let between = (dead_after / (PROBES + 1)).max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(between).with_interval(between).with_retries(PROBES);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(dead_after))?;
    stream.set_nodelay(true)
}
