//! The fingerprint of a certificate: how an operator says which one, and no other, a printer has.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

const PREFIX: &str = "sha256:";

/// SHA-256 of a certificate in DER. Written `sha256:` and 64 hexadecimal digits; colons between bytes, as `openssl` shows
/// them, and upper case are read, too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of this SHA-256.
    pub fn new(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(100).collect();
        let wrong = || format!("{shown:?} is no fingerprint; write sha256: and 64 hexadecimal digits");
        let digits = text.trim().strip_prefix(PREFIX).ok_or_else(wrong)?;
        let digits: Vec<u32> = digits
            .chars()
            .filter(|c| *c != ':')
            .take(65)
            .map(|c| c.to_digit(16))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .filter_map(|pair| match pair {
                [high, low] => u8::try_from(high * 16 + low).ok(),
                _ => None,
            })
            .collect();
        let whole = bytes.len() * 2 == digits.len();
        bytes.try_into().ok().filter(|_| whole).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_openssl_shows_is_read() {
        let plain = format!("sha256:{}", "0aff".repeat(16));
        let shown = format!("sha256:{}", ["0A:FF"; 16].join(":"));
        assert_eq!(shown.parse::<Fingerprint>().unwrap().to_string(), plain);
        for wrong in ["", "sha256:", "sha1:00", &plain[..70], &format!("{plain}0"), &format!("{plain}00"), "sha256:xy"]
        {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_comes_back(bytes in any::<[u8; 32]>()) {
            let fingerprint = Fingerprint::new(bytes);
            prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "(sha256:)?.{0,80}") {
            let _ = text.parse::<Fingerprint>();
        }
    }
}
