//! What the reader is told: a READER COMMAND (page of this name), and what people see and hear of it.

use std::fmt;

use serde_json::Value;

/// Names of the four LEDs. Assumed: the public document gives no colours.
const LEDS: [&str; 4] = ["red", "green", "yellow", "blue"];

/// A command that the reader understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// The mode of each LED: 0 off, 1 on, others blink (page LED Modes).
    pub leds: Option<[u8; 4]>,
    /// The colour of an RGB LED, as it was written.
    pub rgb: Option<String>,
    /// A beep of so many milliseconds.
    pub buzzer: Option<u16>,
    /// A light show of the device, by number.
    pub sequence: Option<u8>,
    /// Names of other fields; the reader ignores them.
    pub others: Vec<String>,
}

impl Command {
    /// Reads a command. The error says why the reader does not obey it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields = match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => return Err("no JSON object".to_owned()),
            Err(error) => return Err(format!("no JSON: {error}")),
        };
        let mut command = Self::default();
        for (key, value) in &fields {
            let wrong = || format!("{key} cannot be {value}");
            match key.as_str() {
                "Leds" => command.leds = Some(leds(value).ok_or_else(wrong)?),
                "RgbColor" => command.rgb = Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
                "Buzzer" => command.buzzer = Some(number(value).ok_or_else(wrong)?),
                "Sequence" => {
                    command.sequence = Some(number(value).and_then(|id| u8::try_from(id).ok()).ok_or_else(wrong)?);
                }
                _ => command.others.push(key.clone()),
            }
        }
        let shows = command.leds.is_some() || command.rgb.is_some() || command.buzzer.is_some();
        if command.sequence.is_some() && shows {
            return Err("Sequence must stand alone".to_owned());
        }
        Ok(command)
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the LED of this name is switched on by it.
    pub fn lights(&self, name: &str) -> bool {
        let named = LEDS.iter().zip(self.leds.iter().flatten());
        named.into_iter().any(|(led, mode)| *led == name && *mode == 1)
    }
}

/// Four bytes in hexadecimal.
fn leds(value: &Value) -> Option<[u8; 4]> {
    let text = value.as_str().filter(|text| text.len() == 8 && text.chars().all(|c| c.is_ascii_hexdigit()))?;
    Some(u32::from_str_radix(text, 16).ok()?.to_be_bytes())
}

/// A decimal integer, or hexadecimal in a string.
fn number(value: &Value) -> Option<u16> {
    match value {
        Value::String(text) => u16::from_str_radix(text, 16).ok(),
        _ => value.as_u64().and_then(|number| u16::try_from(number).ok()),
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        if let Some(modes) = self.leds {
            if modes == [0; 4] {
                words.push("LEDs off".to_owned());
            }
            for (name, mode) in LEDS.iter().zip(modes).filter(|(_, mode)| *mode != 0) {
                words.push(if mode == 1 { format!("LED {name}") } else { format!("LED {name} blinks ({mode:02X})") });
            }
        }
        words.extend(self.rgb.iter().map(|colour| format!("RGB LED {colour}")));
        words.extend(self.buzzer.iter().map(|millis| format!("beep {millis} ms")));
        match self.sequence {
            Some(5) => words.push("sequence 5 (lights off)".to_owned()),
            Some(id) => words.push(format!("sequence {id}")),
            None => {}
        }
        words.extend(self.others.iter().map(|field| format!("{field} ignored")));
        f.write_str(if words.is_empty() { "nothing" } else { "" })?;
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn commands_are_told_in_words() {
        let told = |text| Command::parse(text).unwrap().to_string();
        assert_eq!(
            told(r#"{"Leds":"00010000","RgbColor":"00FF00","Buzzer":100}"#),
            "LED green, RGB LED 00FF00, beep 100 ms"
        );
        assert_eq!(told(r#"{"Leds":"01003000","Buzzer":"01F4"}"#), "LED red, LED yellow blinks (30), beep 500 ms");
        assert_eq!(told(r#"{"Leds":"00000000","Relay":true}"#), "LEDs off, Relay ignored");
        assert_eq!(told(r#"{"Sequence":5}"#), "sequence 5 (lights off)");
        assert_eq!(told("{}"), "nothing");
    }

    #[test]
    fn what_is_no_command_is_not_obeyed() {
        let wrong = [
            "",
            "[]",
            r#"{"Leds":"1"}"#,
            r#"{"Leds":"+1234567"}"#,
            r#"{"Buzzer":65536}"#,
            r#"{"Sequence":256}"#,
            r#"{"Sequence":5,"Buzzer":1}"#,
        ];
        for wrong in wrong {
            assert!(Command::parse(wrong).is_err(), "{wrong}");
        }
    }
}
