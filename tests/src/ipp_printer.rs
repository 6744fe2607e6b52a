//! A real printer: `ippeveprinter`, which keeps its port while it is switched off and on again.
//!
//! It wants to announce itself and dies without a message bus, so it is given a bus of its own where nobody listens. A
//! command of ours takes each document, or it would simulate printing for many seconds.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    process::Command,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{cli, document, port, process::Process, program, wait};

/// Takes a document. A printer that is slow prints only while its gate is there. Renamed when whole; numbers of jobs begin
/// anew each time the printer is switched on, process ids do not.
const STORE: &str = r#"#!/bin/sh
set -e
if [ -n "$SAYS" ]; then echo "STATE: +$SAYS" >&2; fi
if [ -e "$SLOW" ]; then while [ ! -e "$GATE" ]; do sleep 0.02; done; fi
if [ -n "$SAYS" ]; then echo "STATE: -$SAYS" >&2; fi
cp "$1" "$OUT/.part-$$"
mv "$OUT/.part-$$" "$OUT/$IPP_JOB_ID-$$"
"#;

/// A printer, on or off.
#[derive(Debug)]
pub struct IppPrinter {
    running: Option<Process>,
    bus: Option<Process>,
    address: SocketAddr,
    model: Model,
    folder: TempDir,
}

/// What sort of printer it is.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// The document formats it takes.
    pub formats: &'static str,
    /// Whether it prints on both sides.
    pub duplex: bool,
    /// What it says of its state while it has a job, such as `cover-open`; empty: nothing.
    pub says: &'static str,
}

impl Default for Model {
    fn default() -> Self {
        Self { formats: "application/pdf", duplex: false, says: "" }
    }
}

impl IppPrinter {
    /// A printer that is off.
    pub fn new() -> Self {
        Self::of(Model::default())
    }

    /// A printer of this model that is off.
    pub fn of(model: Model) -> Self {
        let folder = tempfile::Builder::new().prefix("cardinal-printer-").tempdir().expect("a temporary folder");
        for name in ["out", "spool", "keys"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let store = folder.path().join("store.sh");
        fs::write(&store, STORE).expect("a script");
        fs::set_permissions(&store, fs::Permissions::from_mode(0o755)).expect("a script can be made to run");
        Self { running: None, bus: None, address: port::free(), model, folder }
    }

    /// A printer that is on.
    pub async fn start() -> Self {
        let mut printer = Self::new();
        printer.switch_on().await;
        printer
    }

    /// Switches it on; it takes jobs when this returns.
    pub async fn switch_on(&mut self) {
        let folder = self.folder.path().to_owned();
        let bus = folder.join("bus");
        if self.bus.is_none() {
            let mut command = Command::new(program::theirs("dbus-daemon"));
            command
                .args(["--session", "--nofork", "--nopidfile"])
                .arg(format!("--address=unix:path={}", bus.display()));
            self.bus = Some(Process::start("dbus-daemon", &mut command, &folder.join("bus.log")));
            wait::until("the message bus", async || UnixStream::connect(&bus).ok()).await;
        }
        let mut command = Command::new(program::theirs("ippeveprinter"));
        command
            .args(["-n", "localhost", "-r", "off", "-f", self.model.formats, "-p", &self.address.port().to_string()])
            .args(self.model.duplex.then_some("-2"))
            .arg("-K")
            .arg(folder.join("keys"))
            .arg("-d")
            .arg(folder.join("spool"))
            .arg("-c")
            .arg(folder.join("store.sh"))
            .arg("east")
            .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", bus.display()))
            .env("SLOW", folder.join("slow"))
            .env("GATE", folder.join("gate"))
            .env("SAYS", self.model.says)
            .env("OUT", self.out());
        let mut process = Process::start("ippeveprinter", &mut command, &folder.join("printer.log"));
        wait::until("ippeveprinter", async || {
            assert!(process.ended().is_none(), "ippeveprinter ended: {}", process.said());
            TcpStream::connect(self.address).ok()
        })
        .await;
        self.running = Some(process);
    }

    /// Switches it off.
    pub async fn switch_off(&mut self) {
        self.running.take().expect("it is on").end(Signal::KILL).await;
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("ipp://{}/ipp/print", self.address)
    }

    /// Its address over TLS; its certificate is its own.
    pub fn tls_uri(&self) -> String {
        format!("ipps://localhost:{}/ipp/print", self.address.port())
    }

    /// The file with its certificate, which it makes when it is first spoken to by TLS.
    pub async fn certificate(&self) -> PathBuf {
        let file = self.folder.path().join("keys/localhost.crt");
        let mut ask = tokio::process::Command::new(program::theirs("ipptool"));
        cli::run(ask.args(["-T", "20", &self.tls_uri(), "get-printer-attributes.test"])).await.ok();
        assert!(file.is_file(), "{} is not there", file.display());
        file
    }

    /// Where its paper comes out.
    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// What came out so far.
    pub fn came_out(&self) -> Vec<Vec<u8>> {
        document::came_out(&self.out())
    }

    /// From now on it takes jobs but prints nothing, until it is [let go on](Self::goes_on).
    pub fn dawdles(&self) {
        fs::write(self.folder.path().join("slow"), "").expect("a file");
    }

    /// It prints again.
    pub fn goes_on(&self) {
        fs::write(self.folder.path().join("gate"), "").expect("a file");
    }
}

impl Default for IppPrinter {
    fn default() -> Self {
        Self::new()
    }
}
