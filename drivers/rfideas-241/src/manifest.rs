//! What the driver says of itself, and the profile it takes where the administrator gives none.
//!
//! The names of pages and parameters are not public. Those here are assumed, and no hardware has confirmed them: every one
//! is a setting.

use cardinal_sdk::prelude::*;

/// The requests that configure a reader, in order.
pub(crate) const CONFIGURE: [&str; 4] = [
    "GET /config?mode=client",
    "GET /config?scheme={callback_scheme}&host={callback_host}&port={callback_port}",
    "GET /config?path={callback_path}{card_path}&parameter={card_parameter}",
    "GET /config?save=1",
];

/// What the answer to `check_request` must contain, each on a line of its own.
pub(crate) const CHECK: [&str; 6] = [
    r"(?m)^mode=client\s*$",
    r"(?m)^scheme={callback_scheme}\s*$",
    r"(?m)^host={callback_host}\s*$",
    r"(?m)^port={callback_port}\s*$",
    r"(?m)^path={callback_path}{card_path}\s*$",
    r"(?m)^parameter={card_parameter}\s*$",
];

/// Each verdict with the setting that says what the reader is answered, what that is by default, and its help.
pub(crate) const REPLIES: [(&str, &str, &str, &str); 8] = [
    ("released", "on_released", "200 released", "jobs are on their way"),
    ("unlocked", "on_unlocked", "200 unlocked", "the device is free to use"),
    ("nothing-held", "on_nothing_held", "200 nothing-held", "the person has nothing to print here"),
    ("unknown-card", "on_unknown_card", "403 unknown-card", "no user has the card"),
    ("denied", "on_denied", "403 denied", "the user may not use the device"),
    ("enter-pin", "on_enter_pin", "200 enter-pin", "a PIN is wanted"),
    ("registered", "on_registered", "200 registered", "the card now belongs to its owner"),
    ("failed", "on_failed", "503 failed", "Cardinal could not decide, or decided something this driver does not know"),
];

/// What stands at the end of a help about something that only hardware could confirm.
const ASSUMED: &str = "The default is assumed, not verified on hardware.";

/// What the driver says of itself.
pub(crate) fn manifest() -> Manifest {
    let mode = Mode::new(
        "rfideas-241-client",
        "RFIDeas 241 (Client Mode)",
        "RF IDeas Ethernet 241 readers with firmware 2.04 or later, which Cardinal configures over HTTP and which call it by \
         HTTPS with each card. Give the reader's address, and a port only where it is another than 80 or 443. The names of the reader's pages and parameters are \
         assumed, not verified on hardware: they are settings, and docs/rfideas-241.md tells how to adapt them.",
    )
    .transport(Transport::Http(vec![80, 443]));
    let mode = asking(mode);
    let mode = firmware(mode);
    let mode = calling(mode);
    let mode = REPLIES.iter().fold(mode, |mode, (verdict, key, default, when)| {
        mode.setting(
            Setting::text(key)
                .title(&format!("Answer on `{verdict}`"))
                .help(&format!("Status and text that the reader is answered when {when}. {ASSUMED}"))
                .default(default),
        )
    });
    let mode = mode
        .setting(
            Setting::text("on_bad_call")
                .title("Answer to a call without a card")
                .help("Status and text that the reader is answered when its call brings no card, or not as the profile says. The default is assumed, not verified on hardware.")
                .default("400 no-card"),
        )
        .setting(
            Setting::text("answer_type")
                .title("Type of answers")
                .help("What `content-type` says of the answers to the reader.")
                .default("text/plain; charset=utf-8"),
        );
    Manifest::new(
        "cardinal",
        "rfideas-241",
        env!("CARGO_PKG_VERSION"),
        "RF IDeas Ethernet 241 readers that call the host by HTTPS with each card",
    )
    .mode(mode.command("check").command("configure"))
}

