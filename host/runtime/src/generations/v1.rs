//! Generation 1, `cardinal:reader/driver@1`: between its component model types and the host's words.

use cardinal_domain::driver::{
    CardRead, Context, Fault, Fetch, Health, Input, Keepalive, LogLevel, Manifest, Millis, Mode, Output, Pair,
    Response, Setting, SettingKind, Status, Transport,
};
use wasmtime::{
    Store,
    component::{InstancePre, ResourceAny},
};

use self::bindings::{ReaderDriver, ReaderDriverPre, exports::cardinal::reader::driver as wit};
use super::{
    CallError, OutputBounds,
    check::{self, ENTRIES, LINE, NAME, NUMBER, Sum, TEXT},
};
use crate::guard::Guard;

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated from wit/v1")]
mod bindings {
    wasmtime::component::bindgen!({ path: "../../wit/v1", world: "reader-driver" });
}

#[derive(Clone)]
pub(crate) struct Prepared(ReaderDriverPre<Guard>);

pub(crate) struct Instance {
    driver: ReaderDriver,
    session: ResourceAny,
}

impl Prepared {
    pub(super) fn new(pre: InstancePre<Guard>) -> wasmtime::Result<Self> {
        ReaderDriverPre::new(pre).map(Self)
    }

    pub(super) fn describe(&self, store: &mut Store<Guard>) -> Result<Manifest, CallError> {
        let driver = self.0.instantiate(&mut *store).map_err(CallError::Instance)?;
        manifest(driver.cardinal_reader_driver().call_describe(store)?)
    }

    pub(super) fn open(&self, store: &mut Store<Guard>, context: Context) -> Result<Instance, CallError> {
        let driver = self.0.instantiate(&mut *store).map_err(CallError::Instance)?;
        let session = driver
            .cardinal_reader_driver()
            .session()
            .call_open(store, &to_context(context))?
            .map_err(|fault| CallError::Fault(from_fault(&fault)))?;
        Ok(Instance { driver, session })
    }
}

impl Instance {
    pub(super) fn handle(
        &self,
        store: &mut Store<Guard>,
        now: Millis,
        input: Input,
        bounds: OutputBounds,
    ) -> Result<Vec<Output>, CallError> {
        let outputs = self
            .driver
            .cardinal_reader_driver()
            .session()
            .call_handle(store, self.session, now, &to_input(input))?
            .map_err(|fault| CallError::Fault(from_fault(&fault)))?;
        let mut sum = Sum::new(bounds, outputs.len())?;
        outputs.into_iter().map(|output| from_output(output, &mut sum)).collect()
    }

    pub(super) fn save(&self, store: &mut Store<Guard>) -> Result<Option<Vec<u8>>, CallError> {
        Ok(self.driver.cardinal_reader_driver().session().call_save(store, self.session)?)
    }
}

// To the driver --------------------------------------------------------------------------------------------------------

fn to_context(context: Context) -> wit::Context {
    wit::Context {
        mode: context.mode,
        transport: context.transport,
        settings: to_pairs(context.settings),
        callback: context.callback,
        memory: context.memory,
        saved: context.saved,
    }
}

fn to_input(input: Input) -> wit::Input {
    match input {
        Input::Connected(random) => wit::Input::Connected(random),
        Input::Resumed => wit::Input::Resumed,
        Input::Received(bytes) => wit::Input::Received(bytes),
        Input::Disconnected(fault) => wit::Input::Disconnected(to_fault(fault)),
        Input::Timer(id) => wit::Input::Timer(id),
        Input::Fetched(id, outcome) => {
            wit::Input::Fetched(wit::Fetched { id, outcome: outcome.map(to_response).map_err(to_fault) })
        }
        Input::Called(call) => wit::Input::Called(wit::Call {
            id: call.id,
            method: call.method,
            path: call.path,
            query: to_pairs(call.query),
            headers: to_headers(call.headers),
            body: call.body,
        }),
        Input::CallEnded(id) => wit::Input::CallEnded(id),
        Input::Verdict(verdict) => wit::Input::Verdict(wit::Verdict {
            swipe: verdict.swipe,
            code: verdict.code.as_str().to_owned(),
            message: verdict.message,
        }),
        Input::Command(name, arguments) => wit::Input::Command(wit::Command { name, arguments: to_pairs(arguments) }),
    }
}

