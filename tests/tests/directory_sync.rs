//! Users and groups come from real directories: shown before anything changes, whole or not at all, and taken back exactly.

use std::{fs, path::Path};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    directory::{CARDS, Company, OpenLdap, PASSWORD, host, ldif, names, users},
    document,
    host::Host,
    ipp_client,
    site::{SIGNS, folder_site, reader},
    terminal::{Terminal as _, listening},
};
use reqwest::Method;
use serde_json::Value;

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
        format!("{CARDS}{}{local}{site}{device}{}", directory.source(""), reader("r", terminal.address(), &signs));

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
async fn a_plan_that_crosses_a_threshold_waits_behind_a_restart_for_its_digest() {
    let directory = OpenLdap::start(&Company { people: 100, groups: 1, members: 100, depth: 1 }.entries()).await;
    let mut host = host(&directory.authority()).await;
    host.apply(&(CARDS.to_owned() + &directory.source(""))).await;
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
