//! Passwords as they are kept: a hash in the PHC string format, never the password.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest hash kept, in bytes: those of argon2id take about a hundred.
const LONGEST: usize = 512;

/// A password's hash, such as `$argon2id$v=19$m=19456,t=2,p=1$…$…` (the PHC string format). Whoever has it can try
/// passwords, so it is as secret as one: `Debug` hides it and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(String);

impl PasswordHash {
    /// In clear: to check a password against, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Not repeated here: it may be a password that somebody typed into the wrong place.
        if text.starts_with("$argon2id$") && text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err("a password hash begins with $argon2id$; `cardinal user password NAME` makes one".to_owned())
        }
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The digest of a PIN with a key that this host alone has: `hmac-sha256:` and 64 hexadecimal digits. A PIN has a few
/// digits, so that no hash without a key would hide it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinDigest(String);

impl PinDigest {
    const PREFIX: &str = "hmac-sha256:";

    /// As it is kept.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PinDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digest = text.strip_prefix(Self::PREFIX).unwrap_or_default();
        // Not repeated here: it may be a PIN that somebody typed into the wrong place.
        if digest.len() == 64 && digest.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text))
        } else {
            Err(format!("the digest of a PIN is {} and 64 hexadecimal digits; a sync makes it", Self::PREFIX))
        }
    }
}

impl From<PinDigest> for String {
    fn from(digest: PinDigest) -> Self {
        digest.0
    }
}

impl fmt::Debug for PinDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_no_hash_and_is_not_repeated() {
        let error = PasswordHash::try_from("geheim".to_owned()).unwrap_err();
        assert!(!error.contains("geheim"), "{error}");
        let hash = PasswordHash::try_from("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".to_owned()).unwrap();
        assert!(!format!("{hash:?}").contains("c2Fs"));
    }
}
