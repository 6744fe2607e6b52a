//! Short ways to make the contract's records, so that a manifest or a request reads like a sentence.

use crate::{Bits, Card, Fault, Fetch, Header, Id, Manifest, Mode, Pair, Response, Setting, Transport};

impl Fault {
    /// A fault of this code (lower-case words joined by `-`) and message (what was being done, what to do next).
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl Pair {
    /// A name and a value.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl Manifest {
    /// A driver `vendor/name` of this version, with no modes yet.
    pub fn new(vendor: &str, name: &str, version: &str, summary: &str) -> Self {
        Self {
            vendor: vendor.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            summary: summary.to_owned(),
            modes: Vec::new(),
        }
    }

    /// With this mode as well.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.modes.push(mode);
        self
    }
}

impl Mode {
    /// A mode of this id, with no transports, settings or commands yet.
    pub fn new(id: &str, title: &str, summary: &str) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            summary: summary.to_owned(),
            transports: Vec::new(),
            settings: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// Can be reached this way as well; the first is the default.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transports.push(transport);
        self
    }

    /// With this setting as well.
    pub fn setting(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
    }

    /// With this command of an operator as well.
    pub fn command(mut self, name: &str) -> Self {
        self.commands.push(name.to_owned());
        self
    }
}

impl Setting {
    fn of(kind: &str, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            title: key.to_owned(),
            help: String::new(),
            kind: kind.to_owned(),
            default: None,
            required: false,
            repeated: false,
            allowed: Vec::new(),
        }
    }

    /// Any text.
    pub fn text(key: &str) -> Self {
        Self::of("text", key)
    }

    /// A whole number.
    pub fn integer(key: &str) -> Self {
        Self::of("integer", key)
    }

    /// A time in milliseconds.
    pub fn milliseconds(key: &str) -> Self {
        Self::of("milliseconds", key)
    }

    /// `true` or `false`.
    pub fn boolean(key: &str) -> Self {
        Self::of("boolean", key)
    }

    /// Bytes, written as text with escapes.
    pub fn bytes(key: &str) -> Self {
        Self::of("bytes", key)
    }

    /// Text that is never shown or logged.
    pub fn secret(key: &str) -> Self {
        Self::of("secret", key)
    }

    /// One of these values.
    pub fn choice(key: &str, allowed: &[&str]) -> Self {
        let mut setting = Self::of("choice", key);
        setting.allowed = allowed.iter().map(|&value| value.to_owned()).collect();
        setting
    }

    /// What a form calls it, in a few words.
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// What it does, its unit, and when to change it.
    pub fn help(mut self, help: &str) -> Self {
        help.clone_into(&mut self.help);
        self
    }

    /// Used where the administrator gives nothing; of the same form as a value.
    pub fn default(mut self, value: &str) -> Self {
        self.default = Some(value.to_owned());
        self
    }

    /// There must be a value.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// A list may be given; see [`crate::Settings::all`].
    pub fn repeated(mut self) -> Self {
        self.repeated = true;
        self
    }
}

impl Card {
    /// A card of which nothing is known yet. The verdict will carry `swipe`.
    pub fn new(swipe: Id) -> Self {
        Self { swipe, number: None, bits: None, technology: None, port: 0, facts: Vec::new() }
    }

    /// Its number as the reader says it.
    pub fn number(mut self, number: impl Into<String>) -> Self {
        self.number = Some(number.into());
        self
    }

    /// Its raw credential: the first bit is the highest of the first byte.
    pub fn bits(mut self, data: impl Into<Vec<u8>>, length: u32) -> Self {
        self.bits = Some(Bits { data: data.into(), length });
        self
    }

    /// Such as `125 kHz` or `mifare`.
    pub fn technology(mut self, technology: impl Into<String>) -> Self {
        self.technology = Some(technology.into());
        self
    }

    /// The antenna or door, from 0.
    pub fn port(mut self, port: u8) -> Self {
        self.port = port;
        self
    }

    /// Something else the reader tells of this card.
    pub fn fact(mut self, key: &str, value: impl Into<String>) -> Self {
        self.facts.push(Pair::new(key, value));
        self
    }
}

impl Fetch {
    /// A request of this method and path over plain HTTP, to the first port of the mode.
    pub fn new(id: Id, method: &str, path: impl Into<String>) -> Self {
        Self {
            id,
            port: None,
            tls: false,
            method: method.to_owned(),
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A GET of this path.
    pub fn get(id: Id, path: impl Into<String>) -> Self {
        Self::new(id, "GET", path)
    }

    /// A POST of this body.
    pub fn post(id: Id, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new(id, "POST", path).body(body)
    }

    /// To this port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Over HTTPS.
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// With this query parameter as well; the host encodes it.
    pub fn query(mut self, key: &str, value: impl Into<String>) -> Self {
        self.query.push(Pair::new(key, value));
        self
    }

    /// With this header as well.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(Header { name: name.to_owned(), value: value.into() });
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl Response {
    /// An answer of this status, with no headers and no body yet.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// With this header as well.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(Header { name: name.to_owned(), value: value.into() });
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}
