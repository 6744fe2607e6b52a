//! Secrets taken out of what a capture holds, and something of the same length put in their place.
//!
//! A replay gives the driver the stand-ins, so its answers hold them too, wherever it repeats a secret as it is,
//! percent-encoded, in JSON, or in Base64 (as in HTTP's Basic authentication). What it makes of a secret by hashing gives
//! nothing away, and differs in a replay.

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use cardinal_domain::driver::{Context, Fault, Input, Output, Pair, Response};

/// What stands for a letter of a secret.
const STAND_IN: &str = "x";
/// The same for the secret of another callback address, such as the one before: a driver must see that it is another.
const OTHER: u8 = b'y';
/// What stands before the secret of a callback address, and its length.
const CALLBACK: [&[u8]; 3] = [b"/r/", b"%2Fr%2F", b"%2fr%2f"];
const CALLBACK_SECRET: usize = 32;
/// Shorter runs of Base64 are words.
const SHORTEST_RUN: usize = 4;

/// The secrets of one session.
#[derive(Clone, Default)]
pub struct Standins {
    /// Each form of each secret with what stands in its place, the longest first.
    forms: Vec<(Vec<u8>, Vec<u8>)>,
    calls: bool,
}

impl Standins {
    /// For these secrets; `callback` is the address that the reader calls, whose last part is another.
    pub fn new(secrets: &[&str], callback: Option<&str>) -> Self {
        let of_callback = callback.and_then(|callback| callback.rsplit('/').next());
        let mut forms = Vec::new();
        for secret in secrets.iter().copied().chain(of_callback).filter(|secret| !secret.is_empty()) {
            let stand_in = stand_in(secret).into_bytes();
            let json = serde_json::to_string(secret).unwrap_or_default();
            for form in [secret.to_owned(), encoded(secret), json.trim_matches('"').to_owned()] {
                forms.push((form.into_bytes(), stand_in.clone()));
            }
        }
        forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self { forms, calls: callback.is_some() }
    }

    /// What a session is opened with; the settings of these keys are secret.
    pub fn context(&self, mut context: Context, secret: impl Fn(&str) -> bool) -> Context {
        for (key, value) in &mut context.settings {
            if secret(key) {
                *value = stand_in(value);
            } else {
                self.text(value);
            }
        }
        context.callback.iter_mut().for_each(|callback| self.text(callback));
        context.memory.iter_mut().for_each(|(_, bytes)| self.bytes(bytes));
        context.saved.iter_mut().for_each(|bytes| self.bytes(bytes));
        context
    }

    /// An input.
    pub fn input(&self, mut input: Input) -> Input {
        match &mut input {
            Input::Received(bytes) => self.bytes(bytes),
            Input::Disconnected(fault) | Input::Fetched(_, Err(fault)) => self.fault(fault),
            Input::Fetched(_, Ok(response)) => self.response(response),
            Input::Called(call) => {
                self.text(&mut call.path);
                self.pairs(&mut call.query);
                self.pairs(&mut call.headers);
                self.bytes(&mut call.body);
            }
            Input::Verdict(verdict) => self.text(&mut verdict.message),
            Input::Command(_, arguments) => self.pairs(arguments),
            Input::Connected(_) | Input::Resumed | Input::Timer(_) | Input::CallEnded(_) => {}
        }
        input
    }

    /// An output.
    pub fn output(&self, mut output: Output) -> Output {
        match &mut output {
            Output::Send(bytes) | Output::Remember(_, bytes) => self.bytes(bytes),
            Output::Keepalive(keepalive) => keepalive.iter_mut().for_each(|keepalive| self.bytes(&mut keepalive.bytes)),
            Output::Card(card) => {
                card.number.iter_mut().chain(&mut card.technology).for_each(|text| self.text(text));
                self.pairs(&mut card.facts);
            }
            Output::Typed(_, text) | Output::Log(_, text) => self.text(text),
            Output::Fetch(fetch) => {
                self.text(&mut fetch.path);
                self.pairs(&mut fetch.query);
                self.pairs(&mut fetch.headers);
                self.bytes(&mut fetch.body);
            }
            Output::Answer(_, response) => self.response(response),
            Output::Status(status) => {
                self.text(&mut status.reason);
                self.pairs(&mut status.facts);
            }
            Output::Close(fault) => self.fault(fault),
            Output::SetTimer(..) | Output::CancelTimer(_) => {}
        }
        output
    }

