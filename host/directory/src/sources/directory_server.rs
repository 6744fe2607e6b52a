//! Any other LDAP server: one base, and the names that a schema has for fields and searches.

use cardinal_domain::{site::ServerType, sync::Total};

use super::{
    Reading, SourceError, access, begin,
    census::Census,
    entries::{Kind, Place, UserFields},
};
use crate::snapshot::{Scope, Snapshot};

/// Reads everything.
///
/// # Errors
/// Anything that keeps it from being read whole.
pub(crate) async fn read(reading: &Reading<'_>) -> Result<Snapshot, SourceError> {
    let (source, schema) = (reading.source, reading.schema);
    let mut session = access(reading, source.servers.clone(), &source.bind_as, source.password.as_ref())
        .open()
        .await
        .map_err(|none| super::no_server(source, format!("{:?}", source.base), none))?;
    begin(reading, &session);
    let mut census = Census::handing_over(reading);
    super::remark_way(source, &session, &mut census);
    let kind = match source.server_type {
        Some(ServerType::ActiveDirectory) => Kind::ActiveDirectory,
        _ if schema.posix_groups => Kind::Posix,
        _ => Kind::Plain,
    };
    let mut place = Place { session: &mut session, name: &source.name, schema, kind, progress: &reading.progress };
    let (filter, fields) = (schema.users(source.disabled), UserFields::new(schema, kind, false));
    let bases = if source.ous.is_empty() { vec![source.base.clone()] } else { super::outermost(&source.ous) };
    for base in &bases {
        place.users(base, &filter, &fields, &mut census).await?;
    }
    let users = if source.ous.is_empty() {
        u64::try_from(census.counts().0).unwrap_or(u64::MAX)
    } else {
        place.count(&source.base, &filter).await?
    };
    if reading.schema.posix_groups {
        census.index_names();
    }
    place.groups(&source.base, &mut census).await?;
    let of = format!("server {:?}, {:?}", session.server, source.base);
    census.elsewhere(&session.references);
    session.close().await;
    let groups = u64::try_from(census.counts().1).unwrap_or(u64::MAX);
    let totals = vec![Total { of: source.base.clone(), users, groups }];
    census.snapshot(source, Some(schema), &of, totals, reading.progress.figures(), None, Scope::Whole)
}
