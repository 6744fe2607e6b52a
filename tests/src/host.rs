//! The host: the real program `cardinal` in a temporary folder, on free ports.
//!
//! Owns the folder, which lives longer than the process: a host can be killed and started again on the same data. What it
//! logs is kept in a file, and its end is shown where a test fails.

use std::{
    env,
    ffi::OsString,
    fs,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    api::Api,
    cli::{self, Answer},
    process::Process,
    program, wait,
};

/// A host, running or not.
#[derive(Debug)]
pub struct Host {
    // Before the folder: the process goes first.
    running: Option<Running>,
    environment: Vec<(String, String)>,
    /// The program and what stands before its arguments, where it is not `cardinal` alone.
    run_by: Option<Vec<OsString>>,
    folder: TempDir,
}

#[derive(Debug)]
struct Running {
    process: Process,
    ipp: SocketAddr,
    ipps: SocketAddr,
    api: Api,
}

impl Host {
    /// A new host with the first-party drivers, running.
    pub async fn start() -> Self {
        let mut host = Self::init().await;
        host.serve().await;
        host
    }

    /// A new host that does not run yet.
    pub async fn init() -> Self {
        // For this process's own HTTP clients; an error says that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new().prefix("cardinal-test-").tempdir().expect("a temporary folder");
        cli::cardinal(&["init".as_ref(), folder.path().as_os_str()]).await.ok();
        // A folder of its own: the guests that misbehave lie beside the first-party drivers and are no part of a host.
        let drivers = folder.path().join("drivers");
        fs::create_dir(&drivers).expect("a folder for drivers");
        let generic = program::component("cardinal-generic");
        fs::copy(&generic, drivers.join("cardinal-generic.wasm")).expect("a driver can be copied");
        let environment = [
            ("CARDINAL_HTTP__LISTEN", "127.0.0.1:0"),
            ("CARDINAL_IPP__LISTEN", "127.0.0.1:0"),
            ("CARDINAL_IPPS__LISTEN", "127.0.0.1:0"),
            ("CARDINAL_DRIVERS__BUNDLED", "drivers"),
            // The guests of tests are signed by nobody; what is refused by default is `driver_signatures`' story.
            ("CARDINAL_DRIVERS__UNSIGNED", "allow"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        Self { running: None, environment, run_by: None, folder }
    }

    /// Sets an environment variable for the next [`serve`](Self::serve).
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// From now on it is run by this command, which ends in the program `cardinal`.
    pub fn run_by(&mut self, command: &Command) {
        self.run_by = Some([command.get_program()].into_iter().chain(command.get_args()).map(OsString::from).collect());
    }

    /// Runs the host, which must end by itself, and gives what it complains of.
    pub async fn complaint(&self) -> String {
        let mut command = tokio::process::Command::from(self.serve_command());
        cli::run_as_it_is(&mut command).await.refused()
    }

    /// Adds lines to `cardinal.toml`.
    pub fn configure(&self, lines: &str) {
        let text = fs::read_to_string(self.config()).expect("cardinal.toml is there");
        fs::write(self.config(), format!("{text}\n{lines}\n")).expect("cardinal.toml can be written");
    }

    /// Runs the host; it is up when this returns. Panics where it does not come up.
    pub async fn serve(&mut self) {
        self.serve_within(wait::LIMIT).await;
    }

    /// The same with more time than tests have.
    pub async fn serve_within(&mut self, limit: Duration) {
        assert!(self.running.is_none(), "it runs already");
        let said = self.folder().join("serve.stdout");
        let output = File::create(&said).expect("a file for standard output");
        let mut command = self.serve_command();
        let mut process =
            Process::start_with("the host", &mut command, &self.log_file(), output.into(), std::process::Stdio::null());
        let ready = wait::until_within(limit, "the line `ready http=… ipp=…`", async || {
            if let Some(status) = process.ended() {
                panic!("the host ended with {status} before it was ready");
            }
            let text = fs::read_to_string(&said).unwrap_or_default();
            text.split_once('\n').map(|(line, _)| line.to_owned())
        })
        .await;
        let (http, ipp, ipps) =
            addresses(&ready).unwrap_or_else(|| panic!("no `ready http=… ipp=… ipps=…`: {ready:?}"));
        let token = fs::read_to_string(self.folder().join("owner.token")).expect("an owner token");
        self.running = Some(Running { process, ipp, ipps, api: Api::new(http, token.trim()) });
    }

    /// `cardinal serve` as a command, for tests of hosts that do not come up.
    pub fn serve_command(&self) -> Command {
        let mut command = self.command();
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARDINAL_")) {
            command.env_remove(name);
        }
        command.arg("--config").arg(self.config()).arg("serve").envs(self.environment.iter().cloned());
        command
    }

    /// The program `cardinal`, as this host is run.
    fn command(&self) -> Command {
        let ours = || vec![program::ours("cardinal", "cardinal-server").into()];
        let words = self.run_by.clone().unwrap_or_else(ours);
        let mut words = words.iter();
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words);
        command
    }

    /// Tells it to end as a service manager does, and gives its exit status.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.take().end(Signal::TERM).await
    }

    /// Kills it: no chance to put anything in order.
    pub async fn kill(&mut self) {
        self.take().end(Signal::KILL).await;
    }

    fn take(&mut self) -> Process {
        self.running.take().expect("it runs").process
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.running().process.id()
    }

    /// Its API.
    pub fn api(&self) -> &Api {
        &self.running().api
    }

    /// Where its queues are.
    pub fn ipp(&self) -> SocketAddr {
        self.running().ipp
    }

    /// Where its queues are over TLS.
    pub fn ipps(&self) -> SocketAddr {
        self.running().ipps
    }

    /// The file of the certificate that it made itself.
    pub fn certificate(&self) -> PathBuf {
        self.folder().join("data/tls/certificate.pem")
    }

    /// The address of a queue over TLS.
    pub fn secure_queue(&self, name: &str) -> String {
        format!("ipps://{}/queues/{name}", self.ipps())
    }

    /// The address of a queue.
    pub fn queue(&self, name: &str) -> String {
        format!("ipp://{}/queues/{name}", self.ipp())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.folder().join("cardinal.toml")
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("serve.log")
    }

    /// All that it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Runs a command against it, the arguments separated by white space.
    pub async fn cli(&self, arguments: &str) -> Answer {
        self.cli_with(&arguments.split_whitespace().collect::<Vec<_>>()).await
    }

    /// Runs a command against it.
    pub async fn cli_with(&self, arguments: &[&str]) -> Answer {
        let mut command = self.command();
        command.arg("--config").arg(self.config()).args(arguments);
        cli::run(&mut command.into()).await
    }

    /// Writes a site file and applies it with these further arguments.
    pub async fn apply_with(&self, site: &str, arguments: &[&str]) -> Answer {
        let file = self.folder().join("site.toml");
        fs::write(&file, site).expect("a site file can be written");
        let file = file.to_str().expect("a plain path");
        self.cli_with(&[&["apply", file], arguments].concat()).await
    }

    /// Applies a site. Panics where it is refused.
    pub async fn apply(&self, site: &str) -> String {
        self.apply_with(site, &[]).await.ok()
    }
}

/// Reads `ready http=127.0.0.1:1 ipp=127.0.0.1:2 ipps=127.0.0.1:3`.
fn addresses(ready: &str) -> Option<(SocketAddr, SocketAddr, SocketAddr)> {
    let words = ready.strip_prefix("ready ")?;
    let value = |name: &str| words.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok());
    Some((value("http=")?, value("ipp=")?, value("ipps=")?))
}
