//! What happened to a reader, in order, for tests to ask and for people to read. The address it calls is a secret of its
//! server, and is not in here.

use std::{fmt, net::SocketAddr, time::Duration};

/// Everything that happened to a reader since it started.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Whether it knows whom to call.
    pub configured: bool,
    /// What happened, the oldest first.
    pub events: Vec<Event>,
}

impl Record {
    /// How often it was asked for this path, whatever the parameters.
    pub fn asked_for(&self, path: &str) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Asked { path: p, .. } if p == path)).count()
    }

    /// How often it was asked for this path with these names of parameters.
    pub fn asked(&self, path: &str, names: &[&str]) -> usize {
        let asked = |event: &&Event| matches!(event, Event::Asked { path: p, names: n, .. } if p == path && n == names);
        self.events.iter().filter(asked).count()
    }
}

/// One thing that happened. Shown as a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request came.
    Asked {
        /// The page.
        path: String,
        /// The names of its parameters, in order.
        names: Vec<String>,
    },
    /// A request, or a call of the reader's own, was lost on purpose.
    Lost,
    /// A call was answered, and the answer lost on purpose.
    AnswerLost,
    /// It was told whom to call.
    Configured,
    /// It forgot its configuration.
    Drifted,
    /// It has another address.
    Moved(SocketAddr),
    /// A card was shown, and the server called.
    Tapped(String),
    /// The call was answered.
    Answered {
        /// The card.
        card: String,
        /// The status of HTTP.
        status: u16,
        /// The text.
        body: String,
    },
    /// A call was not answered; it may be tried again.
    Unanswered {
        /// The card.
        card: String,
        /// Why not.
        why: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { path, names } if names.is_empty() => write!(f, "asked {path}"),
            Self::Asked { path, names } => write!(f, "asked {path} with {}", names.join(", ")),
            Self::Lost => f.write_str("lost a request on purpose"),
            Self::AnswerLost => f.write_str("lost an answer on purpose"),
            Self::Configured => f.write_str("configured"),
            Self::Drifted => f.write_str("forgot its configuration"),
            Self::Moved(address) => write!(f, "moved to {address}"),
            Self::Tapped(card) => write!(f, "tapped {card}"),
            Self::Answered { card, status, body } => write!(f, "answered {card}: {status} {}", body.escape_debug()),
            Self::Unanswered { card, why } => write!(f, "unanswered {card}: {why}"),
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
