//! Avahi as a machine on the network that looks for printers: a private `avahi-daemon` at the far end of a cable.
//!
//! It speaks with its tools over a message bus, which is private, too; nothing of this machine's own is touched.

use std::{fs, os::unix::net::UnixStream, path::Path, process::Command as StdCommand};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    cli::{self, Answer},
    network::Cable,
    process::Process,
    program, wait,
};

/// A running Avahi.
#[derive(Debug)]
pub struct Avahi {
    _daemon: Process,
    _bus: Process,
    folder: TempDir,
}

/// What was found: a service as its TXT record and SRV record tell of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The instance name.
    pub name: String,
    /// The host name, with `.local`.
    pub host: String,
    /// The address of that host.
    pub address: String,
    /// The port.
    pub port: String,
    /// The TXT record, `key=value` each, sorted.
    pub txt: Vec<String>,
}

impl Found {
    /// The value of a key of the TXT record. Panics where it has none.
    pub fn value(&self, key: &str) -> &str {
        let value = self.txt.iter().find_map(|entry| entry.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {key} in {:?}", self.txt))
    }
}

impl Avahi {
    /// Starts it at the far end of a cable; it listens when this returns.
    pub async fn start(cable: &Cable) -> Self {
        let folder = tempfile::Builder::new().prefix("cardinal-avahi-").tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let bus = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/><allow user=\"*\"/>\
             </policy></busconfig>",
            path("bus").display()
        );
        fs::write(path("bus.conf"), bus).expect("a configuration can be written");
        let mut command = StdCommand::new(program::theirs("dbus-daemon"));
        command.arg("--config-file").arg(path("bus.conf")).args(["--nofork", "--nopidfile"]);
        let bus = Process::start("dbus-daemon", &mut command, &path("bus.log"));
        wait::until("the message bus", async || UnixStream::connect(path("bus")).ok()).await;

        let settings = "[server]\nhost-name=seeker\nuse-ipv6=no\nallow-interfaces=wire\n[publish]\npublish-hinfo=no\n";
        fs::write(path("avahi.conf"), settings).expect("a configuration can be written");
        // It keeps its process id where this machine's own would: in a /run that nobody else sees.
        let script = "mount -t tmpfs none /run && exec \"$0\" \"$@\"";
        let mut command = cable.command("/bin/sh".as_ref());
        command.args(["-c", script]).arg(program::theirs("avahi-daemon")).arg("-f").arg(path("avahi.conf"));
        command.args(["--no-drop-root", "--no-chroot", "--no-rlimits", "--no-proc-title"]);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", address(&path("bus")));
        let mut daemon = Process::start("avahi-daemon", &mut command, &path("avahi.log"));
        wait::until("avahi-daemon", async || {
            assert!(daemon.ended().is_none(), "avahi-daemon ended: {}", daemon.said());
            daemon.said().contains("Server startup complete").then_some(())
        })
        .await;
        Self { _daemon: daemon, _bus: bus, folder }
    }

    fn tool(&self, name: &str) -> StdCommand {
        let mut command = StdCommand::new(program::theirs(name));
        command.env("DBUS_SYSTEM_BUS_ADDRESS", address(&self.folder.path().join("bus")));
        command
    }

    /// What there is of a service type now, such as `_ipp._tcp`, sorted.
    pub async fn browse(&self, kind: &str) -> Vec<Found> {
        let mut command = Command::from(self.tool("avahi-browse"));
        let said =
            cli::run(command.args(["--resolve", "--parsable", "--terminate", "--no-db-lookup", kind])).await.ok();
        let mut found: Vec<_> = said.lines().filter_map(found).collect();
        found.sort();
        found
    }

    /// Looks for a service type until there is what is wanted.
    pub async fn until<T>(&self, kind: &str, what: &str, wanted: impl Fn(&[Found]) -> Option<T>) -> T {
        wait::until(what, async || wanted(&self.browse(kind).await)).await
    }

    /// Looks for printers as CUPS does, and gives their addresses.
    pub async fn ippfind(&self, arguments: &[&str]) -> Answer {
        cli::run(Command::from(self.tool("ippfind")).args(arguments)).await
    }

    /// Announces a service of its own, until the value goes.
    pub async fn publish(&self, name: &str, kind: &str) -> Process {
        let log = self.folder.path().join("publish.log");
        let mut command = self.tool("avahi-publish");
        let published = Process::start("avahi-publish", command.args(["-s", name, kind, "9"]), &log);
        wait::until("the name", async || published.said().contains("Established under name").then_some(())).await;
        published
    }
}

fn address(bus: &Path) -> String {
    format!("unix:path={}", bus.display())
}

/// Reads a line of `avahi-browse --parsable`: `=;wire;IPv4;NAME;TYPE;local;HOST;ADDRESS;PORT;"TXT" "TXT"`.
fn found(line: &str) -> Option<Found> {
    let parts: Vec<_> = line.strip_prefix('=')?.splitn(10, ';').collect();
    let [_, _, _, name, _, _, host, address, port, txt] = parts[..] else { panic!("no line of avahi-browse: {line}") };
    let mut txt: Vec<_> = txt.trim_matches('"').split("\" \"").map(str::to_owned).collect();
    txt.sort();
    Some(Found {
        name: unescaped(name),
        host: host.to_owned(),
        address: address.to_owned(),
        port: port.to_owned(),
        txt,
    })
}

/// Avahi writes most characters of a name as a backslash and three decimal digits.
fn unescaped(name: &str) -> String {
    let mut parts = name.split('\\');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (number, rest) = part.split_at(3);
        format!("{text}{}{rest}", char::from(number.parse::<u8>().expect("a number behind a backslash")))
    })
}
