//! Files and folders for this user alone.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process have as many files and connections open as the system allows it: each reader is one, and the usual
/// 1,024 is a limit for programs of another time (`select`), not for the machine.
pub fn open_many() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, ?limit, "the limit of open files stays as it is");
    }
}

/// A folder for this user alone: made if it is not there, made private if it is.
///
/// # Errors
/// It cannot be made, or belongs to somebody else.
pub fn private_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
        .with_context(|| format!("cannot make the folder {} and make it private", path.display()))
}

/// A file for this user alone, whole or not there, and on disk when this returns.
///
/// # Errors
/// It cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Under a name of its own until it is whole, with rights from the start. On an error nothing is left of it.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name, too, must be on disk before anybody relies on it.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_working_folder_is_written_by_its_name_alone() {
        let place = tempfile::NamedTempFile::new_in(".").unwrap();
        let name = Path::new(place.path().file_name().unwrap());
        write_private(name, b"here").unwrap();
        assert_eq!(fs::read(name).unwrap(), b"here");
    }

    #[test]
    fn what_is_private_stays_private() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("data");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        private_folder(&inner).unwrap();
        write_private(&inner.join("key"), b"one").unwrap();
        write_private(&inner.join("key"), b"two").unwrap();
        let rights = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((rights(&inner), rights(&inner.join("key"))), (0o700, 0o600));
        assert_eq!(fs::read(inner.join("key")).unwrap(), b"two");
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    }

    #[test]
    fn a_neighbour_is_left_alone_and_lends_no_rights() {
        let folder = tempfile::tempdir().unwrap();
        let (neighbour, path) = (folder.path().join("lost.part"), folder.path().join("lost.trace"));
        fs::write(&neighbour, b"mine").unwrap();
        fs::set_permissions(&neighbour, Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"4711").unwrap();
        assert_eq!(fs::read(&neighbour).unwrap(), b"mine");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
