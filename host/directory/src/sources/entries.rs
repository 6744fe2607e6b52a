//! Entries of a directory become users and groups, by the names that a schema has for their fields.

use foldhash::HashSet;

use super::{
    census::{Census, Found, FoundGroup, Member, Primary},
    error::SourceError,
    ldap::{
        LdapError, Session, dn,
        entry::{self, RawEntry, Sid, Values},
        search::Query,
    },
};
use crate::{
    schema::Schema,
    snapshot::{Person, Progress},
};

/// How many users a page has. Active Directory gives no more at a time (MS-ADTS 3.1.1.3.4.6, MaxPageSize).
const USERS_A_PAGE: u32 = 1_000;
/// How many groups a page has: fewer, because each has its members along.
const GROUPS_A_PAGE: u32 = 250;
/// The most further addresses that somebody has.
const MOST_ADDRESSES: usize = 100;

/// What a field of a user is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Key,
    Name,
    FullName,
    Email,
    OtherEmails,
    Department,
    Office,
    Card,
    SecondCard,
    Pin,
    Alias,
    Home,
    Account,
    PrimaryAccount,
    PrimaryNumber,
}

/// Which fields of users are asked for, and what each is for.
#[derive(Debug)]
pub(crate) struct UserFields {
    fields: Vec<String>,
    slots: Vec<(String, Slot)>,
    by_dn: bool,
    listed_only: bool,
}

/// In which kind of directory users and groups are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Accounts have a primary group by number, and numbers that hold across domains (MS-ADTS).
    ActiveDirectory,
    /// Accounts have a primary group by `gidNumber` (RFC 2307).
    Posix,
    /// Neither.
    Plain,
}

impl UserFields {
    /// Every field, or only what memberships need.
    pub(crate) fn new(schema: &Schema, kind: Kind, listed_only: bool) -> Self {
        let mut slots = vec![(schema.key.clone(), Slot::Key), (schema.user_name.clone(), Slot::Name)];
        if !listed_only {
            let details = [
                (&schema.full_name, Slot::FullName),
                (&schema.email, Slot::Email),
                (&schema.other_emails, Slot::OtherEmails),
                (&schema.department, Slot::Department),
                (&schema.office, Slot::Office),
                (&schema.card, Slot::Card),
                (&schema.second_card, Slot::SecondCard),
                (&schema.pin, Slot::Pin),
                (&schema.alias, Slot::Alias),
                (&schema.home, Slot::Home),
            ];
            slots.extend(details.map(|(name, slot)| (name.clone(), slot)));
        }
        match kind {
            Kind::ActiveDirectory => {
                slots.push(("objectSid".into(), Slot::Account));
                slots.push(("primaryGroupID".into(), Slot::PrimaryAccount));
            }
            Kind::Posix => slots.push(("gidNumber".into(), Slot::PrimaryNumber)),
            Kind::Plain => {}
        }
        let by_dn = schema.key.eq_ignore_ascii_case("dn");
        slots.retain(|(name, slot)| !(name.is_empty() || by_dn && *slot == Slot::Key));
        let mut fields: Vec<String> = Vec::new();
        for (name, _) in &slots {
            if !fields.iter().any(|field| field.eq_ignore_ascii_case(name)) {
                fields.push(name.clone());
            }
        }
        Self { fields, slots, by_dn, listed_only }
    }

