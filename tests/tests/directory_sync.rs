//! Users and groups come from real directories: shown before anything changes, whole or not at all, and taken back exactly.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    directory::{Certificate, Company, OpenLdap, PASSWORD, Samba, ldif},
    disk::Disks,
    document,
    host::Host,
    ipp_client, program,
    site::{SIGNS, folder_site, reader},
    terminal::{Terminal as _, listening},
    wait,
};
use reqwest::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A host that believes this authority.
pub(crate) async fn host(authority: &Path) -> Host {
    let mut host = Host::init().await;
    host.set("CARDINAL_DIRECTORY__CA", &authority.display().to_string());
    host.serve().await;
    host
}

/// A source of what OpenLDAP has.
pub(crate) fn school(directory: &OpenLdap, more: &str) -> String {
    let server = directory.ldaps().url.replace("ldaps://", "");
    format!(
        "[[source]]\nname = \"school\"\nkind = \"ldap\"\nserver_type = \"openldap\"\nservers = [\"{server}\"]\n\
         base = \"{}\"\nbind_as = \"{}\"\npassword = \"{PASSWORD}\"\n{more}\n",
        OpenLdap::BASE,
        OpenLdap::READER
    )
}

pub(crate) const CARDS: &str = "[config]\n\"ldap.schema.user-card-id-field\" = \"employeeNumber\"\n";

/// Everybody, as the host has them.
pub(crate) async fn users(host: &Host) -> Value {
    host.cli("user list --json").await.json()
}

pub(crate) fn names(users: &Value) -> Vec<&str> {
    users.as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect()
}

