//! Every key of `cardinal.toml`, with its help.

use cardinal_domain::bounds::BoundInfo;
use cardinal_release::RELEASE_LIMITS;
use cardinal_runtime::{BOUNDS, ENGINE_OPTIONS};

use super::{CALLER_LIMITS, SESSION_LIMITS};
use crate::{calls::CALL_LIMITS, fetch::FETCH_LIMITS, recorder::RECORDER_LIMITS, retention::RETENTION_LIMITS};

/// A key and what it does.
pub struct Key {
    /// Sections and key, joined by dots.
    pub path: String,
    /// What it does, with its unit.
    pub help: String,
}

/// The keys that are not bounds.
const PLAIN: &[(&str, &str)] = &[
    ("data", "The folder for the store, the spool, installed drivers and compiled code. Owner-only rights."),
    ("owner_token", "The file with the token that the command line and other API clients show. Owner-only rights."),
    ("http.listen", "Where the API listens. Port 0 takes a free one."),
    (
        "ipp.listen",
        "Where people print to: ipp://THIS-MACHINE:8631/queues/NAME. To take jobs from other machines, listen on an \
      address they reach (such as \"0.0.0.0:8631\") and name their networks in the queue's `allow` list.",
    ),
    (
        "ipps.listen",
        "The same over TLS: ipps://THIS-MACHINE:8632/queues/NAME, with the certificate of [tls]. \"\": not at all.",
    ),
    (
        "dns_sd.announce",
        "Whether queues are announced by DNS-SD (multicast DNS, UDP port 5353), so that machines on the same network find them \
      by themselves: those that other machines may print to, on the networks where `ipp.listen` or `ipps.listen` is \
      reached and that a queue's `allow` list names.",
    ),
    (
        "tls.certificate",
        "The host's certificate for ipps and for terminals that call over TLS, a PEM file with its chain; read again when it \
      changes. Empty: data/tls/certificate.pem, which the host makes itself, signed by itself, for ten years.",
    ),
    ("tls.key", "The certificate's private key, a PEM file that not everybody may read. Empty: data/tls/key.pem."),
    (
        "tls.names",
        "The names and addresses in a certificate that the host makes itself. None: this machine's name, the loopback, and \
      the addresses listened on. After a change: `cardinal tls renew`.",
    ),
    (
        "readers.listen",
        "Where readers that are configured over HTTP call us, over TLS with the certificate of [tls], such as \
      \"0.0.0.0:8633\". \"\": there are no such readers.",
    ),
    (
        "readers.plain_listen",
        "The same without TLS, for readers that have none: whoever is on the way reads the cards, and the secret with which \
      the reader calls. It is for readers with `plain = true` alone; all others are refused there. \"\": not at all.",
    ),
    (
        "readers.url",
        "How readers reach `readers.listen`, such as \"https://print.example.org:8633\". Empty: the first name of the host's \
      certificate, with the port that is listened on.",
    ),
    (
        "readers.plain_url",
        "How readers reach `readers.plain_listen`, such as \"http://print.example.org:8634\". Empty: as for `readers.url`.",
    ),
    (
        "printers.ca",
        "A PEM file with certificates of authorities that vouch for printers with an ipps:// address, besides the \
      system's. Empty: the system's alone. A single printer's own certificate is pinned with `cardinal printer trust`.",
    ),
    (
        "directory.ca",
        "A PEM file with certificates of authorities that vouch for directory servers, besides the system's. Empty: the \
      system's alone.",
    ),
    (
        "directory.program_within_s",
        "How long one run of a sync program may take, in seconds. Which programs and files a sync source may use is said in \
      [directory.programs] (staff = [\"/usr/local/bin/staff-sync\", \"--all\"]) and [directory.files] (staff = \"staff.csv\"): \
      by that name, since no API names a program or a path.",
    ),
    (
        "directory.read_within_s",
        "How long a sync may read, all of its sources together, in seconds. Each single step of a server has \"timeout_s\" of its \
      source besides: this is for one that answers again and again and never comes to an end.",
    ),
    (
        "store.url",
        "Where the store is. Empty: SQLite, cardinal.db in the data folder. A PostgreSQL database of this host's own: \
      postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full. Better in the environment than in this file.",
    ),
    (
        "store.durability",
        "\"process\": a killed process loses nothing, a power cut the last moments of events, never a job. \
      \"power\": a power cut loses nothing either; each event waits for the disk. PostgreSQL does what it is set up to \
      do, and with \"power\" never less than that.",
    ),
    (
        "log.filter",
        "What is logged to standard error: error, warn, info, debug or trace, also by module (\"info,cardinal_release=debug\").",
    ),
    ("log.format", "\"text\" or \"json\"."),
    (
        "drivers.bundled",
        "A folder of driver files (*.wasm) that are installed at start. Empty: share/cardinal/drivers \
      beside the folder of the program, where the first-party drivers lie. They need no signature: whoever can write there \
      can write the program.",
    ),
    (
        "drivers.unsigned",
        "\"refuse\": a driver that is installed must be signed by a publisher trusted for its vendor (`cardinal driver \
      trust`). \"allow\": one that nobody known signed is taken, too, and shown as unsigned; for development.",
    ),
    (
        "drivers.grace_ms",
        "How long the file of a removed driver stays, or one that was left half installed, in milliseconds. A day, so that a \
      removal by mistake can be mended from the disk.",
    ),
];

/// Every key, in the order of the file.
pub fn all() -> Vec<Key> {
    let plain = PLAIN.iter().map(|(path, help)| Key { path: (*path).to_owned(), help: (*help).to_owned() });
    let bound = |section: &'static str, table: &'static [BoundInfo]| {
        table.iter().map(move |info| Key {
            path: format!("{section}.{}", info.name),
            help: format!("{} ({})", info.reason, info.unit),
        })
    };
    plain
        .chain(bound("callers", CALLER_LIMITS))
        .chain(bound("sessions", SESSION_LIMITS))
        .chain(bound("fetches", FETCH_LIMITS))
        .chain(bound("readers.bounds", CALL_LIMITS))
        .chain(bound("release", RELEASE_LIMITS))
        .chain(bound("retention", RETENTION_LIMITS))
        .chain(bound("recorder", RECORDER_LIMITS))
        .chain(bound("drivers.engine", ENGINE_OPTIONS))
        .chain(bound("drivers.bounds", BOUNDS))
        .collect()
}
