//! Debian packages, installed only when something is missing.
//!
//! Owns the question of rights: root installs, sudo installs, anybody else gets the exact command. Never removes a
//! package, and never changes how services start: a package that starts a service does so as Debian decides. (A
//! `policy-rc.d` of ours would stay behind if we were killed, and would silently stop services of this machine.)

use std::io::{IsTerminal, stdin};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

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
    let mut arguments = vec!["install", "-y", "--no-remove", "--no-install-recommends"];
    arguments.extend(packages);
    process::run(&mut apt_get(&arguments, packages)?).context(
        "apt-get could not install; see its message above (a lock held by another apt-get goes away by itself)",
    )
}

/// The call with the rights it needs.
fn apt_get(arguments: &[&str], packages: &[&str]) -> Result<Command> {
    // sudo drops our environment, so the variable goes through env.
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("env")
    } else if sudo_works() {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    } else {
        bail!(
            "this takes root or sudo, and neither is here; have somebody run:\n    \
             apt-get update && apt-get install -y --no-install-recommends {}",
            packages.join(" ")
        );
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments);
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