/// The status and the words of an answer that may be no success.
async fn answer(host: &Host, method: Method, path: &str, body: &Value) -> (u16, String) {
    let token = fs::read_to_string(host.folder().join("owner.token")).unwrap();
    let url = format!("http://{}/api/v1/{path}", host.api().address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.request(method, url).bearer_auth(token.trim()).json(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn a_directory_is_shown_synced_used_and_taken_back() {
    let dn = |uid: &str| format!("uid={uid},{}", OpenLdap::PEOPLE);
    let people = [("ada", "Ada Lovelace", "471100"), ("bob", "Bob", "471200"), ("eve", "Ève Ünal", "471300")];
    let entries: String =
        people.iter().map(|(uid, name, card)| OpenLdap::person(uid, name, card).to_string()).collect();
    // Ada is in staff by way of the team.
    let team = OpenLdap::group("team", [dn("ada")]);
    let staff = OpenLdap::group("Staff", [team.dn.clone(), dn("bob")]);
    let entries = format!("{entries}{team}{staff}");
    let (directory, terminal) = tokio::join!(OpenLdap::start(&entries), listening());
    let host = host(&directory.authority()).await;
    let local = "[[user]]\nname = \"local\"\ncard = \"99\"\n";
    let site = folder_site().replace("\"ada\"", "\"guest\"").replace("4711", "1");
    let signs = format!("{SIGNS}on_denied = '[denied]'\n");
    let device = "on_card = \"release-all\"\ngroups = [\"staff\"]\n";
    let site =
        format!("{CARDS}{}{local}{site}{device}{}", school(&directory, ""), reader("r", terminal.address(), &signs));

    host.apply(&site).await;
    terminal.is_connected().await;
    assert!(!host.log().contains(PASSWORD), "the directory's password stands in the log");
    assert!(!host.cli("event list --json").await.ok().contains(PASSWORD));

    // Shown, and nothing else.
    let test = host.cli("sync test").await.ok();
    for part in [
        "+ user ada  (new in school: uid=ada,ou=people",
        "card = ***00",
        "full_name = Ève Ünal",
        "+ group staff",
        "3 added",
    ] {
        assert!(test.contains(part), "{part}: {test}");
    }
    assert!(!test.contains("471100"), "{test}");
    assert_eq!(names(&users(&host).await), ["guest", "local"]);

    // Not asked on no terminal: it waits, and is approved by number and digest.
    let waits = host.cli("sync now").await.ok();
    let how = waits.lines().find_map(|line| line.split_once("to carry it out: cardinal ")).unwrap().1.to_owned();
    let wrong = host.cli("sync approve 2 00000000").await.refused();
    assert!(wrong.contains("another digest"), "{wrong}");
    host.cli(&how).await.ok();
    assert_eq!(names(&users(&host).await), ["ada", "bob", "eve", "guest", "local"]);
    assert!(host.cli(&how).await.refused().contains("does not wait"));
    assert_eq!(host.cli("group show STAFF").await.ok(), "staff, of source school: 2 members\n  ada\n  bob\n");
    assert!(host.cli("user show ada").await.ok().contains("\ngroups        staff, team\n"));
    let of_eve: Vec<Value> = host.cli("group list --user EVE --json").await.json();
    assert_eq!(of_eve.len(), 0, "{of_eve:?}");
    let list = host.cli("user list").await.ok();
    let from = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap().ends_with("school");
    assert!(list.lines().next().unwrap().ends_with("SOURCE") && from("ada ") && !from("local "), "{list}");
    assert!(host.cli("group show stafff").await.refused().contains("did you mean \"staff\"?"));
    let again = host.cli("sync now --yes").await.ok();
    assert!(again.contains("0 added, 0 updated") && again.contains("nothing"), "{again}");

    // They print, and the groups say who may.
    for (user, card, sign) in
        [("ada", "471100", "[released]"), ("bob", "471200", "[released]"), ("eve", "471300", "[denied]")]
    {
        ipp_client::print(&host.queue("find-me"), user, &document::hello()).await;
        terminal.shows_and_hears(card, sign).await;
    }

    // Ada marries, Bob gets another card, Eve leaves.
    let before = (users(&host).await, host.cli("export").await.ok());
    directory.change(&ldif::rename(&dn("ada"), "uid=countess", None)).await;
    directory.change(&ldif::replace(&team.dn, "member", &[&dn("countess")])).await;
    directory.change(&ldif::replace(&dn("bob"), "employeeNumber", &["555500"])).await;
    directory.change(&ldif::delete(&dn("eve"))).await;
    let careful = host.cli("sync now --yes").await.ok();
    assert!(careful.contains("name: ada -> countess") && careful.contains("0 removed"), "{careful}");
    assert_eq!(names(&users(&host).await), ["bob", "countess", "eve", "guest", "local"], "nobody is removed unasked");
    for kind in ["nightly", "changes", "undo"] {
        let body = serde_json::json!({ "kind": kind, "remove": true });
        let (status, why) = answer(&host, Method::POST, "sync", &body).await;
        assert!(status == 422 && why.contains("never removes anybody"), "{kind}: {status} {why}");
    }
    let (status, why) = answer(&host, Method::GET, "sync/999/change", &Value::Null).await;
    assert!(status == 404 && why.contains("there is no sync 999"), "{status} {why}");
    let nightly: Value = host.api().post("sync", &serde_json::json!({ "kind": "nightly", "yes": true })).await;
    assert_eq!(nightly["outcome"], "reading");
    host.api().event_after(0, EventKind::SyncPlanned, |event| event.body.facts["kind"] == "nightly").await;
    assert_eq!(names(&users(&host).await).len(), 5, "never at night");
    host.cli("sync undo --yes").await.ok();
    assert_eq!((users(&host).await, host.cli("export").await.ok()), before);
    let all = host.cli("sync now --remove --yes").await.ok();
    assert!(all.contains("- user eve  (is not among those that school has to import any more"), "{all}");
    assert_eq!(names(&users(&host).await), ["bob", "countess", "guest", "local"]);
    let archived: Value = host.cli("sync archived --json").await.json();
    assert_eq!((&archived[0]["name"], archived.as_array().unwrap().len()), (&"eve".into(), 1));
    ipp_client::print(&host.queue("find-me"), "countess", &document::hello()).await;
    terminal.shows_and_hears("471100", "[released]").await;
    terminal.shows_and_hears("555500", "[nothing]").await;
    terminal.shows_and_hears("471300", "[unknown]").await;
    host.cli("sync undo --yes").await.ok();
    assert_eq!((users(&host).await, host.cli("export").await.ok()), before);

    // What somebody changed since is not undone over their head.
    host.cli("sync now --remove --yes").await.ok();
    host.cli("user set bob card=777700").await.ok();
    let refused = host.cli("sync undo --yes").await.refused();
    assert!(refused.contains("user bob was changed since"), "{refused}");
    let removed = host.cli("user remove bob").await.refused();
    assert!(removed.contains("user bob comes from source school"), "{removed}");
    let runs: Vec<Value> = host.cli("sync list --json").await.json();
    let outcomes: Vec<_> = runs.iter().rev().map(|run| run["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes[..4], ["planned", "applied", "nothing", "applied"], "{outcomes:?}");
    let events = host.cli("event list --json --limit 1000").await.ok();
    assert!(!events.contains("471100") && !host.log().contains("471100"), "a card stands in events or log");
}

#[tokio::test]
async fn whatever_goes_wrong_nobody_is_touched_and_somebody_is_told_what_to_do() {
    let company = Company { people: 700, groups: 3, members: 50, depth: 3 };
    let mut directory = OpenLdap::start(&company.entries()).await;
    let host = host(&directory.authority()).await;
    host.apply(&(CARDS.to_owned() + &school(&directory, "timeout_s = 2"))).await;
    host.cli("sync now --yes").await.ok();
    let before = host.cli("export").await.ok();
    assert_eq!(names(&users(&host).await).len(), 700);
    let set = async |fields: &[&str]| {
        let all: Vec<_> = ["source", "set", "school"].iter().chain(fields).copied().collect();
        host.cli_with(&all).await.ok();
    };
    let failed = async |what: &str, parts: &[&str]| {
        for command in ["sync test --remove", "sync now --remove --yes"] {
            let told = host.cli(command).await.refused();
            for part in ["nothing was changed", "school"].iter().chain(parts) {
                assert!(told.contains(part), "{what}: {part} is not in: {told}");
            }
        }
        assert_eq!(names(&users(&host).await).len(), 700, "{what}");
    };
    let server = directory.ldaps().url.replace("ldaps://", "");

    set(&["password=wrong-but-long"]).await;
    failed("a wrong password", &[&server, "password"]).await;
    set(&[&format!("password={PASSWORD}"), "base=dc=other,dc=test"]).await;
    failed("a wrong base", &[&server, "dc=other,dc=test"]).await;
    set(&["base=ou=groups,dc=school,dc=test"]).await;
    failed("nobody", &["no users"]).await;
    let limited = format!("bind_as={}", OpenLdap::LIMITED);
    set(&[&format!("base={}", OpenLdap::BASE), &limited]).await;
    failed("half an answer", &[&server]).await;
    set(&[&format!("bind_as={}", OpenLdap::READER)]).await;
    directory.hangs().await;
    failed("silence", &[&server]).await;
    directory.goes_on();
    directory.switch_off().await;
    failed("away", &[&server]).await;
    for certificate in [Certificate::Expired, Certificate::OfAnother] {
        let other = OpenLdap::start_with(&company.entries(), certificate).await;
        let server = other.ldaps().url.replace("ldaps://", "");
        set(&[&format!("servers=[\"{server}\"]")]).await;
        failed("a certificate", &[&server, "certificate"]).await;
    }
    // With the first server away, the second is asked.
    directory.switch_on().await;
    set(&[&format!("servers=[\"127.0.0.1:1\", \"{server}\"]")]).await;
    let told = host.cli("sync now --remove --yes").await.ok();
    assert!(told.contains("0 added, 0 updated") && told.contains(&server), "{told}");
    let events = host.api().events_of(EventKind::SyncFailed).await;
    assert_eq!(events.len(), 16, "each was told of");
    let source =
        |text: &str| text.lines().filter(|line| !line.starts_with("servers = ")).collect::<Vec<_>>().join("\n");
    assert_eq!(source(&host.cli("export").await.ok()), source(&before));
}

#[tokio::test]
async fn a_plan_that_crosses_a_threshold_waits_behind_a_restart_for_its_digest() {
    let directory = OpenLdap::start(&Company { people: 100, groups: 1, members: 100, depth: 1 }.entries()).await;
    let mut host = host(&directory.authority()).await;
    host.apply(&(CARDS.to_owned() + &school(&directory, ""))).await;
    host.cli("sync now --yes").await.ok();
    let gone: String = (0..30).map(|at| ldif::delete(&format!("uid=u{at},{}", OpenLdap::PEOPLE))).collect();
    directory.change(&gone).await;
    let held = host.cli("sync now --remove --yes").await.refused();
    assert!(
        held.contains("30 of 100 users would be removed: 30 % is more than 10 % (user-source.limit.removals-percent)"),
        "{held}"
    );
    assert_eq!(names(&users(&host).await).len(), 100);
    host.terminate().await;
    host.serve().await;
    let run: Vec<Value> = host.cli("sync list --limit 1 --json").await.json();
    let (number, digest) = (run[0]["number"].as_i64().unwrap(), run[0]["digest"].as_str().unwrap());
    assert_eq!(run[0]["outcome"], "waits");
    host.cli(&format!("sync approve {number} {digest}")).await.ok();
    assert_eq!(names(&users(&host).await).len(), 70);
    host.cli("sync undo --yes").await.ok();
    assert_eq!(names(&users(&host).await).len(), 100);
    // A plan for other users than there are now is of no use.
    host.cli("sync now --remove").await.ok();
    host.cli("user set somebody full_name=New").await.ok();
    let stale = host.cli("sync list --limit 1 --json").await.json::<Vec<Value>>();
    let (number, digest) = (stale[0]["number"].as_i64().unwrap(), stale[0]["digest"].as_str().unwrap());
    let refused = host.cli(&format!("sync approve {number} {digest}")).await.refused();
    assert!(refused.contains("run the sync again"), "{refused}");
    assert_eq!(names(&users(&host).await).len(), 101);
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

#[tokio::test]
async fn the_words_of_the_readme_connect_a_directory() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, section) = readme.split_once("## Connect your directory").unwrap();
    let block =
        |kind: &str| section.split_once(&format!("```{kind}\n")).unwrap().1.split_once("```").unwrap().0.to_owned();
    let directory = OpenLdap::start(&OpenLdap::person("ada", "Ada Lovelace", "471100").to_string()).await;
    let host = host(&directory.authority()).await;
    // What each reader of it writes there: their own server, names and password.
    let server = directory.ldaps().url.replace("ldaps://", "");
    let site = block("toml")
        .replace("ldap.school.example", &server)
        .replace("cn=reader,dc=school,dc=example", OpenLdap::READER)
        .replace("dc=school,dc=example", OpenLdap::BASE)
        .replace("the reader's password", PASSWORD);
    fs::write(host.folder().join("directory.toml"), site).unwrap();
    let file = host.folder().join("directory.toml");
    let mut told = Vec::new();
    for line in block("sh").lines() {
        let command = line.split('#').next().unwrap().trim().strip_prefix("cardinal ").unwrap();
        let command = command.replace("directory.toml", file.to_str().unwrap());
        // Who sits at a terminal is asked.
        let yes = if command.starts_with("sync now") || command.starts_with("sync undo") { " --yes" } else { "" };
        told.push((host.cli(&(command + yes)).await.ok(), names(&users(&host).await).join(" ")));
    }
    let users: Vec<_> = told.iter().map(|(_, users)| users.as_str()).collect();
    assert_eq!(users, ["", "", "ada", ""], "{told:?}");
}

/// A megabyte of sequences inside sequences: what takes it apart by calling itself runs out of stack.
fn abyss() -> Vec<u8> {
    let mut reversed: Vec<u8> = Vec::new();
    while reversed.len() < 1 << 20 {
        let length = u32::try_from(reversed.len()).unwrap();
        reversed.extend(length.to_le_bytes());
        reversed.extend([0x84, 0x30]);
    }
    reversed.reverse();
    reversed
}

#[tokio::test]
async fn a_server_that_would_take_the_host_down_takes_down_a_process_that_reads() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(&abyss()).await;
            let _ = stream.read(&mut asked).await;
        }
    });
    let host = Host::start().await;
    let source = format!(
        "[[source]]\nname = \"evil\"\nkind = \"ldap\"\nserver_type = \"openldap\"\nservers = [\"{address}\"]\nbase = \"dc=x\"\n\
         bind = \"anonymous\"\nsecurity = \"plain\"\ntimeout_s = 5\n"
    );
    host.apply(&(source + &folder_site())).await;
    let before = host.process_id();
    let told = host.cli("sync now --remove --yes").await.refused();
    assert!(told.contains("source evil: reading broke off") && told.contains("nothing was changed"), "{told}");
    assert_eq!((host.process_id(), names(&users(&host).await)), (before, vec!["ada"]));
    // And the next one is not in its way.
    host.cli("sync test").await.refused();
}

