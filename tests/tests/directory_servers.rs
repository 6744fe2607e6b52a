//! What differs between servers: the presets, real ones, and the ways to them.

use std::fs;

use cardinal_tests::directory::{
    CARDS, Company, Ds389, OpenLdap, PASSWORD, Samba, host,
    ldif::{self, Entry},
    names, users,
};

#[tokio::test]
async fn a_389_directory_server_is_read_with_its_preset() {
    let dn = |uid: &str| format!("uid={uid},{}", OpenLdap::PEOPLE);
    let mut entries: String = [("ada", "Ada Lovelace", "471100"), ("bob", "Bob", "471200")]
        .map(|(uid, name, card)| OpenLdap::person(uid, name, card).to_string())
        .concat();
    entries += &Ds389::disabled("eve", "Ève Ünal", "471300").to_string();
    let team = OpenLdap::group("team", [dn("ada"), dn("eve")]);
    let staff = OpenLdap::group("Staff", [team.dn.clone(), dn("bob")]);
    entries += &format!("{team}{staff}");
    let Some(directory) = Ds389::start(&entries).await else { return };
    let host = host(&directory.ldaps().authority).await;
    host.apply(&(CARDS.to_owned() + &directory.source(""))).await;
    let first = host.cli("sync now --yes").await.ok();
    assert!(first.contains("2 added"), "{first}");
    assert_eq!(names(&users(&host).await), ["ada", "bob"], "who is disabled stays out");
    assert_eq!(host.cli("group show staff").await.ok(), "staff, of source school: 2 members\n  ada\n  bob\n");

    // Its own key makes a new name a rename, and no group has to say so.
    directory.change(&ldif::rename(&dn("ada"), "uid=countess", None)).await;
    let renamed = host.cli("sync now --yes").await.ok();
    assert!(renamed.contains("name: ada -> countess") && renamed.contains("0 added"), "{renamed}");

    host.apply(&(CARDS.to_owned() + &directory.source("disabled = true"))).await;
    let all = host.cli("sync now --yes").await.ok();
    assert!(all.contains("1 added"), "{all}");
    assert_eq!(names(&users(&host).await), ["bob", "countess", "eve"]);
}

#[tokio::test]
async fn a_389_directory_server_that_looks_through_too_few_entries_fails_the_sync_until_the_reader_may_more() {
    let company = Company { people: 150, groups: 1, members: 3, depth: 1 };
    let Some(directory) = Ds389::start(&company.entries()).await else { return };
    let host = host(&directory.ldaps().authority).await;
    host.apply(&(CARDS.to_owned() + &directory.source(""))).await;
    host.cli("sync now --yes").await.ok();
    // Of itself it looks through 5,000 entries for one search, and then says "administrative limit exceeded".
    directory.change(&ldif::replace(OpenLdap::READER, "nsLookThroughLimit", &["100"])).await;
    let cut = host.cli("sync now --remove --yes").await.refused();
    assert!(cut.contains("result code 11") && cut.contains("raise it for the account that reads"), "{cut}");
    assert_eq!(names(&users(&host).await).len(), 150);
    // What docs/directory.md says to do.
    directory.change(&ldif::replace(OpenLdap::READER, "nsPagedLookThroughLimit", &["-1"])).await;
    let whole = host.cli("sync now --remove --yes").await.ok();
    assert!(whole.contains("0 added, 0 updated") && whole.contains("0 removed"), "{whole}");
}

