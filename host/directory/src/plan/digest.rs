//! The name of a plan: whoever approves it approves this one and no other.

use std::{fmt::Write as _, io};

use cardinal_domain::sync::Plan;
use sha2::{Digest as _, Sha256};

/// SHA-256 of all that a plan would do, in lower-case hexadecimal. Plans that do the same have the same.
pub fn digest(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    // Writing into a hash does not fail, and neither does writing these types as JSON.
    let _ = serde_json::to_writer(Writer(&mut hash), &plan.changes);
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Writer<'a>(&'a mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