#[tokio::test]
async fn a_sync_that_reads_can_be_called_off() {
    let directory = OpenLdap::start("").await;
    let host = host(&directory.authority()).await;
    host.apply(&school(&directory, "timeout_s = 60")).await;
    directory.hangs().await;
    let _: Value = host.api().post("sync", &serde_json::json!({ "kind": "now" })).await;
    let second = host.cli("sync test").await.refused();
    assert!(second.contains("a sync is under way"), "{second}");
    host.cli("sync call-off").await.ok();
    host.api().event_after(0, EventKind::SyncFailed, |event| event.body.message.contains("called off")).await;
    assert!(host.cli("sync call-off").await.refused().contains("no sync is being read"));
    directory.goes_on();
}

/// The way to a server that loses the connection behind so many bytes of what the server says; what it let through last.
async fn cable(to: String) -> (String, Arc<AtomicU64>, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (limit, through) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
    let (most, told) = (Arc::clone(&limit), Arc::clone(&through));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&to).await.unwrap();
            let (most, told) = (most.load(Ordering::Relaxed), Arc::clone(&told));
            tokio::spawn(async move {
                let ((mut from_client, mut to_client), (from_server, mut to_server)) =
                    (client.into_split(), server.into_split());
                let asking = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let bytes = tokio::io::copy(&mut from_server.take(most), &mut to_client).await.unwrap_or_default();
                told.store(bytes, Ordering::Relaxed);
                asking.abort();
            });
        }
    });
    (address, limit, through)
}

