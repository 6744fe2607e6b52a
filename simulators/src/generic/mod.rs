//! A terminal of Generic mode: it sends card numbers and a line end over TCP, and obeys one-letter commands.
//!
//! The terminal either listens and serves one server at a time ([`GenericTerminal::listen`]) or calls the server and
//! calls again for ever ([`GenericTerminal::dial`]). It is driven by methods, which end when the bytes have left, and
//! all that happened to it is in its [`Record`]. It never decides anything about cards.

mod commands;
mod connection;
mod faults;
mod record;
mod tls;
mod wire;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use commands::Command;
pub use faults::Fault;
pub use record::{Event, Record, WaitError};
pub use tls::Tls;

use connection::{Line, Order};

/// How a terminal behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The answer to the version command; the terminal adds `\r`.
    pub version: String,
    /// What follows a card number.
    pub ending: String,
    /// Dialing: the pause before the server is called again.
    pub retry: Duration,
    /// Dialing: our own address, where the server tells terminals apart by it.
    pub from: Option<IpAddr>,
    /// Dialing: what the first line of each connection says, before anything else.
    pub token: Option<String>,
    /// Dialing: TLS, and how the server is known. None: plain.
    pub tls: Option<Tls>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: "Cardinal simulator".to_owned(),
            ending: "\n".to_owned(),
            retry: Duration::from_millis(200),
            from: None,
            token: None,
            tls: None,
        }
    }
}

/// The bytes could not be sent: nobody is connected, or the connection ended meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotConnected;

impl std::fmt::Display for NotConnected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no server is connected to this terminal, so nothing was sent")
    }
}

impl std::error::Error for NotConnected {}

/// A running terminal; dropping it closes its connection and its port.
#[derive(Debug)]
pub struct GenericTerminal {
    address: SocketAddr,
    ending: String,
    orders: mpsc::Sender<Order>,
    control: watch::Sender<connection::Control>,
    record: watch::Receiver<Record>,
    task: JoinHandle<()>,
}

impl GenericTerminal {
    /// Starts a terminal that waits for a server at this address; port 0 takes a free one. Fails where the port is
    /// taken.
    pub async fn listen(address: SocketAddr, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self::start(address, settings, |line| line.listen(listener)))
    }

    /// Starts a terminal that calls the server at this address, and calls again whenever the connection ends.
    pub fn dial(server: SocketAddr, settings: Settings) -> Self {
        Self::start(server, settings, move |line| line.dial(server))
    }

    fn start<F, T>(address: SocketAddr, settings: Settings, run: F) -> Self
    where
        F: FnOnce(Line) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let (orders, incoming) = mpsc::channel(1);
        let (control, controlled) = watch::channel(connection::Control::default());
        let (recorder, record) = watch::channel(Record::default());
        let ending = settings.ending.clone();
        let task = tokio::spawn(run(Line::new(settings, incoming, controlled, recorder)));
        Self { address, ending, orders, control, record, task }
    }

    /// Where this terminal listens; for one that dials, the server it calls.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that happened so far.
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// A view of the record that tells when something is added.
    pub fn watch(&self) -> watch::Receiver<Record> {
        self.record.clone()
    }

    /// Waits until the record is as wished, for `limit` at most, and gives it. The error shows what did happen.
    pub async fn wait_for(
        &self,
        limit: Duration,
        wish: impl FnMut(&Record) -> bool + Send,
    ) -> Result<Record, WaitError> {
        let mut record = self.record.clone();
        match tokio::time::timeout(limit, record.wait_for(wish)).await {
            Ok(Ok(record)) => Ok(record.clone()),
            Ok(Err(_)) | Err(_) => Err(WaitError { limit, record: self.record() }),
        }
    }

    /// Waits for a server, for `limit` at most.
    pub async fn connected(&self, limit: Duration) -> Result<SocketAddr, WaitError> {
        let record = self.wait_for(limit, |record| record.server.is_some()).await?;
        record.server.ok_or(WaitError { limit, record })
    }

    /// Shows a card: its number and the line end.
    pub async fn tap(&self, card: &str) -> Result<(), NotConnected> {
        self.order(Event::Tapped(card.to_owned()), format!("{card}{}", self.ending).into_bytes()).await
    }

    /// Sends bytes as they are.
    pub async fn send(&self, bytes: &[u8]) -> Result<(), NotConnected> {
        self.order(Event::Sent(bytes.len()), bytes.to_owned()).await
    }

    /// Sends bytes a few at a time, with a pause after each.
    pub async fn send_in_pieces(&self, bytes: &[u8], size: usize, pause: Duration) -> Result<(), NotConnected> {
        for piece in bytes.chunks(size.max(1)) {
            self.send(piece).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Closes the connection in good order. A terminal that listens waits for the next one, one that dials calls again.
    pub fn drop_connection(&self) {
        self.control.send_modify(|control| control.drops += 1);
    }

    /// Tears the connection down (TCP reset), as a terminal does that loses power and comes back.
    pub fn reset_connection(&self) {
        self.control.send_modify(|control| control.resets += 1);
    }

    /// Stops reading and answering while the connection stays up, until [`wake`](Self::wake).
    pub fn go_silent(&self) {
        self.control.send_modify(|control| control.silent = true);
    }

    /// Ends the silence.
    pub fn wake(&self) {
        self.control.send_modify(|control| control.silent = false);
    }

    async fn order(&self, event: Event, bytes: Vec<u8>) -> Result<(), NotConnected> {
        let (sent, done) = oneshot::channel();
        self.orders.send(Order { event, bytes, sent }).await.map_err(|_| NotConnected)?;
        // Dropped unanswered when the connection ends before the bytes have left.
        done.await.map_err(|_| NotConnected)
    }
}

impl Drop for GenericTerminal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
