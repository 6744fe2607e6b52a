//! Reading a source: a file for each way. What comes out is whole, or it is an error that says which server, where, and what
//! to do.
//!
//! ```text
//! active_directory ─┐             ┌─▶ entries ─┐
//! directory_server ─┴─▶ ldap/ ────┘            ├─▶ census ─▶ Snapshot
//! file, program ──────▶ rows ──────────────────┘
//! ```

mod active_directory;
mod census;
mod directory_server;
mod entries;
mod error;
pub(crate) mod file;
pub(crate) mod ldap;
mod program;
pub(crate) mod rows;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use cardinal_domain::site::{Secret, Security, Source, SourceKind};
use serde::{Deserialize, Serialize};

use self::{
    census::Census,
    ldap::{Access, NoServer, Session, dn},
};
pub use self::{
    error::{SourceError, Tried},
    ldap::{FilterError, LdapError, Outcome},
};
use crate::{
    schema::Schema,
    snapshot::{Handover, Mark, Progress, Snapshot},
    trust::Trust,
};

/// What reading a source takes.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// The source.
    pub source: &'a Source,
    /// Names of fields and searches, for sources that are asked over LDAP.
    pub schema: &'a Schema,
    /// Whose certificates are believed.
    pub trust: &'a Trust,
    /// The files and programs of this host that a source may name.
    pub locals: &'a Locals,
    /// Read only what changed since then, where the source can do that and the mark is still good. None: everything.
    pub since: Option<&'a Mark>,
    /// Who looks on.
    pub progress: Progress,
    /// Who takes users of a directory as they come. None, or where groups are selected: they are in the snapshot.
    pub handover: Option<Handover>,
}

/// Files and programs of this host, by the names that sources know them by. `cardinal.toml` alone says which.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Locals {
    /// CSV and TSV files.
    pub files: BTreeMap<String, PathBuf>,
    /// Programs with their first arguments.
    pub programs: BTreeMap<String, Vec<String>>,
    /// How long one run of a program may take.
    pub program_within: Duration,
}

/// Reads a source. Whatever goes wrong on the way, there is a whole snapshot or none.
///
/// An entry whose name cannot be read (binary, too long, missing) is in the snapshot with an empty name and a remark: it is
/// there, so that nobody takes it for gone, and it cannot be used until it is corrected.
///
/// # Errors
/// What is wrong, at which server, where in the directory, and what to do.
pub async fn read(reading: Reading<'_>) -> Result<Snapshot, SourceError> {
    let source = reading.source;
    let mut problems = source.problems();
    problems.extend(Schema::problems(&source.schema));
    if !problems.is_empty() {
        return Err(SourceError::Settings { name: source.name.clone(), problem: problems.join("; ") });
    }
    match source.kind {
        SourceKind::ActiveDirectory => active_directory::read(&reading).await,
        SourceKind::Ldap => directory_server::read(&reading).await,
        SourceKind::File => file::read(&reading).await,
        SourceKind::Program => program::read(&reading).await,
    }
}

/// How servers are reached, by the settings of a source.
fn access<'a>(
    reading: &'a Reading<'_>,
    servers: Vec<String>,
    bind_as: &'a str,
    password: Option<&'a Secret>,
) -> Access<'a> {
    let source = reading.source;
    Access {
        servers,
        security: source.security,
        trust: reading.trust,
        bind: source.bind,
        bind_as,
        password,
        patience: Duration::from_secs(source.timeout_s),
    }
}

fn no_server(source: &Source, of: String, none: NoServer) -> SourceError {
    SourceError::Servers { name: source.name.clone(), of, tried: Tried(none.0) }
}

/// Tells who is read now.
fn begin(reading: &Reading<'_>, session: &Session) {
    reading.progress.tell(|figures| figures.server.clone_from(&session.server));
}

/// Tells what is to be known of the way to a server: who was passed over, and that nothing protects it.
fn remark_way(source: &Source, session: &Session, census: &mut Census) {
    let server = &session.server;
    for (passed, error) in &session.passed_over {
        census.remark(passed, format!("was passed over: {error}; {server:?} was asked instead"));
    }
    if source.security != Security::Plain {
        return;
    }
    let message = "is read without protection: everybody on the way reads the password and the users, and can change them; \
                   set security = \"ldaps\" or \"starttls\"";
    census.remark(server, message.into());
}

/// Units without those that are below another one: each entry is read once.
fn outermost(units: &[String]) -> Vec<String> {
    let spelled: Vec<String> = units.iter().map(|unit| dn::spelling(unit)).collect();
    let mut kept: Vec<String> = Vec::new();
    for (number, unit) in units.iter().enumerate() {
        let Some(own) = spelled.get(number) else { continue };
        // Of two that are the same, the first one stays.
        let covered = spelled.iter().enumerate().any(|(other, spelled)| {
            other != number && dn::is_below(own, spelled) && (own != spelled || other < number)
        });
        if !covered {
            kept.push(unit.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_inside_another_is_read_once() {
        let units = |list: &[&str]| outermost(&list.iter().map(|unit| (*unit).to_owned()).collect::<Vec<_>>());
        assert_eq!(units(&["ou=a,dc=x", "OU=b, ou=a,dc=x", "ou=A,dc=x", "ou=c,dc=x"]), ["ou=a,dc=x", "ou=c,dc=x"]);
        assert_eq!(units(&[]), [""; 0]);
    }
}
