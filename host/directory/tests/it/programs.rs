//! Custom sync programs: ones that behave, and ones that do not.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use cardinal_directory::{Locals, Snapshot, SourceError};

use crate::{read_with, source, told, trust};

/// A program that answers like the public samples do; `replaced` by question.
fn program(folder: &tempfile::TempDir, replaced: &[(&str, &str)]) -> PathBuf {
    let usual = [
        ("is-valid", "printf 'Y\\nlong form\\n'"),
        ("all-users", "printf 'john\\tJohn Smith\\tj@here.com\\t\\t\\t1234\\njane\\tJane Rodgers\\n'"),
        ("all-groups", "printf 'groupA\\nGroup B\\n'"),
        ("group-member-names", "if [ \"$4\" = 'Group B' ]; then printf 'JANE\\nJohn\\n'; else echo john; fi"),
    ];
    let mut text = String::from("#!/bin/sh\n[ \"$1\" = first ] && [ \"$2\" = - ] || exit 9\ncase \"$3\" in\n");
    for (question, answer) in usual {
        let answer = replaced.iter().find(|(other, _)| *other == question).map_or(answer, |(_, answer)| answer);
        text.push_str(&format!("{question}) {answer} ;;\n"));
    }
    text.push_str("*) echo unknown >&2; exit 1 ;;\nesac\n");
    let file = folder.path().join("sync");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    file
}

async fn read(replaced: &[(&str, &str)], more: &str) -> Result<Snapshot, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let file = program(&folder, replaced);
    let locals = Locals {
        programs: [("own".to_owned(), vec![file.to_str().unwrap().to_owned(), "first".to_owned()])].into(),
        program_within: Duration::from_secs(2),
        ..Locals::default()
    };
    read_with(&source(&format!("kind = \"program\"\nfrom = \"own\"\n{more}")), &trust(&[]), &locals, None).await
}

#[tokio::test]
async fn a_program_gives_users_and_groups() {
    let snapshot = read(&[], "").await.unwrap();
    assert_eq!(snapshot.people.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["john", "jane"]);
    assert_eq!(snapshot.people[0].card, "1234");
    let groups: Vec<(&str, usize)> = snapshot.groups.iter().map(|g| (g.name.as_str(), g.members.len())).collect();
    assert_eq!(groups, [("groupA", 1), ("Group B", 2)]);
    assert_eq!(read(&[], "groups = [\"groupa\"]\n").await.unwrap().people.len(), 1);
    assert!(told(read(&[], "groups = [\"C\"]\n").await).contains("no group \"C\""));
}

#[tokio::test]
async fn nothing_of_our_environment_goes_along_but_the_path_and_letters_are_utf_8() {
    let shown = "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sed s/^PATH=.*/PATH/ | sort";
    let snapshot = read(&[("all-users", shown)], "").await.unwrap();
    assert_eq!(snapshot.people.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["LANG=C.UTF-8", "PATH"]);
}

#[tokio::test]
async fn a_program_that_fails_or_talks_rubbish_gives_nothing() {
    for (question, answer, why) in [
        ("is-valid", "echo N", "not ready"),
        ("is-valid", "true", "not ready"),
        ("all-users", "printf 'john\\n'; echo 'no database' >&2; exit 3", "no database"),
        ("all-users", "printf 'john\\n'; kill -9 $$", "signal: 9"),
        ("all-users", "true", "no users at all"),
        ("all-users", "printf 'jo\\377hn\\n'", "line 1 is not UTF-8"),
        ("all-users", "printf 'a\\tb\\tc\\td\\te\\tf\\tg\\th\\ti\\tj\\tk\\tl\\n'", "12 fields"),
        ("all-groups", "exit 1", "said nothing"),
        ("group-member-names", "echo 'no such group' >&2; exit 255", "no such group"),
    ] {
        let error = told(read(&[(question, answer)], "").await);
        assert!(error.contains(why) && error.contains("\"own\""), "{question} {answer}: {error}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    let answer = format!("sleep 1000 & echo $! > {}; wait", note.display());
    let error = told(read(&[("all-users", &answer)], "").await);
    assert!(error.contains("did not end within 2 s"), "{error}");
    let pid = fs::read_to_string(&note).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    // Killed at once; whoever adopts it takes a moment to bury it.
    let is_gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    for _ in 0..100 {
        if is_gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("process {pid} lives on");
}
