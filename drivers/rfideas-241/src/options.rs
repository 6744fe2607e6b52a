//! The settings of a session: the profile with everything filled in, checked.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cardinal_sdk::prelude::*;
use regex_lite::Regex;

use crate::{
    firmware::Firmware,
    manifest::{CHECK, CONFIGURE, REPLIES},
    template::{Request, Words, fill},
};

/// The longest time in which a card may count as the same swipe, in milliseconds.
const LONGEST_SAME_SWIPE: Millis = 60_000;

/// The settings of a session. Holds the address that the reader calls and its password: never printed.
pub(crate) struct Options {
    pub(crate) tls: bool,
    /// The value of the `authorization` header.
    pub(crate) authorization: Option<String>,
    pub(crate) configure: Vec<Request>,
    pub(crate) check: Request,
    pub(crate) check_patterns: Vec<Regex>,
    pub(crate) login_pattern: Option<Regex>,
    pub(crate) check_every: Millis,
    pub(crate) longest_pause: Millis,
    pub(crate) version: Option<Request>,
    pub(crate) version_pattern: Regex,
    pub(crate) minimum_firmware: Option<Firmware>,
    pub(crate) card_method: String,
    pub(crate) card_path: String,
    pub(crate) card_parameter: String,
    /// 0: every call is a swipe.
    pub(crate) same_swipe: Millis,
    /// By verdict.
    replies: Vec<(&'static str, Reply)>,
    bad_call: Reply,
    answer_type: String,
    /// Differs where the reader is to be asked or configured otherwise. Of 32 bits, so that it gives nothing away of the
    /// address or the password.
    pub(crate) fingerprint: u32,
}

impl Options {
    pub(crate) fn new(settings: Settings<'_>, callback: Option<&str>) -> Result<Self, Fault> {
        let card_path = settings.text("card_path")?;
        let card_parameter = settings.text("card_parameter")?;
        if !(card_path.is_empty() || card_path.starts_with('/')) || card_path.contains(['?', '#', ' ']) {
            return Err(invalid("card_path", "must be empty or begin with /, and end before a ?"));
        }
        if card_parameter.is_empty() {
            return Err(invalid("card_parameter", "must not be empty"));
        }
        let words = Words::new(callback, card_path, card_parameter)?;
        let request = |key: &str, template: &str| Request::parse(template, &words).map_err(|why| invalid(key, &why));
        let configure = given(settings, "configure", &CONFIGURE);
        let patterns = given(settings, "check_pattern", &CHECK)
            .map(|template| words.fill(template, regex_lite::escape).map_err(|why| invalid("check_pattern", &why)))
            .collect::<Result<Vec<_>, _>>()?;
        if patterns.is_empty() {
            return Err(invalid("check_pattern", "must have one pattern at least: without it no drift would be seen"));
        }
        let configure = configure.map(|template| request("configure", template)).collect::<Result<Vec<_>, _>>()?;
        let version = Some(settings.text("version_request")?).filter(|template| !template.is_empty());
        let same_swipe = settings.milliseconds("same_swipe_ms")?;
        if same_swipe > LONGEST_SAME_SWIPE {
            return Err(invalid("same_swipe_ms", "may be 60000 at most"));
        }
        let answer_type = settings.text("answer_type")?;
        if answer_type.contains(char::is_control) {
            return Err(invalid("answer_type", "has a control character"));
        }
        let replies = REPLIES.iter().map(|(verdict, key, ..)| Ok((*verdict, Reply::parse(settings, key)?)));
        Ok(Self {
            tls: settings.boolean("tls")?,
            authorization: authorization(settings)?,
            fingerprint: fingerprint(settings, &configure, &patterns),
            configure,
            check: request("check_request", settings.text("check_request")?)?,
            check_patterns: patterns.iter().map(|text| pattern("check_pattern", text)).collect::<Result<_, _>>()?,
            login_pattern: match settings.text("login_pattern")? {
                "" => None,
                text => Some(pattern("login_pattern", text)?),
            },
            check_every: seconds(settings, "check_seconds", 5, 86_400)?,
            longest_pause: seconds(settings, "retry_seconds", 1, 3_600)?,
            version: version.map(|template| request("version_request", template)).transpose()?,
            version_pattern: version_pattern(settings)?,
            minimum_firmware: match settings.text("minimum_firmware")? {
                "" => None,
                text => Some(
                    Firmware::parse(text)
                        .ok_or_else(|| invalid("minimum_firmware", "must be a version such as 2.04"))?,
                ),
            },
            card_method: settings.text("card_method")?.to_owned(),
            card_path: card_path.to_owned(),
            card_parameter: card_parameter.to_owned(),
            same_swipe,
            replies: replies.collect::<Result<_, Fault>>()?,
            bad_call: Reply::parse(settings, "on_bad_call")?,
            answer_type: answer_type.to_owned(),
        })
    }

