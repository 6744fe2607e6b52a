//! Real peers where they are installed: `ipptool` as the client, `ippeveprinter` as the printer (both from CUPS).

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use cardinal_domain::{fingerprint::Fingerprint, job::JobState};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::common::{Host, PDF, eventually};

/// Where the program is; without it the test says so and passes.
fn installed(program: &str) -> Option<PathBuf> {
    let found =
        ["/usr/bin", "/usr/sbin"].iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
    if found.is_none() {
        eprintln!("{program} is not installed; this test does nothing");
    }
    found
}

/// Runs one of ipptool's own test files against a queue, and fails with its report.
async fn ipptool(host: &Host, queue: &str, version: &str, test: &str) {
    let Some(program) = installed("ipptool") else { return };
    let document = host.folder.path().join("document.pdf");
    fs::write(&document, PDF).unwrap();
    let output = Command::new(program)
        .args(["-t", "-V", version, "-T", "20", "-d", "filetype=application/pdf", "-f"])
        .arg(&document)
        .args([&host.uri(queue), test])
        .output()
        .await
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{test}:\n{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ipptools_single_tests_pass() {
    let host = Host::start().await;
    for test in [
        "get-printer-attributes.test",
        "validate-job.test",
        "print-job.test",
        "create-job.test",
        "get-jobs.test",
        "get-completed-jobs.test",
        "print-job-letter.test",
        "print-job-media-col.test",
        "print-job-gzip.test",
        "identify-printer.test",
    ] {
        ipptool(&host, "find-me", "2.0", test).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ipptools_suites_pass() {
    let host = Host::start().await;
    ipptool(&host, "through", "1.1", "ipp-1.1.test").await;
    ipptool(&host, "through", "2.0", "ipp-2.0.test").await;
    ipptool(&host, "through", "2.0", "ipp-everywhere.test").await;
}

/// An `ippeveprinter` with a message bus of its own. Both end with this value.
struct RealPrinter {
    uri: String,
    printed: PathBuf,
    _bus: Child,
    _printer: Child,
}

async fn real_printer(folder: &Path) -> Option<RealPrinter> {
    let (printer, bus) = (installed("ippeveprinter")?, installed("dbus-daemon")?);
    let address = format!("unix:path={}", folder.join("bus").display());
    let mut bus = Command::new(bus)
        .args(["--session", "--nofork", "--print-address=1", &format!("--address={address}")])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // It is up once it tells its address.
    let mut line = String::new();
    BufReader::new(bus.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
    let (printed, work) = (folder.join("printed"), folder.join("work"));
    fs::create_dir(&printed).unwrap();
    fs::create_dir(&work).unwrap();
    fs::create_dir(folder.join("keys")).unwrap();
    let script = folder.join("store.sh");
    fs::write(&script, format!("#!/bin/sh\ncp \"$1\" '{}'/$$.pdf\n", printed.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let printer = Command::new(printer)
        .args(["-p", &port.to_string(), "-n", "localhost", "-r", "off", "-f", "application/pdf", "-d"])
        .arg(&work)
        .arg("-K")
        .arg(folder.join("keys"))
        .arg("-c")
        .arg(&script)
        .arg("Real")
        .env("DBUS_SYSTEM_BUS_ADDRESS", &address)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    eventually("the printer listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
    let uri = format!("ipp://127.0.0.1:{port}/ipp/print");
    Some(RealPrinter { uri, printed, _bus: bus, _printer: printer })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_printer_prints() {
    let host = Host::start().await;
    let Some(printer) = real_printer(host.folder.path()).await else { return };
    host.printer("east", &printer.uri).await;
    let (one, two) = (host.print("find-me", PDF).await, host.print("find-me", PDF).await);
    host.release_to(&one, "east").await;
    host.release_to(&two, "east").await;
    for job in [&one, &two] {
        let done = host.until(job, JobState::Delivered).await;
        assert!(done.remote.is_some());
    }
    let documents: Vec<_> =
        fs::read_dir(&printer.printed).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(documents, [PDF, PDF]);

    // A crash after the printer took a job: its own list says that it came out.
    let third = host.print("find-me", PDF).await;
    host.release_to(&third, "east").await;
    host.until(&third, JobState::Delivered).await;
    let host = host
        .restart(async |store, folder| {
            let back = store.change_job(third.id, |job| {
                job.state = JobState::Printing;
                Ok(vec![])
            });
            back.await.unwrap().unwrap().unwrap();
            assert_eq!(fs::read_dir(folder.join("spool")).unwrap().count(), 1);
        })
        .await;
    host.until(&third, JobState::Delivered).await;
    assert_eq!(fs::read_dir(&printer.printed).unwrap().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_printers_own_certificate_is_taken_only_if_it_is_pinned_or_vouched_for() {
    let host = Host::start().await;
    let Some(printer) = real_printer(host.folder.path()).await else { return };
    let uri = printer.uri.replace("ipp://127.0.0.1", "ipps://localhost");
    host.printer("east", &uri).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    let held = host.until(&job, JobState::Held).await;
    let seen = host.release.certificate(&"east".parse().unwrap()).await.unwrap();
    assert!(!seen.pinned && seen.untrusted.is_some(), "{seen:?}");
    let unknown = format!("its certificate ({}) is vouched for by no authority known here", seen.fingerprint);
    assert!(held.reason.contains(&unknown) && held.reason.contains("cardinal printer trust"), "{}", held.reason);
    assert!(!held.doubtful);

    let other = Fingerprint::new([7; 32]);
    host.pinned("east", &uri, Some(other)).await;
    host.release_to(&job, "east").await;
    let held = host.until(&job, JobState::Held).await;
    assert!(
        held.reason.contains(&format!("its certificate is {}, not the pinned one", seen.fingerprint)),
        "{}",
        held.reason
    );
    assert_eq!(fs::read_dir(&printer.printed).unwrap().count(), 0);

    host.pinned("east", &uri, Some(seen.fingerprint)).await;
    assert!(host.release.certificate(&"east".parse().unwrap()).await.unwrap().pinned);
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Delivered).await;

    // The operator's own authority (here the certificate itself) vouches for the name in the address, and for no other.
    let host = host
        .restart(async |_, folder| {
            fs::copy(folder.join("keys/localhost.crt"), folder.join("ca.pem")).unwrap();
        })
        .await;
    host.printer("east", &uri).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    host.until(&job, JobState::Delivered).await;
    host.printer("east", &uri.replace("localhost", "127.0.0.1")).await;
    let job = host.print("find-me", PDF).await;
    host.release_to(&job, "east").await;
    let held = host.until(&job, JobState::Held).await;
    assert!(held.reason.contains("vouched for by no authority"), "{}", held.reason);

    // TLS is asked for, and a printer without it gets nothing.
    let plain = crate::common::printer::FakePrinter::start(&[]).await;
    host.printer("east", &plain.uri().replace("ipp://", "ipps://")).await;
    host.release_to(&held, "east").await;
    let held = host.until(&held, JobState::Held).await;
    assert!(held.reason.contains("cannot be reached"), "{}", held.reason);
    assert_eq!((plain.requests(), plain.looks().len()), (0, 0));
}
