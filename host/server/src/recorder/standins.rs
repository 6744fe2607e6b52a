//! Secrets taken out of what a capture holds, and something put in their place.
//!
//! A replay gives the driver the stand-ins, so its answers hold them too, wherever it repeats a secret as it is,
//! percent-encoded, in JSON, in HTML, or in Base64 (as in HTTP's Basic authentication). What it makes of a secret by hashing
//! gives nothing away, and differs in a replay.

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use cardinal_domain::driver::{Context, Fault, Input, Output, Pair, Response, SettingKind};

use self::spellings::spelled_at;

mod spellings;

/// What stands for each letter of the first secret; the next has the letter before, so that a driver sees them apart.
const FIRST: u8 = b'x';
/// How many letters there are from the first back to `a`.
const LETTERS: usize = 24;
/// The same for the secret of another callback address, such as the one before: a driver must see that it is another.
const OTHER: u8 = b'y';
/// What stands before the secret of a callback address, and its length.
const CALLBACK: [&[u8]; 4] = [b"/r/", b"%2Fr%2F", b"%2fr%2f", b"\\/r\\/"];
const CALLBACK_SECRET: usize = 32;
/// Shorter runs of Base64 are words.
const SHORTEST_RUN: usize = 4;

const BASE64: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::RequireNone)
    .with_decode_allow_trailing_bits(true)
    .with_encode_padding(false);
/// Both alphabets, each with the digits that are its own.
static ALPHABETS: [(GeneralPurpose, &[u8]); 2] =
    [(GeneralPurpose::new(&STANDARD, BASE64), b"+/"), (GeneralPurpose::new(&URL_SAFE, BASE64), b"-_")];

/// The secrets of one session.
#[derive(Clone, Default)]
pub struct Standins {
    /// Each with the letter that stands in its place, the longest first.
    secrets: Vec<(Vec<u8>, u8)>,
    calls: bool,
}

impl Standins {
    /// For these secrets; `callback` is the address that the reader calls, whose last part is another.
    pub fn new(secrets: &[&str], callback: Option<&str>) -> Self {
        let of_callback = callback.and_then(|callback| callback.rsplit('/').next());
        let mut known: Vec<(Vec<u8>, u8)> = Vec::new();
        for secret in secrets.iter().copied().chain(of_callback).map(str::as_bytes) {
            if !secret.is_empty() && known.iter().all(|(known, _)| known != secret) {
                let letter = (b'a'..=FIRST).rev().nth(known.len() % LETTERS).unwrap_or(FIRST);
                known.push((secret.to_vec(), letter));
            }
        }
        known.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
        Self { secrets: known, calls: callback.is_some() }
    }

    /// What a session is opened with, by the kinds of its settings. Numbers, switches and choices stay: a stand-in in them
    /// would be refused.
    pub fn context(&self, mut context: Context, kind: impl Fn(&str) -> Option<SettingKind>) -> Context {
        for (key, value) in &mut context.settings {
            match kind(key) {
                Some(SettingKind::Secret) => *value = self.in_place_of(value),
                Some(SettingKind::Text | SettingKind::Bytes) => self.text(value),
                _ => {}
            }
        }
        context.callback.iter_mut().for_each(|callback| self.text(callback));
        for (key, bytes) in &mut context.memory {
            self.text(key);
            self.state(bytes);
        }
        context.saved.iter_mut().for_each(|bytes| self.state(bytes));
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
            Output::Send(bytes) => self.bytes(bytes),
            Output::Remember(key, bytes) => {
                self.text(key);
                self.bytes(bytes);
            }
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
        self.text(&mut fault.code);
        self.text(&mut fault.message);
    }

    fn response(&self, response: &mut Response) {
        self.pairs(&mut response.headers);
        self.bytes(&mut response.body);
    }

    fn pairs(&self, pairs: &mut [Pair]) {
        for (key, value) in pairs {
            self.text(key);
            self.text(value);
        }
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
        self.take_out(bytes, false);
    }

    /// What a driver saved. It may say lengths, so none changes.
    fn state(&self, bytes: &mut Vec<u8>) {
        self.take_out(bytes, true);
    }

    fn take_out(&self, bytes: &mut Vec<u8>, keep_length: bool) {
        if let Some(without) = self.without(bytes, keep_length) {
            *bytes = without;
        }
        if !self.secrets.is_empty() {
            self.in_base64(bytes);
        }
        if self.calls {
            other_callbacks(bytes);
        }
    }

    /// What stands in the place of a secret.
    fn in_place_of(&self, secret: &str) -> String {
        let known = self.secrets.iter().find(|(known, _)| known == secret.as_bytes());
        char::from(known.map_or(FIRST, |(_, letter)| *letter)).to_string().repeat(secret.len())
    }

    /// The bytes with stand-ins as long as the secrets, or as long as what they replace; none: there is no secret in them.
    fn without(&self, bytes: &[u8], keep_length: bool) -> Option<Vec<u8>> {
        let (mut without, mut found, mut rest) = (Vec::new(), false, bytes);
        while let Some((first, behind)) = rest.split_first() {
            let here = |(secret, letter): &(Vec<u8>, u8)| Some((spelled_at(rest, secret)?, secret.len(), *letter));
            if let Some((taken, length, letter)) = self.secrets.iter().find_map(here) {
                without.resize(without.len() + if keep_length { taken } else { length }, letter);
                rest = rest.get(taken..).unwrap_or_default();
                found = true;
            } else {
                without.push(*first);
                rest = behind;
            }
        }
        found.then_some(without)
    }

