//! From text to a trace: line by line, each line token by token. Nothing is guessed; an error names its line.

use std::str::FromStr;

use super::{Event, MOST_STEPS, Outcome, Step, Trace};
use crate::{
    bytes_text,
    driver::{
        Bits, Call, CardRead, Fault, Fetch, Health, Input, Keepalive, LogLevel, Output, Pair, Response, Status,
        Verdict, VerdictCode,
    },
    settings::Settings,
};

/// Why a text is no trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TraceError {
    /// From 1.
    pub line: usize,
    /// What was wanted there.
    pub message: String,
}

/// How much of a message is told: it repeats the line, which may be any rubbish.
const LONGEST_MESSAGE: usize = 300;
/// Bytes of randomness that `connected` brings where a trace gives none.
pub(super) const NO_RANDOMNESS: [u8; 32] = [0; 32];

pub(super) fn trace(text: &str) -> Result<Trace, TraceError> {
    let mut trace = Trace::default();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        read_line(&mut trace, number, line.trim()).map_err(|message| {
            let plain = message.chars().map(|c| if c.is_control() { ' ' } else { c });
            TraceError { line: number, message: plain.take(LONGEST_MESSAGE).collect() }
        })?;
    }
    let missing = |what: &str| TraceError { line: 1, message: format!("the trace has no line `{what} …`") };
    if trace.mode.is_empty() {
        return Err(missing("mode"));
    }
    if trace.transport.is_empty() {
        return Err(missing("transport"));
    }
    Ok(trace)
}

fn read_line(trace: &mut Trace, number: usize, line: &str) -> Result<(), String> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix('@') {
        if trace.refused.is_some() || trace.steps.last().is_some_and(|step| step.outcome.is_end()) {
            return Err("nothing can happen after a fault: the session is over".to_owned());
        }
        if trace.steps.len() >= MOST_STEPS {
            return Err(format!("a trace may have {MOST_STEPS} steps"));
        }
        let step = Tokens(rest).finish(|tokens| step(number, tokens))?;
        if trace.steps.last().is_some_and(|last| last.at > step.at) {
            return Err("the clock of a session never goes back".to_owned());
        }
        trace.steps.push(step);
        return Ok(());
    }
    if let Some(rest) = line.strip_prefix('>') {
        if Tokens(rest).finish(|tokens| Ok(tokens.keyword("anything"))) == Ok(true) {
            return match trace.steps.last_mut() {
                Some(step) if step.outcome == Outcome::Outputs(Vec::new()) && step.event != Event::Save => {
                    step.outcome = Outcome::Anything;
                    Ok(())
                }
                Some(_) => Err("`> anything` stands alone under its input".to_owned()),
                None => Err("an output must follow the `@` line that it answers".to_owned()),
            };
        }
        let output = Tokens(rest).finish(output)?;
        return match trace.steps.last_mut().map(|step| &mut step.outcome) {
            Some(Outcome::Outputs(outputs)) => {
                outputs.push(output);
                Ok(())
            }
            Some(Outcome::Anything) => Err("`> anything` stands alone under its input".to_owned()),
            Some(_) => Err("a call that failed has no outputs".to_owned()),
            None => Err("an output must follow the `@` line that it answers".to_owned()),
        };
    }
    if let Some(rest) = line.strip_prefix('!') {
        let failure = Tokens(rest).finish(failure)?;
        return match (trace.steps.last_mut(), failure) {
            (Some(step), failure) if step.outcome == Outcome::Outputs(Vec::new()) => {
                if failure == Outcome::NotNow && step.event != Event::Save {
                    return Err("only `save` can be put off".to_owned());
                }
                step.outcome = failure;
                Ok(())
            }
            (None, Outcome::Fault(fault)) if trace.refused.is_none() => {
                trace.refused = Some(fault);
                Ok(())
            }
            _ => Err("this call has an outcome already".to_owned()),
        };
    }
    if !trace.steps.is_empty() {
        return Err("wanted a line beginning with `@`, `>`, `!` or `#`".to_owned());
    }
    match line.strip_prefix("setting ") {
        Some(setting) => add_setting(trace, setting),
        None => Tokens(line).finish(|tokens| header(trace, tokens)),
    }
}