#[tokio::test]
async fn groups_of_names_are_read_over_starttls_and_groups_of_distinguished_names_beside_them_are_not() {
    let ada = OpenLdap::person("ada", "Ada Lovelace", "471100");
    let unix = Entry::new(format!("cn=unix,{}", OpenLdap::GROUPS)).with("objectClass", "posixGroup");
    let unix = unix.with("cn", "unix").with("gidNumber", "100").with_all("memberUid", ["ada", "nobody"]);
    let staff = OpenLdap::group("staff", [&ada.dn]);
    let directory = OpenLdap::start(&format!("{ada}{unix}{staff}")).await;
    let host = host(&directory.authority()).await;
    let (plain, tls) = (directory.ldap().url.replace("ldap://", ""), directory.ldaps().url.replace("ldaps://", ""));
    let over_starttls = |more: &str| {
        let source = directory.source(&format!("security = \"starttls\"\n{more}"));
        format!("{CARDS}{}", source.replace(&tls, &plain))
    };
    host.apply(&over_starttls("[source.schema]\nposix-groups = \"Y\"")).await;
    host.cli("sync now --yes").await.ok();
    assert_eq!(host.cli("group show unix").await.ok(), "unix, of source school: 1 members\n  ada\n");
    assert!(host.cli("group show staff").await.refused().contains("staff"));
    // And the other way round.
    host.apply(&over_starttls("")).await;
    let other = host.cli("sync now --remove --yes").await.ok();
    assert!(other.contains("- group unix") && other.contains("+ group staff"), "{other}");
    assert_eq!(host.cli("group show staff").await.ok(), "staff, of source school: 1 members\n  ada\n");
    assert!(!host.log().contains(PASSWORD), "the directory's password stands in the log");
}

