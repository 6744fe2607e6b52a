//! Waiting for a crate's sources to change.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How often the files are looked at. A crate of a driver has a dozen; looking needs no library and works on every disk.
const LOOK: Duration = Duration::from_millis(300);
/// Files beyond these are not looked at.
const MOST: usize = 10_000;

/// What is in each file, as a hash: one that a build writes anew with the same content has not changed.
pub(super) type Seen = BTreeMap<PathBuf, u64>;

/// The sources of a crate.
pub(super) struct Watch {
    folder: PathBuf,
    /// When each file was written when it was last read, and its size; and the hash of what was in it.
    read: HashMap<PathBuf, ((SystemTime, u64), u64)>,
}

impl Watch {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), read: HashMap::new() }
    }

    /// The files of the crate but what is made (in these folders), and what is hidden.
    pub(super) fn look(&mut self, made: &[PathBuf]) -> Seen {
        // One that is not there yet is there in a later look.
        let made: Vec<_> = made.iter().filter_map(|folder| folder.canonicalize().ok()).collect();
        let (mut seen, mut folders) = (Seen::new(), vec![self.folder.canonicalize().unwrap_or_default()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (name, path) = (entry.file_name(), entry.path());
                let Ok(about) = entry.metadata() else { continue };
                // The lock file is written by the build itself.
                if name.as_encoded_bytes().starts_with(b".") || name == "target" || name == "Cargo.lock" {
                    continue;
                }
                if about.is_dir() {
                    if !made.contains(&path) {
                        folders.push(path);
                    }
                } else if seen.len() < MOST {
                    let written = (about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len());
                    let hash = match self.read.get(&path) {
                        Some((before, hash)) if *before == written => *hash,
                        _ => hash_of(&path),
                    };
                    self.read.insert(path.clone(), (written, hash));
                    seen.insert(path, hash);
                }
            }
        }
        seen
    }

    /// Waits until the files are other than `seen`, and stay as they are for a moment: an editor may write several.
    pub(super) async fn changed(&mut self, made: &[PathBuf], seen: &Seen) {
        let mut last = seen.clone();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.look(made);
            if now != *seen && now == last {
                return;
            }
            last = now;
        }
    }
}

/// One that cannot be read is as an empty one.
fn hash_of(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    // A pipe would be waited for.
    if path.is_file() {
        fs::read(path).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_that_is_written_is_seen_and_what_is_made_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &str| folder.path().join(file);
        fs::create_dir_all(path("src")).unwrap();
        fs::create_dir_all(path("target")).unwrap();
        fs::write(path("src/lib.rs"), "one").unwrap();
        fs::write(path("src/made.rs"), "made").unwrap();
        let (mut watch, made) = (Watch::new(folder.path()), [path("out")]);
        let seen = watch.look(&made);
        fs::write(path("target/it.wasm"), "").unwrap();
        fs::write(path(".lib.rs.swp"), "").unwrap();
        // cargo's folder under another name, and what the crate's build script writes each time.
        fs::create_dir_all(path("out/debug")).unwrap();
        fs::write(path("out/debug/it.wasm"), "").unwrap();
        fs::write(path("src/made.rs"), "made").unwrap();
        let later = SystemTime::now() + Duration::from_secs(9);
        fs::File::options().write(true).open(path("src/made.rs")).unwrap().set_modified(later).unwrap();
        assert_eq!(watch.look(&made), seen);
        fs::write(path("src/lib.rs"), "another").unwrap();
        watch.changed(&made, &seen).await;
        assert_ne!(watch.look(&made), seen);
    }
}
