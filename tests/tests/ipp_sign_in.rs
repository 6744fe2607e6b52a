//! Passwords: set by an operator, shown to nobody, and never asked for in clear.

use std::process::Stdio;

use cardinal_domain::event::EventKind;
use cardinal_tests::{host::Host, ipptool, program, site::folder_site};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Runs `cardinal user password` with this on its standard input, and tells its exit status and what it said.
async fn password(host: &Host, name: &str, typed: &str) -> (bool, String) {
    let mut command = Command::new(program::ours("cardinal", "cardinal-server"));
    command.arg("--config").arg(host.config()).args(["user", "password", name]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    running.stdin.take().unwrap().write_all(typed.as_bytes()).await.unwrap();
    let output = running.wait_with_output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn a_password_is_kept_as_a_hash_that_only_the_export_shows() {
    let host = Host::start().await;
    host.apply(&folder_site()).await;
    assert_eq!(password(&host, "ada", "correct horse\n").await, (true, "ada has a new password\n".to_owned()));

    let shown = [
        host.cli("user show ada").await.ok(),
        host.cli("user list --json").await.ok(),
        host.cli("event list").await.ok(),
        host.log(),
        host.api().get::<Value>("site/user").await.to_string(),
        host.api().get::<Value>("site/user/ada").await.to_string(),
    ];
    for shown in &shown {
        assert!(!shown.contains("argon2") && !shown.contains("correct horse"), "{shown}");
    }
    let exported = host.cli("export").await.ok();
    assert!(exported.contains("password_hash = \"$argon2id$"), "{exported}");
    assert!(!exported.contains("correct horse"));
    // What was exported restores it; changing something else does not take it away.
    host.cli_with(&["user", "set", "ada", "full_name=Countess"]).await.ok();
    let kept = |text: &str| text.lines().find(|line| line.starts_with("password_hash")).map(str::to_owned);
    assert_eq!(kept(&host.cli("export").await.ok()), kept(&exported));

    host.cli("user password ada --clear").await.ok();
    assert_eq!(kept(&host.cli("export").await.ok()), None);
    host.apply(&exported).await;
    assert_eq!(kept(&host.cli("export").await.ok()), kept(&exported));

    for (name, typed, expected) in [("ada", "\n", "empty"), ("ada", "", "empty"), ("nobody", "x\n", "no user")] {
        let (ended_well, said) = password(&host, name, typed).await;
        assert!(!ended_well && said.contains(expected), "{name}: {said}");
    }
    assert!(!host.cli("user list").await.ok().contains("nobody"));
}

#[tokio::test]
async fn a_queue_with_sign_in_takes_nothing_without_tls_and_asks_for_no_password() {
    let host = Host::start().await;
    host.apply(&folder_site()).await;
    host.cli("queue set find-me sign_in=true").await.ok();
    let url = format!("http://{}/queues/find-me", host.ipp());
    let post = reqwest::Client::new().post(url).header("content-type", "application/ipp").body("x");
    let answer = post.basic_auth("ada", Some("guess")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("www-authenticate")), (403, false));
    assert!(answer.text().await.unwrap().contains("ipps://"));
    let document = program::in_workspace("examples/hello.pdf");
    assert_ne!(ipptool::print(&host.queue("find-me"), "ada", &document).await.code, Some(0));
    assert!(host.api().jobs().await.is_empty());
    assert!(host.api().events_of(EventKind::SignInRefused).await.is_empty(), "nothing was checked");
}
