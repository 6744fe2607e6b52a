//! Printing over TLS: real clients, the certificate, and its change while the host runs.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use cardinal_domain::{event::EventKind, job::JobState};
use cardinal_tests::{
    cups::Cups, document, host::Host, ipp_client, ipptool, process::Process, program, site::folder_site, wait,
    wait::LIMIT,
};

/// `openssl s_client` that says nothing and ends.
fn s_client(host: &Host, arguments: &[&str]) -> Output {
    let mut command = Command::new(program::theirs("openssl"));
    command.args(["s_client", "-connect", &host.ipps().to_string()]).args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

/// The fingerprint of the certificate that is shown, as `openssl` computes it.
fn shown(host: &Host) -> String {
    let certificate = s_client(host, &[]).stdout;
    let mut command = Command::new(program::theirs("openssl"));
    command.args(["x509", "-noout", "-fingerprint", "-sha256"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&certificate).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    said.trim().rsplit('=').next().unwrap().to_owned()
}

fn fingerprint(about: &serde_json::Value) -> String {
    about["fingerprint"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn lp_and_ipptool_print_over_tls() {
    let (host, cups) = tokio::join!(Host::start(), Cups::start());
    let started = host.api().event(EventKind::HostStarted).await.body.message;
    for address in [host.api().address, host.ipp(), host.ipps()] {
        assert!(started.contains(&address.to_string()), "{address}: {started}");
    }
    host.apply(&folder_site()).await;
    let letter = program::in_workspace("examples/hello.pdf");
    ipptool::print(&host.secure_queue("find-me"), "ada", &letter).await.ok();
    let job = host.api().only_job().await;
    assert_eq!((job.state, job.owner.as_str()), (JobState::Held, "ada"));

    cups.add_queue("safe", &host.secure_queue("find-me")).await;
    let now = host.api().now().await;
    cups.lp("safe", "ada", &letter).await;
    host.api().event_after(now, EventKind::JobHeld, |_| true).await;
    assert_eq!(host.api().jobs().await.len(), 2);
    // The plain listener goes on beside it.
    ipp_client::print(&host.queue("find-me"), "ada", &document::hello()).await;
}

#[tokio::test]
async fn every_address_that_is_told_is_the_one_that_the_client_came_by() {
    let letter = program::in_workspace("examples/hello.pdf");
    for over_tls in [true, false] {
        let host = Host::start().await;
        host.apply(&folder_site()).await;
        // CUPS's library calls the loopback `localhost`, whatever it was given.
        let [plain, secure] =
            [host.queue("find-me"), host.secure_queue("find-me")].map(|queue| queue.replace("127.0.0.1", "localhost"));
        let (queue, other) = if over_tls { (&secure, &plain) } else { (&plain, &secure) };
        let said = ipptool::run(queue, "addresses.test", &["owner=ada"], &letter).await.ok();
        let told = |name: &str| -> Vec<String> {
            let values = said.lines().filter_map(|line| line.trim().strip_prefix(name)?.trim_start().split_once(" = "));
            values.map(|(_, value)| value.to_owned()).collect()
        };
        let number = host.api().only_job().await.number;
        let job = format!("{queue}/jobs/{number}");
        for (name, expected) in [("job-uri (", &job), ("job-printer-uri (", queue)] {
            let told = told(name);
            assert!(told.len() >= 2 && told.iter().all(|told| told == expected), "{name}: {told:?}\n{said}");
        }
        // The other listener comes second, with its own port.
        assert_eq!(told("printer-uri-supported ("), [format!("{queue},{other}")], "{said}");
        let page = queue.replacen("ipp", "http", 1);
        assert_eq!(told("printer-more-info ("), [page], "{said}");
    }
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_older_ones_are_not_and_the_certificate_can_be_trusted() {
    let host = Host::start().await;
    host.apply(&folder_site()).await;
    let certificate = host.certificate();
    let certificate = certificate.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let output =
            s_client(&host, &[version, "-CAfile", certificate, "-verify_return_error", "-verify_ip", "127.0.0.1"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("Verify return code: 0 (ok)"), "{version}: {said}");
    }
    let old = s_client(&host, &["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"]);
    assert!(!old.status.success(), "TLS 1.1: {}", String::from_utf8_lossy(&old.stdout));

    // curl trusts the host's file, and nobody without it.
    let page = format!("https://{}/queues/find-me", host.ipps());
    let curl = |trust: &[&str]| {
        let mut command = Command::new(program::theirs("curl"));
        command.args(["-sS", "--noproxy", "*"]).args(trust).arg(&page).output().unwrap()
    };
    let trusting = curl(&["--cacert", certificate]);
    assert!(String::from_utf8_lossy(&trusting.stdout).contains("Cardinal print queue"), "{trusting:?}");
    assert!(!curl(&[]).status.success(), "self-signed");

    // What `tls show` says is what is shown.
    let about: serde_json::Value = host.cli("tls show --json").await.json();
    assert_eq!(fingerprint(&about), shown(&host));
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_touching_what_stands_and_a_bad_one_is_refused() {
    let host = Host::start().await;
    let before = shown(&host);
    // A connection that stands: it asks, waits, and asks again when the certificate is another.
    let log = host.folder().join("standing.log");
    let mut command = Command::new(program::theirs("openssl"));
    command.args(["s_client", "-quiet", "-no_ign_eof", "-connect", &host.ipps().to_string()]);
    let output = fs::File::create(&log).unwrap();
    let mut standing = Process::start_with("openssl", &mut command, &log, output.into(), Stdio::piped());
    let ask = b"GET /queues/x HTTP/1.1\r\nHost: x\r\n\r\n";
    standing.input().write_all(ask).unwrap();
    wait::until("the first answer", async || answers(&log, 1)).await;

    // A key that belongs to no certificate.
    let key = host.folder().join("data/tls/key.pem");
    let good = fs::read(&key).unwrap();
    fs::write(&key, "no key at all").unwrap();
    let refused = host.api().event(EventKind::TlsRefused).await;
    assert!(refused.body.message.contains("holds no private key"), "{}", refused.body.message);
    assert_eq!(shown(&host), before, "the one before is kept");
    fs::write(&key, good).unwrap();

    let about: serde_json::Value = host.cli("tls renew --json").await.json();
    let new = fingerprint(&about);
    assert_ne!(new, before);
    let is_new = |event: &cardinal_domain::event::Event| event.body.facts.get("fingerprint") == Some(&new);
    host.api().event_after(0, EventKind::TlsReloaded, is_new).await;
    assert_eq!(shown(&host), new);

    standing.input().write_all(ask).unwrap();
    wait::until("the second answer on the same connection", async || answers(&log, 2)).await;
}

fn answers(log: &Path, count: usize) -> Option<()> {
    let said = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    (said.matches("HTTP/1.1 ").count() >= count).then_some(())
}

#[tokio::test]
async fn who_speaks_plain_text_or_nothing_on_the_tls_port_is_let_go_and_holds_up_nobody() {
    let mut host = Host::init().await;
    host.set("CARDINAL_CALLERS__GREETING_MS", "1000");
    host.set("CARDINAL_CALLERS__AT_ONCE", "4");
    host.set("CARDINAL_CALLERS__AT_ONCE_PER_ADDRESS", "4");
    host.set("CARDINAL_LOG__FILTER", "debug");
    host.serve().await;
    host.apply(&folder_site()).await;
    let read_to_the_end = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut said = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut said);
        said
    };
    let mut plain = TcpStream::connect(host.ipps()).unwrap();
    plain.write_all(b"POST /queues/find-me HTTP/1.1\r\n\r\n").unwrap();
    let said = read_to_the_end(plain);
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    wait::until("the word in the log", async || host.log().contains("it speaks no TLS").then_some(())).await;
    // TLS on the plain port.
    let mut tls = TcpStream::connect(host.ipp()).unwrap();
    tls.write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0, b'\r', b'\n', b'\r', b'\n']).unwrap();
    assert!(!read_to_the_end(tls).starts_with(b"HTTP/1.1 2"));

    // Four that say nothing take every place; they are let go in time, and others get in.
    let silent: Vec<_> = (0..4).map(|_| TcpStream::connect(host.ipps()).unwrap()).collect();
    for stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        read_to_the_end(stream);
    }
    ipptool::print(&host.secure_queue("find-me"), "ada", &program::in_workspace("examples/hello.pdf")).await.ok();
}

#[tokio::test]
async fn operators_bring_their_own_certificate_and_are_warned_of_its_end() {
    let mut host = Host::init().await;
    let own = |name: &str| host.folder().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (own("own.key"), own("own.pem"));
    let mut command = Command::new(program::theirs("openssl"));
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "20", "-subj", "/CN=print.example.org"]);
    command.args([
        "-addext",
        "subjectAltName=DNS:print.example.org,IP:127.0.0.1",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ]);
    assert!(command.output().unwrap().status.success());
    let config = fs::read_to_string(host.config()).unwrap();
    let ours = config.replace("\n[tls]\n", "\n[tls]\ncertificate = \"own.pem\"\nkey = \"own.key\"\n");
    assert_ne!(ours, config);
    fs::write(host.config(), ours).unwrap();
    host.serve().await;
    let about: serde_json::Value = host.cli("tls show --json").await.json();
    assert_eq!(about["names"], serde_json::json!(["print.example.org", "127.0.0.1"]));
    assert_eq!(shown(&host), fingerprint(&about));
    // It ends in 20 days.
    host.api().event(EventKind::TlsExpires).await;
    let refused = host.cli("tls renew").await.refused();
    assert!(refused.contains("files of yours"), "{refused}");
}
