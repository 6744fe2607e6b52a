//! What a message of the reader says.
//!
//! From the public document docs.springcard.com/books/SpringCore, chapter Host Protocols, JSON Messages: the pages READER
//! EVENT Message, STATUS Message and META Message. Fields that are not known are ignored, as are those of a form that is
//! not expected, except the one that makes a card. Nothing here remembers anything.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tinyjson::JsonValue;

use crate::swipes::Key;

/// The longest card number: what hosts take.
const LONGEST_NUMBER: usize = 512;
/// The longest technology or fact: what hosts take of a technology.
const LONGEST_WORD: usize = 64;

type Fields = std::collections::HashMap<String, JsonValue>;

/// A message.
pub(crate) struct Message {
    pub(crate) what: What,
    /// The reader's serial number: `Device` in HTTP (page READER EVENT Message), `SerialNumber` in META.
    pub(crate) serial: Option<String>,
    /// `Firmware` and `Version` of META.
    pub(crate) firmware: Option<String>,
    /// `ProductName` of META.
    pub(crate) product: Option<String>,
    pub(crate) uptime: Option<Uptime>,
}

/// The kinds of message.
pub(crate) enum What {
    /// READER EVENT: a card came.
    Card(Card),
    /// READER EVENT with `Move` alone `Remove`: a card was taken away.
    Left,
    /// STATUS: whether it says that it is online.
    Status(bool),
    /// META, or an empty object.
    Nothing,
}

/// A card as the reader tells it.
pub(crate) struct Card {
    /// `TagId`.
    pub(crate) number: String,
    /// The same as bytes, where it is hexadecimal.
    pub(crate) bytes: Option<Vec<u8>>,
    /// `Protocol`, such as `NFC-A`.
    pub(crate) technology: Option<String>,
    pub(crate) facts: Vec<(&'static str, String)>,
    /// The same for the same swipe told again, and for no other: made of `TagId`, `Uptime` and `Sequence`; of `TagId` alone
    /// if neither of the others is there. Not the number itself, so that none is kept.
    pub(crate) key: Key,
}

/// Why a message cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// No JSON object in UTF-8.
    NotJson,
    /// Neither an event nor a status.
    Unknown,
    /// `TagId` is empty, too long or no text.
    BadNumber,
}

/// `CCC:SSS.MMM`: how often the reader started, and the time since (page STATUS Message, field `Uptime`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uptime {
    pub(crate) starts: u64,
    pub(crate) millis: u64,
}

impl Uptime {
    fn parse(text: &str) -> Option<Self> {
        let (starts, time) = text.split_once(':').unwrap_or(("0", text));
        let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
        let millis = seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction.parse().ok()?)?;
        Some(Self { starts: starts.parse().ok()?, millis })
    }

    /// Whether the reader started anew between an earlier reading and this one. A message may come late when another
    /// overtakes it, though not later than the reader waits for an answer: 30 s by default (register 0292).
    pub(crate) fn is_restart_after(self, earlier: Self) -> bool {
        self.starts != earlier.starts || self.millis.saturating_add(30_000) < earlier.millis
    }
}

/// Reads an object whose nesting is bounded.
pub(crate) fn read(object: &[u8]) -> Result<Message, Unreadable> {
    let text = std::str::from_utf8(object).map_err(|_| Unreadable::NotJson)?;
    // The parser's message repeats what was sent: it may hold a card number.
    let Ok(JsonValue::Object(fields)) = text.parse() else { return Err(Unreadable::NotJson) };
    let version = word(&fields, "Version");
    Ok(Message {
        what: what(&fields)?,
        serial: word(&fields, "Device").or_else(|| word(&fields, "SerialNumber")),
        firmware: word(&fields, "Firmware").map(|name| [name, version.unwrap_or_default()].join(" ").trim().to_owned()),
        product: word(&fields, "ProductName"),
        uptime: word(&fields, "Uptime").and_then(|text| Uptime::parse(&text)),
    })
}

fn what(fields: &Fields) -> Result<What, Unreadable> {
    if fields.contains_key("TagId") {
        // `Move`, or `State` in the older page MQTT Client, $SCRDR.
        let moved = word(fields, "Move").or_else(|| word(fields, "State")).unwrap_or_default();
        if moved.contains("Remove") && !moved.contains("Insert") {
            return Ok(What::Left);
        }
        return Ok(What::Card(card(fields)?));
    }
    match word(fields, "State") {
        Some(state) => Ok(What::Status(state.starts_with("online"))),
        None if fields.is_empty() || fields.contains_key("SerialNumber") => Ok(What::Nothing),
        None => Err(Unreadable::Unknown),
    }
}

