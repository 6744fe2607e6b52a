//! The directories that other tests stand on do what a test asks of them, and say what real ones say.

use std::process::Command;

use cardinal_tests::{
    directory::{
        Access, Certificate, Company, OpenLdap, Samba,
        ldif::{self, Entry},
    },
    program, wait,
};
use ldap3::{LdapError, SearchEntry};

const PEOPLE: &str = "(objectClass=inetOrgPerson)";
const USERS: &str = "(sAMAccountType=805306368)";
/// Administrator, Guest, krbtgt.
const BUILT_IN: usize = 3;

/// The values of an attribute in all entries, sorted.
fn values(found: &[SearchEntry], attribute: &str) -> Vec<String> {
    let mut values: Vec<_> = found.iter().flat_map(|entry| entry.attrs.get(attribute).cloned()).flatten().collect();
    values.sort();
    values
}

async fn names(access: &Access, base: &str, filter: &str, attribute: &str) -> Vec<String> {
    values(&access.read(base, filter, &[attribute], 100).await.unwrap(), attribute)
}

/// The result code of a refusal.
fn refusal<T: std::fmt::Debug>(result: Result<T, LdapError>) -> u32 {
    match result {
        Err(LdapError::LdapResult { result }) => result.rc,
        other => panic!("no refusal: {other:?}"),
    }
}

#[tokio::test]
async fn openldap_tells_all_people_page_by_page_whatever_the_way() {
    let company = Company { people: 2_500, groups: 6, members: 250, depth: 3 };
    let directory = OpenLdap::start(&company.entries()).await;
    for access in [directory.ldap(), directory.ldap().starttls(), directory.ldaps()] {
        let attributes = ["uid", "mail", "employeeNumber", "departmentNumber", "physicalDeliveryOfficeName"];
        let found = access.read(OpenLdap::BASE, PEOPLE, &attributes, 1_000).await.unwrap();
        assert_eq!(found.len(), 2_500);
        assert!(found.iter().all(|entry| entry.attrs.len() == attributes.len()));
    }
    let groups = directory.ldaps().read(OpenLdap::GROUPS, "(cn=g*)", &["member"], 1_000).await.unwrap();
    let inner = |entry: &SearchEntry| entry.attrs["member"].iter().filter(|member| member.starts_with("cn=g")).count();
    assert_eq!(groups.iter().map(|group| group.attrs["member"].len()).sum::<usize>(), 6 * 250 + 4);
    assert_eq!(groups.iter().map(inner).collect::<Vec<_>>(), [0, 1, 1, 0, 1, 1]);

    // Who may read 500 entries has some of them when it is told that this is not all.
    let limited = directory.ldaps().of(OpenLdap::LIMITED);
    let mut read = 0;
    assert_eq!(refusal(limited.each(OpenLdap::BASE, PEOPLE, &["uid"], 200, |_| read += 1).await), 4);
    assert!((200..=500).contains(&read), "{read} entries before the limit");
    assert_eq!(refusal(Access { password: "wrong".to_owned(), ..limited }.signed_in().await), 49);
}

#[tokio::test]
async fn openldap_is_changed_while_it_runs_and_keeps_it_through_a_power_cut() {
    let mut directory = OpenLdap::start(&OpenLdap::person("ada", "Ada Lovelace", "4711").to_string()).await;
    let (ada, eve) = (
        format!("uid=ada,{}", OpenLdap::PEOPLE),
        OpenLdap::person("eve", "Ève Ünal", "1003").with("audio", [0xff, 0x00]),
    );
    let team = OpenLdap::group("team", [&ada, &eve.dn]);
    directory
        .change(&format!("{eve}{team}{}", ldif::replace(&ada, "mail", &["ada@other.test", "second@other.test"])))
        .await;
    directory.change(&ldif::rename(&ada, "uid=countess", None)).await;
    directory.switch_off().await;
    assert!(directory.ldap().signed_in().await.is_err(), "it is off");
    directory.switch_on().await;
    assert_eq!(names(&directory.ldaps(), OpenLdap::PEOPLE, PEOPLE, "uid").await, ["countess", "eve"]);
    assert_eq!(names(&directory.ldaps(), OpenLdap::PEOPLE, "(cn=Ève*)", "cn").await, ["Ève Ünal"]);
    assert_eq!(
        names(&directory.ldaps(), OpenLdap::PEOPLE, "(uid=countess)", "mail").await,
        ["ada@other.test", "second@other.test"]
    );
    let found = directory.ldaps().read(OpenLdap::PEOPLE, "(uid=eve)", &["audio"], 100).await.unwrap();
    assert_eq!(found[0].bin_attrs["audio"], [[0xff, 0x00]], "bytes that are no text");
    directory.change(&ldif::remove(&team.dn, "member", &[&ada])).await;
    assert_eq!(names(&directory.ldaps(), OpenLdap::GROUPS, "(cn=team)", "member").await, [eve.dn.as_str()]);
    directory.change(&ldif::delete(&eve.dn)).await;
    assert_eq!(names(&directory.ldaps(), OpenLdap::PEOPLE, PEOPLE, "uid").await, ["countess"]);

    // While it hangs, connections are taken and nothing is said.
    directory.hangs().await;
    let access = directory.ldap();
    let mut asking = tokio::spawn(async move { access.signed_in().await.map(drop) });
    assert!(tokio::time::timeout(10 * wait::LOOK, &mut asking).await.is_err(), "nothing was said");
    directory.goes_on();
    asking.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_certificate_is_wrong_where_the_test_asks_for_that() {
    for certificate in [Certificate::Expired, Certificate::OfAnother] {
        let directory = OpenLdap::start_with("", certificate).await;
        for access in [directory.ldaps(), directory.ldap().starttls()] {
            let refused = access.signed_in().await.unwrap_err().to_string();
            assert!(refused.to_lowercase().contains("certificate"), "{refused}");
        }
    }
    let Some(domain) = Samba::start_with("EAST.TEST", Certificate::Expired).await else { return };
    let refused = domain.ldaps().signed_in().await.unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("expired"), "{refused}");
}

