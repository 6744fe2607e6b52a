//! Everybody and every group that a source told of, put together: members are found by whatever their group calls them, groups
//! in groups are closed, and what the settings select is selected. Pure: it makes a snapshot, or says why there is none.

use std::{collections::hash_map::Entry, sync::Arc};

use cardinal_domain::{names::folded, site::Source, sync::Total};
use foldhash::HashMap;

use super::{
    Reading,
    error::SourceError,
    ldap::{dn, entry::Sid},
};
use crate::{
    graph::{self, Direct},
    schema::Schema,
    snapshot::{ELSEWHERE, Figures, Group, Handover, Mark, Person, Remark, Scope, Snapshot},
};

/// The most remarks that are kept; what is wrong with more entries than that is wrong with the settings.
const MOST_REMARKS: usize = 1_000;

/// A user that was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) person: Person,
    /// Their distinguished name, in the spelling for comparing. Empty: there is none.
    pub(crate) dn: String,
    /// Their account.
    pub(crate) sid: Option<Sid>,
    /// The group they are in without being among its members.
    pub(crate) primary: Option<Primary>,
    /// Known to be there, and not otherwise read.
    pub(crate) listed_only: bool,
    /// Handed over: of the person, place and name are left.
    pub(crate) is_handed_over: bool,
}

impl Found {
    /// Somebody who was read.
    pub(crate) fn new(person: Person) -> Self {
        Self { person, ..Self::default() }
    }
}

/// How an account names its primary group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Primary {
    /// The number behind that of the domain.
    Account(Sid),
    /// `gidNumber`.
    Number(String),
}

/// A group that was found.
#[derive(Debug, Default)]
pub(crate) struct FoundGroup {
    pub(crate) key: String,
    pub(crate) place: String,
    pub(crate) name: String,
    pub(crate) dn: String,
    /// As what others have it for their primary group, or name it from elsewhere.
    pub(crate) as_primary: Option<Primary>,
}

/// What a member of a group is called.
#[derive(Debug)]
pub(crate) enum Member {
    /// By a distinguished name, in the spelling for comparing.
    Dn(String),
    /// By the user name.
    Name(String),
    /// By something that calls nobody.
    Unknown,
}

/// What is there so far.
#[derive(Debug, Default)]
pub(crate) struct Census {
    people: Vec<Found>,
    groups: Vec<FoundGroup>,
    direct: Vec<Direct>,
    by_key: HashMap<Arc<str>, u32>,
    handover: Option<Handover>,
    by_dn: HashMap<String, u32>,
    by_name: HashMap<String, u32>,
    /// Groups by their names and accounts; members that were no people when they came.
    later: Vec<(u32, String)>,
    remarks: Vec<Remark>,
    /// Remarks that were too many.
    unsaid: usize,
    /// Members by user name whom nobody knows.
    unknown: usize,
    /// A part is at servers that were not asked.
    is_part: bool,
}

impl Census {
    /// One of a directory: whoever wants its users while they come has them, unless it takes all groups to know who is
    /// imported.
    pub(crate) fn handing_over(reading: &Reading<'_>) -> Self {
        let handover = reading.handover.clone().filter(|_| reading.source.groups.is_empty());
        Self { handover, ..Self::default() }
    }

    pub(crate) fn remark(&mut self, place: &str, message: String) {
        if self.remarks.len() < MOST_REMARKS {
            self.remarks.push(Remark { place: place.to_owned(), message });
        } else {
            self.unsaid += 1;
        }
    }

    /// A server says who else has a part of what was asked for: nobody who is not here is gone.
    pub(crate) fn elsewhere(&mut self, references: &[String]) {
        for reference in references {
            self.is_part = true;
            let message =
                "what it leads to was not read; nobody is removed because of it; name a server that holds everything";
            self.remark(reference, message.into());
        }
    }

