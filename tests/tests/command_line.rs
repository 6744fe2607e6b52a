//! The command line and the API behind it, as operators and scripts meet them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use cardinal_tests::{
    cli,
    host::Host,
    process::Process,
    program,
    site::{SIGNS, folder_site, reader},
    terminal::{Terminal as _, listening},
    wait,
};
use serde_json::Value;

const VERBS: [&str; 16] = [
    "init", "serve", "apply", "export", "user", "group", "source", "sync", "reader", "device", "printer", "queue",
    "job", "driver", "event", "config",
];
/// Those whose every verb has examples, too.
const EXPLAINED: [(&str, &[&str]); 4] = [
    ("config", &["list", "show", "set"]),
    ("sync", &["test", "now", "changes", "approve", "show", "undo", "call-off", "list", "archived"]),
    ("group", &["list", "show"]),
    ("source", &["list", "show", "set", "remove", "password"]),
];

#[tokio::test]
async fn every_verb_shows_examples() {
    let all = cli::cardinal(&["--help"]).await.ok();
    for verb in VERBS {
        assert!(all.lines().any(|line| line.trim().starts_with(verb)), "`cardinal --help` does not name {verb}");
        shows_examples(&[verb]).await;
    }
    for (verb, inner) in EXPLAINED {
        for inner in inner {
            shows_examples(&[verb, inner]).await;
        }
    }
}

async fn shows_examples(verb: &[&str]) {
    let help = cli::cardinal(&[verb, &["--help"]].concat()).await.ok();
    let examples = help.split_once("Example").map(|(_, examples)| examples).unwrap_or_default();
    assert!(examples.contains("cardinal"), "`cardinal {} --help` has no example:\n{help}", verb.join(" "));
}

#[tokio::test]
async fn init_makes_a_host_once_and_keeps_its_token_private() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    let site = site.to_str().unwrap();
    cli::cardinal(&["init", site]).await.ok();
    let token = Path::new(site).join("owner.token");
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o077, 0);
    let (config, kept) = (Path::new(site).join("cardinal.toml"), fs::read(&token).unwrap());
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#') || line.starts_with('[')), "{text}");

    let again = cli::cardinal(&["init", site]).await.refused();
    assert!(again.contains("is there already"), "{again}");
    assert_eq!((fs::read_to_string(&config).unwrap(), fs::read(&token).unwrap()), (text, kept));
}

#[tokio::test]
async fn apply_is_idempotent_and_dry_run_changes_nothing_and_prune_removes() {
    let (host, terminal) = tokio::join!(Host::start(), listening());
    let site = folder_site() + &reader("r", terminal.address(), SIGNS);

    let planned = host.apply_with(&site, &["--dry-run"]).await.ok();
    assert!(planned.contains("+ user ada") && planned.contains("+ reader r"), "{planned}");
    assert!(!planned.contains("4711"), "a plan shows no card number");
    assert_eq!(host.cli("export").await.ok(), "", "nothing was changed");

    let applied: Value = host.apply_with(&site, &["--json"]).await.json();
    assert_eq!(applied["applied"], true);
    assert_eq!(applied["lines"].as_array().unwrap().len(), 5);
    terminal.is_connected().await;
    let again: Value = host.apply_with(&site, &["--json"]).await.json();
    assert_eq!(again["lines"].as_array().unwrap().len(), 0);
    assert_eq!(terminal.record().connections(), 1, "what did not change was not touched");

    // What is not named stays, unless asked for.
    let less = "[[user]]\nname = \"ada\"\ncard = \"4711\"\n";
    host.apply(less).await;
    assert!(host.cli("export").await.ok().contains("find-me"));
    let pruned = host.apply_with(less, &["--prune", "--dry-run"]).await.ok();
    assert!(pruned.contains("- reader r"), "{pruned}");
    terminal.shows_and_hears("4711", "[nothing]").await;
    host.apply_with(less, &["--prune"]).await.ok();
    let left: Value = host.cli("export --json").await.json();
    assert_eq!(left, serde_json::json!({ "user": [{ "name": "ada", "card": "4711" }] }));
    terminal.wait_for(wait::LIMIT, |record| record.server.is_none()).await.unwrap();
}

