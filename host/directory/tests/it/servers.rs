//! Choosing a server, signing in, and what stands in entries.

use std::sync::atomic::Ordering;

use cardinal_directory::Remark;
use tokio::net::TcpListener;

use crate::{
    fake_ldap::{Fake, entry},
    read_source, source, told,
    whole_or_nothing::{school, settings},
};

#[tokio::test]
async fn the_next_server_is_tried_where_one_is_away_or_busy() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let busy = Fake { bind: (51, ""), ..Fake::default() }.start().await;
    let good = Fake { entries: school(), ..Fake::default() }.start().await;
    let servers = format!("{closed}\", \"{}\", \"{}", busy.address, good.address);
    let snapshot = read_source(&source(&settings(&servers))).await.unwrap();
    assert_eq!((snapshot.figures.server.as_str(), snapshot.people.len()), (good.address.as_str(), 22));
    assert_eq!(busy.connections.load(Ordering::SeqCst), 1);
    for (server, why) in [(&closed, "cannot be reached"), (&busy.address, "busy")] {
        let instead = format!("{:?} was asked instead", good.address);
        let is_it = |remark: &Remark| {
            remark.place == *server && remark.message.contains(why) && remark.message.ends_with(&instead)
        };
        assert!(snapshot.remarks.iter().any(is_it), "{:?}", snapshot.remarks);
    }
    let error = told(read_source(&source(&settings(&format!("{closed}\", \"{}", busy.address)))).await);
    assert!(error.contains(&closed) && error.contains("cannot be reached") && error.contains("busy"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once() {
    let text = "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 775, v4563";
    let locked = Fake { bind: (49, text), ..Fake::default() }.start().await;
    let good = Fake { entries: school(), ..Fake::default() }.start().await;
    let error = told(read_source(&source(&settings(&format!("{}\", \"{}", locked.address, good.address)))).await);
    assert!(error.contains("account is locked") && error.contains("cn=reader"), "{error}");
    assert!(!error.contains("secret-of"), "{error}");
    assert_eq!(good.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_passed_over() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = Fake { entries: school(), ..Fake::default() }.start().await;
    let servers = format!("{}\", \"{}", silent.local_addr().unwrap(), good.address);
    assert_eq!(read_source(&source(&settings(&servers))).await.unwrap().people.len(), 22);
}

#[tokio::test]
async fn a_server_whose_answer_to_a_sign_in_is_malformed_is_passed_over() {
    let hollow = Fake { hollow: true, ..Fake::default() }.start().await;
    let good = Fake { entries: school(), ..Fake::default() }.start().await;
    let servers = format!("{}\", \"{}", hollow.address, good.address);
    assert_eq!(read_source(&source(&settings(&servers))).await.unwrap().people.len(), 22);
    let error = told(read_source(&source(&settings(&hollow.address))).await);
    assert!(error.contains("no LDAP") && error.contains(&hollow.address), "{error}");
}

#[cfg(feature = "gssapi")]
#[tokio::test]
async fn kerberos_needs_a_protected_way() {
    let server = Fake { entries: school(), ..Fake::default() }.start().await;
    let text = format!("{}bind = \"gssapi\"\n", settings(&server.address));
    let error = told(read_source(&source(&text)).await);
    assert!(error.contains("security = \"ldaps\""), "{error}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[cfg(not(feature = "gssapi"))]
#[tokio::test]
async fn kerberos_needs_a_build_with_it() {
    let server = Fake { entries: school(), ..Fake::default() }.start().await;
    let text = format!("{}bind = \"gssapi\"\n", settings(&server.address));
    let error = told(read_source(&source(&text)).await);
    assert!(error.contains("feature gssapi"), "{error}");
}

#[tokio::test]
async fn entries_that_are_not_as_they_should_be_are_kept_and_told() {
    let mut entries = school();
    let long = vec![b'x'; 10_000];
    let user = |key: &str, name: &[u8], more: &[(&str, &[&[u8]])]| {
        let mut fields: Vec<(&str, &[&[u8]])> = vec![("objectClass", &[b"inetOrgPerson"]), ("entryUUID", &[])];
        let (key_values, name_values) = ([key.as_bytes()], [name]);
        fields[1].1 = &key_values;
        fields.push(("uid", &name_values));
        fields.extend_from_slice(more);
        entry(&format!("cn={key},dc=school,dc=test"), &fields)
    };
    entries.push(user("binary-name", &[0xff, 0xfe, 0x00], &[]));
    entries.push(user("long-name", &long, &[]));
    entries.push(user(
        "odd",
        b"odd",
        &[("mail", &[&[0x80, 0x01]]), ("cn", &[&long]), ("l", &[b" Room\n7 "]), ("employeeNumber", &[b"\xff4711"])],
    ));
    entries.push(user("bare", b"bare", &[]));
    let server = Fake { entries, page: 5, ..Fake::default() }.start().await;
    let text = format!("{}schema = {{ user-card-id-field = \"employeeNumber\" }}\n", settings(&server.address));
    let snapshot = read_source(&source(&text)).await.unwrap();
    let person = |key: &str| snapshot.people.iter().find(|person| person.key == key).unwrap();
    // Whose name cannot be read is there all the same: nobody may take them for gone.
    assert_eq!((person("binary-name").name.as_str(), person("long-name").name.as_str()), ("", ""));
    let odd = person("odd");
    assert_eq!(
        (odd.email.as_str(), odd.full_name.as_str(), odd.office.as_str(), odd.card.as_str()),
        ("", "", "Room 7", "")
    );
    assert_eq!(person("bare").name, "bare");
    let remarks: Vec<String> =
        snapshot.remarks.iter().map(|remark| format!("{} {}", remark.place, remark.message)).collect();
    for (place, what) in [
        ("cn=binary-name,dc=school,dc=test", "uid has a value that is not text"),
        ("cn=long-name,dc=school,dc=test", "more than 9999 characters"),
        ("cn=odd,dc=school,dc=test", "employeeNumber has a value that is not text"),
        ("cn=odd,dc=school,dc=test", "mail has a value"),
    ] {
        assert!(
            remarks.iter().any(|remark| remark.contains(place) && remark.contains(what)),
            "{place} {what}: {remarks:#?}"
        );
    }
    assert!(!remarks.iter().any(|remark| remark.contains("4711")), "{remarks:#?}");
}

#[tokio::test]
async fn what_users_are_recognised_by_must_be_there() {
    let without = |field: &str| {
        let mut entries = school();
        for entry in &mut entries {
            entry.attributes.retain(|own| own.atype != field);
        }
        Fake { entries, ..Fake::default() }
    };
    let server = without("entryUUID").start().await;
    let error = told(read_source(&source(&settings(&server.address))).await);
    assert!(
        error.contains("none of 22 users has the field \"entryUUID\"") && error.contains(&server.address),
        "{error}"
    );
    let by_place = format!("{}schema = {{ user-key-field = \"dn\" }}\n", settings(&server.address));
    let snapshot = read_source(&source(&by_place)).await.unwrap();
    assert_eq!(snapshot.people[0].key, "uid=user0,ou=people,dc=school,dc=test");
    assert_eq!(snapshot.groups[0].members.len(), 22);
    let wrong = format!(
        "{}schema = {{ user-name-field = \"mail2\", user-name-search = \"(uid={{0}})\" }}\n",
        settings(&server.address)
    );
    let error = told(read_source(&source(&wrong.replace("mail2\"", "mail2\", user-key-field = \"dn\""))).await);
    assert!(error.contains("none of 22 users has the field \"mail2\"") && error.contains(&server.address), "{error}");
}

#[tokio::test]
async fn two_entries_with_one_key_are_refused() {
    let mut entries = school();
    let mut copy = entries[0].clone();
    copy.dn = "uid=copy,dc=school,dc=test".into();
    entries.push(copy);
    let server = Fake { entries, ..Fake::default() }.start().await;
    let error = told(read_source(&source(&settings(&server.address))).await);
    assert!(error.contains("uid=user0,") && error.contains("uid=copy,") && error.contains(&server.address), "{error}");
}

#[tokio::test]
async fn posix_groups_have_names_and_numbers() {
    let mut entries = Vec::new();
    for (number, uid) in ["ada", "bob", "eve"].iter().enumerate() {
        entries.push(entry(
            &format!("uid={uid},dc=school,dc=test"),
            &[
                ("objectClass", &[b"posixAccount"]),
                ("uid", &[uid.as_bytes()]),
                ("entryUUID", &[uid.as_bytes()]),
                ("gidNumber", &[if number == 2 { b"500" } else { b"100" }]),
            ],
        ));
    }
    entries.push(entry(
        "cn=staff,dc=school,dc=test",
        &[
            ("objectClass", &[b"posixGroup"]),
            ("cn", &[b"staff"]),
            ("entryUUID", &[b"g1"]),
            ("gidNumber", &[b"500"]),
            ("memberUid", &[b"ADA", b"gone"]),
        ],
    ));
    let server = Fake { entries, ..Fake::default() }.start().await;
    let text = format!("{}schema = {{ posix-groups = \"Y\" }}\n", settings(&server.address));
    let snapshot = read_source(&source(&text)).await.unwrap();
    let members: Vec<&str> = snapshot.groups[0].members.iter().map(AsRef::as_ref).collect();
    assert_eq!(members, ["ada", "eve"]);
    assert!(snapshot.remarks.iter().any(|remark| remark.message.contains("1 members of groups")));
}

#[tokio::test]
async fn units_and_groups_select() {
    let mut entries = school();
    entries[0].dn = "uid=user0,ou=guests,dc=school,dc=test".into();
    let server = Fake { entries, ..Fake::default() }.start().await;
    let with = |more: &str| source(&format!("{}{more}", settings(&server.address)));
    let snapshot = read_source(&with("ous = [\"ou=guests,dc=school,dc=test\"]\n")).await.unwrap();
    assert_eq!((snapshot.people.len(), snapshot.totals[0].users, snapshot.totals[0].groups), (1, 22, 7));
    let error = told(read_source(&with("groups = [\"group1\", \"pupils\"]\n")).await);
    assert!(error.contains("no group \"pupils\"") && error.contains(&server.address), "{error}");
    let error = told(read_source(&with("schema = { user-nam-field = \"x\" }\n")).await);
    assert!(error.contains("did you mean \"user-name-field\"?"), "{error}");
    let error = told(read_source(&with("schema = { user-name-search = \"(&(uid={0})\" }\n")).await);
    assert!(error.contains("bracket"), "{error}");
}

#[tokio::test]
async fn disabled_accounts_and_twins_of_a_compat_tree_are_left_out() {
    let user = |dn: &str, class: &[u8], key: &[u8], locked: &[u8]| {
        let fields: &[(&str, &[&[u8]])] =
            &[("objectClass", &[class]), ("uid", &[b"ada"]), ("nsUniqueId", &[key]), ("nsAccountLock", &[locked])];
        entry(dn, fields)
    };
    let entries = vec![
        user("uid=ada,cn=users,dc=school,dc=test", b"inetOrgPerson", b"1", b"FALSE"),
        user("uid=bob,cn=users,dc=school,dc=test", b"inetOrgPerson", b"2", b"TRUE"),
        user("uid=ada,cn=compat,dc=school,dc=test", b"posixAccount", b"3", b"FALSE"),
    ];
    let server = Fake { entries, ..Fake::default() }.start().await;
    let text = settings(&server.address).replace("openldap", "389");
    let snapshot = read_source(&source(&text)).await.unwrap();
    assert_eq!(snapshot.people.iter().map(|person| person.key.as_str()).collect::<Vec<_>>(), ["1"]);
    assert_eq!(read_source(&source(&format!("{text}disabled = true\n"))).await.unwrap().people.len(), 2);
}

#[tokio::test]
async fn of_several_values_one_is_taken_whatever_their_order() {
    let read = async |turned: bool| {
        let mut entries = school();
        for (number, fields) in [
            (0, vec![("uid", [&b"user0"[..], b"aaa"]), ("pager", [b"4712", b"4711"])]),
            (1, vec![("uid", [b"x", b"b"])]),
        ] {
            entries[number].attributes.retain(|own| own.atype != "uid");
            for (name, mut values) in fields {
                if turned {
                    values.reverse();
                }
                entries[number].attributes.extend(entry("", &[(name, &values)]).attributes);
            }
        }
        let server = Fake { entries, ..Fake::default() }.start().await;
        let text = format!("{}schema = {{ user-card-id-field = \"pager\" }}\n", settings(&server.address));
        read_source(&source(&text)).await.unwrap()
    };
    for turned in [false, true] {
        let snapshot = read(turned).await;
        let of = |key: &str| snapshot.people.iter().find(|person| person.key.ends_with(key)).unwrap();
        assert_eq!((of("000").name.as_str(), of("000").card.as_str(), of("001").name.as_str()), ("user0", "4711", "b"));
        let remarks: Vec<_> =
            snapshot.remarks.iter().filter(|remark| remark.message.contains("several values")).collect();
        assert_eq!(remarks.len(), 3, "{remarks:?}");
        assert!(remarks.iter().all(|remark| !remark.message.contains("471")), "{remarks:?}");
    }
}

#[tokio::test]
async fn groups_whose_members_cannot_be_found_are_told_or_refused() {
    let read = async |members: &[&[u8]], more: &str| {
        let mut entries = school();
        for entry in &mut entries {
            entry.attributes.iter_mut().filter(|field| field.atype == "member").for_each(|field| {
                field.vals = members.iter().map(|value| value.to_vec()).collect();
            });
        }
        let server = Fake { entries, ..Fake::default() }.start().await;
        read_source(&source(&format!("{}{more}", settings(&server.address)))).await
    };
    let (name, dn, away): (&[u8], &[u8], &[u8]) =
        (b"user0", b"uid=user0,ou=people,dc=school,dc=test", b"uid=user0,dc=elsewhere");
    let by_name = "schema = { posix-groups = \"Y\", group-search = \"(member=*)\", group-member-field = \"member\" }\n";
    for (members, more, why) in [
        (&[name][..], "", "set posix-groups = \"Y\""),
        (&[dn], by_name, "set posix-groups = \"N\""),
        (&[away], "", "below the base"),
    ] {
        let error = told(read(members, more).await);
        assert!(error.contains("the members of groups cannot be found (7 values") && error.contains(why), "{error}");
    }
    for (members, more, why) in [
        (&[name, dn][..], "", "7 members of groups are no distinguished names"),
        // Nobody of a unit that is not read.
        (&[b"uid=gone,ou=people,dc=school,dc=test"], "", ""),
        (&[], "", "none of the 7 groups below it has a member"),
        (&[b""], "", "none of the 7 groups below it has a member"),
        (&[dn], "schema = { group-search = \"(objectClass=none)\" }\n", "no groups were found below it"),
    ] {
        let snapshot = read(members, more).await.unwrap();
        assert!(snapshot.remarks.iter().any(|remark| remark.message.contains(why)), "{why}: {:?}", snapshot.remarks);
    }
}
