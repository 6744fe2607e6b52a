//! A server fails on a page, for every page and every way of failing: there is an error that says where, and never a part of a
//! snapshot.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use cardinal_directory::{
    ELSEWHERE, Group, Remark, Scope, Snapshot,
    plan::{Options, Record, Said, plan},
};
use cardinal_domain::{
    names::UserName,
    site::{Origin, User},
    strict_toml,
    sync::{self, Change, Plan},
};
use ldap3_proto::{LdapResultCode, LdapSearchResultEntry};

use crate::{
    fake_ldap::{Fake, Fault, entry},
    read_source, source, told,
};

const USERS: usize = 22;
const GROUPS: usize = 7;

/// An OpenLDAP of some users and groups.
pub(crate) fn school() -> Vec<LdapSearchResultEntry> {
    let mut entries = Vec::new();
    for number in 0..USERS {
        let (uid, key) = (format!("user{number}"), format!("00000000-0000-0000-0000-{number:012}"));
        entries.push(entry(
            &format!("uid={uid},ou=people,dc=school,dc=test"),
            &[
                ("objectClass", &[b"inetOrgPerson"]),
                ("uid", &[uid.as_bytes()]),
                ("entryUUID", &[key.as_bytes()]),
                ("cn", &[b"Somebody"]),
                ("mail", &[format!("{uid}@school.test").as_bytes()]),
            ],
        ));
    }
    for number in 0..GROUPS {
        let key = format!("10000000-0000-0000-0000-{number:012}");
        let members: Vec<String> = (number..USERS)
            .step_by(GROUPS)
            .map(|user| format!("uid=user{user},ou=people,dc=school,dc=test"))
            .chain([format!("cn=group{},ou=groups,dc=school,dc=test", (number + 1) % GROUPS)])
            .collect();
        let members: Vec<&[u8]> = members.iter().map(String::as_bytes).collect();
        entries.push(entry(
            &format!("cn=group{number},ou=groups,dc=school,dc=test"),
            &[
                ("objectClass", &[b"groupOfNames"]),
                ("cn", &[format!("group{number}").as_bytes()]),
                ("entryUUID", &[key.as_bytes()]),
                ("member", &members),
            ],
        ));
    }
    entries
}

pub(crate) fn settings(address: &str) -> String {
    format!(
        "kind = \"ldap\"\nserver_type = \"openldap\"\nservers = [\"{address}\"]\nbase = \"dc=school,dc=test\"\n\
         security = \"plain\"\nbind_as = \"cn=reader\"\npassword = \"secret-of-the-reader\"\ntimeout_s = 1\n"
    )
}

fn fake(fault: Option<(usize, Fault)>) -> Fake {
    Fake { entries: school(), page: 4, fault, ..Fake::default() }
}

/// Pages of the whole school: six of users, two of groups.
const PAGES: usize = USERS.div_ceil(4) + GROUPS.div_ceil(4);

#[tokio::test]
async fn a_server_that_does_not_fail_gives_everything() {
    for referrals in [0, 3, 500] {
        let server = Fake { referrals, ..fake(None) }.start().await;
        let snapshot = read_source(&source(&settings(&server.address))).await.unwrap();
        assert_eq!((snapshot.people.len(), snapshot.groups.len()), (USERS, GROUPS));
        // Each group contains the next one, and the last one the first: all have everybody.
        let members = |group: &Group| group.members.iter().filter(|member| &***member != ELSEWHERE).count();
        assert!(snapshot.groups.iter().all(|group| members(group) == USERS));
        // What others have was not read: nobody is gone, and nobody has left a group.
        let is_part = referrals > 0;
        assert_eq!(snapshot.scope, if is_part { Scope::Changes } else { Scope::Whole });
        assert!(snapshot.groups.iter().all(|group| group.members.iter().any(|key| &**key == ELSEWHERE) == is_part));
        let remarks = snapshot.remarks.iter().filter(|remark| remark.message.contains("leads to was not read"));
        assert_eq!(remarks.count(), referrals.min(100));
        let is_of_the_first = |remark: &Remark| remark.place == "ldap://other0/dc=x";
        assert_eq!(snapshot.remarks.iter().any(is_of_the_first), is_part);
        let stays = plan_for(&snapshot);
        // The source is said once.
        assert_eq!(
            stays.totals.iter().map(|total| total.of.as_str()).collect::<Vec<_>>(),
            ["school: dc=school,dc=test"]
        );
        assert_eq!(stays.changes.iter().any(is_loss), !is_part, "{:?}", stays.changes);
        assert_eq!(server.pages.load(Ordering::SeqCst), PAGES);
        assert_eq!((snapshot.figures.pages, snapshot.figures.entries), (PAGES as u64, (USERS + GROUPS) as u64));
        assert!(snapshot.remarks.iter().any(|remark| remark.message.contains("without protection")));
        let (name, password) = server.seen.lock().unwrap()[0].clone();
        assert_eq!((name.as_str(), password.as_str()), ("cn=reader", "secret-of-the-reader"));
    }
}