#[tokio::test]
async fn what_is_exported_can_be_applied() {
    let (host, terminal) = tokio::join!(Host::start(), listening());
    let settings = format!("{SIGNS}probe = ['v', '\\r\\x00']\ncard_pattern = '^C(\\d+)$'\n");
    let site = folder_site() + &reader("r", terminal.address(), &settings);
    let extra = "[config]\n\"ext-device.card-no-regex\" = \"(.{10})\"\n[[queue]]\nname = \"direct\"\nhold = false\n\
                 printer = \"east\"\nallow = [\"10.1.0.0/16\", \"fd00::/8\"]\n";
    host.apply(&(site + extra)).await;
    let exported = host.cli("export").await.ok();
    let again: Value = host.apply_with(&exported, &["--prune", "--json"]).await.json();
    assert_eq!(again["lines"].as_array().unwrap().len(), 0, "{again}");

    // And on another host it makes the same site.
    let other = Host::start().await;
    other.apply(&exported).await;
    assert_eq!(other.cli("export").await.ok(), exported);
}

#[tokio::test]
async fn everything_can_be_had_as_json_and_set_by_hand() {
    let (host, terminal) = tokio::join!(Host::start(), listening());
    for command in [
        "printer set east uri=folder:./delivered",
        "queue set find-me",
        "device set floor-2-east printer=east on_card=release-all",
        "user set ada card=4711 second_card=EMP123",
        &format!(
            "reader set r driver=cardinal/generic mode=generic device=floor-2-east address={}",
            terminal.address()
        ),
    ] {
        host.cli(command).await.ok();
    }
    terminal.is_connected().await;
    cardinal_tests::ipp_client::print(&host.queue("find-me"), "ada", b"%PDF-1.7\n").await;
    for list in ["user", "printer", "queue", "device", "reader", "job", "driver", "event"] {
        let entries: Vec<Value> = host.cli(&format!("{list} list --json")).await.json();
        assert!(!entries.is_empty(), "{list}");
        assert!(!host.cli(&format!("{list} list")).await.ok().contains("4711"), "a list shows no card number");
    }
    for show in [
        "user show ada",
        "printer show east",
        "queue show find-me",
        "reader show r",
        "job show 1",
        "driver show cardinal/generic",
    ] {
        let _: Value = host.cli(&format!("{show} --json")).await.json();
        host.cli(show).await.ok();
    }
    let typo = host.cli("reader show rr").await.refused();
    assert!(typo.contains("there is no reader \"rr\" (did you mean \"r\"?)"), "{typo}");
    let misfit = host.cli("printer set east uri=lpd://x").await.refused();
    assert!(misfit.contains("is no printer address"), "{misfit}");
    let setting = host.cli("reader set r settings.keepalive_second=3").await.refused();
    assert!(setting.contains("did you mean \"keepalive_seconds\"?"), "{setting}");

    host.cli("reader set r settings.on_released=bb").await.ok();
    terminal.was_connected(2).await;
    host.api().online("r").await;
    host.cli("reader command r beep").await.ok();
    terminal.hears("bb", 1).await;
    let unknown = host.cli("reader command r dance").await.refused();
    assert!(unknown.contains("no command \"dance\""), "{unknown}");
    let cancelled: Value = host.cli("job cancel 1 --json").await.json();
    assert_eq!(cancelled["state"], "cancelled");
}

