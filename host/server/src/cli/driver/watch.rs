//! Waiting for a crate's sources to change.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How often the files are looked at. A crate of a driver has a dozen; looking needs no library and works on every disk.
const LOOK: Duration = Duration::from_millis(300);
/// Files beyond these are not looked at.
const MOST: usize = 10_000;

/// When each file was written, and its size.
pub(super) type Seen = BTreeMap<PathBuf, (SystemTime, u64)>;

/// The files of a crate but what cargo makes and what is hidden.
pub(super) fn look(folder: &Path) -> Seen {
    let (mut seen, mut folders) = (Seen::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Ok(about) = entry.metadata() else { continue };
            // The lock file is written by the build itself.
            if name.as_encoded_bytes().starts_with(b".") || name == "target" || name == "Cargo.lock" {
                continue;
            }
            if about.is_dir() {
                folders.push(entry.path());
            } else if seen.len() < MOST {
                seen.insert(entry.path(), (about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len()));
            }
        }
    }
    seen
}

/// Waits until the files are other than `seen`, and stay as they are for a moment: an editor may write several.
pub(super) async fn changed(folder: &Path, seen: &Seen) {
    let mut last = seen.clone();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = look(folder);
        if now != *seen && now == last {
            return;
        }
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_that_is_written_is_seen_and_what_cargo_makes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &str| folder.path().join(file);
        fs::create_dir_all(path("src")).unwrap();
        fs::create_dir_all(path("target")).unwrap();
        fs::write(path("src/lib.rs"), "one").unwrap();
        let seen = look(folder.path());
        fs::write(path("target/it.wasm"), "").unwrap();
        fs::write(path(".lib.rs.swp"), "").unwrap();
        assert_eq!(look(folder.path()), seen);
        fs::write(path("src/lib.rs"), "another").unwrap();
        changed(folder.path(), &seen).await;
        assert_ne!(look(folder.path()), seen);
    }
}
