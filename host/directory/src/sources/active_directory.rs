//! Domains of an Active Directory, read natively: every domain that is named, users by their account type, groups with all
//! their members, and numbers of accounts that hold from domain to domain.
//!
//! Between full reads it can read what changed: each domain controller counts its changes (`uSNChanged`, MS-ADTS
//! 3.1.1.5.2.1.5), and the count is good for that one controller and that one copy of its database (`invocationId`). Who is in which group
//! is read whole even then, because a membership is a change of the group's and not of the user's.

use std::collections::BTreeMap;

use cardinal_domain::sync::Total;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Reading, SourceError, access, begin,
    census::Census,
    entries::{Kind, Place, UserFields},
    ldap::{
        LdapError, Session, dn,
        entry::{self, RawEntry},
    },
};
use crate::snapshot::{Mark, Scope, Snapshot};

/// How far each domain was read, and with which settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Marks {
    /// Of everything that says what is read: with other settings, what did not change may have to be read, too.
    settings: String,
    domains: BTreeMap<String, DomainMark>,
}

/// How far a domain was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DomainMark {
    /// The domain controller that counts.
    controller: String,
    /// Its copy of the database.
    copy: String,
    /// What it had counted.
    changes: u64,
}

/// A domain at whose controller somebody is signed in.
struct Domain {
    name: String,
    base: String,
    session: Session,
    mark: Option<DomainMark>,
}

/// Reads all domains, or what changed in them.
///
/// # Errors
/// Anything that keeps one of them from being read whole.
pub(crate) async fn read(reading: &Reading<'_>) -> Result<Snapshot, SourceError> {
    let source = reading.source;
    let mut domains = Vec::new();
    for name in source.domain_names() {
        domains.push(open(reading, name).await?);
    }
    let now = marks(reading, &domains);
    let since = reading.since.and_then(|mark| good(mark, now.as_ref()?));
    // A user who joins a selected group is new here, and did not change there.
    let since = since.filter(|_| source.groups.is_empty());

    let mut census = Census::handing_over(reading);
    for domain in &domains {
        super::remark_way(source, &domain.session, &mut census);
    }
    let filter = reading.schema.users(source.disabled);
    let mut units = Units::of(reading, &domains)?;
    let everything = UserFields::new(reading.schema, Kind::ActiveDirectory, false);
    let listing = UserFields::new(reading.schema, Kind::ActiveDirectory, true);
    let mut totals = Vec::new();
    for domain in &mut domains {
        begin(reading, &domain.session);
        let before = census.counts().0;
        let bases = units.take(&domain.name, &domain.base);
        let changed_since = since.as_ref().and_then(|since| since.domains.get(&domain.name));
        let mut place = place(reading, &mut domain.session);
        for base in &bases {
            if let Some(mark) = changed_since {
                place.users(base, &filter, &listing, &mut census).await?;
                let changed = format!("(&{filter}(uSNChanged>={}))", mark.changes.saturating_add(1));
                place.users(base, &changed, &everything, &mut census).await?;
            } else {
                place.users(base, &filter, &everything, &mut census).await?;
            }
        }
        let users = if source.ous.is_empty() {
            u64::try_from(census.counts().0 - before).unwrap_or(u64::MAX)
        } else {
            place.count(&domain.base, &filter).await?
        };
        if users == 0 {
            // One silent domain among several would look like everybody in it had left.
            return Err(SourceError::Nobody {
                name: source.name.clone(),
                of: format!("server {:?} of domain {}", domain.session.server, domain.name),
                check: "what the account that reads may see there".into(),
            });
        }
        totals.push(Total { of: domain.name.clone(), users, groups: 0 });
    }
    if reading.schema.posix_groups {
        census.index_names();
    }
    for (domain, total) in domains.iter_mut().zip(&mut totals) {
        begin(reading, &domain.session);
        let before = census.counts().1;
        place(reading, &mut domain.session).groups(&domain.base, &mut census).await?;
        total.groups = u64::try_from(census.counts().1 - before).unwrap_or(u64::MAX);
    }
    let servers: Vec<_> =
        domains.iter().map(|domain| format!("server {:?} of domain {}", domain.session.server, domain.name)).collect();
    for domain in domains {
        domain.session.close().await;
    }
    let scope = if since.is_some() { Scope::Changes } else { Scope::Whole };
    let mark = now.and_then(|now| serde_json::to_string(&now).ok()).map(Mark);
    census.snapshot(source, Some(reading.schema), &servers.join(", "), totals, reading.progress.figures(), mark, scope)
}

fn place<'a>(reading: &'a Reading<'_>, session: &'a mut Session) -> Place<'a> {
    Place {
        session,
        name: &reading.source.name,
        schema: reading.schema,
        kind: Kind::ActiveDirectory,
        progress: &reading.progress,
    }
}

