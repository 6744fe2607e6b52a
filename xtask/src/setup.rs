//! The programs that the tests use: a printer, a print client, what those need, a maker of networks, a finder of printers,
//! a database, three directories, a client of HTTP, a terminal, and what a build with Kerberos takes.
//!
//! Each is looked for by its name, so a machine that has them from elsewhere is left alone.

use anyhow::{Context, Result, bail};

use crate::{apt, process};

/// A program (or a file that a program cannot do without), and the Debian package that has it.
const NEEDED: [(&str, &str); 30] = [
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
    ("slapd", "slapd"),
    ("ldapmodify", "ldap-utils"),
    ("ns-slapd", "389-ds-base"),
    ("certutil", "libnss3-tools"),
    ("pk12util", "libnss3-tools"),
    ("samba", "samba"),
    ("samba-tool", "samba-common-bin"),
    ("provision.ldif", "samba-ad-provision"),
    ("samldb.so", "samba-dsdb-modules"),
    ("acl_xattr.so", "samba-vfs-modules"),
    ("kinit", "krb5-user"),
    ("make", "make"),
    ("curl", "curl"),
    ("script", "bsdutils"),
    ("gssapi.h", "libkrb5-dev"),
    ("libclang.so", "libclang-dev"),
];
/// Where Debian keeps what is not on the search path: a folder of many, and a folder in each of those.
const HIDDEN: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/lib", "samba/ldb"),
    ("/usr/lib", "samba/vfs"),
    ("/usr/share/samba", ""),
    ("/usr/include", ""),
    ("/usr/lib", "lib"),
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
    println!("The end-to-end tests talk to real programs, and these are missing: {}.", programs.join(", "));
    println!("Installing {} (about two minutes, 600 MB of disk at most).", packages.join(", "));
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

fn is_here(name: &str) -> bool {
    let folders = HIDDEN.iter().flat_map(|(of_many, folder)| {
        let many = std::fs::read_dir(of_many).into_iter().flatten().flatten();
        many.map(move |one| one.path().join(folder))
    });
    process::find(name).is_some() || folders.into_iter().any(|folder| folder.join(name).is_file())
}
