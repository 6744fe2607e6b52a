//! The settings of generic mode: what an administrator may give, and what it comes to.

use cardinal_sdk::prelude::*;
use regex_lite::Regex;

/// The longest line that may be asked for: what hosts take as a card number or a fact.
const LONGEST_LINE: usize = 500;

/// Each verdict with the setting that says what is sent back for it, and its help.
const REPLIES: [(&str, &str, &str); 8] = [
    ("released", "on_released", "jobs are on their way"),
    ("unlocked", "on_unlocked", "the device is free to use"),
    ("nothing-held", "on_nothing_held", "the person has nothing to print here"),
    ("unknown-card", "on_unknown_card", "no user has the card"),
    ("denied", "on_denied", "the user may not use the device"),
    ("enter-pin", "on_enter_pin", "a PIN is wanted"),
    ("registered", "on_registered", "the card now belongs to its owner"),
    ("failed", "on_failed", "Cardinal could not decide, or decided something this driver does not know"),
];

/// What the driver says of itself.
pub(crate) fn manifest() -> Manifest {
    let mode = Mode::new(
        "generic",
        "Generic (card number and line end)",
        "Readers and terminals that send each card as text with a line end over a plain TCP connection. Give the port that \
         the reader is set to; most take one connection at a time.",
    )
    .transport(Transport::Dial(0))
    .transport(Transport::Listen)
    .setting(
        Setting::bytes("terminators")
            .title("Line ends")
            .help("Each of these bytes ends a card. White space around a card is dropped, so \\r\\n needs nothing more.")
            .default("\\n"),
    )
    .setting(
        Setting::text("card_pattern")
            .title("Card pattern")
            .help("Regular expression for lines that hold more than the card: its first group is the card, without a group the whole match. Lines that do not match are dropped."),
    )
    .setting(
        Setting::integer("line_length")
            .title("Longest line")
            .help("Bytes, 1 to 500. A longer line is dropped up to its end.")
            .default("256"),
    )
    .setting(
        Setting::milliseconds("idle_flush_ms")
            .title("A pause ends a card")
            .help("For readers that send no line end: a pause of this many milliseconds, or hanging up, ends the card. 0: never.")
            .default("0"),
    )
    .setting(
        Setting::bytes("probe")
            .title("Sent on connecting")
            .help("Sent once a connection stands, several in order. Terminals ignore what they do not know.")
            .repeated(),
    )
    .setting(
        Setting::integer("keepalive_seconds")
            .title("Keepalive")
            .help("Seconds between two keepalives, so that a dead connection is noticed. 0: none.")
            .default("30"),
    )
    .setting(Setting::bytes("keepalive_bytes").title("Keepalive bytes").help("What a keepalive sends.").default("\\r"))
    .setting(
        Setting::bytes("version_query")
            .title("Version query")
            .help("Sent on connecting; the answer, a text that ends in \\r, is shown as the reader's version and is never a card. Empty: none.")
            .default(""),
    )
    .setting(
        Setting::milliseconds("version_timeout_ms")
            .title("Wait for the version")
            .help("How long the next answer is taken for the version. Where cards end in \\r as well, a card shown within this time counts as the version.")
            .default("3000"),
    );
    let mode = REPLIES.iter().fold(mode, |mode, (verdict, key, when)| {
        mode.setting(
            Setting::bytes(key)
                .title(&format!("Sent on `{verdict}`"))
                .help(&format!("Sent to the reader when {when}."))
                .default(""),
        )
    });
    Manifest::new(
        "cardinal",
        "generic",
        env!("CARGO_PKG_VERSION"),
        "Readers that send a card number and a line end over a plain connection",
    )
    .mode(mode.command("beep").command("send"))
}

/// The settings of a session.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) terminators: Vec<u8>,
    card_pattern: Option<Regex>,
    pub(crate) line_length: usize,
    /// 0: never.
    pub(crate) idle_flush: Millis,
    pub(crate) probes: Vec<Vec<u8>>,
    /// Time between two and what is sent; all 0 and empty: none.
    pub(crate) keepalive: (Millis, Vec<u8>),
    pub(crate) version_query: Vec<u8>,
    pub(crate) version_timeout: Millis,
    /// By verdict.
    replies: Vec<(&'static str, Vec<u8>)>,
}

impl Options {
    pub(crate) fn new(settings: Settings<'_>) -> Result<Self, Fault> {
        let invalid = |message: String| Fault::new("setting-invalid", message);
        let card_pattern = match settings.get("card_pattern") {
            None | Some("") => None,
            Some(pattern) => {
                let built = Regex::new(pattern);
                Some(built.map_err(|error| invalid(format!("`card_pattern` is no regular expression: {error}")))?)
            }
        };
        let line_length = settings.integer("line_length")?;
        if !(1..=LONGEST_LINE).contains(&line_length) {
            return Err(invalid(format!("`line_length` is {line_length}; it may be 1 to {LONGEST_LINE}")));
        }
        let terminators = settings.bytes("terminators")?;
        let idle_flush = settings.milliseconds("idle_flush_ms")?;
        if terminators.is_empty() && idle_flush == 0 {
            let message = "without `terminators` and with `idle_flush_ms` 0 no card would ever end; set one of them";
            return Err(invalid(message.to_owned()));
        }
        let seconds: u32 = settings.integer("keepalive_seconds")?;
        let bytes = settings.bytes("keepalive_bytes")?;
        let off = seconds == 0 || bytes.is_empty();
        let keepalive = if off { (0, Vec::new()) } else { (Millis::from(seconds) * 1000, bytes) };
        Ok(Self {
            terminators,
            card_pattern,
            line_length,
            idle_flush,
            probes: settings.all_bytes("probe")?,
            keepalive,
            version_query: settings.bytes("version_query")?,
            version_timeout: settings.milliseconds("version_timeout_ms")?,
            replies: REPLIES
                .iter()
                .map(|(verdict, key, _)| Ok((*verdict, settings.bytes(key)?)))
                .collect::<Result<_, Fault>>()?,
        })
    }

    /// The card in a line, none if the line does not match.
    pub(crate) fn card_of<'t>(&self, line: &'t str) -> Option<&'t str> {
        let Some(pattern) = &self.card_pattern else { return Some(line) };
        let found = pattern.captures(line)?;
        found.get(1).or_else(|| found.get(0)).map(|card| card.as_str().trim())
    }

    /// What is sent back for a verdict. One that is not known is a failure.
    pub(crate) fn reply_to(&self, verdict: &str) -> &[u8] {
        let reply = |wanted: &str| self.replies.iter().find(|(verdict, _)| *verdict == wanted);
        reply(verdict).or_else(|| reply("failed")).map_or(&[], |(_, bytes)| bytes)
    }
}
