//! What happened to a terminal, in order, for tests to ask and for people to read.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::Command;

/// Everything that happened to a terminal since it started.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The server that is connected now.
    pub server: Option<SocketAddr>,
    /// All bytes received, over all connections.
    pub received: Vec<u8>,
    /// What happened, the oldest first.
    pub events: Vec<Event>,
}

impl Record {
    /// How often this command was received.
    pub fn count(&self, command: Command) -> usize {
        self.events.iter().filter(|event| **event == Event::Command(command)).count()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Connected(_))).count()
    }
}

/// One thing that happened. Shown as a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection stands.
    Connected(SocketAddr),
    /// Somebody else called while a server was connected, and was turned away.
    Refused(SocketAddr),
    /// The server could not be reached.
    Unreachable(String),
    /// Bytes came; each read is one event.
    Received(Vec<u8>),
    /// A command was among them.
    Command(Command),
    /// A card was shown, and its number sent.
    Tapped(String),
    /// So many other bytes were sent.
    Sent(usize),
    /// The connection ended.
    Disconnected(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(server) => write!(f, "connected {server}"),
            Self::Refused(other) => write!(f, "refused {other}"),
            Self::Unreachable(why) => write!(f, "unreachable {why}"),
            Self::Received(bytes) => write!(f, "received {}", bytes.escape_ascii()),
            Self::Command(Command::Version) => f.write_str("version asked"),
            Self::Command(Command::Error) => f.write_str("error light"),
            Self::Command(Command::Beep) => f.write_str("beep"),
            Self::Tapped(card) => write!(f, "tapped {card}"),
            Self::Sent(count) => write!(f, "sent {count} bytes"),
            Self::Disconnected(why) => write!(f, "disconnected {why}"),
        }
    }
}

/// What was waited for did not happen in time.
#[derive(Debug, Clone)]
pub struct WaitError {
    /// How long was waited.
    pub limit: Duration,
    /// What did happen.
    pub record: Record,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the terminal waited {:?} in vain; what happened:", self.limit)?;
        if self.record.events.is_empty() {
            return f.write_str(" nothing");
        }
        self.record.events.iter().try_for_each(|event| write!(f, "\n  {event}"))
    }
}

impl std::error::Error for WaitError {}