#[tokio::test]
async fn config_keys_are_found_set_and_taken_back() {
    let host = Host::start().await;
    host.apply(&folder_site()).await;
    let found = host.cli("config list NIGHTLY").await.ok();
    assert!(found.contains("user-source.nightly-at") && !found.contains("posix-groups"), "{found}");
    let set = "config set user-source.nightly-at=02:30 ldap.schema.user-card-id-field=employeeNumber";
    assert!(host.cli(&format!("{set} --dry-run")).await.ok().contains("2 would be applied"));
    let default = host.cli("config show user-source.nightly-at").await.ok();
    assert!(default.starts_with("user-source.nightly-at = \"00:55\", its default\n"), "{default}");
    host.cli(set).await.ok();
    let own = host.cli("config show user-source.nightly-at").await.ok();
    assert!(own.starts_with("user-source.nightly-at = \"02:30\"\ndefault: \"00:55\"\n"), "{own}");
    assert!(host.cli("export").await.ok().contains("\"user-source.nightly-at\" = \"02:30\""));

    // All or none, with the nearest key.
    for (wrong, told) in [
        ("user-source.nightly-at=03:00 user-source.nightly-et=", "did you mean \"user-source.nightly-at\"?"),
        ("user-source.nightly-at=25:00", "user-source.nightly-at"),
        ("user-source.nightly-at", "is no KEY=VALUE"),
    ] {
        let refused = host.cli(&format!("config set {wrong}")).await.refused();
        assert!(refused.contains(told), "{refused}");
    }
    let before: Value = host.api().get("site").await;
    host.cli("config set user-source.nightly-at=").await.ok();
    let keys: Vec<Value> = host.cli("config list --json").await.json();
    let is_set: Vec<_> = keys.iter().filter(|key| key["is_set"] == true).map(|key| &key["name"]).collect();
    assert_eq!(is_set, ["ldap.schema.user-card-id-field"]);
    // Nothing else went with it.
    let mut after: Value = host.api().get("site").await;
    after["config"]["user-source.nightly-at"] = "02:30".into();
    assert_eq!(after, before);
}

#[tokio::test]
async fn events_are_followed_as_they_happen_until_the_host_ends() {
    let mut host = Host::start().await;
    let log = host.folder().join("tail.log");
    let mut command = std::process::Command::new(program::ours("cardinal", "cardinal-server"));
    command.arg("--config").arg(host.config()).args(["event", "tail", "--after", "0", "--kind", "site.changed"]);
    let mut tail = Process::start("event tail", &mut command, &log);
    for user in ["ada", "eve"] {
        host.cli(&format!("user set {user}")).await.ok();
        wait::until("the event", async || tail.said().contains(&format!("user {user} was added")).then_some(())).await;
    }
    // Somebody who listens for ever keeps no host from ending.
    assert!(host.terminate().await.success());
    tail.wait().await;
}

#[tokio::test]
async fn mistakes_in_either_file_are_named_with_line_and_nearest_key() {
    let host = Host::start().await;
    // Line 11: the blank lines below count, as they do in an editor.
    let site = folder_site();
    let line = site.lines().position(|line| line.contains("second_card")).unwrap() + 1;
    let error = host.apply_with(&site.replace("second_card", "secnd_card"), &[]).await.refused();
    let expected = format!("line {line}: unknown key \"secnd_card\" (did you mean \"second_card\"?)");
    assert!(error.contains("site.toml") && error.contains(&expected), "{error}");
    assert_eq!(host.cli("export").await.ok(), "", "nothing was applied");

    let mut broken = Host::init().await;
    fs::write(broken.config(), "# a host\n\n[http]\nlisten = \"127.0.0.1:0\"\n\n[strore]\n").unwrap();
    let mut serve = Process::start("the host", &mut broken.serve_command(), &broken.folder().join("serve.log"));
    assert_eq!(serve.wait().await.code(), Some(1));
    assert!(
        serve.said().contains("cardinal.toml: line 6: unknown key \"strore\" (did you mean \"store\"?)"),
        "{}",
        serve.said()
    );
    // Every other command reads the same file, and says the same.
    assert!(broken.cli("user list").await.refused().contains("line 6: unknown key"));
    fs::write(broken.config(), "").unwrap();
    broken.serve().await;
}