    /// How many users and groups came.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.people.len(), self.groups.len())
    }

    /// Adds a user. One that was listed only is filled in.
    ///
    /// # Errors
    /// Another one has that key: where that one stands.
    pub(crate) fn person(&mut self, mut found: Found) -> Result<(), Box<Found>> {
        let number = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
        match self.by_key.entry(found.person.key.as_str().into()) {
            Entry::Vacant(place) => drop(place.insert(number)),
            Entry::Occupied(known) => {
                return match self.people.get_mut(*known.get() as usize) {
                    Some(known) if known.listed_only && !found.listed_only => {
                        known.person = found.person;
                        known.listed_only = false;
                        hand_over(known, self.handover.as_ref());
                        Ok(())
                    }
                    _ => Err(Box::new(found)),
                };
            }
        }
        if !found.dn.is_empty() {
            self.by_dn.insert(std::mem::take(&mut found.dn), number);
        }
        hand_over(&mut found, self.handover.as_ref());
        self.people.push(found);
        Ok(())
    }

    /// Where the user with this key stands.
    pub(crate) fn place_of(&self, key: &str) -> String {
        let known = self.by_key.get(key).and_then(|number| self.people.get(*number as usize));
        known.map(|known| known.person.place.clone()).unwrap_or_default()
    }

    /// All people are there: from now on they can be found by their user names.
    pub(crate) fn index_names(&mut self) {
        self.by_name = (0..).zip(&self.people).map(|(number, found)| (folded(&found.person.name), number)).collect();
    }

    /// Adds a group, without members, and gives its number. People must be there first.
    pub(crate) fn group(&mut self, found: FoundGroup) -> u32 {
        let number = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        self.groups.push(found);
        self.direct.push(Direct::default());
        number
    }

    /// Adds a member to a group.
    pub(crate) fn member(&mut self, group: u32, member: Member) {
        let person = match &member {
            Member::Dn(dn) => self.by_dn.get(dn),
            Member::Name(name) => self.by_name.get(&folded(name)),
            Member::Unknown => None,
        };
        let person = person.copied();
        match (person, member, self.direct.get_mut(group as usize)) {
            (Some(person), _, Some(direct)) => direct.people.push(person),
            (None, Member::Dn(dn), _) => self.later.push((group, dn)),
            (None, Member::Name(_) | Member::Unknown, _) => self.unknown += 1,
            (Some(_), _, None) => {}
        }
    }

    /// Finds members that were no people when their group came, and adds everybody to their primary group.
    fn connect(&mut self) {
        let numbered = || (0_u32..).zip(&self.groups);
        let by_dn: HashMap<&str, u32> = numbered().map(|(number, group)| (group.dn.as_str(), number)).collect();
        let by_account: HashMap<&Primary, u32> =
            numbered().filter_map(|(number, group)| Some((group.as_primary.as_ref()?, number))).collect();
        let people_by_account: HashMap<&Sid, u32> =
            (0_u32..).zip(&self.people).filter_map(|(number, found)| Some((found.sid.as_ref()?, number))).collect();
        for (group, member) in std::mem::take(&mut self.later) {
            let Some(direct) = self.direct.get_mut(group as usize) else { continue };
            let foreigner = || Sid::of_foreigner(&member);
            if let Some(inner) = by_dn.get(member.as_str()) {
                direct.groups.push(*inner);
            } else if let Some(sid) = foreigner() {
                if let Some(person) = people_by_account.get(&sid) {
                    direct.people.push(*person);
                } else if let Some(inner) = by_account.get(&Primary::Account(sid)) {
                    direct.groups.push(*inner);
                }
            }
            // The rest are machines, contacts, and people who are not selected.
        }
        for (number, found) in (0_u32..).zip(&self.people) {
            let primary = found.primary.as_ref().and_then(|primary| by_account.get(primary));
            if let Some(direct) = primary.and_then(|group| self.direct.get_mut(*group as usize)) {
                direct.people.push(number);
            }
        }
    }

    /// The snapshot.
    ///
    /// # Errors
    /// A group whose members are to be imported does not exist, or nobody would be imported.
    #[allow(clippy::too_many_arguments, reason = "each is a part of a snapshot")]
    pub(crate) fn snapshot(
        mut self,
        source: &Source,
        schema: Option<&Schema>,
        of: &str,
        totals: Vec<Total>,
        figures: Figures,
        mark: Option<Mark>,
        scope: Scope,
    ) -> Result<Snapshot, SourceError> {
        self.connect();
        let closed = graph::close(&self.direct);
        let selected = self.selected(source, of, &closed)?;
        let is_in = |number: u32| selected.as_ref().is_none_or(|selected| selected.get(number as usize) == Some(&true));
        if !(0_u32..).zip(&self.people).any(|(number, _)| is_in(number)) {
            let check = if source.groups.is_empty() {
                match schema {
                    Some(_) => "the base, the units, the search for users, and what the account that reads may see",
                    None => "what writes it",
                }
                .to_owned()
            } else {
                format!("whether the groups {} have members, and whether those may be seen", source.groups.join(", "))
            };
            return Err(SourceError::Nobody { name: source.name.clone(), of: of.to_owned(), check });
        }
        if self.people.iter().all(|found| found.person.name.is_empty()) {
            return Err(SourceError::NoField {
                name: source.name.clone(),
                of: of.to_owned(),
                users: self.people.len(),
                field: schema.map(|schema| schema.user_name.clone()).unwrap_or_default(),
                advice: "it is to hold the user name. Let the account that reads see it, or correct user-name-field",
            });
        }
        self.remark_nameless();
        // A key is shared by all groups that its person is in.
        let mut keys: Vec<Option<Arc<str>>> = vec![None; self.people.len()];
        for (key, number) in self.by_key {
            if let Some(place) = keys.get_mut(number as usize) {
                *place = Some(key);
            }
        }
        let elsewhere: Arc<str> = ELSEWHERE.into();
        let mut groups = Vec::with_capacity(self.groups.len());
        for (group, members) in self.groups.into_iter().zip(closed) {
            let are_in = members.iter().filter(|number| is_in(**number));
            let mut list: Vec<_> = are_in.filter_map(|number| keys.get(*number as usize)?.clone()).collect();
            if self.is_part {
                list.push(Arc::clone(&elsewhere));
            }
            groups.push(Group { key: group.key, place: group.place, name: group.name, members: list });
        }
        let people = (0_u32..)
            .zip(self.people)
            .filter(|(number, found)| is_in(*number) && !found.listed_only && !found.is_handed_over)
            .map(|(_, found)| found.person)
            .collect();
        if self.unknown > 0 {
            self.remarks.push(Remark {
                place: of.to_owned(),
                message: format!("{} members of groups are named whom the source does not have", self.unknown),
            });
        }
        if self.unsaid > 0 {
            let message = format!("{} more remarks are left out; check the settings of the source", self.unsaid);
            self.remarks.push(Remark { place: of.to_owned(), message });
        }
        Ok(Snapshot {
            source: source.name.clone(),
            scope: if self.is_part { Scope::Changes } else { scope },
            people,
            groups,
            totals,
            remarks: self.remarks,
            figures,
            mark,
        })
    }

    /// Says who cannot be used because they have no name.
    fn remark_nameless(&mut self) {
        let people = self.people.iter().map(|found| (&found.person.name, &found.person.place));
        let groups = self.groups.iter().map(|group| (&group.name, &group.place));
        let nameless: Vec<String> =
            people.chain(groups).filter(|(name, _)| name.is_empty()).map(|(_, place)| place.clone()).collect();
        for place in nameless {
            self.remark(
                &place,
                "has no name that could be read: it stays as it is on record until that is corrected".into(),
            );
        }
    }

    /// Who is in the groups that the settings name. None: no groups are named.
    fn selected(&self, source: &Source, of: &str, closed: &[Arc<[u32]>]) -> Result<Option<Vec<bool>>, SourceError> {
        if source.groups.is_empty() {
            return Ok(None);
        }
        let mut selected = vec![false; self.people.len()];
        for wanted in &source.groups {
            let (name, as_dn) = (folded(wanted.trim()), dn::spelling(wanted));
            let mut found = false;
            for (group, members) in self.groups.iter().zip(closed) {
                if folded(&group.name) == name || (!group.dn.is_empty() && group.dn == as_dn) {
                    found = true;
                    for number in members.iter() {
                        if let Some(is_in) = selected.get_mut(*number as usize) {
                            *is_in = true;
                        }
                    }
                }
            }
            if !found {
                return Err(SourceError::NoGroup {
                    name: source.name.clone(),
                    of: of.to_owned(),
                    group: wanted.clone(),
                });
            }
        }
        Ok(Some(selected))
    }
}

