//! What became of a request to the reader: a page, or what is wrong in words that say what to do.
//!
//! Never what the reader answered: it may hold the address that the reader calls. Of the host's own messages only the one
//! about TLS is passed on: it names the certificate that the reader showed, and how to pin it.

use cardinal_sdk::{Fault, Response};

use crate::options::Options;

/// The longest answer that is looked at, in bytes: a configuration page is far shorter, and searching costs time.
const LONGEST_PAGE: usize = 64 * 1024;
/// The most of the host's message about TLS that is passed on, in characters: a reason has 500 at most.
const LONGEST_WORDS: usize = 340;

/// The text of the answer.
pub(crate) fn page(outcome: Result<Response, Fault>, options: &Options) -> Result<String, String> {
    let response = outcome.map_err(|fault| failed(&fault, options))?;
    match response.status {
        200..=299 => {}
        300..=399 => {
            return Err(format!(
                "the reader sends us elsewhere (HTTP {}), where Cardinal does not follow: is its address right? If it wants \
                 HTTPS, set `tls`",
                response.status
            ));
        }
        401 | 403 if options.authorization.is_some() => {
            return Err(format!("the reader does not take `user` and `password` (HTTP {})", response.status));
        }
        401 | 403 => {
            return Err(format!("the reader wants a login (HTTP {}): set `user` and `password`", response.status));
        }
        404 => {
            return Err(
                "the reader has no such page (HTTP 404): adapt the requests in the settings to this reader".to_owned()
            );
        }
        status => {
            return Err(format!("the reader answered with an error (HTTP {status}): is it well? Restart it if not"));
        }
    }
    if response.body.len() > LONGEST_PAGE {
        return Err(endless());
    }
    let page = String::from_utf8_lossy(&response.body).into_owned();
    if options.login_pattern.as_ref().is_some_and(|pattern| pattern.is_match(&page)) {
        return Err(
            "the reader answered with a login page: set `user` and `password`, or `login_pattern` if it is none"
                .to_owned(),
        );
    }
    Ok(page)
}

fn failed(fault: &Fault, options: &Options) -> String {
    match fault.code.as_str() {
        "refused" => {
            "the reader takes no connection: is it switched on, its address right, and is it in client mode?".to_owned()
        }
        "timeout" => "the reader does not answer in time: is it switched on, and is its address right?".to_owned(),
        "tls" if options.tls => {
            let words: String = fault.message.chars().take(LONGEST_WORDS).collect();
            // Where the reader showed a certificate it speaks TLS, and the host says what to do.
            let advice =
                if words.contains("certificate") { "" } else { "; it may want plain HTTP, then leave `tls` out" };
            format!("no HTTPS with the reader: {words}{advice}")
        }
        "too-large" => endless(),
        "lost" => "the connection broke before the answer was whole: is the network well?".to_owned(),
        other => format!("the request failed ({other}): look at the host's log"),
    }
}

fn endless() -> String {
    "the answer is too long for a reader's page: is its address right?".to_owned()
}