fn to_fault(fault: Fault) -> wit::Fault {
    wit::Fault { code: fault.code, message: fault.message }
}

fn to_response(response: Response) -> wit::Response {
    wit::Response { status: response.status, headers: to_headers(response.headers), body: response.body }
}

fn to_pairs(pairs: Vec<Pair>) -> Vec<wit::Pair> {
    pairs.into_iter().map(|(key, value)| wit::Pair { key, value }).collect()
}

fn to_headers(pairs: Vec<Pair>) -> Vec<wit::Header> {
    pairs.into_iter().map(|(name, value)| wit::Header { name, value }).collect()
}

// From the driver ------------------------------------------------------------------------------------------------------

fn manifest(manifest: wit::Manifest) -> Result<Manifest, CallError> {
    Ok(Manifest {
        vendor: check::line("the vendor", manifest.vendor, NAME)?,
        name: check::line("the name", manifest.name, NAME)?,
        version: check::line("the version", manifest.version, NAME)?,
        summary: check::line("the summary", manifest.summary, LINE)?,
        modes: check::list("modes", manifest.modes, ENTRIES)?.into_iter().map(mode).collect::<Result<_, _>>()?,
    })
}

fn mode(mode: wit::Mode) -> Result<Mode, CallError> {
    let transport = |transport| match transport {
        wit::Transport::Dial(port) => Ok(Transport::Dial(port)),
        wit::Transport::Listen => Ok(Transport::Listen),
        wit::Transport::Http(ports) => Ok(Transport::Http(check::list("ports", ports, ENTRIES)?)),
    };
    let command = |command| check::line("a command", command, NAME);
    Ok(Mode {
        id: check::line("the id of a mode", mode.id, NAME)?,
        title: check::line("the title of a mode", mode.title, LINE)?,
        summary: check::paragraph("the summary of a mode", mode.summary, TEXT)?,
        transports: check::list("transports", mode.transports, ENTRIES)?
            .into_iter()
            .map(transport)
            .collect::<Result<_, CallError>>()?,
        settings: check::list("settings", mode.settings, ENTRIES)?
            .into_iter()
            .map(setting)
            .collect::<Result<_, _>>()?,
        commands: check::list("commands", mode.commands, ENTRIES)?
            .into_iter()
            .map(command)
            .collect::<Result<_, _>>()?,
    })
}

fn setting(setting: wit::Setting) -> Result<Setting, CallError> {
    let key = check::line("the key of a setting", setting.key, NAME)?;
    let Some(kind) = SettingKind::parse(&setting.kind) else {
        let known: Vec<_> = SettingKind::ALL.iter().map(|(name, _)| *name).collect();
        let kind = check::line("the kind of a setting", setting.kind, NAME)?;
        return check::wrong(format!("the setting {key:?} has the kind {kind:?}; there are: {}", known.join(", ")));
    };
    let value = |value| check::written("a value of a setting", value, TEXT);
    Ok(Setting {
        key,
        title: check::line("the title of a setting", setting.title, LINE)?,
        help: check::paragraph("the help of a setting", setting.help, TEXT)?,
        kind,
        default: setting.default.map(value).transpose()?,
        required: setting.required,
        repeated: setting.repeated,
        allowed: check::list("allowed values", setting.allowed, ENTRIES)?
            .into_iter()
            .map(value)
            .collect::<Result<_, _>>()?,
    })
}

fn from_fault(fault: &wit::Fault) -> Fault {
    check::fault(&fault.code, &fault.message)
}

