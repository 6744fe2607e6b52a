//! What happened to a reader, in order, for tests to ask and for people to read.

use std::{fmt, net::SocketAddr, time::Duration};

use tokio::sync::watch;

use super::Command;

/// Everything that happened to a reader since it started.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Over TCP, the host that is connected now.
    pub host: Option<SocketAddr>,
    /// What happened, the oldest first.
    pub events: Vec<Event>,
}

impl Record {
    /// The commands that were received and say something, the oldest first.
    pub fn commands(&self) -> Vec<&Command> {
        let commands = self.events.iter().filter_map(|event| match event {
            Event::Command(command) => Some(command),
            _ => None,
        });
        commands.filter(|command| !command.is_empty()).collect()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Connected(_))).count()
    }
}

/// One thing that happened. Shown as a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A host connected.
    Connected(SocketAddr),
    /// Another called while a host was connected, and was turned away.
    Refused(SocketAddr),
    /// The connection ended.
    Disconnected(String),
    /// A card was shown, and its event sent.
    Tapped(String),
    /// A STATUS was sent.
    Status(String),
    /// Something else was sent.
    Sent(usize),
    /// What the host said was obeyed.
    Command(Command),
    /// What the host said could not be obeyed.
    NoCommand(String),
    /// Over HTTP, the host answered so.
    Answered(u16),
    /// Over HTTP, there was no answer.
    NoAnswer(String),
    /// The reader lost power and came back.
    Restarted,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(host) => write!(f, "connected {host}"),
            Self::Refused(other) => write!(f, "refused {other}"),
            Self::Disconnected(why) => write!(f, "disconnected {why}"),
            Self::Tapped(card) => write!(f, "tapped {card}"),
            Self::Status(state) => write!(f, "status {state}"),
            Self::Sent(count) => write!(f, "sent {count} bytes"),
            Self::Command(command) => write!(f, "{command}"),
            Self::NoCommand(why) => write!(f, "not obeyed: {why}"),
            Self::Answered(status) => write!(f, "answered {status}"),
            Self::NoAnswer(why) => write!(f, "no answer: {why}"),
            Self::Restarted => f.write_str("restarted"),
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
        write!(f, "the reader waited {:?} in vain; what happened:", self.limit)?;
        if self.record.events.is_empty() {
            return f.write_str(" nothing");
        }
        self.record.events.iter().try_for_each(|event| write!(f, "\n  {event}"))
    }
}

impl std::error::Error for WaitError {}

pub(super) fn note(record: &watch::Sender<Record>, event: Event) {
    record.send_modify(|record| record.events.push(event));
}

/// Waits until the record is as wished.
pub(super) async fn wait_for(
    mut record: watch::Receiver<Record>,
    limit: Duration,
    wish: impl FnMut(&Record) -> bool + Send,
) -> Result<Record, WaitError> {
    let waited = tokio::time::timeout(limit, record.wait_for(wish)).await;
    if let Ok(Ok(record)) = &waited {
        return Ok((**record).clone());
    }
    drop(waited);
    let record = record.borrow().clone();
    Err(WaitError { limit, record })
}