/// What a sync would do where somebody and a group are on record whom this snapshot does not have, and they are in a group that
/// it has.
fn plan_for(snapshot: &Snapshot) -> Plan {
    let origin = |key: &str| Origin { source: snapshot.source.clone(), key: key.to_owned() };
    let user: User = strict_toml::parse("name = \"far\"\n").unwrap();
    let user = User { origin: Some(origin("far")), ..user };
    let group = |name: &str, key: &str| sync::Group {
        name: name.parse().unwrap(),
        origin: origin(key),
        members: vec!["far".parse().unwrap()],
    };
    let groups = [group("group0", "10000000-0000-0000-0000-000000000000"), group("far", "far")];
    let record = Record { users: &[user], groups: &groups };
    let pin = |_: &UserName, _: &str| unreachable!();
    let said = Said { snapshots: std::slice::from_ref(snapshot), pin: &pin };
    plan(record, said, &Options::of(&BTreeMap::new(), true))
}

fn is_loss(change: &Change) -> bool {
    match change {
        Change::RemoveUser { .. } | Change::RemoveGroup { .. } => true,
        Change::Members { left, .. } => !left.is_empty(),
        _ => false,
    }
}

async fn fails(page: usize, fault: Fault) -> String {
    let server = fake(Some((page, fault))).start().await;
    let error = told(read_source(&source(&settings(&server.address))).await);
    assert!(error.contains("\"school\"") && error.contains(&server.address), "{page} {fault:?}: {error}");
    assert!(error.contains("dc=school,dc=test"), "{page} {fault:?}: {error}");
    assert!(!error.contains("secret-of"), "{error}");
    error
}

#[tokio::test]
async fn a_connection_that_is_lost_on_any_page_gives_nothing() {
    for page in 1..=PAGES {
        for fault in [Fault::CutBefore, Fault::CutBetween, Fault::CutInside, Fault::CutBeforeTheEnd] {
            let error = fails(page, fault).await;
            assert!(error.contains("closed the connection"), "{page} {fault:?}: {error}");
        }
    }
}

#[tokio::test]
async fn any_result_code_but_success_on_any_page_gives_nothing() {
    let codes: BTreeSet<i64> = (1..=123).filter(|code| LdapResultCode::try_from(*code).is_ok()).collect();
    assert!(codes.len() > 40);
    for page in 1..=PAGES {
        for code in &codes {
            let error = fails(page, Fault::Code(*code)).await;
            assert!(error.contains(&format!("result code {code},")), "{page} {code}: {error}");
        }
    }
}

#[tokio::test]
async fn pages_that_do_not_hold_together_give_nothing() {
    for page in 1..=PAGES {
        for (fault, why) in [
            (Fault::NoWord, "without word of whether there are more"),
            (Fault::Again, "came twice"),
            (Fault::Empty, "pages in a row had no entry"),
            (Fault::Garbage, "no LDAP"),
            (Fault::Hollow, "no LDAP"),
            (Fault::Stump, "no LDAP"),
            (Fault::Leave, "closed the connection"),
        ] {
            let error = fails(page, fault).await;
            assert!(error.contains(why), "{page} {fault:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_on_any_page() {
    let mut readings = tokio::task::JoinSet::new();
    for page in 1..=PAGES {
        for fault in [Fault::Silence, Fault::NoEnd, Fault::Huge] {
            readings.spawn(async move { (page, fault, fails(page, fault).await) });
        }
    }
    for (page, fault, error) in readings.join_all().await {
        assert!(error.contains("longer than 1 s"), "{page} {fault:?}: {error}");
    }
}

#[tokio::test]
async fn a_directory_without_users_is_an_error_and_not_an_empty_one() {
    let nobody: Vec<_> = school().into_iter().filter(|entry| entry.dn.contains("ou=groups")).collect();
    for entries in [nobody, Vec::new()] {
        let server = Fake { entries, ..Fake::default() }.start().await;
        let error = told(read_source(&source(&settings(&server.address))).await);
        assert!(error.contains("no users at all") && error.contains(&server.address), "{error}");
    }
}
