//! Domains of an Active Directory, with what Samba does differently: pages and values that come so many at a time, members of
//! other domains, and what changed since.

use std::sync::atomic::Ordering;

use cardinal_directory::Snapshot;
use ldap3_proto::LdapSearchResultEntry;

use crate::{
    fake_ldap::{Fake, Fault, Running, entry},
    read_source, read_with, source, told, trust,
};

/// The bytes of an account number.
fn sid(domain: u8, number: u16) -> Vec<u8> {
    let mut bytes = vec![1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0];
    for part in [1, 2, u32::from(domain), u32::from(number)] {
        bytes.extend(part.to_le_bytes());
    }
    bytes
}

fn guid(domain: u8, number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    vec![low, high, domain, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0, 0, 0, 1]
}

fn user(domain: u8, base: &str, number: u16, account_control: &str) -> LdapSearchResultEntry {
    entry(
        &format!("CN=User {number},OU=Staff,{base}"),
        &[
            ("objectCategory", &[b"person"]),
            ("objectClass", &[b"top", b"person", b"user"]),
            ("sAMAccountType", &[b"805306368"]),
            ("sAMAccountName", &[format!("u{domain}x{number}").as_bytes()]),
            ("userAccountControl", &[account_control.as_bytes()]),
            ("objectGUID", &[&guid(domain, number)]),
            ("objectSid", &[&sid(domain, number)]),
            ("primaryGroupID", &[b"513"]),
            ("displayName", &[format!("User {number}").as_bytes()]),
            ("uSNChanged", &[number.to_string().as_bytes()]),
        ],
    )
}

fn group(domain: u8, base: &str, name: &str, number: u16, members: &[String]) -> LdapSearchResultEntry {
    let members: Vec<&[u8]> = members.iter().map(String::as_bytes).collect();
    entry(
        &format!("CN={name},CN=Users,{base}"),
        &[
            ("objectCategory", &[b"group"]),
            ("sAMAccountName", &[name.as_bytes()]),
            ("objectGUID", &[&guid(domain, 60_000 + number)]),
            ("objectSid", &[&sid(domain, number)]),
            ("member", &members),
        ],
    )
}

/// A domain controller: what it says about itself, users, and groups.
fn domain(number: u8, base: &str, users: u16, changes: &str, copy: &[u8; 16]) -> Vec<LdapSearchResultEntry> {
    let mut entries = vec![
        entry(
            "",
            &[
                ("defaultNamingContext", &[base.to_uppercase().as_bytes()]),
                ("dsServiceName", &[b"CN=NTDS Settings,CN=DC1,CN=Configuration"]),
                ("highestCommittedUSN", &[changes.as_bytes()]),
            ],
        ),
        entry("CN=NTDS Settings,CN=DC1,CN=Configuration", &[("invocationId", &[copy])]),
    ];
    entries.extend((1_000..1_000 + users).map(|user_number| user(number, base, user_number, "512")));
    entries.push(user(number, base, 999, "514"));
    entries
}

fn settings(domains: &[(&str, &Running)]) -> String {
    let names: Vec<&str> = domains.iter().map(|(name, _)| *name).collect();
    let mut text = format!(
        "kind = \"active-directory\"\ndomains = \"{}\"\nsecurity = \"plain\"\nbind_as = \"reader@{}\"\n\
         password = \"secret-of-the-reader\"\ntimeout_s = 1\n",
        names.join(";"),
        names[0]
    );
    for (name, server) in domains {
        text.push_str(&format!("[source.domain.\"{name}\"]\nservers = [\"{}\"]\n", server.address));
    }
    text
}

const A: &str = "DC=a,DC=test";
const B: &str = "DC=b,DC=test";