fn card(fields: &Fields) -> Result<Card, Unreadable> {
    let Some(JsonValue::String(number)) = fields.get("TagId") else { return Err(Unreadable::BadNumber) };
    let number = number.trim();
    if number.is_empty() || number.chars().count() > LONGEST_NUMBER || number.contains(char::is_control) {
        return Err(Unreadable::BadNumber);
    }
    let told = |name, key| word(fields, key).map(|value| (name, value));
    let facts = [told("interface", "Interface"), told("template", "Template"), told("rssi", "RSSI")];
    let when = (word(fields, "Uptime"), word(fields, "Sequence"));
    let mut hasher = DefaultHasher::new(); // always with the same keys
    (number, &when).hash(&mut hasher);
    Ok(Card {
        number: number.to_owned(),
        bytes: bytes(number),
        technology: word(fields, "Protocol"),
        facts: facts.into_iter().flatten().collect(),
        key: Key { key: hasher.finish(), is_card: when == (None, None) },
    })
}

/// A short text or a number, as text.
fn word(fields: &Fields, key: &str) -> Option<String> {
    let word = match fields.get(key)? {
        JsonValue::String(text) => text.trim().to_owned(),
        JsonValue::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = !word.is_empty() && word.chars().count() <= LONGEST_WORD && !word.contains(char::is_control);
    fits.then_some(word)
}

/// The bytes that this number says in hexadecimal.
fn bytes(number: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        number.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::{Unreadable, Uptime, What, bytes, read};

    #[test]
    fn uptimes_are_read_and_compared() {
        let uptime = |text| Uptime::parse(text);
        assert_eq!(uptime("145:1860.081"), Some(Uptime { starts: 145, millis: 1_860_081 }));
        assert_eq!(uptime("1860.5"), Some(Uptime { starts: 0, millis: 1_860_500 }));
        for wrong in ["", ":", "1:", "1:x", "1:2.-3", "99999999999999999999:1", "1:18446744073709551615.0"] {
            assert_eq!(uptime(wrong), None, "{wrong}");
        }
        let earlier = Uptime { starts: 2, millis: 60_000 };
        assert!(Uptime { starts: 3, millis: 60_001 }.is_restart_after(earlier));
        assert!(Uptime { starts: 2, millis: 1 }.is_restart_after(earlier));
        assert!(!Uptime { starts: 2, millis: 59_000 }.is_restart_after(earlier), "it was overtaken");
    }

    #[test]
    fn numbers_that_are_hexadecimal_are_bytes_too() {
        assert_eq!(bytes("04aF"), Some(vec![0x04, 0xaf]));
        assert_eq!([bytes("04a"), bytes("04g0"), bytes("+1")], [None, None, None]);
    }

    #[test]
    fn only_the_same_swipe_has_the_same_key() {
        let key = |text: &str| match read(text.as_bytes()).map(|message| message.what) {
            Ok(What::Card(card)) => card.key,
            _ => panic!("{text} is a card"),
        };
        let first = key(r#"{"TagId":"04","Uptime":"1:2.000"}"#);
        assert!(!first.is_card);
        assert_eq!(first, key(r#"{ "Uptime":"1:2.000", "TagId":"04", "Template":1 }"#));
        assert_ne!(first, key(r#"{"TagId":"04","Uptime":"1:2.001"}"#));
        assert_ne!(first, key(r#"{"TagId":"05","Uptime":"1:2.000"}"#));
        assert_ne!(first, key(r#"{"TagId":"04","Uptime":"1:2.000","Sequence":7}"#));
        let card = key(r#"{"TagId":"04"}"#);
        assert!(card.is_card && card != key(r#"{"TagId":"05"}"#));
        assert_eq!(card, key(r#"{"TagId":"04","Template":1}"#));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let why = |text: &[u8]| read(text).err();
        assert_eq!(why(b"{\"a\":}"), Some(Unreadable::NotJson));
        assert_eq!(why(b"{\"TagId\":\"\xff\"}"), Some(Unreadable::NotJson));
        assert_eq!(why(b"{\"a\":1}"), Some(Unreadable::Unknown));
        for number in ["7", "\"\"", "\" \"", "\"\\u0007\"", "null", &format!("\"{}\"", "0".repeat(513))] {
            assert_eq!(why(format!("{{\"TagId\":{number}}}").as_bytes()), Some(Unreadable::BadNumber), "{number}");
        }
        assert_eq!(why(b"{}"), None);
    }
}
