//! How a session ends against the driver's will.

use cardinal_domain::driver::Fault;

/// Why a call into a driver gave nothing. After any of these the instance is gone and the session is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The driver itself ended the session.
    #[error("the driver gave up: {0}")]
    Fault(Fault),
    /// The driver's code went wrong.
    #[error("the driver trapped in {export}: {reason}; its publisher needs the backtrace")]
    Trap {
        /// The export that was running.
        export: &'static str,
        /// What went wrong.
        reason: String,
        /// Where, as far as the file names its functions. May be empty.
        backtrace: String,
    },
    /// The driver used more than it may.
    #[error(
        "the driver crossed the bound {name} ({limit}) in {export}: {detail}; raise it for this driver if it is meant to need more"
    )]
    Bound {
        /// The bound, as in [`BOUNDS`](crate::bounds::BOUNDS) or [`ENGINE_OPTIONS`](crate::bounds::ENGINE_OPTIONS).
        name: &'static str,
        /// Its value.
        limit: u64,
        /// The export that was running.
        export: &'static str,
        /// What the driver did.
        detail: String,
        /// Where its code was, if that was running. May be empty.
        backtrace: String,
    },
    /// The driver answered something that the contract does not allow.
    #[error("the driver broke its contract in {export}: {detail}; its publisher must mend it")]
    Contract {
        /// The export that was running.
        export: &'static str,
        /// What was wrong.
        detail: String,
    },
    /// The host could not run the driver, which may be innocent.
    #[error("the host could not run the driver in {export}: {detail}")]
    Host {
        /// The export that was to run.
        export: &'static str,
        /// What stood in the way.
        detail: String,
    },
    /// There is no instance any more: an earlier call ended the session, or was abandoned half way.
    #[error("this driver session has ended; open another")]
    Ended,
}

impl SessionError {
    /// The bound that was crossed, if that is what happened.
    pub fn bound(&self) -> Option<&'static str> {
        match self {
            Self::Bound { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// Text from a guest or a child process made safe to show: bounded, without control characters except line ends.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let mut shown: String =
        text.chars().take(most).map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// The same on one line.
pub(crate) fn shown_line(text: &str, most: usize) -> String {
    shown(text, most).replace('\n', " ")
}
