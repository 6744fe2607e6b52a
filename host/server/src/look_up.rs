//! Looking names up: a bounded number at one time.
//!
//! The system's resolver holds a thread until it knows, which takes long where a name server is away. All of the host's
//! look-ups of readers' names share so many threads, so that the rest of the host's work has its own.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs as _},
};

use tokio::sync::Semaphore;

/// How many threads may wait for the resolver.
static TURNS: Semaphore = Semaphore::const_new(16);

/// The addresses behind a name.
///
/// # Errors
/// The resolver's: there is no such name, or no name server.
pub async fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let turn = TURNS.acquire().await.map_err(io::Error::other)?;
    let name = name.to_owned();
    let looking = tokio::task::spawn_blocking(move || {
        // Held by the thread: whoever asked may have given up, but the thread still waits.
        let _turn = turn;
        let found = (name.as_str(), 0).to_socket_addrs()?;
        Ok(found.map(|address| address.ip()).collect())
    });
    looking.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use futures_util::future::poll_immediate;

    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_when_it_is_its_turn() {
        let turns = TURNS.acquire_many(16).await.unwrap();
        let mut waiting = Box::pin(look_up("localhost"));
        assert!(poll_immediate(&mut waiting).await.is_none() && TURNS.available_permits() == 0);
        drop(turns);
        assert!(waiting.await.unwrap().iter().all(IpAddr::is_loopback));
        assert!(look_up("no such name").await.is_err());
    }
}
