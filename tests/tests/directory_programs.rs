//! Files and programs as sources.

use std::{fs, os::unix::fs::PermissionsExt as _};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    directory::{names, users},
    host::Host,
    wait,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_file_and_a_program_are_sources_that_cardinal_toml_names() {
    let mut host = Host::init().await;
    let file = host.folder().join("staff.csv");
    fs::write(&file, "user,full name,email,card\nada,Ada L.,,471100\nbob,Bob,bob@x.test,\n").unwrap();
    let program = host.folder().join("students.sh");
    let script = "#!/bin/sh\ncase \"$2\" in\n  is-valid) echo Y;;\n  all-users) \
                  printf 'ada\\tAda of the program\\tada@x.test\\tMaths\\tB2\\t\\t\\t\\n'; printf 'zoe\\tZoe\\t\\t\\t\\t471400\\t\\t\\n';;\n  \
                  all-groups) echo staff;;\n  group-member-names) echo ada; echo zoe;;\n  is-user-in-group) echo Y;;\nesac\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    host.configure(&format!("[directory.files]\nstaff = {file:?}\n[directory.programs]\nstudents = [{program:?}]"));
    host.serve().await;
    let site = "[[source]]\nname = \"staff\"\nkind = \"file\"\nfrom = \"staff\"\n\
                [[source]]\nname = \"students\"\nrank = \"secondary\"\nkind = \"program\"\nfrom = \"students\"\n";
    let unknown = host.apply_with(&site.replace("from = \"staff\"", "from = \"stuff\""), &[]).await.refused();
    assert!(unknown.contains("no file \"stuff\" (did you mean \"staff\"?)"), "{unknown}");
    host.apply(site).await;
    let told = host.cli("sync now --yes").await.ok();
    assert!(told.contains("3 added") && told.contains("0 conflicts"), "{told}");
    let ada: Value = host.cli("user show ada --json").await.json();
    assert_eq!(
        (&ada["full_name"], &ada["email"], &ada["card"]),
        (&"Ada L.".into(), &"ada@x.test".into(), &"471100".into())
    );
    assert_eq!(names(&users(&host).await), ["ada", "bob", "zoe"]);
    // An error in one of them, and nothing is done.
    fs::write(&file, "user,full name\nada,\"Ada").unwrap();
    let refused = host.cli("sync now --remove --yes").await.refused();
    assert!(refused.contains("staff") && refused.contains("nothing was changed"), "{refused}");
    assert_eq!(names(&users(&host).await), ["ada", "bob", "zoe"]);
}

/// A host with a program as its source that writes down its process id and then sleeps.
async fn host_with_a_sleeper(settings: &[(&str, &str)]) -> Host {
    let mut host = Host::init().await;
    let program = host.folder().join("sleeper.sh");
    let script = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\necho $$ > pid.new\nmv pid.new pid\nsleep 600\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    host.configure(&format!("[directory.programs]\nstudents = [{program:?}]"));
    settings.iter().for_each(|(name, value)| host.set(name, value));
    host.serve().await;
    host.apply("[[source]]\nname = \"students\"\nkind = \"program\"\nfrom = \"students\"\n").await;
    let _: Value = host.api().post("sync", &json!({ "kind": "now" })).await;
    host
}

/// Where the kernel tells of the sleeper.
async fn sleeper(host: &Host) -> String {
    let file = host.folder().join("pid");
    wait::until("the program", async || fs::read_to_string(&file).ok().map(|pid| format!("/proc/{}", pid.trim()))).await
}

/// The state of a process, its parent and its process group, as the kernel tells them; none: it is gone.
fn told(process: &str) -> Option<(String, String, String)> {
    let stat = fs::read_to_string(format!("{process}/stat")).ok()?;
    // Behind its name, which may have anything in it.
    let mut words = stat.rsplit(')').next()?.split_whitespace().map(str::to_owned);
    let mut word = || words.next();
    Some((word()?, word()?, word()?))
}

/// Nobody may have taken note of its end yet.
async fn is_gone(process: &str) {
    wait::until("the program to be gone", async || told(process).is_none_or(|(state, ..)| state == "Z").then_some(()))
        .await;
}

#[tokio::test]
async fn a_program_ends_with_the_sync_and_with_the_host() {
    let mut host = host_with_a_sleeper(&[]).await;
    let process = sleeper(&host).await;
    // Whoever interrupts the host at a terminal interrupts its process group: who reads is in another, and ends in order.
    let (_, reading, _) = told(&process).unwrap();
    assert_eq!(told(&format!("/proc/{reading}")).unwrap().2, reading);
    host.cli("sync call-off").await.ok();
    is_gone(&process).await;
    wait::until("the sync to have ended", async || {
        let view: Value = host.api().get("sync/current").await;
        (!view["ended"].is_null()).then_some(())
    })
    .await;

    fs::remove_file(host.folder().join("pid")).unwrap();
    let _: Value = host.api().post("sync", &json!({ "kind": "now" })).await;
    let process = sleeper(&host).await;
    host.kill().await;
    is_gone(&process).await;
}

#[tokio::test]
async fn reading_without_end_ends() {
    let host = host_with_a_sleeper(&[("CARDINAL_DIRECTORY__READ_WITHIN_S", "5")]).await;
    let process = sleeper(&host).await;
    let failed = host.api().event_after(0, EventKind::SyncFailed, |_| true).await.body.message;
    assert!(
        failed.contains("reading took longer than 5 s: source students") && failed.contains("read_within_s"),
        "{failed}"
    );
    is_gone(&process).await;
    assert!(host.log().contains("reading took longer"), "nothing in the log");
}
