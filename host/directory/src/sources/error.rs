//! Why a source was not read.

use std::{fmt, path::PathBuf};

use cardinal_domain::names::SourceName;

use super::ldap::LdapError;

/// Why a source was not read. Nothing of it may be used: there is no snapshot, and nobody is changed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The settings do not hold together.
    #[error("source {:?}: {problem}", name.as_str())]
    Settings {
        /// The source.
        name: SourceName,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// No server would have it.
    #[error("source {:?}: no server of {of} can be read: {tried}", name.as_str())]
    Servers {
        /// The source.
        name: SourceName,
        /// The domain or the base.
        of: String,
        /// Each server, and why not.
        tried: Tried,
    },
    /// A server failed in the middle of reading.
    #[error("source {:?}: server {server:?}: {doing} failed: {error}", name.as_str())]
    Server {
        /// The source.
        name: SourceName,
        /// The server.
        server: String,
        /// What was read, and where.
        doing: String,
        /// What went wrong.
        error: Box<LdapError>,
    },
    /// Nobody is there. A directory without users is a wrong base, a wrong search or a missing right, never the truth.
    #[error(
        "source {:?}: {of} answered with no users at all; nobody is removed because of that. Check {check}", name.as_str()
    )]
    Nobody {
        /// The source.
        name: SourceName,
        /// The domain, the base, the file or the program.
        of: String,
        /// What to look at.
        check: String,
    },
    /// A field that every user needs is in none of them.
    #[error(
        "source {:?}: {of}: none of {users} users has the field {field:?}; {advice}", name.as_str()
    )]
    NoField {
        /// The source.
        name: SourceName,
        /// The server and the base, or what was read.
        of: String,
        /// How many users came.
        users: usize,
        /// The field.
        field: String,
        /// What to do.
        advice: &'static str,
    },
    /// Groups have members who cannot be found: all memberships would end.
    #[error(
        "source {:?}: server {server:?}: the members of groups cannot be found ({members} values of the field {field:?}): \
         {advice}. Nobody leaves a group because of that", name.as_str()
    )]
    NoMembers {
        /// The source.
        name: SourceName,
        /// The server.
        server: String,
        /// How many there are.
        members: usize,
        /// The field.
        field: String,
        /// What to do.
        advice: &'static str,
    },
    /// Two entries that cannot be told apart.
    #[error(
        "source {:?}: server {server:?}: {first:?} and {second:?} both have the key {key:?}, and a key is one entry's alone; check \
         user-key-field", name.as_str()
    )]
    Twice {
        /// The source.
        name: SourceName,
        /// The server.
        server: String,
        /// The key.
        key: String,
        /// One of them.
        first: String,
        /// The other one.
        second: String,
    },
    /// A group that is to be imported does not exist.
    #[error(
        "source {:?}: {of}: there is no group {group:?}, whose members are to be imported; check `groups` of the source. \
         Nobody is removed because of that", name.as_str()
    )]
    NoGroup {
        /// The source.
        name: SourceName,
        /// The server and the base, or what was read.
        of: String,
        /// The group.
        group: String,
    },
    /// A file cannot be read as it should.
    #[error("source {:?}: file {}: {problem}", name.as_str(), file.display())]
    File {
        /// The source.
        name: SourceName,
        /// The file.
        file: PathBuf,
        /// What is wrong, where, and what to do.
        problem: String,
    },
    /// A program did not answer as it should.
    #[error("source {:?}: program {program:?}, asked {asked}: {problem}", name.as_str())]
    Program {
        /// The source.
        name: SourceName,
        /// The program, as sources know it.
        program: String,
        /// What it was asked.
        asked: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

/// Servers that were tried.
#[derive(Debug)]
pub struct Tried(pub Vec<(String, LdapError)>);

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none is named");
        }
        for (number, (server, error)) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{server:?}: {error}")?;
        }
        Ok(())
    }
}
