//! The way of a request from its bytes to its answer, as far as nothing but the request is needed.

use std::collections::BTreeMap;

use cardinal_domain::site::Queue;

use super::{
    call::{self, Call},
    submit, template,
};
use crate::message;

/// The longest head, in bytes.
const MOST: usize = 64 << 10;

/// Takes any bytes as a request to the queue `find-me`. What is answered must be readable, and what a client asks for must
/// reach a printer as it would be taken here.
///
/// # Panics
/// Something is wrong with our code.
#[allow(clippy::panic, reason = "that is how a fuzzer is told")]
pub fn request(bytes: &[u8]) {
    let mut rest = bytes;
    let Some(message) = message::read_now(&mut rest, MOST) else { return };
    let asked = message.header;
    let queue = Queue {
        name: match "find-me".parse() {
            Ok(name) => name,
            Err(_) => return,
        },
        hold: true,
        printer: None,
        allow: Vec::new(),
        sign_in: false,
        groups: Vec::new(),
    };
    let answer = match Call::check(&message) {
        Err(refusal) => Err(refusal),
        Ok(()) => {
            let call = Call { queue, host: "localhost:8631".to_owned(), over_tls: false, signed_in: None, message };
            let (wanted, user) = (call.wanted(), call.user());
            assert!(!user.is_empty() && !user.chars().any(char::is_control), "{user:?}");
            let _ = (wanted.is_default(), wanted.names("job-id", &["all"]), call.flag("last-document"));
            let group = call.message.attributes.first_of(ipp::model::DelimiterTag::JobAttributes);
            let (options, _): (BTreeMap<String, String>, _) = template::taken(group, &call.message.torn);
            assert!(template::for_printer(&options).len() <= options.len(), "{options:?}");
            submit::validate(&call)
        }
    };
    let answer = call::encode(&asked, answer);
    let again = message::read_now(&mut answer.as_slice(), usize::MAX);
    assert!(again.is_some(), "nobody can read our answer {answer:?}");
}