    /// What the reader is answered for a verdict. One that is not known is a failure.
    pub(crate) fn answer_to(&self, code: &str, message: &str) -> Response {
        let reply = |wanted: &str| self.replies.iter().find(|(verdict, _)| *verdict == wanted);
        let reply = reply(code).or_else(|| reply("failed")).map_or(&self.bad_call, |(_, reply)| reply);
        self.response(reply, code, message)
    }

    /// What the reader is answered where its call brings no card.
    pub(crate) fn answer_to_bad_call(&self) -> Response {
        self.response(&self.bad_call, "", "")
    }

    fn response(&self, reply: &Reply, code: &str, message: &str) -> Response {
        let word = |name: &str| Some(if name == "verdict" { code } else { message }.to_owned());
        let body = fill(&reply.text, word).unwrap_or_default(); // every name gives something
        let response = Response::new(reply.status).body(body);
        if self.answer_type.is_empty() { response } else { response.header("content-type", self.answer_type.as_str()) }
    }
}

/// A status and a text in which `{verdict}` and `{message}` are filled in.
struct Reply {
    status: u16,
    text: String,
}

impl Reply {
    fn parse(settings: Settings<'_>, key: &str) -> Result<Self, Fault> {
        let reply = settings.text(key)?;
        let (status, text) = reply.split_once(' ').unwrap_or((reply, ""));
        let form = "must be a status of HTTP from 200 to 599 and a text, such as `200 released`";
        let status =
            status.parse().ok().filter(|status| (200..=599).contains(status)).ok_or_else(|| invalid(key, form))?;
        fill(text, |name| matches!(name, "verdict" | "message").then(String::new)).map_err(|name| {
            invalid(key, &format!("has {{{name}}}, which means nothing; there are {{verdict}} and {{message}}"))
        })?;
        Ok(Self { status, text: text.to_owned() })
    }
}

/// The values of a list, else what the driver has. One empty text is an empty list.
fn given<'a>(settings: Settings<'a>, key: &str, assumed: &'a [&'a str]) -> Box<dyn Iterator<Item = &'a str> + 'a> {
    if settings.get(key).is_none() {
        return Box::new(assumed.iter().copied());
    }
    let values: Vec<_> = settings.all(key).filter(|value| !value.is_empty()).collect();
    Box::new(values.into_iter())
}

fn authorization(settings: Settings<'_>) -> Result<Option<String>, Fault> {
    let user = settings.text("user")?;
    if user.is_empty() {
        return Ok(None);
    }
    if user.contains(':') {
        return Err(invalid("user", "must not have a colon: HTTP Basic (RFC 7617) ends the name there"));
    }
    let password = settings.get("password").unwrap_or_default();
    Ok(Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
}

fn seconds(settings: Settings<'_>, key: &str, least: Millis, most: Millis) -> Result<Millis, Fault> {
    let seconds: Millis = settings.integer(key)?;
    if !(least..=most).contains(&seconds) {
        return Err(invalid(key, &format!("may be {least} to {most} seconds")));
    }
    Ok(seconds * 1_000)
}

fn version_pattern(settings: Settings<'_>) -> Result<Regex, Fault> {
    let built = pattern("version_pattern", settings.text("version_pattern")?)?;
    // The whole match counts as a group.
    if built.captures_len() != 2 {
        return Err(invalid("version_pattern", "must have one group, which is the version; write others as (?:…)"));
    }
    Ok(built)
}

fn pattern(key: &str, text: &str) -> Result<Regex, Fault> {
    Regex::new(text).map_err(|error| invalid(key, &format!("is no regular expression: {error}")))
}

/// The settings beside requests and patterns that decide how and when a reader is asked and configured.
const ASKING: [&str; 10] = [
    "tls",
    "user",
    "password",
    "check_request",
    "login_pattern",
    "check_seconds",
    "retry_seconds",
    "version_request",
    "version_pattern",
    "minimum_firmware",
];

/// FNV-1a over everything that decides how a reader is asked and configured.
fn fingerprint(settings: Settings<'_>, configure: &[Request], patterns: &[String]) -> u32 {
    let requests = configure.iter().flat_map(|request| {
        let query = request.query.iter().flat_map(|pair| [pair.key.as_str(), pair.value.as_str()]);
        std::iter::once(request.path.as_str()).chain(query)
    });
    let asking = ASKING.iter().map(|key| settings.get(key).unwrap_or_default());
    let texts = requests.chain(patterns.iter().map(String::as_str)).chain(asking);
    let bytes = texts.flat_map(|text| text.bytes().chain([0xff])); // no text has this byte: it ends one
    bytes.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Without the value: it may be a secret.
fn invalid(key: &str, why: &str) -> Fault {
    Fault::new("setting-invalid", format!("`{key}` {why}"))
}
