//! Why an exchange failed, in the contract's codes and in words.

use std::{error::Error, io};

use cardinal_domain::driver::Fault;

/// The longest reason that is shown, in characters: parts of it may come from the reader.
const LONGEST: usize = 300;

/// The fault that a driver is told. The request's address is left out: it may hold a secret.
pub(super) fn fault(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let (cause, is_tls) = cause(&error);
    let words: String = cause.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if is_tls {
        Fault::new("tls", format!("TLS with the reader failed: {words}"))
    } else if error.is_timeout() {
        Fault::new(
            "timeout",
            "the reader cannot be reached: it did not answer in time; is it on, and is its address right?",
        )
    } else if error.is_connect() {
        Fault::new("refused", format!("the reader cannot be reached: {words}"))
    } else {
        Fault::new("lost", format!("the exchange with the reader broke off: {words}"))
    }
}

/// The innermost error in words, and whether it is one of TLS.
fn cause(error: &reqwest::Error) -> (String, bool) {
    let mut last: &(dyn Error + 'static) = error;
    loop {
        // An I/O error hides the one it was made of.
        let hidden = last.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = match hidden {
            Some(hidden) => Some(hidden as &(dyn Error + 'static)),
            None => last.source(),
        };
        if let Some(tls) = last.downcast_ref::<rustls::Error>() {
            let words = tls.to_string();
            return (words.strip_prefix("other error: ").unwrap_or(&words).to_owned(), true);
        }
        match inner {
            Some(inner) => last = inner,
            None => return (last.to_string(), false),
        }
    }
}
