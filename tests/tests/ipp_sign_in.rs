//! Passwords: set by an operator, shown to nobody, and never asked for in clear.

use std::process::Stdio;

use cardinal_domain::event::EventKind;
use cardinal_tests::{cli, host::Host, ipptool, program, site::folder_site, wait};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Runs `cardinal user password` with this on its standard input, and tells its exit status and what it said.
pub(crate) async fn password(host: &Host, name: &str, typed: &str) -> (bool, String) {
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

#[tokio::test]
async fn over_tls_the_right_password_prints_and_guessing_is_refused_and_slowed() {
    let host = Host::start().await;
    host.apply(&folder_site()).await;
    host.cli("queue set find-me sign_in=true").await.ok();
    assert!(password(&host, "ada", "correct-horse\n").await.0);
    let document = program::in_workspace("examples/hello.pdf");
    // ipptool takes name and password from the address. The request says somebody else; who signed in counts.
    let queue = host.secure_queue("find-me");
    let signing_in = queue.replacen("ipps://", "ipps://ada:correct-horse@", 1);
    ipptool::print(&signing_in, "mallory", &document).await.ok();
    let job = host.api().only_job().await;
    let names = (job.owner.as_str(), job.signed_in.as_ref().map(|user| user.as_str()), job.user.as_ref());
    assert_eq!(names, ("mallory", Some("ada"), job.signed_in.as_ref()));

    // What HTTP answers, and whether it asks for a sign-in.
    let url = queue.replacen("ipps", "https", 1);
    let shown = async |password: Option<&str>| {
        let mut command = Command::new(program::theirs("curl"));
        command.args(["-sS", "-i", "--noproxy", "*", "--max-time", "20", "--cacert"]).arg(host.certificate());
        command.args(["-H", "Content-Type: application/ipp", "-H", "Expect:", "--data-binary", "no IPP at all"]);
        command.args(password.map(|password| ["-u".to_owned(), format!("ada:{password}")]).iter().flatten());
        let said = cli::run(command.arg(&url)).await.ok();
        let status: u16 = said.split(' ').nth(1).unwrap().parse().unwrap();
        (status, said.to_ascii_lowercase().contains("www-authenticate: basic realm=\"cardinal\""))
    };
    // Who is let in is told that this is no IPP, and nobody else is listened to.
    assert_eq!(shown(Some("correct-horse")).await, (400, false));
    for wrong in ["guess", "Correct-horse", "correct-horse "] {
        assert_eq!(shown(Some(wrong)).await, (401, true), "{wrong}");
    }
    // From here on one at a time is checked, later and later; what comes meanwhile is not.
    wait::until("a guess that is not even checked", async || {
        let (one, other) = tokio::join!(shown(Some("guess")), shown(Some("guess")));
        assert!([one.0, other.0].iter().all(|status| [401, 429].contains(status)), "{one:?} {other:?}");
        [one.0, other.0].contains(&429).then_some(())
    })
    .await;
    wait::until("the right password behind the delay", async || {
        (shown(Some("correct-horse")).await.0 == 400).then_some(())
    })
    .await;
    let refused = host.api().events_of(EventKind::SignInRefused).await;
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(!refused[0].body.message.contains("ada"), "{refused:?}");
    let said = [host.log(), host.cli("event list --json --limit 1000").await.ok()];
    assert!(said.iter().all(|said| !said.contains("correct-horse") && !said.contains("guess")));
    assert_eq!(host.api().jobs().await.len(), 1);
}
