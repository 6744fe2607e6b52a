//! Files as sources.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    time::{Duration, SystemTime},
};

use cardinal_directory::{Locals, Snapshot, SourceError};

use crate::{read_with, source, told, trust};

async fn read(file: &Path, more: &str) -> Result<Snapshot, SourceError> {
    let locals = Locals { files: [("staff".to_owned(), file.to_owned())].into(), ..Locals::default() };
    read_with(&source(&format!("kind = \"file\"\nfrom = \"staff\"\n{more}")), &trust(&[]), &locals, None).await
}

/// Writes a file that nobody has touched for a while.
fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    let written = SystemTime::now() - Duration::from_secs(60);
    File::options().write(true).open(file).unwrap().set_modified(written).unwrap();
}

#[tokio::test]
async fn a_file_gives_users_and_groups() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("staff.csv");
    write(
        &file,
        "\u{feff}name,full name,card,groups,key\nada,\"Lovelace, Ada\",4711,staff; Teachers,1\nbob,,,STAFF,2\n",
    );
    let snapshot = read(&file, "").await.unwrap();
    assert_eq!((snapshot.people[0].full_name.as_str(), snapshot.people[0].card.as_str()), ("Lovelace, Ada", "4711"));
    let groups: Vec<(&str, usize)> = snapshot.groups.iter().map(|g| (g.name.as_str(), g.members.len())).collect();
    assert_eq!(groups, [("staff", 2), ("Teachers", 1)]);
    assert_eq!((snapshot.totals[0].users, snapshot.totals[0].groups), (2, 2));
    assert_eq!(read(&file, "groups = [\"teachers\"]\n").await.unwrap().people.len(), 1);
    assert!(told(read(&file, "groups = [\"pupils\"]\n").await).contains("no group \"pupils\""));
}

#[tokio::test]
async fn a_file_that_is_not_there_not_whole_or_empty_gives_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("staff.csv");
    let error = told(read(&file, "").await);
    assert!(error.contains("staff.csv") && error.contains("No such file"), "{error}");
    for (text, why) in [
        ("", "no users at all"),
        ("name,card\n", "no users at all"),
        ("name,full-name\nada,\"Love\n", "not whole"),
        ("name,card\nada,12", "line 2 has no line end: is the file whole?"),
        ("name,card\n,1\n", "line 2 has no user name"),
    ] {
        write(&file, text);
        let error = told(read(&file, "").await);
        assert!(error.contains(why) && error.contains("staff.csv"), "{text:?}: {error}");
    }
    assert!(told(read(folder.path(), "").await).contains("it is no file"));
    let locals = Locals { files: [("stuff".to_owned(), file)].into(), ..Locals::default() };
    let error = told(read_with(&source("kind = \"file\"\nfrom = \"staff\"\n"), &trust(&[]), &locals, None).await);
    assert!(error.contains("did you mean \"stuff\"?"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_being_written_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("staff.csv");
    let mut writing = File::create(&file).unwrap();
    writing.write_all(b"name,card\nada,1\n").unwrap();
    let write_on = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        writing.write_all(b"bob,2\n").unwrap();
    };
    let (snapshot, ()) = tokio::join!(read(&file, ""), write_on);
    assert_eq!(snapshot.unwrap().people.len(), 2);
    // One whose time is still to come is at rest if it does not change.
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(SystemTime::now() + Duration::from_secs(3_600))
        .unwrap();
    assert_eq!(read(&file, "").await.unwrap().people.len(), 2);
}
