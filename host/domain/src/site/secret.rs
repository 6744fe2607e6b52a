//! A password that the host shows somewhere else, so that it has to be kept as it is.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

/// A password in clear. `Debug` hides it and there is no `Display`.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Secret(String);

impl Secret {
    /// The longest, in bytes.
    pub const LONGEST: usize = 1_024;

    /// In clear: to be shown to whom it is for, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Secret {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Not repeated here: it is secret.
        if text.is_empty() || text.len() > Self::LONGEST || text.contains('\0') {
            return Err(format!("a password has 1 to {} bytes, and none of them is NUL", Self::LONGEST));
        }
        Ok(Self(text))
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        secret.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

// Hand-written: serde's own error for a wrong type repeats the value.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a password, which is text: put it in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
                Secret::try_from(text.to_owned()).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
                Err(E::custom("a password is text: put it in quotes"))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
                self.visit_i64(0)
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
                self.visit_i64(0)
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Secret, E> {
                self.visit_i64(0)
            }

            fn visit_u128<E: de::Error>(self, _: u128) -> Result<Secret, E> {
                self.visit_i64(0)
            }
        }
        deserializer.deserialize_any(Quoted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_repeated() {
        for wrong in ["12345678", "[\"geheim\"]", "{\"geheim\": 1}", "\"\""] {
            let error = serde_json::from_str::<Secret>(wrong).unwrap_err().to_string();
            assert!(!error.contains("1234") && !error.contains("geheim"), "{error}");
        }
        let secret: Secret = serde_json::from_str("\"geheim\"").unwrap();
        assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("geheim", "Secret(…)"));
    }
}