/// One line of the site's `[reader.settings]`.
fn add_setting(trace: &mut Trace, line: &str) -> Result<(), String> {
    let settings: Settings = toml::from_str(line)
        .map_err(|error| format!("wanted `setting key = value` as in the site's file: {}", error.message()))?;
    for (key, value) in settings {
        if trace.settings.insert(key.clone(), value).is_some() {
            return Err(format!("the setting `{key}` stands twice; give a repeated one a list"));
        }
    }
    Ok(())
}

fn header(trace: &mut Trace, tokens: &mut Tokens<'_>) -> Result<(), String> {
    match tokens.word("a header, or a line beginning with `@`, `>`, `!` or `#`")? {
        "driver" => trace.driver = Some(tokens.text("the driver, as vendor/name")?),
        "mode" => trace.mode = tokens.text("the mode's id")?,
        "transport" => trace.transport = tokens.text("dial, listen or http")?,
        "callback" => trace.callback = Some(tokens.text("the address")?),
        "memory" => trace.memory.push((tokens.text("the key")?, tokens.bytes("the bytes")?)),
        "saved" => trace.saved = Some(tokens.bytes("the saved state")?),
        other => {
            return Err(format!(
                "`{other}` is no header; there are driver, mode, transport, setting, callback, memory, saved"
            ));
        }
    }
    Ok(())
}

fn step(line: usize, tokens: &mut Tokens<'_>) -> Result<Step, String> {
    let at = tokens.number("the time in milliseconds, right after `@`")?;
    let event = match tokens.word("what happened")? {
        "save" => Event::Save,
        "connected" if tokens.at_end() => Event::Input(Input::Connected(NO_RANDOMNESS.to_vec())),
        "connected" => Event::Input(Input::Connected(tokens.bytes("32 random bytes")?)),
        "resumed" => Event::Input(Input::Resumed),
        "received" => Event::Input(Input::Received(tokens.bytes("the bytes")?)),
        "disconnected" => Event::Input(Input::Disconnected(fault(tokens)?)),
        "timer" => Event::Input(Input::Timer(tokens.number("the timer's id")?)),
        "fetched" => Event::Input(fetched(tokens)?),
        "called" => Event::Input(Input::Called(called(tokens)?)),
        "call-ended" => Event::Input(Input::CallEnded(tokens.number("the call's id")?)),
        "verdict" => Event::Input(Input::Verdict(Verdict {
            swipe: tokens.number("the swipe's id")?,
            code: tokens.known("a verdict", &VerdictCode::ALL)?,
            message: tokens.optional_text()?,
        })),
        "command" => {
            let name = tokens.text("the command's name")?;
            let mut arguments = Vec::new();
            while !tokens.at_end() {
                arguments.push(tokens.pair()?);
            }
            Event::Input(Input::Command(name, arguments))
        }
        other => {
            return Err(format!(
                "`{other}` is no input; there are connected, resumed, received, disconnected, timer, fetched, called, \
                 call-ended, verdict, command, and save"
            ));
        }
    };
    Ok(Step { line, at, event, outcome: Outcome::Outputs(Vec::new()) })
}

fn fetched(tokens: &mut Tokens<'_>) -> Result<Input, String> {
    let id = tokens.number("the fetch's id")?;
    let outcome = if tokens.keyword("fault") { Err(fault(tokens)?) } else { Ok(response(tokens)?) };
    Ok(Input::Fetched(id, outcome))
}