    /// A fault.
    pub fn fault(&self, fault: &mut Fault) {
        self.text(&mut fault.message);
    }

    fn response(&self, response: &mut Response) {
        self.pairs(&mut response.headers);
        self.bytes(&mut response.body);
    }

    fn pairs(&self, pairs: &mut [Pair]) {
        pairs.iter_mut().for_each(|(_, value)| self.text(value));
    }

    /// Words.
    pub fn text(&self, text: &mut String) {
        let mut bytes = text.as_bytes().to_vec();
        self.bytes(&mut bytes);
        if bytes != text.as_bytes() {
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
    }

    fn bytes(&self, bytes: &mut Vec<u8>) {
        for (form, stand_in) in &self.forms {
            replace(bytes, form, stand_in);
        }
        if !self.forms.is_empty() {
            self.in_base64(bytes);
        }
        if self.calls {
            other_callbacks(bytes);
        }
    }

    /// Takes secrets out of what is Base64 there, of either alphabet, with padding or without.
    fn in_base64(&self, bytes: &mut Vec<u8>) {
        let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
        let mut replaced = Vec::with_capacity(bytes.len());
        for run in bytes.chunk_by(|one, next| is_digit(one) == is_digit(next)) {
            let mut run = run.to_vec();
            // A slash or a dash before it may belong to it or not.
            for from in 0..SHORTEST_RUN {
                if let Some(run) = run.get_mut(from..) {
                    self.in_run(run);
                }
            }
            replaced.extend(run);
        }
        *bytes = replaced;
    }

    fn in_run(&self, run: &mut [u8]) {
        // One digit alone at the end is none.
        let whole = run.len() - usize::from(run.len() % 4 == 1);
        let Some(run) = run.get_mut(..whole).filter(|run| run.len() >= SHORTEST_RUN) else { return };
        let is_url_safe = run.iter().any(|byte| b"-_".contains(byte));
        let config = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::RequireNone)
            .with_decode_allow_trailing_bits(true)
            .with_encode_padding(false);
        let engine = GeneralPurpose::new(if is_url_safe { &URL_SAFE } else { &STANDARD }, config);
        let Ok(decoded) = engine.decode(&*run) else { return };
        let mut masked = decoded.clone();
        for (form, stand_in) in &self.forms {
            replace(&mut masked, form, stand_in);
        }
        // A form in which it is longer than its stand-in is none that is put into Base64.
        if masked != decoded && masked.len() == decoded.len() {
            for (place, digit) in run.iter_mut().zip(engine.encode(masked).into_bytes()) {
                *place = digit;
            }
        }
    }
}

/// Something of the same length.
fn stand_in(secret: &str) -> String {
    STAND_IN.repeat(secret.len())
}

/// Percent-encoded as in the query of an address (RFC 3986).
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

fn replace(bytes: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    let Some(first) = find(bytes, from) else { return };
    let mut replaced = Vec::with_capacity(bytes.len());
    let (mut rest, mut next) = (bytes.as_slice(), Some(first));
    while let Some((before, found)) = next.and_then(|at| rest.split_at_checked(at)) {
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(to);
        rest = found.get(from.len()..).unwrap_or_default();
        next = find(rest, from);
    }
    replaced.extend_from_slice(rest);
    *bytes = replaced;
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len().max(1)).position(|window| window == wanted)
}