/// How the reader is asked and configured.
fn asking(mode: Mode) -> Mode {
    let listed = |list: &[&str]| list.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
    mode.setting(
        Setting::boolean("tls")
            .title("Ask by HTTPS")
            .help("Whether the reader is configured and checked by HTTPS, on port 443, instead of HTTP on port 80, where the address it is to call and `password` travel in clear. HTTPS needs the reader's `certificate`. A port in the reader's address stands for both.")
            .default("false"),
    )
    .setting(
        Setting::text("user")
            .title("User")
            .help("Name for the reader's web pages (HTTP Basic). Empty: none is sent.")
            .default(""),
    )
    .setting(Setting::secret("password").title("Password").help("Password for the reader's web pages, with `user`."))
    .setting(
        Setting::text("configure")
            .title("Configuration requests")
            .help(&format!(
                "Sent in this order to configure the reader. Empty: none, it is configured by hand. If not given: {}. Assumed, not verified on hardware.",
                listed(&CONFIGURE)
            ))
            .repeated(),
    )
    .setting(
        Setting::text("check_request")
            .title("Check request")
            .help(&format!("Asks the reader for its configuration. {ASSUMED}"))
            .default("GET /config"),
    )
    .setting(
        Setting::text("check_pattern")
            .title("Check patterns")
            .help(&format!(
                "Regular expressions that must each be found in the answer to `check_request`; else the reader is configured anew. If not given: {}. Assumed, not verified on hardware.",
                listed(&CHECK)
            ))
            .repeated(),
    )
    .setting(
        Setting::text("login_pattern")
            .title("Login page")
            .help(&format!("Regular expression that tells a login page from what was asked for. Empty: none does. {ASSUMED}"))
            .default(r#"(?i)type\s*=\s*["']?password"#),
    )
    .setting(
        Setting::integer("check_seconds")
            .title("Check interval")
            .help("Seconds between two checks of the configuration, 5 to 86400.")
            .default("60"),
    )
    .setting(
        Setting::integer("retry_seconds")
            .title("Longest retry pause")
            .help("While the reader cannot be reached or configured, it is tried again after 1 s, then after ever longer pauses up to this many seconds, 1 to 3600.")
            .default("60"),
    )
}

/// How the firmware is known.
fn firmware(mode: Mode) -> Mode {
    mode.setting(
        Setting::text("version_request")
            .title("Version request")
            .help(&format!("Asks the reader for its firmware version. Empty: it is not asked. {ASSUMED}"))
            .default("GET /version"),
    )
    .setting(
        Setting::text("version_pattern")
            .title("Version pattern")
            .help(&format!("Regular expression whose first group is the firmware version in the answer to `version_request`; by default the first number with a dot behind the word firmware on the same line. {ASSUMED}"))
            .default(r"(?i)firmware[^\r\n]*?([0-9]+(?:\.[0-9]+[0-9A-Za-z]*)+)"),
    )
    .setting(
        Setting::text("minimum_firmware")
            .title("Oldest firmware")
            .help("A reader with older firmware is not configured, and says so. Compared part by part: 2.10 is later than 2.04. Empty: any will do.")
            .default("2.04"),
    )
}

/// How the reader calls.
fn calling(mode: Mode) -> Mode {
    mode.setting(
        Setting::choice("card_method", &["GET", "POST"])
            .title("Method of a call")
            .help(&format!("How the reader calls with a card. {ASSUMED}"))
            .default("GET"),
    )
    .setting(
        Setting::text("card_path")
            .title("Path of a call")
            .help("What follows the address that Cardinal gives the reader to call. Empty, or it begins with /.")
            .default("/card"),
    )
    .setting(
        Setting::text("card_parameter")
            .title("Parameter with the card")
            .help(&format!("The name of the parameter in the address of a call that carries the card number. {ASSUMED}"))
            .default("card"),
    )
    .setting(
        Setting::milliseconds("same_swipe_ms")
            .title("Same swipe")
            .help("A card that is sent again before it is decided, or up to this many milliseconds after, is the same swipe: it gets the same answer, and nothing is released twice. Must be longer than the reader waits for an answer before it calls again, with all its repeats. Once `nothing-held`, `unknown-card`, `denied` or `failed` was answered, 2 seconds at most. At most 60000; 0: every call is a swipe.")
            .default("25000"),
    )
}
