//! The ways to a printer, a file each. They move bytes and report; what that means for a job is decided elsewhere.

pub(crate) mod folder;
pub(crate) mod ipp;
pub(crate) mod tls;

/// What came of sending a document.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It is out.
    Done,
    /// The printer has it whole, and gave it this number.
    Taken(Option<i32>),
    /// It was sent, and what became of it is not known.
    Lost {
        /// Why.
        why: String,
        /// Whether all of it was handed to the network before that.
        whole: bool,
    },
    /// It was certainly not printed.
    Failed(Failure),
}

/// Why a document was certainly not printed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// In words for a person.
    pub(crate) reason: String,
    /// Whether the same may work later.
    pub(crate) again: bool,
}

impl Failure {
    pub(crate) fn again(reason: String) -> Self {
        Self { reason, again: true }
    }

    pub(crate) fn for_good(reason: String) -> Self {
        Self { reason, again: false }
    }
}