#[tokio::test]
async fn two_domains_stand_side_by_side_and_tell_their_users_page_by_page() {
    let (east, west) = tokio::join!(Samba::start("EAST.TEST"), Samba::start("WEST.TEST"));
    let (Some(east), Some(west)) = (east, west) else { return };
    assert_eq!(refusal(east.ldap().signed_in().await), 8, "no simple bind in the clear");
    for (domain, count) in [(&east, 250), (&west, 3)] {
        let staff = Samba::unit("Staff", &domain.base());
        let users: Vec<_> = (0..count).map(|number| domain.user(&format!("u{number}"), &staff.dn)).collect();
        domain.change(&format!("{staff}{}", users.iter().map(Entry::to_string).collect::<String>())).await;
        for access in [domain.ldaps(), domain.ldap().starttls()] {
            // A search from the root of the domain meets referrals, which are left alone.
            let found = access.read(&domain.base(), USERS, &["sAMAccountName", "mail"], 100).await.unwrap();
            assert_eq!(values(&found, "mail").len(), count, "the users of Samba itself have no address");
            assert_eq!(values(&found, "sAMAccountName").len(), count + BUILT_IN);
        }
    }

    // A group may have a member from the other domain: it is a stranger here, named by its SID.
    let stranger = west.foreign(&format!("CN=u0,OU=Staff,{}", west.base())).await;
    let team = Samba::group("team", &east.base(), [format!("CN=u1,OU=Staff,{}", east.base()), stranger]);
    east.change(&team.to_string()).await;
    let members = names(&east.ldaps(), &east.base(), "(cn=team)", "member").await;
    let [stranger, own] = &members[..] else { panic!("{members:?}") };
    assert!(own.starts_with("CN=u1,OU=Staff,"), "{own}");
    assert!(stranger.starts_with("CN=S-1-5-21-") && stranger.contains(",CN=ForeignSecurityPrincipals,"), "{stranger}");
}

#[tokio::test]
async fn a_domain_is_changed_while_it_runs_and_keeps_it_through_a_power_cut() {
    let Some(mut domain) = Samba::start("EAST.TEST").await else { return };
    let staff = Samba::unit("Staff", &domain.base());
    let [ada, bob] = ["ada", "bob"].map(|name| domain.user_with_password(name, &staff.dn));
    let eve = domain.user("eve", &staff.dn);
    let inner = Samba::group("inner", &staff.dn, [&ada.dn]);
    let outer = Samba::group("outer", &staff.dn, [&inner.dn, &bob.dn]);
    let ada = ada.with("employeeID", "4711").with("displayName", "Ada Lovelace");
    domain.change(&format!("{staff}{ada}{bob}{eve}{inner}{outer}")).await;
    let everybody = format!("(memberOf:1.2.840.113556.1.4.1941:={})", outer.dn);
    assert_eq!(
        names(&domain.ldaps(), &staff.dn, &format!("(&{USERS}{everybody})"), "sAMAccountName").await,
        ["ada", "bob"]
    );

    let moved = format!("CN=lovelace,{}", domain.base());
    domain.change(&ldif::replace(&bob.dn, "userAccountControl", &[Samba::DISABLED])).await;
    domain.change(&(ldif::rename(&ada.dn, "CN=lovelace", Some(&domain.base())) + &ldif::delete(&eve.dn))).await;
    domain.switch_off().await;
    domain.switch_on().await;
    let enabled = format!("(&{USERS}(!(userAccountControl:1.2.840.113556.1.4.803:=2))(mail=*))");
    let found = domain.ldaps().read(&domain.base(), &enabled, &["sAMAccountName"], 100).await.unwrap();
    assert_eq!(values(&found, "sAMAccountName"), ["ada"]);
    assert_eq!(found.iter().map(|user| user.dn.as_str()).collect::<Vec<_>>(), [moved.as_str()]);
    assert_eq!(names(&domain.ldaps(), &staff.dn, "(cn=inner)", "member").await, [moved]);

    // It says why nobody signs in, as the real one does.
    let disabled = domain.ldaps().of("bob@east.test").signed_in().await.unwrap_err().to_string();
    assert!(disabled.contains("data 533"), "{disabled}");
    domain.ldaps().of("ada@east.test").signed_in().await.unwrap();
}

#[tokio::test]
async fn a_domain_gives_kerberos_tickets_that_its_services_can_read() {
    let Some(domain) = Samba::start("EAST.TEST").await else { return };
    domain.change(&domain.user_with_password("ada", &format!("CN=Users,{}", domain.base())).to_string()).await;
    let service = format!("ldap/{}", domain.host());
    let mut command = Command::new(program::theirs("kvno"));
    command.arg("-k").arg(domain.keytab(&service)).arg(&service);
    command.env("KRB5_CONFIG", domain.krb5_conf()).env("KRB5CCNAME", domain.ticket("ada"));
    let said = command.output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("keytab entry valid"), "{said:?}");
}
