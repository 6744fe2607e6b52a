//! From a trace to text, in the form that [`super::parse`] reads. In clear: card numbers and secrets stand as they are.

use std::fmt;

use super::{
    Event, Outcome, Step, Trace,
    parse::{NO_RANDOMNESS, is_word},
};
use crate::{
    bytes_text,
    driver::{CardRead, Fault, Fetch, Input, Output, Pair, Response},
    settings::SettingValue,
};

/// An output as it stands after the `> ` of a trace. In clear: never for a log.
pub fn output_line(output: &Output) -> String {
    match output {
        Output::Send(bytes) => format!("send {}", quoted(bytes)),
        Output::Keepalive(None) => "keepalive off".to_owned(),
        Output::Keepalive(Some(keepalive)) => format!("keepalive {} {}", keepalive.every, quoted(&keepalive.bytes)),
        Output::Card(card) => card_line(card),
        Output::Typed(port, text) => format!("typed {port} {}", quoted(text.as_bytes())),
        Output::SetTimer(id, after) => format!("set-timer {id} {after}"),
        Output::CancelTimer(id) => format!("cancel-timer {id}"),
        Output::Fetch(fetch) => fetch_line(fetch),
        Output::Answer(id, response) => format!("answer {id} {}", response_words(response)),
        Output::Status(status) => {
            let reason = message(&status.reason);
            format!("status {}{reason}{}", status.health, pairs("fact ", &status.facts))
        }
        Output::Remember(key, bytes) => format!("remember {} {}", quoted(key.as_bytes()), quoted(bytes)),
        Output::Log(level, text) => format!("log {level} {}", quoted(text.as_bytes())),
        Output::Close(fault) => format!("close {}", fault_words(fault)),
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(driver) = &self.driver {
            writeln!(f, "driver {}", word(driver))?;
        }
        writeln!(f, "mode {}\ntransport {}", word(&self.mode), word(&self.transport))?;
        for (key, value) in &self.settings {
            writeln!(f, "setting {} = {}", toml_key(key), toml_value(value))?;
        }
        if let Some(callback) = &self.callback {
            writeln!(f, "callback {}", quoted(callback.as_bytes()))?;
        }
        for (key, bytes) in &self.memory {
            writeln!(f, "memory {} {}", quoted(key.as_bytes()), quoted(bytes))?;
        }
        if let Some(saved) = &self.saved {
            writeln!(f, "saved {}", quoted(saved))?;
        }
        if let Some(fault) = &self.refused {
            writeln!(f, "! fault {}", fault_words(fault))?;
        }
        if !self.steps.is_empty() {
            writeln!(f)?;
        }
        self.steps.iter().try_for_each(|step| write!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@{} {}", self.at, event_words(&self.event))?;
        self.outcome.lines().iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl Outcome {
    /// The lines that stand for it under an `@` line, without indent: none, if nothing came of the call.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Outputs(outputs) => outputs.iter().map(|output| format!("> {}", output_line(output))).collect(),
            Self::Fault(fault) => vec![format!("! fault {}", fault_words(fault))],
            Self::NotNow => vec!["! not-now".to_owned()],
            Self::Broken(why) => vec![format!("! broken {}", quoted(why.as_bytes()))],
            Self::Anything => vec!["> anything".to_owned()],
        }
    }
}

fn event_words(event: &Event) -> String {
    let input = match event {
        Event::Save => return "save".to_owned(),
        Event::Input(input) => input,
    };
    match input {
        Input::Connected(random) if *random == NO_RANDOMNESS => "connected".to_owned(),
        Input::Connected(random) => format!("connected {}", quoted(random)),
        Input::Resumed => "resumed".to_owned(),
        Input::Received(bytes) => format!("received {}", quoted(bytes)),
        Input::Disconnected(fault) => format!("disconnected {}", fault_words(fault)),
        Input::Timer(id) => format!("timer {id}"),
        Input::Fetched(id, Ok(response)) => format!("fetched {id} {}", response_words(response)),
        Input::Fetched(id, Err(fault)) => format!("fetched {id} fault {}", fault_words(fault)),
        Input::Called(call) => format!(
            "called {} {} {}{}{}{}",
            call.id,
            word(&call.method),
            quoted(call.path.as_bytes()),
            pairs("query ", &call.query),
            pairs("header ", &call.headers),
            body(&call.body)
        ),
        Input::CallEnded(id) => format!("call-ended {id}"),
        Input::Verdict(verdict) => format!("verdict {} {}{}", verdict.swipe, verdict.code, message(&verdict.message)),
        Input::Command(name, arguments) => format!("command {}{}", word(name), pairs("", arguments)),
    }
}

fn card_line(card: &CardRead) -> String {
    let mut line = format!("card {}", card.swipe);
    if let Some(number) = &card.number {
        line += &format!(" number={}", quoted(number.as_bytes()));
    }
    if let Some(bits) = &card.bits {
        let hex: String = bits.data.iter().map(|byte| format!("{byte:02x}")).collect();
        line += &format!(" bits {} \"{hex}\"", bits.length);
    }
    if let Some(technology) = &card.technology {
        line += &format!(" technology={}", quoted(technology.as_bytes()));
    }
    if card.port != 0 {
        line += &format!(" port={}", card.port);
    }
    line + &pairs("fact ", &card.facts)
}

fn fetch_line(fetch: &Fetch) -> String {
    let port = fetch.port.map(|port| format!(" port {port}")).unwrap_or_default();
    format!(
        "fetch {} {} {}{port}{}{}{}{}",
        fetch.id,
        word(&fetch.method),
        quoted(fetch.path.as_bytes()),
        if fetch.tls { " tls" } else { "" },
        pairs("query ", &fetch.query),
        pairs("header ", &fetch.headers),
        body(&fetch.body)
    )
}

fn response_words(response: &Response) -> String {
    format!("{}{}{}", response.status, pairs("header ", &response.headers), body(&response.body))
}

fn fault_words(fault: &Fault) -> String {
    format!("{}{}", word(&fault.code), message(&fault.message))
}

fn message(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {}", quoted(text.as_bytes())) }
}

fn body(bytes: &[u8]) -> String {
    if bytes.is_empty() { String::new() } else { format!(" body {}", quoted(bytes)) }
}

fn pairs(keyword: &str, pairs: &[Pair]) -> String {
    pairs.iter().map(|(key, value)| format!(" {keyword}{}={}", word(key), quoted(value.as_bytes()))).collect()
}

/// Bare where that can be read back, else quoted.
fn word(text: &str) -> String {
    if !text.is_empty() && text.chars().all(is_word) { text.to_owned() } else { quoted(text.as_bytes()) }
}

/// In single quotes where that saves escapes, so that JSON stays readable.
fn quoted(bytes: &[u8]) -> String {
    let plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && *byte != b'\'';
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.contains(&b'"') && bytes.iter().all(plain) => format!("'{text}'"),
        Ok(text) => {
            // Letters beyond ASCII stay as they are; control characters among them do not.
            let escaped = |c: char| match c {
                c if c.is_ascii() || c.is_control() => bytes_text::format(c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => c.to_string(),
            };
            format!("\"{}\"", text.chars().map(escaped).collect::<String>())
        }
        Err(_) => format!("\"{}\"", bytes_text::format(bytes)),
    }
}

/// Bare where TOML has it so, else quoted.
fn toml_key(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { toml_text(key) }
}

/// A value as TOML has it, on one line whatever is in it: a trace is read line by line.
fn toml_value(value: &SettingValue) -> String {
    match value {
        SettingValue::Boolean(value) => value.to_string(),
        SettingValue::Integer(value) => value.to_string(),
        SettingValue::Text(text) => toml_text(text),
        SettingValue::List(values) => {
            format!("[{}]", values.iter().map(toml_value).collect::<Vec<_>>().join(", "))
        }
    }
}

fn toml_text(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}