/// Takes out the secrets of other callback addresses: those before are good for a while.
fn other_callbacks(bytes: &mut [u8]) {
    for prefix in CALLBACK {
        let mut from = 0;
        while let Some(at) = bytes.get(from..).and_then(|rest| find(rest, prefix)) {
            from += at + prefix.len();
            let Some(secret) = bytes.get_mut(from..from + CALLBACK_SECRET) else { break };
            let is_secret = secret.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
            if is_secret && !secret.iter().all(|byte| STAND_IN.as_bytes().contains(byte)) {
                secret.fill(OTHER);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    fn masked(standins: &Standins, text: &str) -> String {
        let mut text = text.to_owned();
        standins.text(&mut text);
        text
    }

    #[test]
    fn a_secret_is_found_in_every_form_that_drivers_give_it() {
        let standins = Standins::new(&["p\"ss wörd"], None);
        let x = "x".repeat("p\"ss wörd".len());
        assert_eq!(masked(&standins, "[p\"ss wörd]"), format!("[{x}]"));
        assert_eq!(masked(&standins, "a=p%22ss%20w%C3%B6rd&"), format!("a={x}&"));
        assert_eq!(masked(&standins, r#"{"password":"p\"ss wörd"}"#), format!(r#"{{"password":"{x}"}}"#));
        let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("admin:{password}")));
        assert_eq!(masked(&standins, &basic("p\"ss wörd")), basic(&x));
        let url = |password: &str| URL_SAFE_NO_PAD.encode(format!("?>ÿ{password}"));
        assert_eq!(masked(&standins, &url("p\"ss wörd")), url(&x));
        let form = |password: &str| format!("/login/a-b?auth={}&x=1", STANDARD.encode(format!("ab:{password}")));
        assert_eq!(masked(&standins, &form("p\"ss wörd")), form(&x));
        let path = |password: &str| format!("/{}", URL_SAFE_NO_PAD.encode(format!("abc:{password}>>>???")));
        assert_eq!(masked(&standins, &path("p\"ss wörd")), path(&x), "a slash that is no digit of it");
        assert_eq!(masked(&Standins::default(), "Basic YWRtaW46"), "Basic YWRtaW46");
    }

    #[test]
    fn callback_addresses_are_told_apart_without_their_secrets() {
        let (now, before) = ("SjRipG17iCy0Z0XAfpUmwa-uwQ3iji3w", "AjRipG17iCy0Z0XAfpUmwa-uwQ3iji3w");
        let callback = |secret: &str| format!("https://host:1/r/{secret}");
        let standins = Standins::new(&[], Some(&callback(now)));
        let (x, y) = ("x".repeat(32), "y".repeat(32));
        assert_eq!(masked(&standins, &callback(now)), callback(&x));
        assert_eq!(masked(&standins, &format!("u={}, {now}", callback(before))), format!("u={}, {x}", callback(&y)));
        assert_eq!(masked(&standins, &format!("host%2Fr%2F{before}")), format!("host%2Fr%2F{y}"));
        assert_eq!(masked(&standins, "/r/short /r/"), "/r/short /r/");
    }

    #[test]
    fn settings_go_by_their_kind_and_all_else_by_what_is_in_it() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let context = Context {
            settings: vec![pair("password", "abc"), pair("url", "http://abc@host")],
            memory: vec![("key".to_owned(), b"1abc2".to_vec())],
            saved: Some(b"\x03abc".to_vec()),
            ..Context::default()
        };
        let masked = Standins::new(&["abc"], None).context(context, |key| key == "password");
        assert_eq!(masked.settings, [pair("password", "xxx"), pair("url", "http://xxx@host")]);
        assert_eq!((masked.memory[0].1.as_slice(), masked.saved.unwrap()), (&b"1xxx2"[..], b"\x03xxx".to_vec()));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic_and_no_secret_stays(bytes: Vec<u8>, secret in "[a-w]{3,9}", place: usize) {
            let standins = Standins::new(&[&secret], Some("https://h/r/SjRipG17iCy0Z0XAfpUmwa-uwQ3iji3w"));
            let place = place % (bytes.len() + 1);
            let mut all = [&bytes[..place], secret.as_bytes(), &bytes[place..]].concat();
            standins.bytes(&mut all);
            prop_assert!(find(&all, secret.as_bytes()).is_none());
        }
    }
}
