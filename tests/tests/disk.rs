//! A disk that is full, or cannot be written: who prints is told, nothing half-done can be released, and all goes on as soon
//! as there is room.

use std::{fs, path::PathBuf};

use cardinal_domain::{event::EventKind, job::JobState};
use cardinal_tests::{
    disk::Disks,
    document,
    host::Host,
    ipptool, program,
    site::{SIGNS, folder_site, reader, site},
    terminal::{Terminal as _, listening},
    wait,
};

/// Room for the database and a few documents.
const ROOM_KIB: u32 = 8 << 10;

/// What becomes of printing this document, in `ipptool`'s words.
async fn print(host: &Host, document: &[u8]) -> Result<(), String> {
    let file = host.folder().join("letter.pdf");
    fs::write(&file, document).unwrap();
    let answer = ipptool::print(&host.queue("find-me"), "ada", &file).await;
    if answer.code == Some(0) { Ok(()) } else { Err(answer.stdout) }
}

/// The complaint of a client that was told so in IPP's words.
fn told(printed: Result<(), String>) -> String {
    let words = printed.unwrap_err();
    assert!(words.contains("server-error-temporary-error"), "{words}");
    words
}

async fn held(host: &Host) -> usize {
    host.api().jobs().await.iter().filter(|job| job.state == JobState::Held).count()
}

/// The spool has so many documents, once what is left of others is gone.
async fn documents(disks: &Disks, spool: &std::path::Path, count: usize) {
    let what = format!("{count} documents in the spool");
    let look = async || {
        let names = disks.list(spool);
        let of = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
        ((of(".doc"), of(".json")) == (count, count)).then_some(())
    };
    wait::until(&what, look).await;
}

/// A host whose database and spool lie on disks of their own, not running yet.
async fn host_on_disks() -> Option<(Host, Disks, PathBuf, PathBuf)> {
    let mut host = Host::init().await;
    let disks = Disks::new(host.folder()).await?;
    let (data, spool) = (host.folder().join("data"), host.folder().join("data/spool"));
    disks.mount(&data, ROOM_KIB);
    disks.mount(&spool, ROOM_KIB);
    host.run_by(&disks.command(&program::ours("cardinal", "cardinal-server")));
    Some((host, disks, data, spool))
}

#[tokio::test]
async fn a_full_spool_refuses_jobs_and_takes_them_again_once_there_is_room() {
    let Some((mut host, disks, _, spool)) = host_on_disks().await else { return };
    let terminal = listening().await;
    host.serve().await;
    host.apply(&(folder_site() + &reader("r", terminal.address(), SIGNS))).await;
    terminal.is_connected().await;
    let first = document::arbitrary(100_000, 1);
    print(&host, &first).await.unwrap();

    // It fills up in the middle of a document.
    let words = told(print(&host, &document::arbitrary(10 << 20, 2)).await);
    assert!(words.contains("the disk is full"), "{words}");
    documents(&disks, &spool, 1).await;
    // It was full before.
    disks.fill(&spool);
    told(print(&host, &document::arbitrary(50_000, 3)).await);
    documents(&disks, &spool, 1).await;
    assert_eq!(held(&host).await, 1);

    // What was there can be had all the same: a tap needs no room in the spool.
    terminal.shows_and_hears("4711", "[released]").await;
    assert_eq!(document::out(&host.folder().join("delivered"), 1).await, [first]);
    terminal.shows_and_hears("4711", "[nothing]").await;

    disks.make_room(&spool);
    print(&host, &document::hello()).await.unwrap();
    terminal.shows_and_hears("4711", "[released]").await;
    document::out(&host.folder().join("delivered"), 2).await;
    documents(&disks, &spool, 0).await;
}

#[tokio::test]
async fn a_spool_that_cannot_be_written_refuses_jobs_until_it_can() {
    let Some((mut host, disks, _, spool)) = host_on_disks().await else { return };
    host.serve().await;
    host.apply(&folder_site()).await;
    print(&host, &document::hello()).await.unwrap();
    disks.read_only(&spool);
    for _ in 0..2 {
        told(print(&host, &document::hello()).await);
    }
    assert_eq!(held(&host).await, 1);
    disks.writable(&spool);
    print(&host, &document::hello()).await.unwrap();
    assert_eq!(held(&host).await, 2);
    documents(&disks, &spool, 2).await;
}

#[tokio::test]
async fn a_full_database_disk_refuses_jobs_and_taps_and_changes_until_there_is_room() {
    let Some((mut host, disks, data, spool)) = host_on_disks().await else { return };
    let terminal = listening().await;
    host.serve().await;
    let site = folder_site() + &reader("r", terminal.address(), SIGNS);
    host.apply(&site).await;
    terminal.is_connected().await;
    let first = document::arbitrary(100_000, 1);
    print(&host, &first).await.unwrap();

    disks.fill(&data);
    // A page or two may still fit into a file that is there.
    let mut taken = 1;
    let refused = wait::until("a job that is refused", async || {
        let printed = print(&host, &document::arbitrary(1_000, 2)).await;
        taken += usize::from(printed.is_ok());
        printed.err()
    });
    told(Err(refused.await));
    terminal.shows_and_hears("4711", "[failed]").await;
    documents(&disks, &spool, taken).await;
    assert!(document::came_out(&host.folder().join("delivered")).is_empty());

    // A change is made wholly or not at all.
    let eve = "\n[[user]]\nname = \"eve\"\ncard = \"99887766\"\n";
    let words = host.apply_with(&(site.clone() + eve), &[]).await.refused();
    assert!(!words.trim().is_empty());
    assert!(!host.cli("export").await.ok().contains("eve"));
    // A driver, too; and nothing of it is left.
    let before = disks.list(&data.join("drivers"));
    let driver = program::component("guest-hostile");
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.refused();
    assert_eq!(disks.list(&data.join("drivers")), before);
    assert!(!host.cli("driver list").await.ok().contains("hostile"));

    disks.make_room(&data);
    host.apply(&(site + eve)).await;
    terminal.shows_and_hears("4711", "[released]").await;
    assert!(document::out(&host.folder().join("delivered"), taken).await.contains(&first));
    host.cli_with(&["driver", "install", driver.to_str().unwrap()]).await.ok();
    print(&host, &document::hello()).await.unwrap();
    host.api().event(EventKind::JobDelivered).await;
    assert_eq!(held(&host).await, 1);
}

#[tokio::test]
async fn a_host_that_cannot_write_at_its_start_says_so_and_ends() {
    let Some((mut host, disks, data, spool)) = host_on_disks().await else { return };
    host.serve().await;
    host.apply(&site("folder:./delivered")).await;
    print(&host, &document::hello()).await.unwrap();
    host.terminate().await;

    disks.fill(&data);
    let full = host.complaint().await;
    assert!(full.contains("cardinal.db"), "{full}");
    disks.make_room(&data);
    disks.read_only(&data);
    let read_only = host.complaint().await;
    assert!(read_only.contains("Read-only file system"), "{read_only}");
    disks.writable(&data);
    disks.read_only(&spool);
    // The spool is there and marked: what is held is told, and new jobs are refused.
    host.serve().await;
    assert_eq!(held(&host).await, 1);
    told(print(&host, &document::hello()).await);
}
