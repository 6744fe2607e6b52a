//! What comes of a sync: who may print where, what is kept of a PIN, what people see while it runs, and that it comes by itself.

use std::{process::Stdio, time::Duration};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    cli,
    directory::{CARDS, OpenLdap, host, ldif, names, users},
    host::Host,
    program,
    site::folder_site,
    wait,
};
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};

use crate::ipp_sign_in::password;

/// Longer than a minute, which a clock of hours and minutes needs, and than it takes to look at it.
const A_MINUTE_AND_MORE: Duration = Duration::from_secs(150);

/// Of both. No clock, digest or key of an entry has these letters in a row.
const PIN: &str = "xyz-2580";

/// Ada is in staff, Bob is not.
async fn ada_and_bob() -> (OpenLdap, Host) {
    let [ada, bob] = [("ada", "Ada Lovelace", "471100"), ("bob", "Bob", "471200")]
        .map(|(uid, name, card)| OpenLdap::person(uid, name, card).with("employeeType", PIN));
    let staff = OpenLdap::group("Staff", [&ada.dn]);
    let directory = OpenLdap::start(&format!("{ada}{bob}{staff}")).await;
    let host = host(&directory.authority()).await;
    host.apply(&format!("{CARDS}{}", directory.source(""))).await;
    (directory, host)
}

#[tokio::test]
async fn a_queue_is_for_the_groups_that_it_names() {
    let (directory, host) = ada_and_bob().await;
    host.cli("sync now --yes").await.ok();
    let site = folder_site().replace("\"ada\"", "\"guest\"").replace("4711", "1");
    host.apply(&format!("{CARDS}{}{site}", directory.source(""))).await;
    host.cli("queue set find-me sign_in=true groups=[\"staff\"]").await.ok();
    for name in ["ada", "bob"] {
        assert!(password(&host, name, "correct-horse\n").await.0);
    }
    let url = host.secure_queue("find-me").replacen("ipps", "https", 1);
    let shown = async |name: &str| {
        let mut command = Command::new(program::theirs("curl"));
        command.args(["-sS", "-i", "--noproxy", "*", "--max-time", "20", "--cacert"]).arg(host.certificate());
        command.args(["-H", "Content-Type: application/ipp", "-H", "Expect:", "--data-binary", "no IPP at all"]);
        cli::run(command.args(["-u", &format!("{name}:correct-horse")]).arg(&url)).await.ok()
    };
    // Who is let in is told that this is no IPP.
    assert!(shown("ada").await.starts_with("HTTP/1.1 400 "));
    let refused = shown("bob").await;
    assert!(refused.starts_with("HTTP/1.1 403 ") && refused.contains("for members of other groups"), "{refused}");
    // The directory says who is in the group, from the next sync on.
    let staff = format!("cn=Staff,{}", OpenLdap::GROUPS);
    directory.change(&ldif::replace(&staff, "member", &[&format!("uid=bob,{}", OpenLdap::PEOPLE)])).await;
    host.cli("sync now --yes").await.ok();
    assert!(shown("bob").await.starts_with("HTTP/1.1 400 "));
    assert!(shown("ada").await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn a_pin_is_kept_as_a_digest_and_shown_nowhere() {
    let (_directory, host) = ada_and_bob().await;
    host.cli("config set ldap.schema.user-pin-field=employeeType").await.ok();
    let shown = host.cli("sync test --all").await.ok();
    host.cli("sync now --yes").await.ok();
    let export = host.cli("export").await.ok();
    let pins: Vec<_> = export.lines().filter(|line| line.starts_with("pin = ")).collect();
    assert!(pins.len() == 2 && pins.iter().all(|pin| pin.starts_with("pin = \"hmac-sha256:")), "{export}");
    let run = host.cli("sync show 2 --all --json").await.ok();
    for text in [&shown, &export, &run, &host.log(), &host.cli("event list --json").await.ok()] {
        assert!(!text.contains(PIN), "{text}");
    }
    let again = host.cli("sync now --yes").await.ok();
    assert!(again.contains("0 updated"), "the same PIN is another digest: {again}");
}

#[tokio::test]
async fn in_a_terminal_it_asks_and_only_a_yes_changes_anything() {
    let (_directory, host) = ada_and_bob().await;
    for (answer, expected) in [("no\n", &[][..]), ("yes\n", &["ada", "bob"])] {
        let cardinal = program::ours("cardinal", "cardinal-server");
        let line = format!("{} --config {} sync now", cardinal.display(), host.config().display());
        // It gives the command a terminal, and types what it reads.
        let mut command = Command::new(program::theirs("script"));
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut typed, mut output) = (running.stdin.take().unwrap(), running.stdout.take().unwrap());
        let (mut said, mut part) = (Vec::new(), [0; 4_096]);
        while !String::from_utf8_lossy(&said).contains("Type yes: ") {
            let read = tokio::time::timeout(wait::LIMIT, output.read(&mut part)).await.expect("a question").unwrap();
            assert!(read > 0, "no question: {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&part[..read]);
        }
        let shown = String::from_utf8_lossy(&said).into_owned();
        assert!(shown.contains("+ user ada") && shown.contains("2 added"), "{shown}");
        typed.write_all(answer.as_bytes()).await.unwrap();
        output.read_to_end(&mut Vec::new()).await.unwrap();
        assert!(running.wait().await.unwrap().success());
        assert_eq!(names(&users(&host).await), expected, "after {answer:?}");
    }
}

#[tokio::test]
async fn a_long_sync_tells_how_far_it_is() {
    let (directory, host) = ada_and_bob().await;
    directory.hangs().await;
    let _: Value = host.api().post("sync", &json!({ "kind": "test" })).await;
    let told = host.api().event_after(0, EventKind::SyncProgress, |_| true).await.body;
    assert!(told.facts["source"] == "school" && told.facts["entries"] == "0", "{told:?}");
    directory.goes_on();
    let ended = host.api().event_after(0, EventKind::SyncPlanned, |_| true).await.body;
    assert_eq!(ended.facts["kind"], "test");
}

#[tokio::test]
async fn it_comes_by_itself_at_its_time_and_removes_nobody() {
    let (directory, host) = ada_and_bob().await;
    host.cli("sync now --yes").await.ok();
    directory.change(&ldif::delete(&format!("uid=bob,{}", OpenLdap::PEOPLE))).await;
    directory.change(&OpenLdap::person("eve", "Ève Ünal", "471300").to_string()).await;
    let soon = (Timestamp::now() + 75.seconds()).to_zoned(TimeZone::get("Asia/Kathmandu").unwrap());
    host.cli("config set user-source.time-zone=Asia/Kathmandu").await.ok();
    host.cli(&format!("config set user-source.nightly-at={}", soon.strftime("%H:%M"))).await.ok();
    let all = wait::until_within(A_MINUTE_AND_MORE, "the nightly sync", async || {
        let all = users(&host).await;
        (names(&all).len() > 2).then_some(all)
    })
    .await;
    assert_eq!(names(&all), ["ada", "bob", "eve"]);
    let list = host.cli("sync list").await.ok();
    assert!(list.contains("nightly"), "{list}");
}
