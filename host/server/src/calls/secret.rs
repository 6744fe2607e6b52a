//! The secret in a reader's callback address: 32 characters that nobody can guess, made anew from the host's key whenever
//! they are wanted, and kept nowhere.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardinal_domain::names::ReaderName;
use ring::hmac;
use sha2::{Digest as _, Sha256};

/// How much of the 32 bytes is used: 192 bits, which is 32 characters.
const BYTES: usize = 24;

/// Makes secrets.
pub(super) struct Secrets(hmac::Key);

/// A secret. Neither `Debug` nor `Display`: it goes to its reader, and nowhere else.
pub(super) struct Secret(String);

/// What a secret is known by in memory: its SHA-256. Looking one up takes the same time however much of it is right.
pub(super) type Digest = [u8; 32];

impl Secrets {
    /// With a key that serves nothing else.
    pub(super) fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    /// The secret of this number: HMAC-SHA-256 over the number and the reader's name. The name is all that a reader is known
    /// by; a reader under another name is another reader, which has another number as well.
    pub(super) fn of(&self, reader: &ReaderName, number: i64) -> Secret {
        let tag = hmac::sign(&self.0, format!("{number}/{reader}").as_bytes());
        Secret(URL_SAFE_NO_PAD.encode(tag.as_ref().get(..BYTES).unwrap_or_default()))
    }
}

impl Secret {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn digest(&self) -> Digest {
        digest(&self.0)
    }
}

/// What a text would be known by, if it were a secret.
pub(super) fn digest(text: &str) -> Digest {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(key: u8) -> Secrets {
        Secrets::new(hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]))
    }

    #[test]
    fn a_secret_is_its_hosts_its_readers_and_its_numbers() {
        let reader = |name| ReaderName::new(name).unwrap();
        let secret = secrets(1).of(&reader("r"), 1);
        assert_eq!(secret.as_str().len(), 32);
        assert!(secret.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{}", secret.as_str());
        assert_eq!(secret.as_str(), secrets(1).of(&reader("r"), 1).as_str(), "it can be told again");
        let others = [secrets(2).of(&reader("r"), 1), secrets(1).of(&reader("s"), 1), secrets(1).of(&reader("r"), 2)];
        for other in others {
            assert_ne!(secret.as_str(), other.as_str());
            assert_ne!(secret.digest(), other.digest());
        }
        assert_eq!(secret.digest(), digest(secret.as_str()));
    }

    #[test]
    fn a_known_key_gives_the_known_secret() {
        // echo -n '1/r' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0101…01 -binary | head -c 24 | base64, URL-safe.
        assert_eq!(secrets(1).of(&ReaderName::new("r").unwrap(), 1).as_str(), KNOWN);
    }

    const KNOWN: &str = "SjRipG17iCy0Z0XAfpUmwa-uwQ3iji3w";
}
