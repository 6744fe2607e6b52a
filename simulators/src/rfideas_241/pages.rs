//! The reader's web pages: its version, and its configuration.
//!
//! `GET /version` tells the firmware. `GET /config?name=value&…` prepares a change, `save=1` makes it hold, and `GET /config`
//! shows what holds; firmware before 2.04 has no such page. These names are assumed, like those of the driver; no hardware has confirmed them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    extract::{Query, Request, State},
    http::{
        Method, StatusCode,
        header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::sync::watch;

use super::{Event, Record, Settings, Trouble};

/// What can be configured, in the order in which it is shown.
const NAMES: [&str; 6] = ["mode", "scheme", "host", "port", "path", "parameter"];

/// A reader's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration([String; 6]);

impl Configuration {
    /// As a reader comes.
    fn fresh() -> Self {
        let mut fresh = Self::default();
        fresh.set("mode", "server");
        fresh
    }

    /// One of its values, by name; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        let value = NAMES.iter().zip(&self.0).find(|(known, _)| **known == name);
        value.map_or("", |(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        if let Some((_, old)) = NAMES.iter().zip(&mut self.0).find(|(known, _)| **known == name) {
            value.clone_into(old);
        }
    }

    /// The address to call, and the name of the parameter that carries the card. None: not configured.
    pub fn call(&self) -> Option<(String, &str)> {
        let [mode, scheme, host, port, path, parameter] = &self.0;
        let usable = mode == "client" && !host.is_empty() && !parameter.is_empty();
        usable.then(|| (format!("{scheme}://{host}:{port}{path}"), parameter.as_str()))
    }

    fn shown(&self) -> String {
        NAMES.iter().zip(&self.0).map(|(name, value)| format!("{name}={value}\r\n")).collect()
    }
}

/// What the pages and the reader's own calls have in common.
#[derive(Clone)]
pub(super) struct Shared {
    state: Arc<Mutex<Holds>>,
    pub(super) record: watch::Sender<Record>,
    login: Option<(String, String)>,
}

/// What changes while the reader runs.
pub(super) struct Holds {
    pub(super) configuration: Configuration,
    prepared: Configuration,
    pub(super) firmware: String,
    pub(super) trouble: Option<Trouble>,
    /// The answers to so many calls are lost.
    pub(super) lose_answers: u32,
    /// After so many showings the configuration is forgotten, once.
    drift_after: Option<u32>,
    /// Of a hundred requests, so many are lost.
    drop_percent: u8,
    /// For what is lost; the same at each start (xorshift).
    dice: u32,
}

impl Shared {
    pub(super) fn new(settings: &Settings, record: watch::Sender<Record>) -> Self {
        let holds = Holds {
            configuration: Configuration::fresh(),
            prepared: Configuration::fresh(),
            firmware: settings.firmware.clone(),
            trouble: settings.trouble.clone(),
            lose_answers: 0,
            drift_after: settings.drift_after,
            drop_percent: settings.drop_percent,
            dice: 0x9e37_79b9,
        };
        Self { state: Arc::new(Mutex::new(holds)), record, login: settings.login.clone() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Holds> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, event: Event) {
        self.record.send_modify(|record| record.events.push(event));
    }

    /// Forgets the configuration.
    pub(super) fn drift(&self) {
        let mut holds = self.lock();
        holds.configuration = Configuration::fresh();
        holds.prepared = Configuration::fresh();
        drop(holds);
        self.record.send_modify(|record| {
            record.configured = false;
            record.events.push(Event::Drifted);
        });
    }

    /// Whether the next packet is lost.
    pub(super) fn loses(&self) -> bool {
        let mut holds = self.lock();
        holds.dice ^= holds.dice << 13;
        holds.dice ^= holds.dice >> 17;
        holds.dice ^= holds.dice << 5;
        let lost = holds.dice % 100 < u32::from(holds.drop_percent);
        drop(holds);
        if lost {
            self.note(Event::Lost);
        }
        lost
    }

    /// Whether the answer to this call is lost.
    pub(super) fn loses_answer(&self) -> bool {
        let mut holds = self.lock();
        let loses = holds.lose_answers > 0;
        holds.lose_answers = holds.lose_answers.saturating_sub(1);
        loses
    }

    /// Whether the firmware knows client mode, which came with 2.04.
    fn has_client_mode(&self) -> bool {
        let holds = self.lock();
        let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
        let mut parts = holds.firmware.split('.').map(|part| digits(part).parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (2, 4)
    }
}

/// Answers a request. Each has a connection of its own, as with a small device.
pub(super) async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let mut response = answer_of(&shared, &request.into_parts().0).await;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn answer_of(shared: &Shared, request: &Parts) -> Response {
    if shared.loses() {
        return std::future::pending().await;
    }
    let asked = Query::<Vec<(String, String)>>::try_from_uri(&request.uri);
    let Ok(Query(asked)) = asked else { return StatusCode::BAD_REQUEST.into_response() };
    let path = request.uri.path();
    let names = asked.iter().map(|(name, _)| name.clone()).collect();
    shared.note(Event::Asked { path: path.to_owned(), names });
    let trouble = shared.lock().trouble.clone();
    if let Some(trouble) = trouble {
        return trouble.answer().await;
    }
    if !let_in(shared, request) {
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"reader\"")]).into_response();
    }
    let page = match path {
        _ if request.method != Method::GET => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
        "/version" => format!("RF IDeas Ethernet 241 (simulated)\r\nFirmware: {}\r\n", shared.lock().firmware),
        "/config" if shared.has_client_mode() => config(shared, &asked),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(CONTENT_TYPE, "text/plain")], page).into_response()
}

fn let_in(shared: &Shared, request: &Parts) -> bool {
    let Some((user, password)) = &shared.login else { return true };
    let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    request.headers.get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == wanted.as_bytes())
}

/// The page `/config`, after what these parameters say was done.
fn config(shared: &Shared, asked: &[(String, String)]) -> String {
    let mut holds = shared.lock();
    let mut saved = false;
    for (name, value) in asked {
        if name == "save" {
            holds.configuration = holds.prepared.clone();
            saved = true;
        } else {
            holds.prepared.set(name, value);
        }
    }
    let page = holds.configuration.shown();
    let configured = holds.configuration.call().is_some();
    let mut drifts = false;
    if asked.is_empty() {
        holds.drift_after = holds.drift_after.map(|left| left.saturating_sub(1));
        drifts = holds.drift_after.take_if(|left| *left == 0).is_some();
    }
    drop(holds);
    if saved {
        shared.record.send_modify(|record| {
            record.configured = configured;
            record.events.push(Event::Configured);
        });
    }
    if drifts {
        shared.drift();
    }
    page
}