#[tokio::test]
async fn pages_and_ranges_are_read_to_their_end() {
    // 5,000 users with 1,000 a page, and all of them in one group that gives 1,500 values at a time.
    let mut entries = domain(1, A, 5_000, "9", &[1; 16]);
    let everybody: Vec<String> = (1_000..6_000).map(|number| format!("CN=User {number},OU=Staff,{A}")).collect();
    entries.push(group(1, A, "Everybody", 700, &everybody));
    entries.push(group(1, A, "Domain Users", 513, &[]));
    // Exactly one range, and one more than that.
    entries.push(group(1, A, "Full", 701, &everybody[..1_500]));
    entries.push(group(1, A, "Over", 702, &everybody[..1_501]));
    let server = Fake { entries, referrals: 3, ..Fake::default() }.start().await;
    let snapshot = read_source(&source(&settings(&[("a.test", &server)]))).await.unwrap();
    assert_eq!(snapshot.people.len(), 5_000);
    let sizes: Vec<(&str, usize)> =
        snapshot.groups.iter().map(|group| (group.name.as_str(), group.members.len())).collect();
    assert_eq!(sizes, [("Everybody", 5_000), ("Domain Users", 5_000), ("Full", 1_500), ("Over", 1_501)]);
    let first = &snapshot.people[0];
    assert_eq!(first.key, "000103e8-0000-0000-fffe-000000000001");
    assert_eq!((first.name.as_str(), first.full_name.as_str()), ("u1x1000", "User 1000"));
    assert_eq!((snapshot.totals[0].of.as_str(), snapshot.totals[0].users), ("a.test", 5_000));
}

#[tokio::test]
async fn domains_know_each_others_members() {
    let mut a = domain(1, A, 3, "9", &[1; 16]);
    let mut b = domain(2, B, 2, "9", &[2; 16]);
    // A member by the name it has in the other domain, one by its account, and a group of the other domain.
    a.push(group(
        1,
        A,
        "Mixed",
        700,
        &[
            format!("cn=user 1000,ou=staff,{B}"),
            "CN=S-1-5-21-1-2-2-1001,CN=ForeignSecurityPrincipals,DC=a,DC=test".into(),
            format!("CN=Theirs,CN=Users,{B}"),
        ],
    ));
    b.push(group(2, B, "Theirs", 700, &[format!("CN=User 1002,OU=Staff,{A}"), format!("CN=Mixed,CN=Users,{A}")]));
    let (a, b) =
        (Fake { entries: a, ..Fake::default() }.start().await, Fake { entries: b, ..Fake::default() }.start().await);
    let text = settings(&[("a.test", &a), ("b.test", &b)]);
    let snapshot = read_source(&source(&text)).await.unwrap();
    assert_eq!(snapshot.totals.iter().map(|total| (total.users, total.groups)).collect::<Vec<_>>(), [(3, 1), (2, 1)]);
    let names = |group: usize| -> Vec<&str> {
        let name = |key: &str| snapshot.people.iter().find(|person| person.key == key).unwrap().name.as_str();
        let mut names: Vec<&str> = snapshot.groups[group].members.iter().map(|key| name(key)).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(0), ["u1x1002", "u2x1000", "u2x1001"]);
    assert_eq!(names(1), names(0));
    // Disabled ones only if they are wanted, and units of one domain alone.
    let with = |more: &str| text.replacen("timeout_s", &format!("{more}\ntimeout_s"), 1);
    assert_eq!(read_source(&source(&with("disabled = true"))).await.unwrap().people.len(), 7);
    let unit = read_source(&source(&with("ous = [\"ou=staff,dc=b,dc=test\"]"))).await.unwrap();
    assert_eq!((unit.people.len(), unit.totals[0].users), (2, 3));
    let error = told(read_source(&source(&with("ous = [\"ou=staff,dc=c,dc=test\"]"))).await);
    assert!(error.contains("in none of its domains"), "{error}");
}