#[tokio::test]
async fn a_connection_lost_anywhere_removes_nobody() {
    let people = 1_500;
    let directory = OpenLdap::start(&Company { people, groups: 3, members: 400, depth: 3 }.entries()).await;
    let (address, limit, through) = cable(directory.ldaps().url.replace("ldaps://", "")).await;
    let host = host(&directory.authority()).await;
    let site = school(&directory, "").replace(&directory.ldaps().url.replace("ldaps://", ""), &address);
    host.apply(&(CARDS.to_owned() + &site)).await;
    let told = host.cli("sync now --yes").await.ok();
    assert!(told.contains(&format!("{people} added")), "{told}");
    let everything = wait::until("a connection that ended", async || {
        Some(through.load(Ordering::Relaxed)).filter(|bytes| *bytes > 100_000)
    })
    .await;
    let before = host.cli("export").await.ok();
    // The last of them is within the groups' members.
    for part in 1..=12 {
        limit.store(everything * part / 13 + u64::from(part == 12) * everything / 20, Ordering::Relaxed);
        let refused = host.cli("sync now --remove --yes").await.refused();
        assert!(refused.contains("nothing was changed") && refused.contains(&address), "{part}: {refused}");
    }
    assert_eq!(host.cli("export").await.ok(), before);
    limit.store(u64::MAX, Ordering::Relaxed);
    let told = host.cli("sync now --remove --yes").await.ok();
    assert!(told.contains("0 added, 0 updated") && told.contains("0 removed"), "{told}");
}