fn from_output(output: wit::Output, sum: &mut Sum) -> Result<Output, CallError> {
    Ok(match output {
        wit::Output::Send(bytes) => {
            sum.add(bytes.len())?;
            Output::Send(bytes)
        }
        wit::Output::Keepalive(keepalive) => {
            sum.add(keepalive.as_ref().map_or(0, |keepalive| keepalive.bytes.len()))?;
            Output::Keepalive(keepalive.map(|wit::Keepalive { every, bytes }| Keepalive { every, bytes }))
        }
        wit::Output::Card(card) => Output::Card(from_card(card, sum)?),
        wit::Output::Typed(typed) => {
            sum.add(typed.text.len())?;
            Output::Typed(typed.port, check::text("typed text", typed.text, LINE)?)
        }
        wit::Output::SetTimer(timer) => Output::SetTimer(timer.id, timer.after),
        wit::Output::CancelTimer(id) => Output::CancelTimer(id),
        wit::Output::Fetch(fetch) => Output::Fetch(from_fetch(fetch, sum)?),
        wit::Output::Answer(answer) => Output::Answer(answer.id, from_response(answer.response, sum)?),
        wit::Output::Status(status) => Output::Status(from_status(status, sum)?),
        wit::Output::Remember((key, bytes)) => {
            sum.add(key.len().saturating_add(bytes.len()))?;
            Output::Remember(check::line("the key of a memory", key, NAME)?, bytes)
        }
        wit::Output::Log(log) => {
            sum.add(log.message.len())?;
            let Some(level) = LogLevel::parse(&log.level) else {
                let level = check::line("a level of log", log.level, NAME)?;
                return check::wrong(format!("the level of log {level:?}; there are debug, info, warn and error"));
            };
            Output::Log(level, check::line("a line of log", log.message, TEXT)?)
        }
        wit::Output::Close(fault) => {
            sum.add(fault.message.len())?;
            Output::Close(from_fault(&fault))
        }
    })
}

fn from_card(card: wit::Card, sum: &mut Sum) -> Result<CardRead, CallError> {
    if card.number.is_none() && card.bits.is_none() {
        return check::wrong("a card with neither number nor bits");
    }
    let facts = from_pairs(card.facts);
    sum.add(card.number.as_ref().map_or(0, String::len))?;
    sum.add(card.bits.as_ref().map_or(0, |bits| bits.data.len()))?;
    sum.add_pairs(&facts)?;
    Ok(CardRead {
        swipe: card.swipe,
        number: card.number.map(|number| check::text("a card number", number, NUMBER)).transpose()?,
        bits: card.bits.map(|bits| check::bits(bits.data, bits.length)).transpose()?,
        technology: card.technology.map(|name| check::line("a technology", name, NAME)).transpose()?,
        port: card.port,
        facts: check::facts(facts)?,
    })
}

fn from_fetch(fetch: wit::Fetch, sum: &mut Sum) -> Result<Fetch, CallError> {
    let (query, headers) = (from_pairs(fetch.query), from_headers(fetch.headers));
    sum.add(fetch.path.len().saturating_add(fetch.body.len()))?;
    sum.add_pairs(&query)?;
    sum.add_pairs(&headers)?;
    if !check::is_token(&fetch.method) {
        return check::wrong("a fetch whose method is no word of HTTP");
    }
    if !fetch.path.starts_with('/') || fetch.path.contains(char::is_control) {
        return check::wrong("a fetch whose path does not begin with `/` or has control characters");
    }
    Ok(Fetch {
        id: fetch.id,
        port: fetch.port,
        tls: fetch.tls,
        method: fetch.method,
        path: check::text("the path of a fetch", fetch.path, TEXT)?,
        query: check::list("parts of a query", query, ENTRIES)?,
        headers: check::headers(headers)?,
        body: fetch.body,
    })
}

fn from_response(response: wit::Response, sum: &mut Sum) -> Result<Response, CallError> {
    let headers = from_headers(response.headers);
    sum.add(response.body.len())?;
    sum.add_pairs(&headers)?;
    if !(200..=599).contains(&response.status) {
        return check::wrong(format!("an answer with the HTTP status {}; 200 to 599 are possible", response.status));
    }
    Ok(Response { status: response.status, headers: check::headers(headers)?, body: response.body })
}