#[tokio::test]
async fn domains_of_an_active_directory_are_one_source() {
    let (east, west) = tokio::join!(Samba::start("EAST.TEST"), Samba::start("WEST.TEST"));
    let (Some(east), Some(west)) = (east, west) else { return };
    let mut authorities = String::new();
    let mut domains = String::new();
    for (domain, users) in [(&east, ["ada", "bob", "off"]), (&west, ["eve", "fay", "gus"])] {
        let staff = Samba::unit("Staff", &domain.base());
        let mut entries = staff.to_string();
        for (user, card) in users.iter().zip(["1", "2", "3"]) {
            let card = format!("{card}{}", domain.domain().len());
            let disabled = if *user == "off" { Samba::DISABLED } else { Samba::ENABLED };
            let mut entry = domain.user(user, &staff.dn).with("displayName", user.to_uppercase());
            entry =
                if *user == "eve" { entry.with("pager", "999") } else { entry.with("pager", format!("{card}{user}")) };
            entries += &entry.to_string().replace(
                &format!("userAccountControl: {}", Samba::ENABLED),
                &format!("userAccountControl: {disabled}"),
            );
        }
        let dn = |user: &str| format!("CN={user},{}", staff.dn);
        let inner = Samba::group(&format!("inner-{}", users[0]), &staff.dn, [dn(users[0])]);
        let outer = Samba::group(&format!("outer-{}", users[0]), &staff.dn, [inner.dn.clone(), dn(users[1])]);
        entries += &format!("{inner}{outer}");
        domain.change(&entries).await;
        authorities += &fs::read_to_string(domain.authority()).unwrap();
        let address = domain.ldaps().url.replace("ldaps://", "");
        domains += &format!(
            "[source.domain.\"{}\"]\nservers = [\"{address}\"]\nbind_as = \"Administrator@{}\"\npassword = \"{PASSWORD}\"\n",
            domain.domain(),
            domain.domain()
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("both.pem");
    fs::write(&authority, authorities).unwrap();
    let host = host(&authority).await;
    let site = format!(
        "[config]\n\"ldap.schema.user-card-id-field\" = \"pager\"\n[[source]]\nname = \"company\"\nkind = \"active-directory\"\n\
         domains = \"{};{}\"\n{domains}",
        east.domain(),
        west.domain()
    );
    host.apply(&site).await;
    let told = host.cli("sync now --yes").await.ok();
    for total in ["company: east.test", "company: west.test"] {
        assert!(told.contains(total), "{total}: {told}");
    }
    let all = users(&host).await;
    for name in ["ada", "bob", "eve", "fay", "gus"] {
        assert!(names(&all).contains(&name), "{name}: {:?}", names(&all));
    }
    assert!(!names(&all).contains(&"off"), "disabled users are not imported unasked");
    let groups = host.cli("sync show --all").await.ok();
    assert!(groups.contains("+ group outer-ada") && groups.contains("members = ada, bob"), "{groups}");

    // What changed since, and no more is read.
    let staff = format!("OU=Staff,{}", west.base());
    west.change(&ldif::replace(&format!("CN=eve,{staff}"), "displayName", &["Eve the Second"])).await;
    let changes = host.cli("sync changes --yes").await.ok();
    assert!(changes.contains("what changed") && changes.contains("full_name: EVE -> Eve the Second"), "{changes}");
    assert!(changes.contains("1 updated") && changes.contains("0 removed"), "{changes}");
    // A rename keeps who it is.
    west.change(&ldif::replace(&format!("CN=fay,{staff}"), "sAMAccountName", &["fay.new"])).await;
    let renamed = host.cli("sync changes --yes").await.ok();
    assert!(renamed.contains("name: fay -> fay.new"), "{renamed}");
    // One domain away: nothing at all is done, also in the other.
    east.change(&ldif::delete(&format!("CN=bob,OU=Staff,{}", east.base()))).await;
    west.hangs().await;
    host.cli_with(&["source", "set", "company", "timeout_s=2"]).await.ok();
    let away = host.cli("sync now --remove --yes").await.refused();
    assert!(away.contains("nothing was changed") && away.contains("west.test"), "{away}");
    assert!(names(&users(&host).await).contains(&"bob"));
    west.goes_on();
    host.cli("sync now --remove --yes").await.ok();
    assert!(!names(&users(&host).await).contains(&"bob"));
}

#[cfg(feature = "gssapi")]
#[tokio::test]
async fn the_hosts_own_kerberos_user_signs_in() {
    let Some(domain) = Samba::start("EAST.TEST").await else { return };
    let below = format!("CN=Users,{}", domain.base());
    domain.change(&domain.user_with_password("cardinal", &below).to_string()).await;
    let mut host = cardinal_tests::host::Host::init().await;
    host.set("CARDINAL_DIRECTORY__CA", &domain.authority().display().to_string());
    host.set("KRB5_CONFIG", &domain.krb5_conf().display().to_string());
    host.set("KRB5CCNAME", &domain.ticket("cardinal").display().to_string());
    host.serve().await;
    let address = domain.ldaps().url.replace("ldaps://", "");
    let site = format!(
        "[[source]]\nname = \"company\"\nkind = \"active-directory\"\ndomains = \"east.test\"\nbind = \"gssapi\"\n\
         [source.domain.\"east.test\"]\nservers = [\"{address}\"]\n"
    );
    host.apply(&site).await;
    let told = host.cli("sync now --yes").await.ok();
    assert!(names(&users(&host).await).contains(&"cardinal"), "{told}");
    host.cli("source set company security=starttls").await.ok();
    host.cli("sync test").await.ok();
    // Nobody answers for what nothing protects.
    host.cli("source set company security=plain").await.ok();
    let refused = host.cli("sync test").await.refused();
    assert!(refused.contains("needs a way that is protected"), "{refused}");
    host.cli("source set company security=ldaps").await.ok();
    // Without a ticket it is said what to look at; with the user's own keys a ticket is got.
    host.terminate().await;
    host.set("KRB5CCNAME", &host.folder().join("none").display().to_string());
    host.serve().await;
    let refused = host.cli("sync test").await.refused();
    assert!(refused.contains("Kerberos failed") && refused.contains("klist"), "{refused}");
    host.terminate().await;
    host.set("KRB5_CLIENT_KTNAME", &domain.keytab("cardinal").display().to_string());
    host.serve().await;
    host.cli("sync test").await.ok();
}
