//! CUPS as a print client: a private `cupsd`, spoken to over a socket in its folder.
//!
//! What a person's machine does: `lp` hands the document to the local CUPS, which sends it on to the queue.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::Command as StdCommand,
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{cli, process::Process, program, wait};

/// A running CUPS.
#[derive(Debug)]
pub struct Cups {
    _daemon: Process,
    folder: TempDir,
}

impl Cups {
    /// Starts it; it takes jobs when this returns.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("cardinal-cups-").tempdir().expect("a temporary folder");
        // Its helpers run as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("rights of a folder");
        let own = folder.path().display();
        for name in ["spool", "spool/tmp", "cache", "state", "log"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let files = format!(
            "ServerRoot {own}\nRequestRoot {own}/spool\nTempDir {own}/spool/tmp\nCacheDir {own}/cache\n\
             StateDir {own}/state\nAccessLog {own}/log/access\nErrorLog stderr\nPageLog {own}/log/page\n\
             SystemGroup root\nSyncOnClose No\n"
        );
        // No TCP port at all, no discovery, no questions asked: only who reaches the socket can print.
        let daemon = format!(
            "Listen {own}/cups.sock\nBrowsing Off\nWebInterface No\nDefaultAuthType None\nLogLevel info\n\
             <Location />\nOrder allow,deny\nAllow all\n</Location>\n\
             <Policy default>\n<Limit All>\nOrder deny,allow\n</Limit>\n</Policy>\n"
        );
        let (files_path, daemon_path) = (folder.path().join("cups-files.conf"), folder.path().join("cupsd.conf"));
        fs::write(&files_path, files).expect("a configuration can be written");
        fs::write(&daemon_path, daemon).expect("a configuration can be written");
        let mut command = StdCommand::new(program::theirs("cupsd"));
        command.arg("-f").arg("-c").arg(&daemon_path).arg("-s").arg(&files_path);
        let mut process = Process::start("cupsd", &mut command, &folder.path().join("cupsd.log"));
        let socket = folder.path().join("cups.sock");
        wait::until("cupsd", async || {
            assert!(process.ended().is_none(), "cupsd ended: {}", process.said());
            UnixStream::connect(&socket).ok()
        })
        .await;
        Self { _daemon: process, folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("cups.sock")
    }

    async fn run(&self, program: &str, arguments: &[&OsStr]) -> String {
        let mut command = Command::new(program::theirs(program));
        cli::run(command.args(arguments).env("CUPS_SERVER", self.socket())).await.ok()
    }

    /// Adds a queue that passes documents on as they are.
    pub async fn add_queue(&self, name: &str, uri: &str) {
        // Without it, CUPS would wait at each job until the person has tapped, and print nobody else's meanwhile.
        let device = format!("{uri}?waitjob=false");
        self.run("lpadmin", &["-p", name, "-E", "-v", &device].map(OsStr::new)).await;
    }

    /// Prints a file as this user, as `lp` does for a person.
    pub async fn lp(&self, queue: &str, user: &str, file: &Path) {
        let arguments = ["-d", queue, "-U", user].map(OsStr::new);
        self.run("lp", &[&arguments[..], &[file.as_os_str()]].concat()).await;
    }
}
