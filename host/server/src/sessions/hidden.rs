//! The secret of a reader's callback address, kept out of what its driver says: a log line or a reason may repeat what the
//! reader's own page shows, and all of that is stored and shown.

use cardinal_domain::driver::{Output, Pair};
use cardinal_runtime::SessionError;

/// What stands in its place.
const STARS: &str = "***";

#[derive(Clone, Default)]
pub(super) struct Hidden(Option<String>);

impl Hidden {
    /// The last part of a callback address.
    pub(super) fn of(callback: &str) -> Self {
        Self(callback.rsplit('/').next().filter(|secret| !secret.is_empty()).map(str::to_owned))
    }

    /// The secret itself.
    pub(super) fn secret(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// An output whose words hold no secret.
    pub(super) fn output(&self, mut output: Output) -> Output {
        match &mut output {
            Output::Log(_, line) => self.text(line),
            Output::Close(fault) => self.text(&mut fault.message),
            Output::Card(card) => self.pairs(&mut card.facts),
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
        if let SessionError::Fault(fault) = &mut error {
            self.text(&mut fault.message);
        }
        error
    }

    fn pairs(&self, pairs: &mut [Pair]) {
        pairs.iter_mut().for_each(|(_, value)| self.text(value));
    }

    fn text(&self, text: &mut String) {
        if let Some(secret) = &self.0
            && text.contains(secret.as_str())
        {
            *text = text.replace(secret.as_str(), STARS);
        }
    }
}

#[cfg(test)]
mod tests {
    use cardinal_domain::driver::{Fault, LogLevel};

    use super::*;

    #[test]
    fn the_secret_is_starred_in_words_and_nothing_is_where_there_is_none() {
        let hidden = Hidden::of("https://host:1/r/s3cret");
        let log = |line: &str| Output::Log(LogLevel::Info, line.to_owned());
        assert_eq!(hidden.output(log("calls /r/s3cret, s3cret")), log("calls /r/***, ***"));
        let fault = |message: &str| SessionError::Fault(Fault::new("a", message));
        assert_eq!(hidden.error(fault("s3cret")), fault("***"));
        for nothing in [Hidden::default(), Hidden::of("")] {
            assert_eq!(nothing.output(log("calls")), log("calls"));
        }
    }
}
