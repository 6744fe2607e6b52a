//! A driver as plain Rust, without a component around it: quick, and open to a debugger.

use std::marker::PhantomData;

use cardinal_domain::driver as host;
use cardinal_runtime::manifest;
use cardinal_sdk as sdk;

use crate::{Session, Stop, Subject};

/// The driver `D` run natively.
#[derive(Debug)]
pub struct Native<D>(PhantomData<D>);

impl<D> Native<D> {
    /// The driver `D` run natively.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D> Default for Native<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: sdk::Driver> Subject for Native<D> {
    fn how(&self) -> &'static str {
        "natively"
    }

    fn manifest(&self) -> Result<host::Manifest, String> {
        let manifest = from_manifest(D::manifest())?;
        manifest::check(&manifest).map_err(|error| error.to_string())?;
        Ok(manifest)
    }

    fn open(&self, context: host::Context) -> Result<Box<dyn Session>, Stop> {
        Ok(Box::new(NativeSession(open::<D>(context)?)))
    }
}

struct NativeSession<D>(D);

impl<D: sdk::Driver> Session for NativeSession<D> {
    fn handle(&mut self, now: host::Millis, input: host::Input) -> Result<Vec<host::Output>, Stop> {
        let mut out = sdk::Outputs::new();
        self.0.handle(now, to_input(input), &mut out).map_err(stop)?;
        out.into_vec().into_iter().map(from_output).collect::<Result<_, _>>().map_err(Stop::Broken)
    }

    fn save(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        Ok(self.0.save())
    }

    fn reopen(&mut self, context: host::Context) -> Result<(), Stop> {
        self.0 = open(context)?;
        Ok(())
    }
}

fn open<D: sdk::Driver>(context: host::Context) -> Result<D, Stop> {
    D::open(sdk::Context {
        mode: context.mode,
        transport: context.transport,
        settings: to_pairs(context.settings),
        callback: context.callback,
        memory: context.memory,
        saved: context.saved,
    })
    .map_err(stop)
}

fn stop(fault: sdk::Fault) -> Stop {
    Stop::Fault(from_fault(fault))
}

// To the driver --------------------------------------------------------------------------------------------------------

fn to_input(input: host::Input) -> sdk::Input {
    match input {
        host::Input::Connected(random) => sdk::Input::Connected(random),
        host::Input::Resumed => sdk::Input::Resumed,
        host::Input::Received(bytes) => sdk::Input::Received(bytes),
        host::Input::Disconnected(fault) => sdk::Input::Disconnected(to_fault(fault)),
        host::Input::Timer(id) => sdk::Input::Timer(id),
        host::Input::Fetched(id, outcome) => {
            sdk::Input::Fetched(sdk::Fetched { id, outcome: outcome.map(to_response).map_err(to_fault) })
        }
        host::Input::Called(call) => sdk::Input::Called(sdk::Call {
            id: call.id,
            method: call.method,
            path: call.path,
            query: to_pairs(call.query),
            headers: to_headers(call.headers),
            body: call.body,
        }),
        host::Input::CallEnded(id) => sdk::Input::CallEnded(id),
        host::Input::Verdict(verdict) => sdk::Input::Verdict(sdk::Verdict {
            swipe: verdict.swipe,
            code: verdict.code.as_str().to_owned(),
            message: verdict.message,
        }),
        host::Input::Command(name, arguments) => {
            sdk::Input::Command(sdk::Command { name, arguments: to_pairs(arguments) })
        }
    }
}

fn to_fault(fault: host::Fault) -> sdk::Fault {
    sdk::Fault { code: fault.code, message: fault.message }
}

fn to_response(response: host::Response) -> sdk::Response {
    sdk::Response { status: response.status, headers: to_headers(response.headers), body: response.body }
}

fn to_pairs(pairs: Vec<host::Pair>) -> Vec<sdk::Pair> {
    pairs.into_iter().map(|(key, value)| sdk::Pair { key, value }).collect()
}

fn to_headers(pairs: Vec<host::Pair>) -> Vec<sdk::Header> {
    pairs.into_iter().map(|(name, value)| sdk::Header { name, value }).collect()
}