/// Signs in at a controller of a domain, and looks whether it is one.
async fn open(reading: &Reading<'_>, name: String) -> Result<Domain, SourceError> {
    let source = reading.source;
    let (bind_as, password) = source.of_domain(&name);
    let mut session = access(reading, source.servers_of(&name), bind_as, password)
        .open()
        .await
        .map_err(|none| super::no_server(source, format!("domain {name}"), none))?;
    begin(reading, &session);
    let failed = |session: &Session, doing: &str, error| SourceError::Server {
        name: source.name.clone(),
        server: session.server.clone(),
        doing: doing.to_owned(),
        error: Box::new(error),
    };
    // What a controller says about itself (MS-ADTS 3.1.1.3.2).
    let asked = ["defaultNamingContext", "dsServiceName", "highestCommittedUSN"].map(str::to_owned);
    let (mut context, mut controller, mut changes) = (None, None, None);
    let read = session.one("", &asked, |entry| {
        context = first(entry, "defaultNamingContext");
        controller = first(entry, "dsServiceName");
        changes = first(entry, "highestCommittedUSN").and_then(|number| number.parse().ok());
    });
    if let Err(error) = read.await {
        return Err(failed(&session, "reading what it says about itself", error));
    }
    let base = dn::of_domain(&name);
    if let Some(context) = context.filter(|context| dn::spelling(context) != dn::spelling(&base)) {
        return Err(SourceError::Settings {
            name: source.name.clone(),
            problem: format!(
                "server {:?} is named for domain {name}, and serves {:?}; correct its servers, or the domain's name",
                session.server,
                entry::place(context.as_bytes())
            ),
        });
    }
    let mark = match (controller, changes) {
        (Some(controller), Some(changes)) => match copy(&mut session, &controller).await {
            Ok(copy) => copy.map(|copy| DomainMark { controller: dn::spelling(&controller), copy, changes }),
            Err(error) => return Err(failed(&session, "reading which copy of the directory it has", error)),
        },
        _ => None,
    };
    Ok(Domain { name, base, session, mark })
}

/// Which copy of the database a controller has. None: it does not tell the account that reads, and every read is a whole one.
async fn copy(session: &mut Session, controller: &str) -> Result<Option<String>, LdapError> {
    let asked = ["invocationId".to_owned()];
    let mut copy = None;
    let read = session.one(controller, &asked, |entry| {
        for (field, values) in entry.fields() {
            if field.eq_ignore_ascii_case(b"invocationId") {
                copy = values.first().and_then(entry::guid);
            }
        }
    });
    match read.await {
        Ok(()) | Err(LdapError::Result(_)) => Ok(copy),
        Err(error) => Err(error),
    }
}

fn first(entry: RawEntry<'_>, name: &str) -> Option<String> {
    let (_, values) = entry.fields().find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))?;
    entry::text(values.first()?).ok()
}

/// How far the domains are, if all of them tell.
fn marks(reading: &Reading<'_>, domains: &[Domain]) -> Option<Marks> {
    let mut source = reading.source.clone();
    // A new password reads the same users.
    source.password = None;
    source.domain.values_mut().for_each(|domain| domain.password = None);
    let settings = format!("{}{:?}", serde_json::to_string(&source).ok()?, reading.schema);
    let settings = Sha256::digest(settings).iter().map(|byte| format!("{byte:02x}")).collect();
    let domains = domains.iter().map(|domain| Some((domain.name.clone(), domain.mark.clone()?)));
    Some(Marks { settings, domains: domains.collect::<Option<_>>()? })
}

/// What is in a mark, if it is still good.
fn good(mark: &Mark, now: &Marks) -> Option<Marks> {
    let then: Marks = serde_json::from_str(&mark.0).ok()?;
    let same = |name: &String, then: &DomainMark| {
        now.domains.get(name).is_some_and(|now| {
            now.controller == then.controller && now.copy == then.copy && now.changes >= then.changes
        })
    };
    let all = then.domains.len() == now.domains.len() && then.domains.iter().all(|(name, then)| same(name, then));
    (all && then.settings == now.settings).then_some(then)
}

/// The units that the settings name, by the domain they are in.
struct Units(BTreeMap<String, Vec<String>>, bool);

impl Units {
    fn of(reading: &Reading<'_>, domains: &[Domain]) -> Result<Self, SourceError> {
        let mut by_domain: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for unit in super::outermost(&reading.source.ous) {
            let spelled = dn::spelling(&unit);
            // The longest base is that of the domain itself, and not of one above it.
            let domain = domains
                .iter()
                .filter(|domain| dn::is_below(&spelled, &dn::spelling(&domain.base)))
                .max_by_key(|domain| domain.base.len());
            let Some(domain) = domain else {
                return Err(SourceError::Settings {
                    name: reading.source.name.clone(),
                    problem: format!("{unit:?} is in none of its domains ({}); correct ous", reading.source.domains),
                });
            };
            by_domain.entry(domain.name.clone()).or_default().push(unit);
        }
        Ok(Self(by_domain, reading.source.ous.is_empty()))
    }

    /// Below what users of a domain are looked for.
    fn take(&mut self, domain: &str, base: &str) -> Vec<String> {
        if self.1 { vec![base.to_owned()] } else { self.0.remove(domain).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_good_for_one_copy_and_the_same_settings() {
        let marks = |settings: &str, copy: &str, changes| Marks {
            settings: settings.into(),
            domains: [("a.test".to_owned(), DomainMark { controller: "dc1".into(), copy: copy.into(), changes })]
                .into(),
        };
        let then = Mark(serde_json::to_string(&marks("x", "c1", 10)).unwrap());
        assert!(good(&then, &marks("x", "c1", 10)).is_some() && good(&then, &marks("x", "c1", 12)).is_some());
        for other in [marks("y", "c1", 12), marks("x", "c2", 12), marks("x", "c1", 9)] {
            assert_eq!(good(&then, &other), None, "{other:?}");
        }
        let mut two = marks("x", "c1", 12);
        two.domains.insert("b.test".into(), DomainMark { controller: "dc2".into(), copy: "c".into(), changes: 1 });
        assert_eq!(good(&then, &two), None);
        assert_eq!(good(&Mark("rubbish".into()), &two), None);
    }
}
