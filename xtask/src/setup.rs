//! The programs that the tests use: a printer, a print client, what those need, a maker of networks, a finder of printers,
//! and a database.
//!
//! Each is looked for by its name, so a machine that has them from elsewhere is left alone.

use anyhow::{Context, Result, bail};

use crate::{apt, process};

/// A program, and the Debian package that has it.
const NEEDED: [(&str, &str); 14] = [
    ("ippeveprinter", "cups-ipp-utils"),
    ("ipptool", "cups-ipp-utils"),
    ("lp", "cups-client"),
    ("lpadmin", "cups-client"),
    ("cupsd", "cups"),
    ("dbus-daemon", "dbus"),
    ("ip", "iproute2"),
    ("avahi-daemon", "avahi-daemon"),
    ("avahi-browse", "avahi-utils"),
    ("ippfind", "cups-ipp-utils"),
    ("initdb", "postgresql"),
    ("psql", "postgresql-client"),
    ("openssl", "openssl"),
    ("minisign", "minisign"),
];

/// Installs what is missing. Fails where that cannot be done, with the command that does it.
pub(crate) fn run() -> Result<()> {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, _)| !is_here(program)).collect();
    if missing.is_empty() {
        println!("Everything is here: {}.", NEEDED.map(|(program, _)| program).join(", "));
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    println!("The end-to-end tests print with real programs, and these are missing: {}.", programs.join(", "));
    println!("Installing {} (about a minute, 300 MB of disk at most).", packages.join(", "));
    if !apt::available() {
        bail!("there is no apt-get here; install these programs in your system's way: {}", programs.join(", "));
    }
    apt::update(&packages)?;
    apt::install(&packages)?;
    match programs.iter().find(|program| !is_here(program)) {
        None => Ok(()),
        Some(program) => Err(anyhow::anyhow!("{program} is still missing")).context("after the installation"),
    }
}

/// Debian keeps PostgreSQL's own programs off the search path, a folder a version.
fn is_here(program: &str) -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    process::find(program).is_some()
        || versions.into_iter().any(|version| version.path().join("bin").join(program).is_file())
}