fn called(tokens: &mut Tokens<'_>) -> Result<Call, String> {
    let mut call = Call {
        id: tokens.number("the call's id")?,
        method: tokens.text("the method")?,
        path: tokens.text("the path")?,
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    while !tokens.at_end() {
        match tokens.word("query, header or body")? {
            "query" => call.query.push(tokens.pair()?),
            "header" => call.headers.push(tokens.pair()?),
            "body" => call.body = tokens.bytes("the body")?,
            other => return Err(format!("wanted query, header or body, found `{other}`")),
        }
    }
    Ok(call)
}

fn response(tokens: &mut Tokens<'_>) -> Result<Response, String> {
    let mut response = Response { status: tokens.number("the HTTP status")?, headers: Vec::new(), body: Vec::new() };
    while !tokens.at_end() {
        match tokens.word("header or body")? {
            "header" => response.headers.push(tokens.pair()?),
            "body" => response.body = tokens.bytes("the body")?,
            other => return Err(format!("wanted header or body, found `{other}`")),
        }
    }
    Ok(response)
}

fn output(tokens: &mut Tokens<'_>) -> Result<Output, String> {
    Ok(match tokens.word("an output")? {
        "send" => Output::Send(tokens.bytes("the bytes")?),
        "keepalive" if tokens.keyword("off") => Output::Keepalive(None),
        "keepalive" => Output::Keepalive(Some(Keepalive {
            every: tokens.number("the milliseconds between two, or off")?,
            bytes: tokens.bytes("the bytes")?,
        })),
        "card" => Output::Card(card(tokens)?),
        "typed" => Output::Typed(tokens.number("the port")?, tokens.text("the text")?),
        "set-timer" => Output::SetTimer(tokens.number("the timer's id")?, tokens.number("the milliseconds")?),
        "cancel-timer" => Output::CancelTimer(tokens.number("the timer's id")?),
        "fetch" => Output::Fetch(fetch(tokens)?),
        "answer" => Output::Answer(tokens.number("the call's id")?, response(tokens)?),
        "status" => {
            let health = tokens.known("a health", &Health::ALL)?;
            let reason = if tokens.at_quote() { tokens.text("the reason")? } else { String::new() };
            let mut facts = Vec::new();
            while !tokens.at_end() {
                facts.push(tokens.fact()?);
            }
            Output::Status(Status { health, reason, facts })
        }
        "remember" => Output::Remember(tokens.text("the key")?, tokens.bytes("the bytes")?),
        "log" => Output::Log(tokens.known("a level", &LogLevel::ALL)?, tokens.text("the message")?),
        "close" => Output::Close(fault(tokens)?),
        other => {
            return Err(format!(
                "`{other}` is no output; there are send, keepalive, card, typed, set-timer, cancel-timer, fetch, answer, \
                 status, remember, log, close"
            ));
        }
    })
}

fn card(tokens: &mut Tokens<'_>) -> Result<CardRead, String> {
    let mut card = CardRead {
        swipe: tokens.number("the swipe's id")?,
        number: None,
        bits: None,
        technology: None,
        port: 0,
        facts: Vec::new(),
    };
    while !tokens.at_end() {
        match tokens.word("number, bits, technology, port or fact")? {
            "number" => card.number = Some(tokens.equals()?.text("the number")?),
            "technology" => card.technology = Some(tokens.equals()?.text("the technology")?),
            "port" => card.port = tokens.equals()?.number("the port")?,
            "fact" => card.facts.push(tokens.pair()?),
            "bits" => {
                card.bits = Some(Bits { length: tokens.number("the number of bits")?, data: tokens.hex()? });
            }
            other => return Err(format!("wanted number, bits, technology, port or fact, found `{other}`")),
        }
    }
    Ok(card)
}

fn fetch(tokens: &mut Tokens<'_>) -> Result<Fetch, String> {
    let mut fetch = Fetch {
        id: tokens.number("the fetch's id")?,
        port: None,
        tls: false,
        method: tokens.text("the method")?,
        path: tokens.text("the path")?,
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    while !tokens.at_end() {
        match tokens.word("port, tls, query, header or body")? {
            "port" => fetch.port = Some(tokens.number("the port")?),
            "tls" => fetch.tls = true,
            "query" => fetch.query.push(tokens.pair()?),
            "header" => fetch.headers.push(tokens.pair()?),
            "body" => fetch.body = tokens.bytes("the body")?,
            other => return Err(format!("wanted port, tls, query, header or body, found `{other}`")),
        }
    }
    Ok(fetch)
}

fn failure(tokens: &mut Tokens<'_>) -> Result<Outcome, String> {
    match tokens.word("fault, not-now or broken")? {
        "fault" => Ok(Outcome::Fault(fault(tokens)?)),
        "not-now" => Ok(Outcome::NotNow),
        "broken" => Ok(Outcome::Broken(tokens.text("what broke")?)),
        other => Err(format!("wanted fault, not-now or broken, found `{other}`")),
    }
}

fn fault(tokens: &mut Tokens<'_>) -> Result<Fault, String> {
    Ok(Fault { code: tokens.text("a code")?, message: tokens.optional_text()? })
}

/// What is left of a line: words, quoted texts and `=`.
struct Tokens<'a>(&'a str);

impl<'a> Tokens<'a> {
    /// Read something that must take up the whole line.
    fn finish<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        let value = read(&mut self)?;
        if self.at_end() { Ok(value) } else { Err(format!("wanted the end of the line, found `{}`", self.0)) }
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start();
    }

    /// At the end of the line or at a comment.
    fn at_end(&mut self) -> bool {
        self.skip_space();
        self.0.is_empty() || self.0.starts_with('#')
    }

    fn at_quote(&mut self) -> bool {
        self.skip_space();
        self.0.starts_with(['"', '\''])
    }

    fn wanted(&self, what: &str) -> String {
        if self.0.is_empty() {
            format!("wanted {what}, found the end of the line")
        } else {
            format!("wanted {what}, found `{}`", self.0)
        }
    }

    fn word(&mut self, what: &str) -> Result<&'a str, String> {
        self.skip_space();
        let end = self.0.find(|c: char| !is_word(c)).unwrap_or(self.0.len());
        match self.0.split_at_checked(end) {
            Some((word, rest)) if !word.is_empty() => {
                self.0 = rest;
                Ok(word)
            }
            _ => Err(self.wanted(what)),
        }
    }

    /// This word, if it is the next one.
    fn keyword(&mut self, keyword: &str) -> bool {
        let before = self.0;
        if self.word(keyword).is_ok_and(|word| word == keyword) {
            return true;
        }
        self.0 = before;
        false
    }

    fn number<N: FromStr>(&mut self, what: &str) -> Result<N, String> {
        let word = self.word(what)?;
        word.parse().map_err(|_| format!("wanted {what} (a number in range), found `{word}`"))
    }

    fn known<T: Copy>(&mut self, what: &str, names: &[(&'static str, T)]) -> Result<T, String> {
        let word = self.word(what)?;
        names.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            format!("`{word}` is not {what}; there are {}", names.join(", "))
        })
    }

    fn bytes(&mut self, what: &str) -> Result<Vec<u8>, String> {
        self.skip_space();
        if let Some(rest) = self.0.strip_prefix('\'') {
            let (text, rest) = rest.split_once('\'').ok_or("a text in `'` has no end")?;
            self.0 = rest;
            return Ok(text.as_bytes().to_vec());
        }
        let rest = self.0.strip_prefix('"').ok_or_else(|| self.wanted(&format!("{what} in quotes")))?;
        let mut escaped = false;
        let end = rest.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let (text, rest) = end.and_then(|end| rest.split_at_checked(end)).ok_or("a text in `\"` has no end")?;
        self.0 = rest.strip_prefix('"').unwrap_or(rest);
        bytes_text::parse(text).map_err(|error| error.to_string())
    }

    /// Text in quotes, or a bare word.
    fn text(&mut self, what: &str) -> Result<String, String> {
        if self.at_quote() {
            String::from_utf8(self.bytes(what)?).map_err(|_| format!("{what} is not UTF-8"))
        } else {
            self.word(what).map(str::to_owned)
        }
    }

    /// The text that ends a line, empty if there is none.
    fn optional_text(&mut self) -> Result<String, String> {
        if self.at_end() { Ok(String::new()) } else { self.text("a text") }
    }

    fn equals(&mut self) -> Result<&mut Self, String> {
        self.skip_space();
        self.0 = self.0.strip_prefix('=').ok_or_else(|| self.wanted("`=`"))?;
        Ok(self)
    }

    fn pair(&mut self) -> Result<Pair, String> {
        Ok((self.text("a name")?, self.equals()?.text("a value")?))
    }

    fn fact(&mut self) -> Result<Pair, String> {
        if self.keyword("fact") { self.pair() } else { Err(self.wanted("fact")) }
    }

    fn hex(&mut self) -> Result<Vec<u8>, String> {
        let what = "the bits in hexadecimal, two digits a byte, in quotes";
        let text = self.bytes(what)?;
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, []) = text.as_chunks::<2>() else { return Err(format!("wanted {what}")) };
        pairs
            .iter()
            .map(|[high, low]| Some(digit(high)? << 4 | digit(low)?))
            .collect::<Option<_>>()
            .ok_or_else(|| format!("wanted {what}"))
    }
}

/// The characters of a word; anything else must be quoted.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '.')
}
