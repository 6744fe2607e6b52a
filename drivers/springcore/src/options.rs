//! The settings of both modes: what an administrator may give, and what it comes to.
//!
//! What is said to the reader is a READER COMMAND (docs.springcard.com/books/SpringCore, Host Protocols, JSON Messages,
//! READER COMMAND Message): `Leds`, four bytes in hexadecimal, a mode for each LED of a ramp (page LED Modes: `00` off,
//! `01` on); `RgbColor` for devices with an RGB LED; `Buzzer` in milliseconds; or `Sequence`, one of the device's own
//! light shows, which must stand alone. The document does not say which LED has which colour, nor the form of `RgbColor`
//! (here as colours are written on the page PUCK, UI Sequences): the defaults assume both, and are settings for that.

use cardinal_sdk::prelude::*;
use tinyjson::JsonValue;

use crate::framing::only_object;

/// The mode's ids.
pub(crate) const TCP: &str = "springcore-tcp";
pub(crate) const HTTP: &str = "springcore-http";

/// The longest command that may be set, in bytes.
const LONGEST_COMMAND: usize = 512;
/// The longest message that may be asked for, in bytes.
const LONGEST_MESSAGE: usize = 16 * 1024;
/// The longest time in which a card may count as the same swipe, in milliseconds.
const LONGEST_SAME_SWIPE: Millis = 120_000;
/// What register 0291 (Query path) holds, in characters.
const LONGEST_PATH: usize = 48;

