//! The secrets of a reader's callback addresses, kept out of what its driver says: a log line or a reason may repeat what the
//! reader's own page shows, and all of that is stored and shown.

use cardinal_domain::driver::{Fault, Output, Pair};
use cardinal_runtime::SessionError;

/// What stands in its place.
const STARS: &str = "***";

#[derive(Clone, Default)]
pub(super) struct Hidden(Vec<String>);

impl Hidden {
    /// All that are good: the one before may be for a while yet.
    pub(super) fn of(secrets: Vec<String>) -> Self {
        Self(secrets)
    }

    /// The secrets themselves.
    pub(super) fn secrets(&self) -> &[String] {
        &self.0
    }

    /// An output whose words hold no secret.
    pub(super) fn output(&self, mut output: Output) -> Output {
        match &mut output {
            Output::Log(_, line) => self.text(line),
            Output::Close(fault) => self.fault(fault),
            Output::Card(card) => {
                card.technology.iter_mut().for_each(|technology| self.text(technology));
                self.pairs(&mut card.facts);
            }
            Output::Status(status) => {
                self.text(&mut status.reason);
                self.pairs(&mut status.facts);
            }
            _ => {}
        }
        output
    }

    /// An end whose words hold no secret.
    pub(super) fn error(&self, mut error: SessionError) -> SessionError {
        match &mut error {
            SessionError::Fault(fault) => self.fault(fault),
            SessionError::Trap { reason, backtrace, .. } => {
                self.text(reason);
                self.text(backtrace);
            }
            SessionError::Bound { detail, .. }
            | SessionError::Contract { detail, .. }
            | SessionError::Host { detail, .. } => self.text(detail),
            SessionError::Ended => {}
        }
        error
    }

    fn fault(&self, fault: &mut Fault) {
        self.text(&mut fault.code);
        self.text(&mut fault.message);
    }

    fn pairs(&self, pairs: &mut [Pair]) {
        for (key, value) in pairs {
            self.text(key);
            self.text(value);
        }
    }

    fn text(&self, text: &mut String) {
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), STARS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cardinal_domain::driver::{CardRead, Health, LogLevel, Status};

    use super::*;

    /// Everything that a driver can say with this word in it.
    fn said(word: &str) -> (Vec<Output>, Vec<SessionError>) {
        let (text, fault) = (word.to_owned(), Fault::new(word, word));
        let facts = vec![(text.clone(), text.clone())];
        let card = CardRead {
            swipe: 1,
            number: None,
            bits: None,
            technology: Some(text.clone()),
            port: 0,
            facts: facts.clone(),
        };
        let outputs = vec![
            Output::Log(LogLevel::Info, format!("calls /r/{word}, {word}")),
            Output::Close(fault.clone()),
            Output::Card(card),
            Output::Status(Status { health: Health::Online, reason: text.clone(), facts }),
        ];
        let errors = vec![
            SessionError::Fault(fault),
            SessionError::Trap { export: "handle", reason: text.clone(), backtrace: text.clone() },
            SessionError::Bound {
                name: "timers",
                limit: 1,
                export: "handle",
                detail: text.clone(),
                backtrace: String::new(),
            },
            SessionError::Contract { export: "handle", detail: text.clone() },
            SessionError::Host { export: "handle", detail: text },
        ];
        (outputs, errors)
    }

    #[test]
    fn every_secret_is_starred_in_all_words_and_nothing_is_where_there_is_none() {
        let hidden = Hidden::of(vec!["s3cret".to_owned(), "b3fore".to_owned()]);
        for (hidden, word, expected) in [
            (&hidden, "s3cret", "***"),
            (&hidden, "b3fore", "***"),
            (&hidden, "other", "other"),
            (&Hidden::default(), "s3cret", "s3cret"),
        ] {
            let ((outputs, errors), expected) = (said(word), said(expected));
            let outputs: Vec<_> = outputs.into_iter().map(|output| hidden.output(output)).collect();
            let errors: Vec<_> = errors.into_iter().map(|error| hidden.error(error)).collect();
            assert_eq!((outputs, errors), expected, "{word}");
        }
    }
}
