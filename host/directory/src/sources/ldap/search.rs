//! Reading a search to its end, page by page (RFC 2696). Either every page ended with success, or there is an error: what was
//! given out before it is of no use, and the caller throws it away.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use super::{
    LdapError, Session, filter,
    message::{Body, RawEntry, Search},
};
use crate::snapshot::Progress;

/// The most entries that one search may give.
const MOST_ENTRIES: usize = 5_000_000;
/// The most pages in a row without an entry. Servers give some where a search is slow.
const MOST_EMPTY_PAGES: usize = 100;

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Query<'a> {
    /// Below which name.
    pub(crate) base: &'a str,
    /// Which entries, as administrators write it.
    pub(crate) filter: &'a str,
    /// Which fields.
    pub(crate) fields: &'a [String],
    /// How many entries a page.
    pub(crate) page: u32,
}

impl Session {
    /// Gives out every entry that is found. What is found was complete only where this ends well.
    ///
    /// # Errors
    /// Any result code but success on any page, a page without word of the next one, a connection that ends, an entry that
    /// comes twice, more entries than anybody has, a page that takes too long.
    pub(crate) async fn pages(
        &mut self,
        query: &Query<'_>,
        progress: &Progress,
        mut each: impl FnMut(RawEntry<'_>) -> Result<(), LdapError>,
    ) -> Result<(), LdapError> {
        const DOING: &str = "reading a page";
        let filter = filter::encode(query.filter)?;
        let hasher = RandomState::new();
        let mut seen = HashSet::new();
        let mut cookie = Vec::new();
        let mut empty = 0;
        let before_all = progress.figures().entries;
        loop {
            let search = Search {
                base: query.base,
                whole_tree: true,
                filter: &filter,
                fields: query.fields,
                page: Some((query.page, &cookie)),
            };
            let deadline = self.connection.deadline();
            let id = self.connection.send(&search.operation(), &search.controls(), DOING).await?;
            let before = seen.len();
            let (estimate, next) = loop {
                match self.connection.answer(id, deadline, DOING).await? {
                    Body::Entry(entry) => {
                        if !seen.insert(hasher.hash_one(entry.dn)) {
                            let place = super::entry::place(entry.dn);
                            return Err(LdapError::Pages(format!("{place:?} came twice in one search")));
                        }
                        if seen.len() > MOST_ENTRIES {
                            return Err(LdapError::TooMuch(format!("more than {MOST_ENTRIES} entries")));
                        }
                        each(entry)?;
                    }
                    // Whoever has more is asked if the settings name them.
                    Body::Reference | Body::Other => {}
                    Body::Done(outcome, _) if outcome.code != 0 => return Err(LdapError::Result(outcome)),
                    Body::Done(_, Some(end)) => break (end.estimate, end.cookie.to_vec()),
                    Body::Done(_, None) => {
                        return Err(LdapError::Pages("a page ended without word of whether there are more".into()));
                    }
                    Body::Bound(..) | Body::Extended(_) => {
                        return Err(LdapError::Protocol("a search is answered by something else"));
                    }
                }
            };
            let new = seen.len() - before;
            progress.tell(|figures| {
                figures.pages += 1;
                figures.entries += u64::try_from(new).unwrap_or(u64::MAX);
                // An estimate is about this search alone.
                let told = u64::try_from(estimate).ok().filter(|estimate| *estimate > 0);
                figures.of = told.map(|told| before_all.saturating_add(told)).or(figures.of);
            });
            if next.is_empty() {
                return Ok(());
            }
            empty = if new == 0 { empty + 1 } else { 0 };
            if empty > MOST_EMPTY_PAGES {
                return Err(LdapError::Pages(format!("{empty} pages in a row had no entry, and there is no end")));
            }
            cookie = next;
        }
    }

    /// Gives out one entry, if it is there.
    ///
    /// # Errors
    /// Any result code but success, or trouble on the way.
    pub(crate) async fn one(
        &mut self,
        dn: &str,
        fields: &[String],
        mut each: impl FnMut(RawEntry<'_>),
    ) -> Result<(), LdapError> {
        const DOING: &str = "reading an entry";
        let filter = filter::encode("(objectClass=*)")?;
        let search = Search { base: dn, whole_tree: false, filter: &filter, fields, page: None };
        let deadline = self.connection.deadline();
        let id = self.connection.send(&search.operation(), &search.controls(), DOING).await?;
        let mut entries = 0;
        loop {
            match self.connection.answer(id, deadline, DOING).await? {
                Body::Entry(entry) if entries == 0 => {
                    entries += 1;
                    each(entry);
                }
                Body::Entry(_) => return Err(LdapError::Protocol("one entry was asked for, and more came")),
                Body::Reference | Body::Other => {}
                Body::Done(outcome, _) if outcome.code == 0 => return Ok(()),
                Body::Done(outcome, _) => return Err(LdapError::Result(outcome)),
                Body::Bound(..) | Body::Extended(_) => {
                    return Err(LdapError::Protocol("a search is answered by something else"));
                }
            }
        }
    }

    /// Reads the rest of the values of a field of which a server gives so many at a time (MS-ADTS 3.1.1.3.1.3.3). `have`: how
    /// many came. Each value is given out.
    ///
    /// # Errors
    /// A range that does not go on where the last one ended, and whatever [`Session::one`] fails with.
    pub(crate) async fn rest_of_range(
        &mut self,
        dn: &str,
        field: &str,
        have: usize,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), LdapError> {
        let mut next = have;
        loop {
            let asked = [format!("{field};range={next}-*")];
            // None: no such field came. Some: where it began, where it ended, how many values there were.
            let mut came = None;
            let mut values_read = 0;
            self.one(dn, &asked, |entry| {
                for (name, values) in entry.fields() {
                    let name = String::from_utf8_lossy(name);
                    let Some((name, from, to)) = super::entry::range(&name) else { continue };
                    if name.eq_ignore_ascii_case(field) && came.is_none() {
                        came = Some((from, to));
                        for value in values {
                            values_read += 1;
                            each(value);
                        }
                    }
                }
            })
            .await?;
            match came {
                Some((from, None)) if from == next => return Ok(()),
                Some((from, Some(to))) if from == next && values_read > 0 && to + 1 == next + values_read => {
                    next = to + 1
                }
                _ => {
                    let place = super::entry::place(dn.as_bytes());
                    return Err(LdapError::Pages(format!(
                        "the values of {field} of {place:?} did not go on at {next}: the entry changed meanwhile"
                    )));
                }
            }
            if next > MOST_ENTRIES {
                return Err(LdapError::TooMuch(format!("more than {MOST_ENTRIES} values of {field}")));
            }
        }
    }
}