/// A verdict, the setting that says what the reader is told then, when it is given, and whether it is welcome.
struct Told(&'static str, &'static str, &'static str, bool);

const VERDICTS: [Told; 8] = [
    Told("released", "on_released", "jobs are on their way", true),
    Told("unlocked", "on_unlocked", "the device is free to use", true),
    Told("registered", "on_registered", "the card now belongs to its owner", true),
    Told("enter-pin", "on_enter_pin", "a PIN is wanted", true),
    Told("nothing-held", "on_nothing_held", "the person has nothing to print here", false),
    Told("unknown-card", "on_unknown_card", "no user has the card", false),
    Told("denied", "on_denied", "the user may not use the device", false),
    Told("failed", "on_failed", "Cardinal could not decide, or decided something this driver does not know", false),
];
/// The place of `failed`, which stands for every code that is not known.
const FAILED: usize = VERDICTS.len() - 1;

/// What the driver says of itself.
pub(crate) fn manifest() -> Manifest {
    let tcp = Mode::new(
        TCP,
        "SpringCore, JSON over TCP",
        "SpringCard readers in Smart Reader mode that are a TCP server (registers 02C0 = 24 and 02A0 = 00xxxx02xx). They take \
         one connection at a time, in clear: use it in a network of its own.",
    )
    .transport(Transport::Dial(4000));
    let tcp = lights(tcp)
        .setting(
            Setting::integer("keepalive_seconds")
                .title("Keepalive")
                .help("Seconds between two empty commands, so that a dead connection is noticed. 0: none.")
                .default("30"),
        )
        .setting(
            Setting::bytes("command_end")
                .title("End of a command")
                .help("What follows a command to the reader. Assumed: the public document names none.")
                .default("\\r\\n"),
        );
    let http = Mode::new(
        HTTP,
        "SpringCore, JSON over HTTP",
        "SpringCard readers in Smart Reader mode that are an HTTP client (registers 02C0 = 14 and 02A0 = 00xxxx02xx; server in \
         0290, path in 0291, keep-alive in 0292). They speak plain HTTP only: set plain = true, and use it in a \
         network of its own.",
    )
    .transport(Transport::Http(Vec::new()));
    let http = lights(http)
    .setting(
        Setting::milliseconds("same_swipe_ms")
            .title("Same swipe")
            .help("For events without `Uptime` and `Sequence`: a card that is sent again before it is decided, or up to this many milliseconds after, is the same swipe. Must be longer than the reader waits for an answer (register 0292, 30 s by default). Once a verdict that did nothing was answered, 2 seconds at most. At most 120000; 0: every such call is a swipe.")
            .default("35000"),
    )
    .setting(
        Setting::integer("silence_seconds")
            .title("Silence")
            .help("A reader that did not call for so many seconds is shown as in error. Must be longer than the keep-alive in its register 0292 (60 by default). 0: never.")
            .default("180"),
    );
    Manifest::new(
        "cardinal",
        "springcore",
        env!("CARGO_PKG_VERSION"),
        "SpringCard readers (SpringCore firmware) that send JSON over TCP or HTTP",
    )
    .mode(tcp.command("welcome").command("refused").command("idle"))
    .mode(http)
}

/// The settings that both modes have.
fn lights(mode: Mode) -> Mode {
    let mode = mode
        .setting(
            Setting::text("welcome")
                .title("Welcome")
                .help("Command (JSON) when a card is welcome. Assumed: the 2nd LED is green.")
                .default(r#"{"Leds":"00010000","RgbColor":"00FF00","Buzzer":100}"#),
        )
        .setting(
            Setting::text("refused")
                .title("Refused")
                .help("Command when it is not. Assumed: the 1st LED is red.")
                .default(r#"{"Leds":"01000000","RgbColor":"FF0000","Buzzer":500}"#),
        )
        .setting(
            Setting::text("idle")
                .title("Lights off")
                .help("Command that ends the light. Sequence 5 ends all shows of a device. Empty: none.")
                .default(r#"{"Sequence":5}"#),
        )
        .setting(
            Setting::milliseconds("light_ms")
                .title("Light")
                .help("How long the light of a verdict stays. Over HTTP a reader can be told only when it calls: the light goes off with its next keep-alive.")
                .default("2000"),
        )
        .setting(
            Setting::integer("message_length")
                .title("Longest message")
                .help("Bytes, 64 to 16384. A longer message is dropped.")
                .default("2048"),
        );
    VERDICTS.iter().fold(mode, |mode, Told(_, key, when, welcome)| {
        let usual = if *welcome { "welcome" } else { "refused" };
        mode.setting(
            Setting::text(key)
                .title(key)
                .help(&format!("Command when {when}. Not given: that of `{usual}`. Empty: none.")),
        )
    })
}

/// The settings of a session.
pub(crate) struct Options {
    /// The reader calls us; else we have a connection.
    pub(crate) http: bool,
    /// By place in [`VERDICTS`].
    commands: Vec<String>,
    welcome: String,
    refused: String,
    pub(crate) idle: String,
    pub(crate) light: Millis,
    pub(crate) message_length: usize,
    /// Time between two and what is sent; all 0 and empty: none.
    pub(crate) keepalive: (Millis, Vec<u8>),
    command_end: Vec<u8>,
    /// How long a card is the same swipe where its event does not say when it was. 0: every call is a swipe.
    pub(crate) same_swipe: Millis,
    /// 0: never.
    pub(crate) silence: Millis,
    /// Why the reader cannot call the address that it is to call.
    pub(crate) unreachable: Option<&'static str>,
}

impl Options {
    pub(crate) fn new(context: &Context) -> Result<Self, Fault> {
        let settings = Settings::of(context);
        let http = context.mode == HTTP;
        let message_length = settings.integer("message_length")?;
        if !(64..=LONGEST_MESSAGE).contains(&message_length) {
            let message = format!("`message_length` is {message_length}; it may be 64 to {LONGEST_MESSAGE}");
            return Err(Fault::new("setting-invalid", message));
        }
        let welcome = command(settings, "welcome")?.unwrap_or_default();
        let refused = command(settings, "refused")?.unwrap_or_default();
        let mut commands = Vec::new();
        for Told(_, key, _, is_welcome) in &VERDICTS {
            let usual = if *is_welcome { &welcome } else { &refused };
            commands.push(command(settings, key)?.unwrap_or_else(|| usual.clone()));
        }
        let command_end = if http { Vec::new() } else { settings.bytes("command_end")? };
        let seconds: u32 = if http { 0 } else { settings.integer("keepalive_seconds")? };
        let keepalive = match seconds {
            0 => (0, Vec::new()),
            // All fields of a command are optional: this one does nothing.
            _ => (Millis::from(seconds) * 1000, [b"{}", command_end.as_slice()].concat()),
        };
        let same_swipe = if http { settings.milliseconds("same_swipe_ms")? } else { 0 };
        if same_swipe > LONGEST_SAME_SWIPE {
            let message = format!("`same_swipe_ms` is {same_swipe}; it may be {LONGEST_SAME_SWIPE} at most");
            return Err(Fault::new("setting-invalid", message));
        }
        let silence: u32 = if http { settings.integer("silence_seconds")? } else { 0 };
        Ok(Self {
            http,
            commands,
            welcome,
            refused,
            idle: command(settings, "idle")?.unwrap_or_default(),
            light: settings.milliseconds("light_ms")?,
            message_length,
            keepalive,
            command_end,
            same_swipe,
            silence: Millis::from(silence) * 1000,
            unreachable: context.callback.as_deref().and_then(unreachable),
        })
    }

    /// The place of a verdict. One that is not known is a failure.
    pub(crate) fn verdict(code: &str) -> usize {
        VERDICTS.iter().position(|told| told.0 == code).unwrap_or(FAILED)
    }

    /// Whether a verdict did something. One that is not known may have done anything.
    pub(crate) fn did_something(code: &str) -> bool {
        VERDICTS.iter().find(|told| told.0 == code).is_none_or(|told| told.3)
    }

    /// What the reader is told for the verdict of this place. Empty: nothing.
    pub(crate) fn command_for(&self, verdict: usize) -> &str {
        self.commands.get(verdict).map_or("", String::as_str)
    }

    /// Whether what the reader is told for this verdict is to be ended later.
    pub(crate) fn lights_up(&self, verdict: usize) -> bool {
        self.light > 0 && !self.idle.is_empty() && !self.command_for(verdict).is_empty()
    }

    /// What an operator asks for by hand.
    pub(crate) fn command_named(&self, name: &str) -> &str {
        match name {
            "welcome" => &self.welcome,
            "refused" => &self.refused,
            "idle" => &self.idle,
            _ => "",
        }
    }

    /// A command as it is sent over TCP. Nothing stays nothing.
    pub(crate) fn on_the_wire(&self, command: &str) -> Vec<u8> {
        if command.is_empty() { Vec::new() } else { [command.as_bytes(), &self.command_end].concat() }
    }
}

/// A setting that is a command; none if it is not given.
fn command(settings: Settings<'_>, key: &str) -> Result<Option<String>, Fault> {
    let Some(text) = settings.get(key).map(str::trim) else { return Ok(None) };
    if text.is_empty() {
        return Ok(Some(String::new()));
    }
    let wrong = |why: &str| Fault::new("setting-invalid", format!("`{key}` is no command for the reader: {why}"));
    let wanted = r#"it must be a JSON object of at most 512 bytes, such as {"Leds":"00010000","Buzzer":100}"#;
    let object = only_object(text.as_bytes(), LONGEST_COMMAND).map_err(|_| wrong(wanted))?;
    let fields = match std::str::from_utf8(&object).map(str::parse) {
        Ok(Ok(JsonValue::Object(fields))) => fields,
        _ => return Err(wrong(wanted)),
    };
    let beside = ["Leds", "RgbColor", "RgbMode", "Buzzer"].into_iter().find(|field| fields.contains_key(*field));
    match beside {
        Some(field) if fields.contains_key("Sequence") => {
            Err(wrong(&format!("`Sequence` must not stand beside `{field}`")))
        }
        _ => Ok(Some(text.to_owned())),
    }
}

/// Why a reader of this kind cannot call this address, in words without the address: it is a secret.
fn unreachable(callback: &str) -> Option<&'static str> {
    if callback.starts_with("https:") {
        return Some(
            "the address for this reader is HTTPS, and SpringCore readers speak plain HTTP only: set plain = true at \
             this reader, and plain_listen in [readers] of cardinal.toml",
        );
    }
    let path = callback.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    (path.chars().count() > LONGEST_PATH)
        .then_some("the path for this reader is longer than the 48 characters that its register 0291 takes")
}