    /// The user that an entry is. The key is empty where the entry has none.
    fn user(&self, raw: RawEntry<'_>, census: &mut Census) -> Found {
        let place = entry::place(raw.dn);
        let dn = dn::spelling(&String::from_utf8_lossy(raw.dn));
        let mut person = Person { place: place.clone(), ..Person::default() };
        let (mut account, mut primary_account, mut primary_number) = (None, None, None);
        for (field, values) in raw.fields() {
            let is = |name: &str| field.eq_ignore_ascii_case(name.as_bytes());
            for (name, slot) in self.slots.iter().filter(|(name, _)| is(name)) {
                let first = match slot {
                    Slot::Name | Slot::Card | Slot::SecondCard | Slot::Pin => {
                        one(name, *slot, &values, &dn, &place, census)
                    }
                    _ => values.first(),
                };
                let text = match slot {
                    Slot::Key => {
                        person.key = first.and_then(|value| entry::key(name, value)).unwrap_or_default();
                        continue;
                    }
                    Slot::Account => {
                        account = first.and_then(Sid::of);
                        continue;
                    }
                    Slot::PrimaryAccount => {
                        primary_account = first.and_then(|value| entry::text(value).ok());
                        continue;
                    }
                    Slot::PrimaryNumber => {
                        primary_number = first.and_then(|value| entry::text(value).ok());
                        continue;
                    }
                    Slot::OtherEmails => {
                        other_emails(&mut person, name, values.clone(), census);
                        continue;
                    }
                    Slot::Name => &mut person.name,
                    Slot::FullName => &mut person.full_name,
                    Slot::Email => &mut person.email,
                    Slot::Department => &mut person.department,
                    Slot::Office => &mut person.office,
                    Slot::Card => &mut person.card,
                    Slot::SecondCard => &mut person.second_card,
                    Slot::Pin => &mut person.pin,
                    Slot::Alias => &mut person.alias,
                    Slot::Home => &mut person.home,
                };
                match first.map(entry::text) {
                    Some(Ok(value)) => *text = value,
                    // What stands there is not repeated: it may be a card or a PIN.
                    Some(Err(error)) => {
                        census.remark(&person.place, format!("{name} {error}; it is taken as empty, correct it there"));
                    }
                    None => {}
                }
            }
        }
        if self.by_dn {
            person.key = entry::dn_key(&dn);
        }
        let primary = match (&account, primary_account) {
            (Some(account), Some(number)) => account.beside(&number).map(Primary::Account),
            _ => primary_number.map(Primary::Number),
        };
        Found { dn, sid: account, primary, listed_only: self.listed_only, ..Found::new(person) }
    }
}

/// The value that is taken where one is expected. The order of several means nothing (RFC 4511, 4.1.7), so that the first one
/// may be another one tomorrow: of a name the one by which the entry is called, otherwise the least.
fn one<'v>(
    field: &str,
    slot: Slot,
    values: &Values<'v>,
    dn: &str,
    place: &str,
    census: &mut Census,
) -> Option<&'v [u8]> {
    let least = values.clone().min()?;
    if values.clone().nth(1).is_none() {
        return Some(least);
    }
    let calls_it = |value: &&[u8]| {
        let value = String::from_utf8_lossy(value);
        let part = dn::spelling(&format!("{field}={}", ldap3::dn_escape(&*value)));
        dn::first_parts(dn).any(|own| own == part)
    };
    let own = values.clone().filter(calls_it).min().filter(|_| slot == Slot::Name);
    let which = if own.is_some() { "the one by which its entry is called" } else { "the least" };
    // None of them is repeated: they may be cards or PINs.
    census.remark(place, format!("{field} has several values, and one is expected: {which} is taken; leave one there"));
    Some(own.unwrap_or(least))
}

/// Several values, or one list. Active Directory writes kinds of addresses in front, such as `smtp:` (MS-ADA3, proxyAddresses);
/// what is no address for mail is passed over.
fn other_emails(person: &mut Person, field: &str, values: Values<'_>, census: &mut Census) {
    for value in values {
        match entry::text(value) {
            Ok(text) => add_addresses(&mut person.other_emails, &text),
            Err(error) => census.remark(&person.place, format!("{field} {error}; it is passed over")),
        }
        if person.other_emails.len() > MOST_ADDRESSES {
            person.other_emails.truncate(MOST_ADDRESSES);
            census.remark(
                &person.place,
                format!("{field} has more than {MOST_ADDRESSES} addresses; the rest is left out"),
            );
            return;
        }
    }
}

/// Adds each address of a list once.
pub(crate) fn add_addresses(to: &mut Vec<String>, list: &str) {
    for address in list.split([',', ';']).map(str::trim) {
        let address = match address.split_once(':') {
            Some((kind, address)) if kind.eq_ignore_ascii_case("smtp") => address.trim(),
            Some(_) => continue,
            None => address,
        };
        if !address.is_empty() && !to.iter().any(|known| known == address) {
            to.push(address.to_owned());
        }
    }
}

/// Where users and groups are read from.
pub(crate) struct Place<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) name: &'a cardinal_domain::names::SourceName,
    pub(crate) schema: &'a Schema,
    pub(crate) kind: Kind,
    pub(crate) progress: &'a Progress,
}

