//! A reader's token: what a terminal says in its first line.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};

/// What a terminal says in its first line. Secret: `Debug` hides it and there is no `Display`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Token(String);

impl Token {
    /// The shortest token, in characters: shorter ones are guessed.
    pub const SHORTEST: usize = 8;
    /// The longest token, in characters.
    pub const LONGEST: usize = 128;

    /// What is shown in place of a token. No reader can have it.
    pub fn hidden() -> Self {
        Self("********".to_owned())
    }

    /// In clear: to compare, never for a log.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Token {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // Whoever copies what is shown would set a token that everybody knows.
        if !text.is_empty() && text.bytes().all(|byte| byte == b'*') {
            return Err(
                "asterisks alone are no token: they are shown in place of one; write the token itself".to_owned()
            );
        }
        let fits = (Self::SHORTEST..=Self::LONGEST).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        // Not repeated here: it is secret.
        fits.then_some(Self(text)).ok_or_else(|| {
            format!("a token is {} to {} visible ASCII characters without spaces", Self::SHORTEST, Self::LONGEST)
        })
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

// Hand-written: serde's own error for a wrong type repeats the value.
impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = Token;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token, which is text: put it in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Token, E> {
                Token::try_from(text.to_owned()).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Token, E> {
                Err(E::custom("a token is text: put it in quotes"))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Token, E> {
                self.visit_i64(0)
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Token, E> {
                self.visit_i64(0)
            }

            fn visit_u128<E: de::Error>(self, _: u128) -> Result<Token, E> {
                self.visit_i64(0)
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Token, E> {
                self.visit_i64(0)
            }
        }
        deserializer.deserialize_any(Quoted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{site::Site, strict_toml};

    const READER: &str = r#"
        [[reader]]
        name = "floor-2-east"
        driver = "cardinal/generic"
        mode = "generic"
        address = "127.0.0.1:7778"
        device = "floor-2-east"
    "#;

    #[test]
    fn a_token_is_text_is_never_repeated_and_is_not_what_is_shown_in_its_place() {
        let error = |value: &str| {
            let text = format!("{READER}token = {value}\n");
            strict_toml::parse::<Site>(&text).map(drop).unwrap_err().to_string()
        };
        for number in ["1234567890", "12345678901234567890", "123456789012345678901234567890", "1234567.5"] {
            let message = error(number);
            assert!(!message.contains("12345"), "{message}");
        }
        assert!(error("1234567890").contains("a token is text: put it in quotes"));
        assert!(error("\"1234567\"").contains("a token is 8 to 128 visible ASCII characters"));
        let shown = serde_json::to_string(&Token::hidden()).unwrap();
        for stars in [shown.as_str(), "\"*\"", "\"************\""] {
            assert!(error(stars).contains("asterisks alone are no token"), "{stars}");
        }
        let token: Token = serde_json::from_str("\"*******7\"").unwrap();
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"*******7\"");
    }
}