/// So many users of a file.
fn staff_of(people: usize) -> String {
    let rows = (0..people).map(|at| format!("u{at:05},User {at},u{at}@x.test,8{at:06}\n"));
    "user,full name,email,card\n".to_owned() + &rows.collect::<String>()
}

const STAFF: &str = "[[source]]\nname = \"staff\"\nkind = \"file\"\nfrom = \"staff\"\n";

#[tokio::test]
async fn a_host_that_is_killed_while_it_carries_a_plan_out_has_done_all_of_it_or_nothing() {
    let people = 6_000;
    let mut host = Host::init().await;
    let file = host.folder().join("staff.csv");
    fs::write(&file, staff_of(people)).unwrap();
    host.configure(&format!("[directory.files]\nstaff = {file:?}"));
    host.serve().await;
    host.apply(STAFF).await;
    let mut is_done = false;
    for kill in 0_u32..8 {
        let body = serde_json::json!({ "kind": "now", "yes": true });
        let _: Value = host.api().post("sync", &body).await;
        wait::until("a plan being carried out", async || {
            let view: Value = host.api().get("sync/current").await;
            (view["outcome"] != "reading").then_some(())
        })
        .await;
        // Somewhere within it: this is chance, and what holds must hold at any point.
        tokio::time::sleep(Duration::from_millis(60) * kill).await;
        host.kill().await;
        host.serve().await;
        let there = names(&users(&host).await).len();
        assert!(there == 0 && !is_done || there == people, "{there} users");
        is_done = there == people;
        let runs: Vec<Value> = host.cli("sync list --limit 1 --json").await.json();
        let outcome = runs.first().map(|run| run["outcome"].as_str().unwrap().to_owned());
        let fits = if there == 0 { [None, Some("waits")] } else { [Some("applied"), Some("nothing")] };
        assert!(is_done && kill > 0 || fits.contains(&outcome.as_deref()), "{outcome:?} with {there} users");
    }
    host.cli("sync now --yes").await.ok();
    assert_eq!(names(&users(&host).await).len(), people);
    host.cli("sync undo --yes").await.ok();
    assert!(names(&users(&host).await).is_empty());
}