impl Place<'_> {
    fn failed(&self, doing: String, error: LdapError) -> SourceError {
        SourceError::Server {
            name: self.name.clone(),
            server: self.session.server.clone(),
            doing,
            error: Box::new(error),
        }
    }

    /// Reads all users below a base.
    pub(crate) async fn users(
        &mut self,
        base: &str,
        filter: &str,
        fields: &UserFields,
        census: &mut Census,
    ) -> Result<(), SourceError> {
        let query = Query { base, filter, fields: &fields.fields, page: USERS_A_PAGE };
        let mut twice = None;
        let (before, mut without_key) = (census.counts().0, Vec::new());
        let read = self.session.pages(&query, self.progress, |raw| {
            let found = fields.user(raw, census);
            if found.person.key.is_empty() {
                without_key.push(found);
            } else if let Err(found) = census.person(found) {
                twice = twice.take().or(Some(found));
            }
            Ok(())
        });
        if let Err(error) = read.await {
            return Err(self.failed(format!("reading users below {base:?}"), error));
        }
        if let Some(found) = twice {
            return Err(SourceError::Twice {
                name: self.name.clone(),
                server: self.session.server.clone(),
                first: census.place_of(&found.person.key),
                second: found.person.place,
                key: entry::place(found.person.key.as_bytes()),
            });
        }
        let field = &self.schema.key;
        if !without_key.is_empty() && census.counts().0 == before {
            return Err(SourceError::NoField {
                name: self.name.clone(),
                of: format!("server {:?}, {base:?}", self.session.server),
                users: without_key.len(),
                field: field.clone(),
                advice: "it is what users are recognised by. Let the account that reads see it, or set user-key-field; \
                         where a server has nothing like it, user-key-field = \"dn\" recognises them by their place",
            });
        }
        for mut found in without_key {
            let message = format!(
                "has no {field} that could be read; it is recognised by its place instead, so that moving it makes it \
                 somebody else"
            );
            census.remark(&found.person.place, message);
            found.person.key = format!("dn:{}", entry::dn_key(&found.dn));
            // One that stands there twice was refused before.
            let _ = census.person(found);
        }
        Ok(())
    }

    /// Counts users below a base.
    pub(crate) async fn count(&mut self, base: &str, filter: &str) -> Result<u64, SourceError> {
        // No fields at all (RFC 4511, 4.5.1.8).
        let fields = ["1.1".to_owned()];
        let query = Query { base, filter, fields: &fields, page: USERS_A_PAGE };
        let mut count = 0;
        let read = self.session.pages(&query, self.progress, |_| {
            count += 1;
            Ok(())
        });
        match read.await {
            Ok(()) => Ok(count),
            Err(error) => Err(self.failed(format!("counting users below {base:?}"), error)),
        }
    }

    /// Reads all groups below a base, with their members. All people must be there.
    pub(crate) async fn groups(&mut self, base: &str, census: &mut Census) -> Result<(), SourceError> {
        let Schema { key, group_name, group_member, posix_groups, .. } = self.schema;
        let extra = match self.kind {
            Kind::ActiveDirectory => "objectSid",
            Kind::Posix => "gidNumber",
            Kind::Plain => "",
        };
        let by_dn = key.eq_ignore_ascii_case("dn");
        let mut fields = vec![group_name.clone(), group_member.clone()];
        if !by_dn {
            fields.push(key.clone());
        }
        if !extra.is_empty() {
            fields.push(extra.to_owned());
        }
        let filter = self.schema.all_groups();
        let query = Query { base, filter: &filter, fields: &fields, page: GROUPS_A_PAGE };
        // Groups of which not all members came: their number, name, and how many did.
        let mut more: Vec<(u32, String, usize)> = Vec::new();
        let mut keys = HashSet::default();
        let mut twice = None;
        let before = census.counts().1;
        let mut members = Members { base: dn::spelling(base), by_name: *posix_groups, ..Members::default() };
        let read = self.session.pages(&query, self.progress, |raw| {
            let dn_text = String::from_utf8_lossy(raw.dn);
            let mut found =
                FoundGroup { place: entry::place(raw.dn), dn: dn::spelling(&dn_text), ..FoundGroup::default() };
            for (field, values) in raw.fields() {
                let is = |name: &str| field.eq_ignore_ascii_case(name.as_bytes());
                let Some(first) = values.first() else { continue };
                if is(key) {
                    found.key = entry::key(key, first).unwrap_or_default();
                }
                // Also where it is the key.
                if is(extra) {
                    found.as_primary = match self.kind {
                        Kind::ActiveDirectory => Sid::of(first).map(Primary::Account),
                        _ => entry::text(first).ok().map(Primary::Number),
                    };
                }
                if is(group_name) {
                    match entry::text(first) {
                        Ok(name) => found.name = name,
                        Err(error) => census.remark(&found.place, format!("{group_name} {error}; correct it there")),
                    }
                }
            }
            if found.key.is_empty() {
                let key = entry::dn_key(&found.dn);
                found.key = if by_dn { key } else { format!("dn:{key}") };
            }
            if !keys.insert(found.key.clone()) {
                twice = twice.take().or(Some((found.key.clone(), found.place.clone())));
            }
            let number = census.group(found);
            for (field, values) in raw.fields() {
                let ranged = std::str::from_utf8(field).ok().and_then(entry::range);
                let came_from = match ranged {
                    Some((name, from, to)) if name.eq_ignore_ascii_case(group_member) => Some((from, to)),
                    None if field.eq_ignore_ascii_case(group_member.as_bytes()) => None,
                    _ => continue,
                };
                let mut count = 0;
                for value in values {
                    count += 1;
                    members.take(census, number, value);
                }
                match came_from {
                    Some((0, Some(to))) if to + 1 == count => more.push((number, dn_text.clone().into_owned(), count)),
                    Some((0, None)) | None => {}
                    Some(_) => {
                        let place = entry::place(raw.dn);
                        return Err(LdapError::Pages(format!("the members of {place:?} came in a range that is none")));
                    }
                }
            }
            Ok(())
        });
        if let Err(error) = read.await {
            return Err(self.failed(format!("reading groups below {base:?}"), error));
        }
        if let Some((key, second)) = twice {
            return Err(SourceError::Twice {
                name: self.name.clone(),
                server: self.session.server.clone(),
                first: "another group".into(),
                second,
                key: entry::place(key.as_bytes()),
            });
        }
        for (number, dn, have) in more {
            let each = |value: &[u8]| members.take(census, number, value);
            if let Err(error) = self.session.rest_of_range(&dn, group_member, have, each).await {
                let place = entry::place(dn.as_bytes());
                return Err(self.failed(format!("reading the members of {place:?}"), error));
            }
        }
        let (field, groups) = (group_member, census.counts().1 - before);
        if let Some(advice) = members.are_lost(self.kind) {
            return Err(SourceError::NoMembers {
                name: self.name.clone(),
                server: self.session.server.clone(),
                members: members.values,
                field: field.clone(),
                advice,
            });
        }
        if groups == 0 {
            let message =
                "no groups were found below it; where there are some, set group-search and group-member-field";
            census.remark(base, message.into());
        } else if members.values == 0 {
            let message = format!(
                "none of the {groups} groups below it has a member in the field {field:?}; where they have some, set \
                 group-search and group-member-field"
            );
            census.remark(base, message);
        } else if members.names > 0 && !posix_groups {
            let message = format!(
                "{} members of groups are no distinguished names, and nobody is found by them; set posix-groups = \"Y\" where \
                 they are user names",
                members.names
            );
            census.remark(base, message);
        }
        Ok(())
    }
}

