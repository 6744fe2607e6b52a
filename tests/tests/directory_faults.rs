//! What goes wrong while a directory is read or a plan is carried out: all of it or nothing, and nobody is removed.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    directory::{CARDS, Certificate, Company, OpenLdap, PASSWORD, host, names, users},
    disk::Disks,
    host::Host,
    program,
    site::folder_site,
    wait,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn whatever_goes_wrong_nobody_is_touched_and_somebody_is_told_what_to_do() {
    let company = Company { people: 700, groups: 3, members: 50, depth: 3 };
    let mut directory = OpenLdap::start(&company.entries()).await;
    let host = host(&directory.authority()).await;
    host.apply(&(CARDS.to_owned() + &directory.source("timeout_s = 2"))).await;
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
    host.apply(&directory.source("timeout_s = 60")).await;
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
    let site = directory.source("").replace(&directory.ldaps().url.replace("ldaps://", ""), &address);
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