#[tokio::test]
async fn a_full_disk_fails_a_sync_and_nothing_is_changed() {
    let mut host = Host::init().await;
    let Some(disks) = Disks::new(host.folder()).await else { return };
    let data = host.folder().join("data");
    disks.mount(&data, 16 << 10);
    host.run_by(&disks.command(&program::ours("cardinal", "cardinal-server")));
    let file = host.folder().join("staff.csv");
    fs::write(&file, staff_of(2_000)).unwrap();
    host.configure(&format!("[directory.files]\nstaff = {file:?}"));
    host.serve().await;
    host.apply(STAFF).await;
    disks.fill(&data);
    let refused = host.cli("sync now --yes").await.refused();
    assert!(refused.contains("full") && refused.contains("nothing was changed"), "{refused}");
    assert!(names(&users(&host).await).is_empty());
    disks.make_room(&data);
    host.cli("sync now --yes").await.ok();
    assert_eq!(names(&users(&host).await).len(), 2_000);
}

#[cfg(feature = "gssapi")]
#[tokio::test]
async fn the_hosts_own_kerberos_user_signs_in() {
    let Some(domain) = Samba::start("EAST.TEST").await else { return };
    let below = format!("CN=Users,{}", domain.base());
    domain.change(&domain.user_with_password("cardinal", &below).to_string()).await;
    let mut host = Host::init().await;
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
