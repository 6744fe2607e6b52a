//! The simulators as people run them: the built program with its options, and what is typed.

use std::{
    fs::OpenOptions,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
};

use cardinal_domain::event::EventKind;
use cardinal_tests::{
    host::Host,
    process::Process,
    program,
    site::{folder_site, of_driver},
    wait,
};

/// A host that readers call over HTTPS, with this driver.
async fn host(driver: &str) -> Host {
    let mut host = Host::init().await;
    host.set("CARDINAL_READERS__LISTEN", "127.0.0.1:0");
    // What a reader loses is tried again soon.
    host.set("CARDINAL_FETCHES__WHOLE_MS", "500");
    host.serve().await;
    host.cli_with(&["driver", "install", program::component(driver).to_str().unwrap()]).await.ok();
    host
}

/// The program with these arguments.
fn simulator(host: &Host, name: &str, arguments: &[&[&str]]) -> Process {
    let program = program::ours("cardinal-simulator", "cardinal-simulators");
    let log = host.folder().join(format!("{name}.log"));
    let output = OpenOptions::new().create(true).append(true).open(&log).unwrap();
    Process::start_with(name, Command::new(program).args(arguments.concat()), &log, output.into(), Stdio::piped())
}

async fn until_said(simulator: &Process, words: &str) {
    wait::until(words, async || simulator.said().contains(words).then_some(())).await;
}

fn types(simulator: &mut Process, line: &str) {
    simulator.input().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The RF IDeas 241 as a program, once the host has configured it.
async fn rfideas(host: &Host, name: &str, options: &[&str]) -> Process {
    let simulator = simulator(host, name, &[&["rfideas-241", "--listen", "127.0.0.1:0"], options]);
    let address: SocketAddr = wait::until("its address", async || {
        let said = simulator.said();
        said.lines().find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
    })
    .await;
    let settings = "check_seconds = 5\nretry_seconds = 1";
    let spec = of_driver("cardinal/rfideas-241", "rfideas-241-client", name, address, settings);
    host.apply(&(folder_site() + &spec)).await;
    until_said(&simulator, "configured\n").await;
    simulator
}

#[tokio::test]
async fn an_rf_ideas_241_calls_whom_its_options_trust_and_calls_again_where_an_answer_is_lost() {
    let host = host("cardinal-rfideas-241").await;
    let certificate = host.certificate();
    let ca = ["--ca", certificate.to_str().unwrap()];
    for (name, options, heard) in [
        ("ca", &ca[..], "answered 99: 403"),
        ("insecure", &["--insecure"], "answered 99: 403"),
        // The host's certificate is its own: without a word nobody trusts it.
        ("neither", &[], "unanswered 99: "),
    ] {
        let mut simulator = rfideas(&host, name, options).await;
        types(&mut simulator, "99");
        until_said(&simulator, heard).await;
    }

    let options = ["--insecure", "--drop", "20", "--retry", "--answer-within", "1s"];
    let mut simulator = rfideas(&host, "lossy", &options).await;
    let mut was_lost = false;
    for card in 100..160 {
        types(&mut simulator, &card.to_string());
        let (answered, lost) = (format!("answered {card}: "), format!("unanswered {card}: lost on purpose"));
        // Three times at most.
        wait::until(&answered, async || {
            let said = simulator.said();
            let has_answer = said.lines().any(|line| line.starts_with(&answered));
            (has_answer || said.matches(&lost).count() == 3).then_some(())
        })
        .await;
        let said = simulator.said();
        was_lost = said.lines().skip_while(|line| *line != lost).any(|line| line.starts_with(&answered));
        if was_lost {
            break;
        }
    }
    assert!(was_lost, "no card was answered at another try");
}

#[tokio::test]
async fn a_springcore_reader_calls_whom_its_options_trust_and_loses_answers_on_purpose() {
    let host = host("cardinal-springcore").await;
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let spec = of_driver("cardinal/springcore", "springcore-http", "r", nobody, "").replace("127.0.0.1:1", "127.0.0.1");
    host.apply(&(folder_site() + &spec)).await;
    host.api().online("r").await;
    let url = host.cli("reader callback r").await.ok();
    let calling = ["springcore", "--mode", "http", "--url", url.trim()];
    let certificate = host.certificate();
    let ca = ["--ca", certificate.to_str().unwrap()];
    for (name, options, heard) in [
        ("ca", &ca[..], "tapped DEADBEEF\nanswered 200\nLED red"),
        ("insecure", &["--insecure"], "tapped DEADBEEF\nanswered 200\nLED red"),
        ("neither", &[], "tapped DEADBEEF\nno answer: "),
    ] {
        let mut simulator = simulator(&host, name, &[&calling, options]);
        types(&mut simulator, "DEADBEEF");
        until_said(&simulator, heard).await;
    }

    let verdicts = host.api().events_of(EventKind::VerdictGiven).await.len();
    let options = ["--insecure", "--card", "DEADBEEF", "--drop", "--retry", "1"];
    let mut simulator = simulator(&host, "lossy", &[&calling, &options]);
    let again = "no answer: dropped on purpose\nanswered 200\nLED red";
    until_said(&simulator, &format!("tapped DEADBEEF\n{again}")).await;
    // What is typed does the same, with a card of its own.
    types(&mut simulator, "!drop");
    until_said(&simulator, &format!("tapped 4711\n{again}")).await;
    // Each was told twice and is one swipe.
    assert_eq!(host.api().events_of(EventKind::VerdictGiven).await.len(), verdicts + 2);
}

#[tokio::test]
async fn a_terminal_that_is_told_to_drops_its_connection_and_is_dialled_again() {
    let host = Host::start().await;
    let mut simulator = simulator(&host, "terminal", &[&["generic", "--listen", "127.0.0.1:0"]]);
    let address: SocketAddr = wait::until("its address", async || {
        let said = simulator.said();
        said.lines().find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
    })
    .await;
    host.apply(&(folder_site() + &of_driver("cardinal/generic", "generic", "r", address, ""))).await;
    host.api().online("r").await;
    types(&mut simulator, "!drop");
    host.api().reader_until("r", "back", |reader| reader.phase == "online" && reader.connects == 2).await;
    types(&mut simulator, "99");
    host.api().event(EventKind::CardUnknown).await;
}
