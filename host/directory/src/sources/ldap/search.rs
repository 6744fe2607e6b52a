//! Reading a search to its end, page by page (RFC 2696). Either every page ended with success, or there is an error: what was
//! given out before it is of no use, and the caller throws it away.

use std::{hash::BuildHasher as _, panic::catch_unwind};

use foldhash::{HashSet, quality::RandomState};
use ldap3::{
    LdapResult, ResultEntry, Scope, SearchStream,
    controls::{Control, MakeCritical as _, PagedResults, RawControl},
};
use tokio::time::{Instant, timeout_at};

use super::{LdapError, Outcome, Session, entry::RawEntry, error::clean, filter};
use crate::snapshot::Progress;

/// The most entries that one search may give.
const MOST_ENTRIES: usize = 5_000_000;
/// The most pages in a row without an entry. Servers give some where a search is slow.
const MOST_EMPTY_PAGES: usize = 100;
/// The most references that are kept; more of them say no more.
const MOST_REFERENCES: usize = 100;
/// Pages (RFC 2696).
const PAGED: &str = "1.2.840.113556.1.4.319";

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
        filter::check(query.filter)?;
        let hasher = RandomState::default();
        let mut seen = HashSet::default();
        let mut cookie = Vec::new();
        let mut empty = 0;
        let before_all = progress.figures().entries;
        let size = i32::try_from(query.page).unwrap_or(i32::MAX);
        loop {
            // Critical: a server that cannot do it says so, instead of giving what fits.
            let page = PagedResults { size, cookie }.critical();
            self.ldap.with_controls(page);
            let mut answer =
                self.search(query.base, Scope::Subtree, query.filter, query.fields, "reading a page").await?;
            let before = seen.len();
            while let Some(found) = self.next(&mut answer).await? {
                let Some(entry) = entry(&found)? else { continue };
                if !seen.insert(hasher.hash_one(entry.dn)) {
                    let place = super::entry::place(entry.dn);
                    return Err(LdapError::Pages(format!("{place:?} came twice in one search")));
                }
                if seen.len() > MOST_ENTRIES {
                    return Err(LdapError::TooMuch(format!("more than {MOST_ENTRIES} entries")));
                }
                each(entry)?;
            }
            let PagedResults { size: estimate, cookie: next } = page_end(&answer.end().await?.ctrls)?;
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
        let mut answer = self.search(dn, Scope::Base, "(objectClass=*)", fields, "reading an entry").await?;
        let mut entries = 0;
        while let Some(found) = self.next(&mut answer).await? {
            let Some(entry) = entry(&found)? else { continue };
            entries += 1;
            if entries > 1 {
                return Err(LdapError::Protocol("one entry was asked for, and more came"));
            }
            each(entry);
        }
        answer.end().await.map(|_| ())
    }

    /// Asks. Aliases are never followed, and no limits are asked for: those that the server has are answered as errors.
    async fn search<'f>(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        fields: &'f [String],
        doing: &'static str,
    ) -> Result<Answer<'f>, LdapError> {
        // One deadline for all of the answer. The library's own begins again with each entry, and would wait for ever for a
        // server that sends one now and then.
        let deadline = Instant::now() + self.patience;
        match timeout_at(deadline, self.ldap.streaming_search(base, scope, filter, fields)).await {
            Ok(Ok(stream)) => Ok(Answer { stream, deadline, doing }),
            Ok(Err(error)) => Err(self.failed(error, doing).await),
            Err(_) => Err(self.too_slow(doing)),
        }
    }

    /// What comes next. None: that was all, and its [end](Answer::end) says how it went.
    async fn next(&mut self, answer: &mut Answer<'_>) -> Result<Option<ResultEntry>, LdapError> {
        loop {
            match timeout_at(answer.deadline, answer.stream.next()).await {
                Ok(Ok(Some(found))) if found.is_ref() => self.refer(&found)?,
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) => return Err(self.failed(error, answer.doing).await),
                Err(_) => return Err(self.too_slow(answer.doing)),
            }
        }
    }

    /// Keeps who else has a part of what was asked for (RFC 4511, 4.5.3).
    fn refer(&mut self, found: &ResultEntry) -> Result<(), LdapError> {
        let uris = super::entry::texts(&found.0).ok_or(LdapError::Protocol("a reference is malformed"))?;
        // Several in one lead to the same.
        if let Some(uri) = uris.first().map(|uri| clean(uri))
            && self.references.len() < MOST_REFERENCES
            && !self.references.contains(&uri)
        {
            self.references.push(uri);
        }
        Ok(())
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

/// The answer to a search, as it comes.
struct Answer<'a> {
    stream: SearchStream<'a, String, &'a [String]>,
    deadline: Instant,
    doing: &'static str,
}

impl Answer<'_> {
    /// How it ended.
    async fn end(mut self) -> Result<LdapResult, LdapError> {
        let result = self.stream.finish().await;
        if result.rc == 0 { Ok(result) } else { Err(LdapError::Result(Outcome::from(result))) }
    }
}

/// The entry that was found. None: something on the way that nobody asked for.
fn entry(found: &ResultEntry) -> Result<Option<RawEntry<'_>>, LdapError> {
    if found.is_intermediate() {
        return Ok(None);
    }
    RawEntry::of(&found.0).map(Some).ok_or(LdapError::Protocol("an entry is malformed"))
}

/// Whether there are more pages, and where the next one begins.
fn page_end(controls: &[Control]) -> Result<PagedResults, LdapError> {
    let paged = controls.iter().find(|Control(_, control)| control.ctype == PAGED);
    let Some(Control(_, control)) = paged else {
        return Err(LdapError::Pages("a page ended without word of whether there are more".into()));
    };
    // The library panics where it is malformed.
    catch_unwind(|| RawControl::parse(control)).map_err(|_| LdapError::Protocol("the end of a page is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_page_is_read_or_refused() {
        let end = |ctype: &str, val: Option<&[u8]>| {
            let control = RawControl { ctype: ctype.into(), crit: false, val: val.map(<[u8]>::to_vec) };
            page_end(&[Control(None, control)]).map(|end| (end.size, end.cookie))
        };
        let good = b"\x30\x06\x02\x01\x07\x04\x01c";
        assert_eq!(end(PAGED, Some(good)).unwrap(), (7, b"c".to_vec()));
        assert!(matches!(end("1.2.3", Some(good)), Err(LdapError::Pages(_))));
        assert!(matches!(page_end(&[]), Err(LdapError::Pages(_))));
        for malformed in [None, Some(&b""[..]), Some(&b"\x04\x00"[..]), Some(&good[..5]), Some(&b"\x30\x00"[..])] {
            assert!(matches!(end(PAGED, malformed), Err(LdapError::Protocol(_))), "{malformed:?}");
        }
    }
}
