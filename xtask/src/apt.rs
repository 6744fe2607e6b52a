//! Debian packages, installed only when something is missing.
//!
//! Owns the question of rights: root installs, sudo installs, anybody else gets the exact command. Never removes a
//! package, and never changes how services start: a package that starts a service does so as Debian decides. (A
//! `policy-rc.d` of ours would stay behind if we were killed, and would silently stop services of this machine.)

use std::io::{IsTerminal, Write as _, stdin};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::process;

/// The answer to what a package asks when it is installed. Unanswered, slapd would set up a directory of its own and offer
/// it to the network.
const ANSWER: (&str, &str) = ("slapd", "slapd slapd/no_configuration boolean true");

/// Whether this machine installs by apt-get.
pub(crate) fn available() -> bool {
    process::find("apt-get").is_some()
}

/// Fetches the package lists anew. Fails without root and sudo, telling the command for these packages.
pub(crate) fn update(packages: &[&str]) -> Result<()> {
    process::run(&mut apt_get(&["update", "-qq"], packages)?)
}

/// The version that an installation would give, such as `1.96.0+dfsg1-1~deb12u2`.
pub(crate) fn candidate(package: &str) -> Result<Option<String>> {
    let policy = process::output(Command::new("apt-cache").args(["policy", package]))?;
    Ok(policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate:"))
        .map(|version| version.trim().to_owned())
        .filter(|version| version != "(none)"))
}

/// Installs packages after an [`update`]. Fails without root and sudo, telling the command.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let (asking, answer) = ANSWER;
    if packages.contains(&asking) {
        let mut command = privileged("debconf-set-selections", packages)?;
        let mut debconf = command.stdin(Stdio::piped()).spawn().context("starting debconf-set-selections")?;
        // The pipe closes behind the answer.
        debconf.stdin.take().context("debconf-set-selections has an input")?.write_all(answer.as_bytes())?;
        ensure!(
            debconf.wait()?.success(),
            "debconf-set-selections could not answer for {asking}; see its message above"
        );
    }
    let mut arguments = vec!["install", "-y", "--no-remove", "--no-install-recommends"];
    arguments.extend(packages);
    process::run(&mut apt_get(&arguments, packages)?).context(
        "apt-get could not install; see its message above (a lock held by another apt-get goes away by itself)",
    )
}

/// The call with the rights it needs.
fn apt_get(arguments: &[&str], packages: &[&str]) -> Result<Command> {
    let mut command = privileged("apt-get", packages)?;
    command.args(arguments);
    Ok(command)
}

/// A program with the rights it needs.
fn privileged(program: &str, packages: &[&str]) -> Result<Command> {
    // sudo drops our environment, so the variable goes through env.
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("env")
    } else if sudo_works() {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    } else {
        let (asking, answer) = ANSWER;
        let first = if packages.contains(&asking) {
            format!("echo '{answer}' | debconf-set-selections && ")
        } else {
            String::new()
        };
        bail!(
            "this takes root or sudo, and neither is here; have somebody run:\n    \
             {first}apt-get update && apt-get install -y --no-install-recommends {}",
            packages.join(" ")
        );
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", program]);
    Ok(command)
}

/// A person at a terminal can be asked for a password; nobody else can.
fn sudo_works() -> bool {
    if process::find("sudo").is_none() {
        return false;
    }
    stdin().is_terminal()
        || Command::new("sudo")
            .args(["-n", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}