    /// Takes secrets out of what is Base64 there, of either alphabet, with padding or without.
    fn in_base64(&self, bytes: &mut [u8]) {
        for (engine, own) in &ALPHABETS {
            let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || own.contains(byte);
            for run in bytes.chunk_by_mut(|one, next| is_digit(one) == is_digit(next)) {
                // Where no digit tells the alphabets apart, the first has seen to it.
                if own == b"-_" && !run.iter().any(|byte| own.contains(byte)) {
                    continue;
                }
                // Words before it may belong to the run: it can begin at each of its places.
                for from in 0..SHORTEST_RUN {
                    if let Some(run) = run.get_mut(from..) {
                        self.in_run(run, engine);
                    }
                }
            }
        }
    }

    fn in_run(&self, run: &mut [u8], engine: &GeneralPurpose) {
        // One digit alone at the end is none.
        let whole = run.len() - usize::from(run.len() % 4 == 1);
        let Some(run) = run.get_mut(..whole).filter(|run| run.len() >= SHORTEST_RUN) else { return };
        let Ok(decoded) = engine.decode(&*run) else { return };
        if let Some(without) = self.without(&decoded, true) {
            let digits = engine.encode(decoded).into_bytes().into_iter().zip(engine.encode(without).into_bytes());
            // The last digit can hold bits of what is no longer this run; only what is another now is written.
            for (place, (_, now)) in run.iter_mut().zip(digits).filter(|(_, (before, now))| before != now) {
                *place = now;
            }
        }
    }
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
            let is_stand_in = secret.iter().all(|byte| Some(byte) == secret.first());
            if is_secret && !is_stand_in {
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
        for form in ["p%22ss%20w%C3%B6rd", "p%22ss+w%c3%b6rd", "%70%22ss%20w%c3%b6rd"] {
            assert_eq!(masked(&standins, &format!("a={form}&")), format!("a={x}&"));
        }
        for form in [r#"p\"ss wörd"#, r#"p\u0022ss w\u00F6rd"#] {
            assert_eq!(masked(&standins, &format!(r#"{{"password":"{form}"}}"#)), format!(r#"{{"password":"{x}"}}"#));
        }
        for form in ["p&quot;ss wörd", "p&#34;ss w&#xF6;rd"] {
            assert_eq!(masked(&standins, &format!("value='{form}'")), format!("value='{x}'"));
        }
        let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("admin:{password}")));
        assert_eq!(masked(&standins, &basic("p\"ss wörd")), basic(&x));
        let url = |password: &str| URL_SAFE_NO_PAD.encode(format!("?>ÿ{password}"));
        assert_eq!(masked(&standins, &url("p\"ss wörd")), url(&x));
        let form = |password: &str| format!("/login/a-b?auth={}&x=1", STANDARD.encode(format!("ab:{password}")));
        assert_eq!(masked(&standins, &form("p\"ss wörd")), form(&x));
        let path = |password: &str| format!("/{}", URL_SAFE_NO_PAD.encode(format!("abc:{password}>>>???")));
        assert_eq!(masked(&standins, &path("p\"ss wörd")), path(&x), "a slash that is no digit of it");
        let path = |password: &str| format!("/cgi-bin/login/{}", STANDARD.encode(format!("admin:{password}")));
        assert_eq!(masked(&standins, &path("p\"ss wörd")), path(&x), "words of both alphabets before it");
        assert_eq!(masked(&Standins::default(), "Basic YWRtaW46"), "Basic YWRtaW46");
        assert_eq!(masked(&Standins::new(&["a/b\""], None), r#""a\/b\"", [a/b"]"#), r#""xxxx", [xxxx]"#);
    }

    #[test]
    fn names_have_stand_ins_as_values_do_and_each_secret_has_its_own() {
        let standins = Standins::new(&["abc", "def", "abc"], None);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let Input::Command(_, pairs) = standins.input(Input::Command("c".to_owned(), vec![pair("abc", "def")])) else {
            panic!("another input")
        };
        assert_eq!(pairs, [pair("xxx", "www")]);
        let remembered = standins.output(Output::Remember("1def".to_owned(), b"abc".to_vec()));
        assert_eq!(remembered, Output::Remember("1www".to_owned(), b"xxx".to_vec()));
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
        let given = [("password", "30s"), ("url", "http://30s@host"), ("keepalive", "30"), ("choice", "30s")];
        let context = Context {
            settings: given.map(|(key, value)| pair(key, value)).into(),
            memory: vec![("key-30s".to_owned(), b"130s2".to_vec())],
            saved: Some(b"\x03a%b\x05a%25b".to_vec()),
            ..Context::default()
        };
        let kind = |key: &str| match key {
            "password" => Some(SettingKind::Secret),
            "url" => Some(SettingKind::Text),
            "keepalive" => Some(SettingKind::Milliseconds),
            _ => Some(SettingKind::Choice),
        };
        let masked = Standins::new(&["30s", "30", "a%b"], None).context(context, kind);
        let expected = [("password", "xxx"), ("url", "http://xxx@host"), ("keepalive", "30"), ("choice", "30s")];
        assert_eq!(masked.settings, expected.map(|(key, value)| pair(key, value)));
        assert_eq!(masked.memory, [("key-xxx".to_owned(), b"1xxx2".to_vec())]);
        assert_eq!(masked.saved.unwrap(), b"\x03vvv\x05vvvvv", "no length changes");
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
