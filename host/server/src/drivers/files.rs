//! The folder of installed drivers: a file named by its digest, its signature beside it, and litter.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use cardinal_build::{LARGEST_NAMES, Names};

use super::signature::{LONGEST, SUFFIX};
use crate::files::write_private;

/// The folder.
#[derive(Clone)]
pub struct Files {
    pub folder: PathBuf,
}

impl Files {
    fn wasm(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    fn signature(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.{SUFFIX}"))
    }

    fn names(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.names"))
    }

    /// Writes the names of a driver's functions.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_names(&self, digest: &str, names: &str) -> io::Result<()> {
        write_private(&self.names(digest), names.as_bytes())
    }

    /// The names of a driver's functions; none: they are not there, or are no use.
    pub fn get_names(&self, digest: &str) -> Option<Names> {
        let mut text = String::new();
        let most = u64::try_from(LARGEST_NAMES).unwrap_or(u64::MAX);
        let file = File::open(self.names(digest)).ok()?;
        io::Read::read_to_string(&mut io::Read::take(file, most), &mut text).ok()?;
        Names::parse(&text, digest).ok()
    }

    /// Writes a driver and its signature; on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written. What was written so far is litter, and goes as such.
    pub fn put(&self, digest: &str, wasm: &[u8], signature: Option<&str>) -> io::Result<()> {
        if let Some(signature) = signature {
            write_private(&self.signature(digest), signature.as_bytes())?;
        }
        write_private(&self.wasm(digest), wasm)
    }

    /// A driver and its signature.
    ///
    /// # Errors
    /// There is no such driver, or it cannot be read.
    pub fn get(&self, digest: &str) -> Result<(Vec<u8>, Option<String>), String> {
        let path = self.wasm(digest);
        let wasm = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let path = self.signature(digest);
        let failed = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
        let signature = match File::open(&path) {
            Ok(file) => Some(read_signature(file).map_err(|error| failed(&error))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&error)),
        };
        Ok((wasm, signature))
    }

    /// From now on the files of this driver are litter: their grace begins.
    pub fn discard(&self, digest: &str) {
        for path in [self.wasm(digest), self.signature(digest), self.names(digest)] {
            let touched = File::options().write(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            match touched {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "an unused driver may go before its grace")
                }
            }
        }
    }

    /// Removes what belongs to no driver that `is_kept` (by its digest) and has been so for this long.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn collect(&self, is_kept: impl Fn(&str) -> bool, grace: Duration) -> io::Result<Vec<PathBuf>> {
        let mut gone = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let digest = Path::new(&name).file_stem().unwrap_or_default().to_string_lossy();
            let about = entry.metadata()?;
            // A clock that was set back makes a file older than now; it waits.
            let age = about.modified()?.elapsed().unwrap_or_default();
            if !about.is_file() || is_kept(&digest) || age < grace {
                continue;
            }
            match fs::remove_file(entry.path()) {
                Ok(()) => gone.push(entry.path()),
                Err(error) => tracing::warn!(file = %entry.path().display(), %error, "an unused file stays"),
            }
        }
        Ok(gone)
    }
}

/// Reads a signature, no further than one can be long.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read_signature(file: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    // One byte more, so that one that is too long is seen to be.
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX).saturating_add(1);
    io::Read::read_to_string(&mut io::Read::take(file, most), &mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn litter_goes_after_its_grace_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { folder: folder.path().to_owned() };
        files.put("aa", b"kept", Some("its signature")).unwrap();
        files.put("bb", b"removed", Some("its signature")).unwrap();
        fs::write(folder.path().join("cc.part"), b"half-inst").unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(7_200);
        for name in names(folder.path()) {
            File::options().write(true).open(folder.path().join(name)).unwrap().set_modified(long_ago).unwrap();
        }
        files.discard("bb");
        let hour = Duration::from_secs(3_600);
        let is_kept = |digest: &str| digest == "aa";
        assert_eq!(files.collect(is_kept, hour).unwrap(), [folder.path().join("cc.part")]);
        assert_eq!(names(folder.path()), ["aa.minisig", "aa.wasm", "bb.minisig", "bb.wasm"]);
        assert_eq!(files.collect(is_kept, Duration::ZERO).unwrap().len(), 2);
        assert_eq!(files.get("aa").unwrap(), (b"kept".to_vec(), Some("its signature".to_owned())));
        assert!(files.get("bb").unwrap_err().contains("bb.wasm"));
    }
}
