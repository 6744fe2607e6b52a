//! What fuzz targets call: parsers of bytes from outside, whose outcome nobody needs.

use crate::sources::{file, rows};

/// What a file or a program gives as rows.
pub fn rows(bytes: &[u8]) {
    let _ = rows::of_program(bytes);
    let _ = file::parse(bytes, false);
}