/// What members of groups are called, all of them together.
#[derive(Debug, Default)]
struct Members {
    /// Below which name groups were looked for, in the spelling for comparing.
    base: String,
    by_name: bool,
    values: usize,
    /// No distinguished names.
    names: usize,
    /// Names below the base.
    below: usize,
}

impl Members {
    fn take(&mut self, census: &mut Census, group: u32, value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        // A group that must have a member, and has none, has an empty one.
        if text.trim().is_empty() {
            return;
        }
        self.values += 1;
        let is_name = !text.contains('=');
        self.names += usize::from(is_name);
        if self.by_name {
            census.member(group, Member::Name(text.trim().to_owned()));
            return;
        }
        let dn = dn::spelling(&text);
        self.below += usize::from(dn::is_below(&dn, &self.base));
        // No name of an entry is found by it.
        let member = if is_name { Member::Unknown } else { Member::Dn(dn) };
        census.member(group, member);
    }

    /// What to do where no member can be anybody of the directory: all memberships would end. Members that are not selected are
    /// none of that.
    fn are_lost(&self, kind: Kind) -> Option<&'static str> {
        match self {
            Self { values: 0, .. } => None,
            Self { by_name: false, values, names, .. } if values == names => {
                Some("none of them is a distinguished name; where they are user names, set posix-groups = \"Y\"")
            }
            Self { by_name: true, names: 0, .. } => {
                Some("all of them look like distinguished names, and not like user names; set posix-groups = \"N\"")
            }
            // In an Active Directory they may all be of other domains.
            Self { by_name: false, below: 0, .. } if kind != Kind::ActiveDirectory => {
                Some("none of them is below the base; correct base or group-member-field")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_from_lists_and_with_their_kind() {
        let mut to = Vec::new();
        for list in ["a@x, b@x;a@x", "SMTP:c@x", "x500:/o=x", " ", "sip:d@x"] {
            add_addresses(&mut to, list);
        }
        assert_eq!(to, ["a@x", "b@x", "c@x"]);
    }
}
