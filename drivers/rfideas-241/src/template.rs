//! Texts with names in braces, such as `GET /config?host={callback_host}`: how a profile speaks of what differs from one
//! reader to the next. The values include the address that the reader calls, which is a secret: no error repeats one.

use cardinal_sdk::{Fault, Pair};

/// The longest path of a request, in characters (a rule of the contract).
const LONGEST_PATH: usize = 4_000;
/// The most parameters of a request (a rule of the contract).
const MOST_PARAMETERS: usize = 64;

/// What the names stand for.
pub(crate) struct Words(Vec<(&'static str, String)>);

impl Words {
    /// The names of a profile: the address the reader is to call, taken apart, and what it adds to that. Fails where the
    /// address is none.
    pub(crate) fn new(callback: Option<&str>, card_path: &str, card_parameter: &str) -> Result<Self, Fault> {
        let parts = callback.and_then(|callback| {
            let (scheme, rest) = callback.split_once("://")?;
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            // Behind the brackets of an IPv6 address alone can a colon begin the port.
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if !port.contains(']') => (host, port),
                _ => (authority, if scheme == "https" { "443" } else { "80" }),
            };
            (matches!(scheme, "http" | "https") && !host.is_empty()).then_some((callback, scheme, host, port, path))
        });
        let Some((callback, scheme, host, port, path)) = parts else {
            let message =
                "there is no address that the reader could call; does this host listen for readers over HTTPS?";
            return Err(Fault::new("callback-missing", message));
        };
        let words = [
            ("callback", callback),
            ("callback_scheme", scheme),
            ("callback_host", host),
            ("callback_port", port),
            ("callback_path", path),
            ("card_path", card_path),
            ("card_parameter", card_parameter),
        ];
        Ok(Self(words.map(|(name, value)| (name, value.to_owned())).into()))
    }

    /// The text with values in place of names, each written as `form` does. Braces around anything but lower-case letters
    /// and `_` stand for themselves. Fails on a name that means nothing, in words.
    pub(crate) fn fill(&self, template: &str, form: impl Fn(&str) -> String) -> Result<String, String> {
        fill(template, |name| self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| form(value))).map_err(
            |name| {
                let known: Vec<_> = self.0.iter().map(|(known, _)| format!("{{{known}}}")).collect();
                format!("{{{name}}} means nothing; there are {}", known.join(", "))
            },
        )
    }
}

/// The text with what `value` gives in place of each `{name}`; fails with a name for which it gives nothing.
pub(crate) fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let name = after.split_once('}').filter(|(name, _)| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        });
        rest = match name {
            Some((name, after)) => {
                filled.push_str(&value(name).ok_or(name)?);
                after
            }
            None => {
                filled.push('{');
                after
            }
        };
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A request to the reader.
pub(crate) struct Request {
    pub(crate) path: String,
    /// Not encoded.
    pub(crate) query: Vec<Pair>,
}

impl Request {
    /// Reads `GET /path?name=value&…`, escaped as in an address, and fills the names in. Fails in words that go on from
    /// the setting's name.
    pub(crate) fn parse(template: &str, words: &Words) -> Result<Self, String> {
        let wrong = "must be of the form `GET /path?name=value&name=value`, without spaces";
        let target = template.strip_prefix("GET ").filter(|target| target.starts_with('/')).ok_or(wrong)?;
        if target.contains(|c: char| c.is_control() || c == ' ' || c == '#') {
            return Err(wrong.to_owned());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = words.fill(path, encoded)?;
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let plain =
                |text: &str| decoded(text).ok_or("has an escape that is none: % is followed by two digits 0-9, A-F");
            Ok(Pair::new(plain(name)?, words.fill(&plain(value)?, str::to_owned)?))
        };
        let query: Vec<Pair> =
            query.split('&').filter(|part| !part.is_empty()).map(parameter).collect::<Result<_, String>>()?;
        if path.chars().count() > LONGEST_PATH || query.len() > MOST_PARAMETERS {
            return Err(format!(
                "has a path longer than {LONGEST_PATH} characters or more than {MOST_PARAMETERS} names"
            ));
        }
        Ok(Self { path, query })
    }
}

/// Escaped for a place in a path (RFC 3986, section 2.3: the characters that need no escape).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Without its escapes: `%HH`, and `+` for a space, as forms write them. None: an escape that is none, or no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || u8::try_from(char::from(bytes.next()?).to_digit(16)?).ok();
                digit()? << 4 | digit()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::{Request, Words};

    fn words(callback: &str) -> Words {
        Words::new(Some(callback), "/card", "card").unwrap()
    }

    fn filled(callback: &str) -> String {
        let parts = "{callback_scheme} {callback_host} {callback_port} {callback_path}{card_path}?{card_parameter}=";
        words(callback).fill(parts, str::to_owned).unwrap()
    }

    #[test]
    fn an_address_is_taken_apart() {
        assert_eq!(filled("https://print.example:8443/r/abc"), "https print.example 8443 /r/abc/card?card=");
        assert_eq!(filled("https://10.0.0.5/r/abc"), "https 10.0.0.5 443 /r/abc/card?card=");
        assert_eq!(filled("http://[fd00::5]/r/abc"), "http [fd00::5] 80 /r/abc/card?card=");
        assert_eq!(filled("http://[fd00::5]:8080"), "http [fd00::5] 8080 /card?card=");
        for wrong in [None, Some(""), Some("print.example"), Some("ftp://print.example/r"), Some("https:///r/SECRET")] {
            let fault = Words::new(wrong, "", "card").err().unwrap();
            assert!(fault.code == "callback-missing" && !fault.message.contains("SECRET"), "{fault:?}");
        }
    }

    #[test]
    fn a_name_that_means_nothing_is_told_and_other_braces_stay() {
        let words = words("https://h/r/abc");
        assert_eq!(words.fill("[0-9]{2,3}{}{A}{", str::to_owned).unwrap(), "[0-9]{2,3}{}{A}{");
        let error = words.fill("{callback_hots}", str::to_owned).unwrap_err();
        assert!(error.starts_with("{callback_hots} means nothing; there are {callback}, "), "{error}");
    }

    #[test]
    fn a_request_is_split_and_its_values_are_not_read_again() {
        let request =
            Request::parse("GET /a/{callback_path}?x=a%26b+c&url={callback}&save", &words("http://h/r/%41")).unwrap();
        assert_eq!(request.path, "/a/%2Fr%2F%2541");
        let query: Vec<_> = request.query.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
        assert_eq!(query, [("x", "a&b c"), ("url", "http://h/r/%41"), ("save", "")]);
    }

    #[test]
    fn what_is_no_request_is_told() {
        let words = words("https://h/r/abc");
        let many = format!("GET /?{}", "a=1&".repeat(65));
        let long = format!("GET /{}", "a".repeat(4_000));
        for wrong in [
            "",
            "/config",
            "POST /config",
            "GET config",
            "GET /a b",
            "GET /a#b",
            "GET /?a=%4",
            "GET /?a=%ff",
            &many,
            &long,
        ] {
            assert!(Request::parse(wrong, &words).is_err(), "{wrong}");
        }
    }
}
