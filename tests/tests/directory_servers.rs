//! What differs between servers: the presets, real ones, and the ways to them.

use cardinal_tests::directory::{
    Company, Ds389, OpenLdap, PASSWORD,
    ldif::{self, Entry},
};

use crate::directory_sync::{CARDS, host, names, school, users};

/// A source of what 389 Directory Server has.
fn ds389(directory: &Ds389, more: &str) -> String {
    let server = directory.ldaps().url.replace("ldaps://", "");
    format!(
        "{CARDS}[[source]]\nname = \"school\"\nkind = \"ldap\"\nserver_type = \"389\"\nservers = [\"{server}\"]\n\
         base = \"{}\"\nbind_as = \"{}\"\npassword = \"{PASSWORD}\"\n{more}\n",
        OpenLdap::BASE,
        OpenLdap::READER
    )
}

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
    host.apply(&ds389(&directory, "")).await;
    let first = host.cli("sync now --yes").await.ok();
    assert!(first.contains("2 added"), "{first}");
    assert_eq!(names(&users(&host).await), ["ada", "bob"], "who is disabled stays out");
    assert_eq!(host.cli("group show staff").await.ok(), "staff, of source school: 2 members\n  ada\n  bob\n");

    // Its own key makes a new name a rename, and no group has to say so.
    directory.change(&ldif::rename(&dn("ada"), "uid=countess", None)).await;
    let renamed = host.cli("sync now --yes").await.ok();
    assert!(renamed.contains("name: ada -> countess") && renamed.contains("0 added"), "{renamed}");

    host.apply(&ds389(&directory, "disabled = true")).await;
    let all = host.cli("sync now --yes").await.ok();
    assert!(all.contains("1 added"), "{all}");
    assert_eq!(names(&users(&host).await), ["bob", "countess", "eve"]);
}

#[tokio::test]
async fn a_389_directory_server_that_looks_through_too_few_entries_fails_the_sync_until_the_reader_may_more() {
    let company = Company { people: 150, groups: 1, members: 3, depth: 1 };
    let Some(directory) = Ds389::start(&company.entries()).await else { return };
    let host = host(&directory.ldaps().authority).await;
    host.apply(&ds389(&directory, "")).await;
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
        let source = school(&directory, &format!("security = \"starttls\"\n{more}"));
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
