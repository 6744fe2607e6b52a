//! A SpringCard reader with SpringCore firmware: JSON over TCP, where it is the server, or over HTTP, where it calls.
//!
//! [`TcpReader`] waits for one host at a time; [`HttpReader`] POSTs each event and obeys the answer. Both are driven by
//! methods, and all that happened to them is in a [`Record`]. Follows docs.springcard.com/books/SpringCore (Host
//! Interfaces, Network: TCP Server, JSON and HTTP Client, JSON; Host Protocols, JSON Messages); what that leaves open
//! is told where it matters. Never decides anything about cards.

mod command;
mod event;
mod http;
mod record;
mod tcp;

pub use command::Command;
pub use event::{Clock, Tag};
pub use http::{Call, HttpReader, HttpSettings};
pub use record::{Event, Record, WaitError};
pub use tcp::{NotConnected, TcpReader};

#[cfg(test)]
mod tests;
