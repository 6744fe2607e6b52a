//! What a printer says of its jobs, from the bytes of its answer to what is made of it.

use std::collections::BTreeMap;

use cardinal_domain::job::{Job, NewJob};
use ipp::model::DelimiterTag;

use super::{Seen, words};
use crate::message;

/// The longest head, in bytes.
const MOST: usize = 64 << 10;

/// Takes any bytes as a printer's answer. Whatever it says of a job, it is ours only if it begins with our name.
///
/// # Panics
/// Something is wrong with our code.
#[allow(clippy::panic, reason = "that is how a fuzzer is told")]
pub fn answer(bytes: &[u8]) {
    let mut rest = bytes;
    let Some(message) = message::read_now(&mut rest, MOST) else { return };
    assert!(!words(&message).chars().any(char::is_control), "control characters reach a person");
    let Ok(queue) = "find-me".parse() else { return };
    let new = NewJob {
        queue,
        owner: "ada".to_owned(),
        signed_in: None,
        name: "letter".to_owned(),
        format: "application/pdf".to_owned(),
        options: BTreeMap::new(),
    };
    let job: Job = new.announced(7, None);
    // Its id was made just now: nobody can have guessed it.
    for group in message.attributes.groups_of(DelimiterTag::JobAttributes) {
        let seen = Seen::of(group);
        assert!(!seen.is(&job), "{seen:?} is taken for ours");
        let _ = (seen.fits(&job, true), seen.fits(&job, false), seen.is_at_work(), seen.verdict());
    }
}