// From the driver ------------------------------------------------------------------------------------------------------

fn from_manifest(manifest: sdk::Manifest) -> Result<host::Manifest, String> {
    Ok(host::Manifest {
        vendor: manifest.vendor,
        name: manifest.name,
        version: manifest.version,
        summary: manifest.summary,
        modes: manifest.modes.into_iter().map(from_mode).collect::<Result<_, _>>()?,
    })
}

fn from_mode(mode: sdk::Mode) -> Result<host::Mode, String> {
    let transport = |transport| match transport {
        sdk::Transport::Dial(port) => host::Transport::Dial(port),
        sdk::Transport::Listen => host::Transport::Listen,
        sdk::Transport::Http(ports) => host::Transport::Http(ports),
    };
    Ok(host::Mode {
        id: mode.id,
        title: mode.title,
        summary: mode.summary,
        transports: mode.transports.into_iter().map(transport).collect(),
        settings: mode.settings.into_iter().map(from_setting).collect::<Result<_, _>>()?,
        commands: mode.commands,
    })
}

fn from_setting(setting: sdk::Setting) -> Result<host::Setting, String> {
    let kind = host::SettingKind::parse(&setting.kind).ok_or_else(|| {
        format!("the setting {:?} has the kind {:?}, which does not exist", setting.key, setting.kind)
    })?;
    Ok(host::Setting {
        key: setting.key,
        title: setting.title,
        help: setting.help,
        kind,
        default: setting.default,
        required: setting.required,
        repeated: setting.repeated,
        allowed: setting.allowed,
    })
}

fn from_output(output: sdk::Output) -> Result<host::Output, String> {
    Ok(match output {
        sdk::Output::Send(bytes) => host::Output::Send(bytes),
        sdk::Output::Keepalive(keepalive) => host::Output::Keepalive(
            keepalive.map(|keepalive| host::Keepalive { every: keepalive.every, bytes: keepalive.bytes }),
        ),
        sdk::Output::Card(card) => host::Output::Card(host::CardRead {
            swipe: card.swipe,
            number: card.number,
            bits: card.bits.map(|bits| host::Bits { data: bits.data, length: bits.length }),
            technology: card.technology,
            port: card.port,
            facts: from_pairs(card.facts),
        }),
        sdk::Output::Typed(typed) => host::Output::Typed(typed.port, typed.text),
        sdk::Output::SetTimer(timer) => host::Output::SetTimer(timer.id, timer.after),
        sdk::Output::CancelTimer(id) => host::Output::CancelTimer(id),
        sdk::Output::Fetch(fetch) => host::Output::Fetch(host::Fetch {
            id: fetch.id,
            port: fetch.port,
            tls: fetch.tls,
            method: fetch.method,
            path: fetch.path,
            query: from_pairs(fetch.query),
            headers: from_headers(fetch.headers),
            body: fetch.body,
        }),
        sdk::Output::Answer(answer) => host::Output::Answer(
            answer.id,
            host::Response {
                status: answer.response.status,
                headers: from_headers(answer.response.headers),
                body: answer.response.body,
            },
        ),
        sdk::Output::Status(status) => host::Output::Status(host::Status {
            health: host::Health::parse(&status.health)
                .ok_or_else(|| format!("{:?} is no health; there are online, degraded, error", status.health))?,
            reason: status.reason,
            facts: from_pairs(status.facts),
        }),
        sdk::Output::Remember((key, bytes)) => host::Output::Remember(key, bytes),
        sdk::Output::Log(log) => host::Output::Log(
            host::LogLevel::parse(&log.level)
                .ok_or_else(|| format!("{:?} is no log level; there are debug, info, warn, error", log.level))?,
            log.message,
        ),
        sdk::Output::Close(fault) => host::Output::Close(from_fault(fault)),
    })
}

fn from_fault(fault: sdk::Fault) -> host::Fault {
    host::Fault { code: fault.code, message: fault.message }
}

fn from_pairs(pairs: Vec<sdk::Pair>) -> Vec<host::Pair> {
    pairs.into_iter().map(|pair| (pair.key, pair.value)).collect()
}

fn from_headers(headers: Vec<sdk::Header>) -> Vec<host::Pair> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}
