//! Reading a source: a file for each way. What comes out is whole, or it is an error that says which server, where, and what
//! to do.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use cardinal_domain::site::{Source, SourceKind};

use crate::{
    schema::Schema,
    snapshot::{Mark, Progress, Snapshot},
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
}

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub struct Trust(pub Arc<rustls::ClientConfig>);

/// Files and programs of this host, by the names that sources know them by. `cardinal.toml` alone says which.
#[derive(Debug, Clone, Default)]
pub struct Locals {
    /// CSV and TSV files.
    pub files: BTreeMap<String, PathBuf>,
    /// Programs with their first arguments.
    pub programs: BTreeMap<String, Vec<String>>,
    /// How long one run of a program may take.
    pub program_within: Duration,
}