#[tokio::test]
async fn a_domain_that_is_silent_away_or_another_one_gives_nothing() {
    let a = Fake { entries: domain(1, A, 3, "9", &[1; 16]), ..Fake::default() }.start().await;
    let empty = domain(2, B, 0, "9", &[2; 16]);
    let b = Fake { entries: empty, ..Fake::default() }.start().await;
    let error = told(read_source(&source(&settings(&[("a.test", &a), ("b.test", &b)]))).await);
    assert!(error.contains("domain b.test") && error.contains("no users at all"), "{error}");
    let error = told(read_source(&source(&settings(&[("a.test", &a), ("b.test", &a)]))).await);
    assert!(error.contains("serves \"DC=A,DC=TEST\""), "{error}");
    for page in 1..=3 {
        let b = Fake {
            entries: domain(2, B, 3, "9", &[2; 16]),
            page: 1,
            fault: Some((page, Fault::CutBetween)),
            ..Fake::default()
        };
        let b = b.start().await;
        let error = told(read_source(&source(&settings(&[("a.test", &a), ("b.test", &b)]))).await);
        assert!(error.contains("closed the connection") && error.contains("dc=b,dc=test"), "{error}");
    }
}

#[tokio::test]
async fn what_changed_is_read_while_the_mark_is_good() {
    use cardinal_directory::{Locals, Scope};
    let build = |changes: &str, copy: u8| {
        let mut entries = domain(1, A, 10, changes, &[copy; 16]);
        entries.push(group(1, A, "Domain Users", 513, &[]));
        Fake { entries, ..Fake::default() }
    };
    let (trust, locals) = (trust(&[]), Locals::default());
    // The settings are a part of the mark: the server has to stay at its address.
    let server = build("1006", 1).start().await;
    let text = settings(&[("a.test", &server)]);
    let first = read_source(&source(&text)).await.unwrap();
    assert_eq!((first.scope, first.people.len()), (Scope::Whole, 10));
    let mark = first.mark.clone().unwrap();
    // Numbers of changes are those of users here: 1007, 1008 and 1009 changed since 1006.
    let second = read_with(&source(&text), &trust, &locals, Some(&mark)).await.unwrap();
    assert_eq!((second.scope, second.people.len()), (Scope::Changes, 3));
    assert_eq!(second.people[0].full_name, "User 1007");
    // Members are told whole, with those who did not change.
    assert_eq!(second.groups, first.groups);
    assert_eq!(second.groups[0].members.len(), 10);
    assert_eq!(second.totals, first.totals);
    // Other settings, a selected group, and marks that are none: everything is read.
    for (from, to) in [
        ("timeout_s = 1", "timeout_s = 1\ndisabled = true"),
        ("timeout_s = 1", "timeout_s = 1\ngroups = [\"Domain Users\"]"),
    ] {
        let other = read_with(&source(&text.replace(from, to)), &trust, &locals, Some(&mark)).await.unwrap();
        assert_eq!(other.scope, Scope::Whole, "{to}");
    }
    let rubbish = cardinal_directory::Mark("{}".into());
    assert_eq!(read_with(&source(&text), &trust, &locals, Some(&rubbish)).await.unwrap().scope, Scope::Whole);
    for broken in [mark.0.replace("1006", "1007"), mark.0.replace("01010101-", "02020202-")] {
        assert_ne!(broken, mark.0);
        let snapshot =
            read_with(&source(&text), &trust, &locals, Some(&cardinal_directory::Mark(broken))).await.unwrap();
        assert_eq!((snapshot.scope, snapshot.people.len()), (Scope::Whole, 10));
    }
}