/// Gives a person away who was read whole, but for what is needed here.
fn hand_over(found: &mut Found, to: Option<&Handover>) {
    let Some(to) = to.filter(|_| !found.listed_only) else { return };
    let Person { place, name, .. } = &found.person;
    let left = Person { place: place.clone(), name: name.clone(), ..Person::default() };
    to.take(std::mem::replace(&mut found.person, left));
    found.is_handed_over = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        let site = format!("[[source]]\nname = \"s\"\nkind = \"file\"\nfrom = \"x\"\n{text}");
        let site: cardinal_domain::site::Site = cardinal_domain::strict_toml::parse(&site).unwrap();
        site.source.into_iter().next().unwrap()
    }

    fn person(key: &str, dn: &str, account: &str, primary: &str) -> Found {
        let sid = |text: &str| (!text.is_empty()).then(|| Sid(text.to_owned()));
        Found {
            person: Person { key: key.into(), name: key.to_uppercase(), ..Person::default() },
            dn: dn.into(),
            sid: sid(account),
            primary: sid(primary).map(Primary::Account),
            ..Found::default()
        }
    }

    fn group(census: &mut Census, name: &str, account: &str, members: &[&str]) {
        let number = census.group(FoundGroup {
            key: format!("k-{name}"),
            name: name.into(),
            dn: format!("cn={name}"),
            as_primary: (!account.is_empty()).then(|| Primary::Account(Sid(account.into()))),
            ..FoundGroup::default()
        });
        for member in members {
            census.member(number, Member::Dn((*member).to_owned()));
        }
    }

    fn school() -> Census {
        let mut census = Census::default();
        census.person(person("ada", "cn=ada", "s-1-5-21-1-1000", "s-1-5-21-1-513")).unwrap();
        census.person(person("bob", "cn=bob", "s-1-5-21-2-1000", "s-1-5-21-1-513")).unwrap();
        census.person(person("eve", "cn=eve", "s-1-5-21-1-1001", "")).unwrap();
        group(&mut census, "domain users", "s-1-5-21-1-513", &[]);
        group(&mut census, "staff", "s-1-5-21-1-600", &["cn=eve", "cn=nobody", "cn=domain users", "cn=staff"]);
        group(&mut census, "guests", "", &["cn=s-1-5-21-2-1000,cn=foreignsecurityprincipals,dc=x"]);
        group(&mut census, "mixed", "", &["cn=s-1-5-21-1-600,cn=foreignsecurityprincipals,dc=x"]);
        census
    }

    fn take(census: Census, settings: &str) -> Result<Snapshot, SourceError> {
        census.snapshot(&source(settings), None, "x", Vec::new(), Figures::default(), None, Scope::Whole)
    }

    #[test]
    fn members_are_found_by_name_account_and_primary_group() {
        let snapshot = take(school(), "").unwrap();
        let told: Vec<(&str, String)> =
            snapshot.groups.iter().map(|group| (group.name.as_str(), group.members.join(" "))).collect();
        assert_eq!(
            told,
            [
                ("domain users", "ada bob".into()),
                ("staff", "ada bob eve".into()),
                ("guests", "bob".into()),
                ("mixed", "ada bob eve".into()),
            ]
        );
        assert_eq!(snapshot.people.len(), 3);
    }

    #[test]
    fn selected_groups_select_their_nested_members() {
        let snapshot = take(school(), "groups = [\"GUESTS\"]").unwrap();
        assert_eq!(snapshot.people.iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["bob"]);
        assert!(snapshot.groups.iter().all(|group| group.members.iter().all(|member| &**member == "bob")));
        assert_eq!(take(school(), "groups = [\"staff\", \"cn=Guests\"]").unwrap().people.len(), 3);
        let error = take(school(), "groups = [\"guests\", \"pupils\"]").unwrap_err().to_string();
        assert!(error.contains("no group \"pupils\""), "{error}");
        let mut census = school();
        group(&mut census, "empty", "", &[]);
        assert!(take(census, "groups = [\"empty\"]").unwrap_err().to_string().contains("no users at all"));
        assert!(take(Census::default(), "").unwrap_err().to_string().contains("no users at all"));
    }

    #[test]
    fn a_key_is_one_persons_alone() {
        let mut census = school();
        assert!(census.person(person("ada", "cn=other", "", "")).is_err());
        assert!(census.person(Found { listed_only: true, ..person("ada", "cn=other", "", "") }).is_err());
        let mut census = Census::default();
        census.person(Found { listed_only: true, ..person("ada", "cn=ada", "", "") }).unwrap();
        census.person(Found { listed_only: true, ..person("bob", "cn=bob", "", "") }).unwrap();
        group(&mut census, "all", "", &["cn=ada", "cn=bob"]);
        census.person(person("ada", "cn=ada", "", "")).unwrap();
        let snapshot = take(census, "").unwrap();
        assert_eq!((snapshot.people.len(), snapshot.groups[0].members.len()), (1, 2));
    }

    #[test]
    fn remarks_are_bounded() {
        let mut census = school();
        for number in 0..5_000 {
            census.remark(&number.to_string(), "x".into());
        }
        let remarks = take(census, "").unwrap().remarks;
        assert_eq!(remarks.len(), MOST_REMARKS + 1);
        assert!(remarks.last().unwrap().message.contains("4000 more"));
    }
}