fn from_status(status: wit::Status, sum: &mut Sum) -> Result<Status, CallError> {
    let facts = from_pairs(status.facts);
    sum.add(status.reason.len())?;
    sum.add_pairs(&facts)?;
    let Some(health) = Health::parse(&status.health) else {
        let health = check::line("a health", status.health, NAME)?;
        return check::wrong(format!("the health {health:?}; there are online, degraded and error"));
    };
    Ok(Status {
        health,
        reason: check::line("the reason of a status", status.reason, LINE)?,
        facts: check::facts(facts)?,
    })
}

fn from_pairs(pairs: Vec<wit::Pair>) -> Vec<Pair> {
    pairs.into_iter().map(|wit::Pair { key, value }| (key, value)).collect()
}

fn from_headers(headers: Vec<wit::Header>) -> Vec<Pair> {
    headers.into_iter().map(|wit::Header { name, value }| (name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(output: wit::Output) -> Result<Output, CallError> {
        from_output(output, &mut Sum::new(OutputBounds { count: 1, bytes: 1_000 }, 1)?)
    }

    fn contract<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
        match result {
            Err(CallError::Contract(detail)) => detail,
            other => panic!("{other:?}"),
        }
    }

    fn card() -> wit::Card {
        wit::Card { swipe: 1, number: None, bits: None, technology: None, port: 0, facts: Vec::new() }
    }

    fn wit_setting(kind: &str) -> wit::Setting {
        wit::Setting {
            key: "k".to_owned(),
            title: String::new(),
            help: String::new(),
            kind: kind.to_owned(),
            default: None,
            required: false,
            repeated: false,
            allowed: Vec::new(),
        }
    }

    #[test]
    fn words_that_the_contract_does_not_have_are_refused() {
        let log = wit::Log { level: "loud\x1b".to_owned(), message: String::new() };
        assert_eq!(
            contract(output(wit::Output::Log(log))),
            "the level of log \"loud \"; there are debug, info, warn and error"
        );
        let status = wit::Status { health: "poorly".to_owned(), reason: String::new(), facts: Vec::new() };
        assert!(contract(output(wit::Output::Status(status))).contains("online, degraded and error"));
        assert!(contract(setting(wit_setting("colour"))).contains("the kind \"colour\"; there are: text, integer"));
        assert!(setting(wit_setting("choice")).is_ok());
    }

    #[test]
    fn a_card_is_something_and_no_more_than_a_card() {
        assert!(contract(output(wit::Output::Card(card()))).contains("neither number nor bits"));
        let long = wit::Card { number: Some("1".repeat(NUMBER + 1)), ..card() };
        assert!(contract(output(wit::Output::Card(long))).contains("a card number has more than"));
        let bits = wit::Card { bits: Some(wit::Bits { data: vec![0], length: 26 }), ..card() };
        assert!(contract(output(wit::Output::Card(bits))).contains("26 bits in 1 bytes"));
    }

    #[test]
    fn http_is_well_formed() {
        let fetch = |method: &str, path: &str| {
            output(wit::Output::Fetch(wit::Fetch {
                id: 1,
                port: None,
                tls: false,
                method: method.to_owned(),
                path: path.to_owned(),
                query: Vec::new(),
                headers: Vec::new(),
                body: Vec::new(),
            }))
        };
        assert!(fetch("GET", "/status").is_ok());
        assert!(contract(fetch("GET /", "/")).contains("method"));
        assert!(contract(fetch("GET", "http://10.0.0.9/")).contains("path"));
        assert!(contract(fetch("GET", "/\r\nhost: x")).contains("path"));
        let response = wit::Response { status: 99, headers: Vec::new(), body: Vec::new() };
        assert!(contract(output(wit::Output::Answer(wit::Answer { id: 1, response }))).contains("99"));
    }

    #[test]
    fn outputs_are_weighed() {
        assert!(output(wit::Output::Send(vec![0; 1_000])).is_ok());
        let heavy = output(wit::Output::Send(vec![0; 1_001]));
        assert!(matches!(heavy, Err(CallError::Outputs(super::super::TooMuch::Bytes(1_001)))));
        assert!(Sum::new(OutputBounds { count: 1, bytes: 0 }, 2).is_err());
    }
}