#[tokio::test]
async fn a_card_of_two_people_is_refused_with_both_names_and_nothing_is_applied() {
    let host = Host::start().await;
    let site = folder_site() + "[[user]]\nname = \"eve\"\nsecond_card = \"4711\"\n";
    let error = host.apply_with(&site, &[]).await.refused();
    assert!(error.contains("\"ada\"") && error.contains("\"eve\"") && error.contains("nothing was applied"), "{error}");
    assert!(!error.contains("4711"), "{error}");
    assert_eq!(host.cli("export").await.ok(), "", "nothing was applied");
    // Also where one of the two is there already.
    host.apply(&folder_site()).await;
    let error = host.cli("user set eve card=EMP123").await.refused();
    assert!(error.contains("\"ada\"") && error.contains("\"eve\""), "{error}");
}

#[tokio::test]
async fn nothing_of_the_api_is_open_to_those_without_the_token() {
    let host = Host::start().await;
    host.apply(&folder_site()).await;
    let routes = [
        ("GET", "/api/v1/site"),
        ("POST", "/api/v1/site"),
        ("GET", "/api/v1/site/user"),
        ("GET", "/api/v1/site/user/ada"),
        ("PATCH", "/api/v1/site/user/ada"),
        ("DELETE", "/api/v1/site/user/ada"),
        ("GET", "/api/v1/reader"),
        ("GET", "/api/v1/reader/r"),
        ("POST", "/api/v1/reader/r/command"),
        ("GET", "/api/v1/job"),
        ("GET", "/api/v1/job/1"),
        ("DELETE", "/api/v1/job/1"),
        ("POST", "/api/v1/job/1/release"),
        ("GET", "/api/v1/event"),
        ("GET", "/api/v1/event/stream"),
        ("GET", "/api/v1/driver"),
        ("POST", "/api/v1/driver"),
        ("GET", "/api/v1/driver/cardinal/generic"),
        ("DELETE", "/api/v1/driver/cardinal/generic"),
        // Neither does a page that is not there, nor a path that plays tricks, tell a stranger anything.
        ("GET", "/"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/api/v1//site"),
        ("GET", "/api/v1/site;/event"),
        ("GET", "/api/v1/../api/v1/site"),
        ("OPTIONS", "/api/v1/site"),
    ];
    let token = fs::read_to_string(host.folder().join("owner.token")).unwrap();
    let wrong = format!("Bearer {}", "0".repeat(token.trim().len()));
    let lower = format!("Basic {}", token.trim());
    for (method, path) in routes {
        for authorization in [None, Some(""), Some("Bearer "), Some(wrong.as_str()), Some(lower.as_str())] {
            let response = host.api().without_token(method, path, authorization).await;
            assert_eq!(response.status(), 401, "{method} {path} {authorization:?}");
        }
    }
    assert!(host.cli("user list").await.ok().contains("ada"), "nothing was removed");
}

#[tokio::test]
async fn a_second_host_on_the_same_data_is_refused() {
    let host = Host::start().await;
    let mut second = Process::start("a second host", &mut host.serve_command(), &host.folder().join("second.log"));
    assert_eq!(second.wait().await.code(), Some(1));
    assert!(second.said().contains("another host already runs on"), "{}", second.said());
    // The first one is as well as before.
    host.cli("event list").await.ok();
}

#[tokio::test]
async fn commands_say_plainly_that_the_host_does_not_run() {
    let mut host = Host::init().await;
    let commands = [
        "user list",
        "reader list",
        "job list",
        "queue list",
        "event list",
        "driver list",
        "export",
        "apply site.toml",
    ];
    fs::write(host.folder().join("site.toml"), "").unwrap();
    for command in commands {
        let error = host.cli(command).await.refused();
        assert!(error.contains("is not running; start it with `cardinal"), "{command}: {error}");
    }
    // The same after it ended in order, and after it was killed.
    host.serve().await;
    assert!(host.terminate().await.success());
    assert!(host.cli("user list").await.refused().contains("is not running"));
    host.serve().await;
    host.kill().await;
    assert!(host.cli("user list").await.refused().contains("is not running"));

    let nowhere = cli::cardinal(&["--config", "/nowhere/cardinal.toml", "user", "list"]).await.refused();
    assert!(nowhere.contains("cannot read /nowhere/cardinal.toml") && nowhere.contains("cardinal init"), "{nowhere}");
}

#[tokio::test]
async fn whoever_stops_reading_an_answer_gets_no_complaint() {
    let program = program::ours("cardinal", "cardinal-server");
    let script = "\"$0\" event kinds | head -n 1; exit ${PIPESTATUS[0]}";
    let ran = tokio::process::Command::new("bash").args(["-c", script]).arg(program).output().await.unwrap();
    assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
}

#[tokio::test]
async fn a_client_that_says_nothing_gives_its_place_back() {
    use tokio::io::AsyncReadExt as _;
    let host = Host::start().await;
    // On the port that may face a network, and asks for no token.
    let mut silent = tokio::net::TcpStream::connect(host.ipp()).await.unwrap();
    let closed = tokio::time::timeout(std::time::Duration::from_secs(60), silent.read(&mut [0; 64])).await;
    assert_eq!(closed.unwrap().unwrap(), 0, "closed, with nothing said");
}

#[tokio::test]
async fn a_source_is_set_with_a_password_that_stands_on_no_command_line() {
    let host = Host::start().await;
    let piped = async |typed: &str, arguments: &[&str]| {
        let script = "printf '%s\\n' \"$1\" | \"$0\" \"${@:2}\"";
        let mut command = tokio::process::Command::new("bash");
        command.args(["-c", script]).arg(program::ours("cardinal", "cardinal-server")).arg(typed);
        cli::run(command.arg("--config").arg(host.config()).args(arguments)).await
    };
    let new = [
        "source",
        "set",
        "company",
        "kind=active-directory",
        "domains=a.example;b.example",
        "bind_as=reader@a.example",
        "--ask-password",
    ];
    let empty = piped("", &new).await.refused();
    assert!(empty.contains("without a password"), "{empty}");
    piped("first secret", &new).await.ok();
    host.cli_with(&["source", "set", "company", "domain.\"b.example\".servers=[\"dc1.b.example\"]"]).await.ok();
    piped("12345678", &["source", "password", "company", "--domain", "B.example"]).await.ok();
    let other = piped("12345678", &["source", "password", "company", "--domain", "c.example"]).await.refused();
    assert!(other.contains("not one of its domains"), "{other}");
    let told = piped("second secret", &["source", "password", "company"]).await.ok();
    assert!(told.contains("company has the new password"), "{told}");

    let exported: Value = host.cli("export --json").await.json();
    let source = &exported["source"][0];
    assert_eq!((&source["password"], source["domain"].as_object().unwrap().len()), (&"second secret".into(), 1));
    let domain = &source["domain"]["b.example"];
    assert_eq!(domain, &serde_json::json!({ "servers": ["dc1.b.example"], "password": "12345678" }));
    let nobody = piped("x", &["source", "password", "compny"]).await.refused();
    assert!(nobody.contains("did you mean \"company\"?"), "{nobody}");
    let unquoted = host.cli_with(&["source", "set", "company", "domain.b.example.servers=x"]).await.refused();
    assert!(unquoted.contains("'domain.\"b.example\".servers=…'"), "{unquoted}");
    for shown in [host.cli("source show company").await.ok(), host.cli("event list").await.ok(), host.log()] {
        assert!(!shown.contains("second secret") && !shown.contains("12345678"), "{shown}");
    }
}