#[tokio::test]
async fn one_that_is_read_as_plain_ldap_has_primary_groups_and_no_disabled_accounts() {
    let mut entries = domain(1, A, 3, "9", &[1; 16]);
    entries.push(group(1, A, "Domain Users", 513, &[]));
    let server = Fake { entries, ..Fake::default() }.start().await;
    let text = crate::whole_or_nothing::settings(&server.address)
        .replace("openldap", "active-directory")
        .replace("dc=school,dc=test", A);
    let snapshot = read_source(&source(&text)).await.unwrap();
    assert_eq!((snapshot.people.len(), snapshot.groups[0].members.len()), (3, 3));
    assert_eq!((snapshot.totals[0].of.as_str(), snapshot.totals[0].users), (A, 3));
    assert_eq!(read_source(&source(&format!("{text}disabled = true\n"))).await.unwrap().people.len(), 4);
    // What is the key of a group says who has it for a primary one all the same.
    let by_account = format!("{text}schema = {{ user-key-field = \"objectSid\" }}\n");
    let snapshot = read_source(&source(&by_account)).await.unwrap();
    assert_eq!((snapshot.groups[0].key.as_str(), snapshot.groups[0].members.len()), ("s-1-5-21-1-2-1-513", 3));
}

/// Pages of users and of groups, and searches in one piece: what it says about itself, its copy, and three more ranges.
const PAGES: usize = 3 + 1;
const UNPAGED: usize = 2 + 3;

/// Reads a domain whose group gives three of its ten members at a time.
async fn ranged(fault: Option<(usize, Fault)>, fault_unpaged: Option<(usize, Fault)>) -> Result<Snapshot, String> {
    let mut entries = domain(1, A, 10, "9", &[1; 16]);
    let everybody: Vec<String> = (1_000..1_010).map(|number| format!("CN=User {number},OU=Staff,{A}")).collect();
    entries.push(group(1, A, "Everybody", 700, &everybody));
    let server = Fake { entries, page: 4, range: 3, fault, fault_unpaged, ..Fake::default() }.start().await;
    let read = read_source(&source(&settings(&[("a.test", &server)]))).await;
    let counts = (server.pages.load(Ordering::SeqCst), server.unpaged.load(Ordering::SeqCst));
    if read.is_ok() {
        assert_eq!(counts, (PAGES, UNPAGED));
    }
    read.map_err(|error| {
        let error = error.to_string();
        assert!(error.contains("\"school\"") && error.contains(&server.address), "{error}");
        error
    })
}

#[tokio::test]
async fn a_fault_in_any_search_of_a_domain_gives_nothing() {
    let whole = ranged(None, None).await.unwrap();
    assert_eq!((whole.people.len(), whole.groups[0].members.len()), (10, 10));
    assert!(whole.mark.is_some());
    let mut faults = vec![
        (Fault::CutBefore, "closed the connection"),
        (Fault::CutBetween, "closed the connection"),
        (Fault::CutInside, "closed the connection"),
        (Fault::CutBeforeTheEnd, "closed the connection"),
        (Fault::Leave, "closed the connection"),
        (Fault::Garbage, "no LDAP"),
        (Fault::Hollow, "no LDAP"),
        (Fault::Stump, "no LDAP"),
        (Fault::Silence, "longer than 1 s"),
        (Fault::NoEnd, "longer than 1 s"),
        (Fault::Huge, "longer than 1 s"),
    ];
    faults.extend([1, 3, 4, 10, 11, 32, 50, 51, 52, 53, 80].map(|code| (Fault::Code(code), "result code ")));
    let mut readings = tokio::task::JoinSet::new();
    for (fault, why) in faults {
        for on in 1..=PAGES {
            readings.spawn(async move { (ranged(Some((on, fault)), None).await, on, fault, why) });
        }
        // That a controller does not tell which copy it has is no fault: the next read is a whole one.
        for on in (1..=UNPAGED).filter(|on| *on != 2 || !matches!(fault, Fault::Code(_))) {
            readings.spawn(async move { (ranged(None, Some((on, fault))).await, on, fault, why) });
        }
    }
    for (read, on, fault, why) in readings.join_all().await {
        let error = read.map(|snapshot| snapshot.people.len()).unwrap_err();
        assert!(error.contains(why), "{on} {fault:?}: {error}");
    }
    // No piece of a range.
    let error = ranged(None, Some((3, Fault::Empty))).await.map(drop).unwrap_err();
    assert!(error.contains("did not go on at 3"), "{error}");
}
