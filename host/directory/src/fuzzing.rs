//! What fuzz targets call: parsers of bytes from outside, whose outcome nobody needs.

use crate::sources::{file, ldap::message, rows};

/// What a file or a program gives as rows.
pub fn rows(bytes: &[u8]) {
    let _ = rows::of_program(bytes);
    let _ = file::parse(bytes, false);
}

/// A message of an LDAP server.
pub fn message(bytes: &[u8]) {
    if let Ok(message::Message { body: message::Body::Entry(entry), .. }) = message::read(bytes) {
        let _ = entry.fields().map(|(_, values)| values.count()).sum::<usize>();
    }
}
