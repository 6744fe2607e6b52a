//! The spool: a document and its header file for each job that was taken.
//!
//! `<job id>.doc` is the document as it came, `<job id>.json` the job as it stood when it was held. The header is written
//! last, so a document with a sound header beside it arrived whole; both are on disk before a client is told so. Names are
//! made of job ids alone, never of anything a client sent; files are made new, never followed through a link, and nobody
//! else may read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use cardinal_domain::{job::Job, names::JobId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

/// What `version` says in the headers written here.
const HEADER_VERSION: u32 = 1;
/// The file by which the folder is known again: without it this is another folder, such as the empty one beneath a disk
/// that is not mounted.
pub(crate) const MARKER: &str = "cardinal-spool";
/// No header is larger than this, in bytes: a job's texts are bounded.
const LARGEST_HEADER: u64 = 256 << 10;

/// Why a document could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("the document is larger than {most} bytes")]
    TooLarge { most: u64 },
    #[error("the disk is full")]
    Full,
    #[error("the spool cannot be written: {0}")]
    Io(io::Error),
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    job: Job,
}

/// What the spool has of one job.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The document's size.
    pub(crate) document: Option<u64>,
    /// The job as its header tells it. None: no header, or none that can be read.
    pub(crate) header: Option<Job>,
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// Opens the folder, makes it if it is not there, and shuts it to others.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let metadata = fs::metadata(folder)?;
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Whether this is the folder that was made a spool, and not just one at its place.
    pub(crate) fn is_marked(&self) -> io::Result<bool> {
        match fs::symlink_metadata(self.folder.join(MARKER)) {
            Ok(metadata) => Ok(metadata.is_file()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes this folder a spool.
    pub(crate) fn mark(&self) -> io::Result<()> {
        let path = self.folder.join(MARKER);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.sync_all()?;
        fs::File::open(&self.folder)?.sync_all()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn document(&self, id: JobId) -> PathBuf {
        self.folder.join(format!("{id}.doc"))
    }

    fn header(&self, id: JobId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// Begins a document.
    pub(crate) async fn begin(&self, id: JobId, most: u64) -> Result<Incoming, SpoolError> {
        let file =
            tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.document(id)).await?;
        Ok(Incoming { file, hash: Sha256::new(), bytes: 0, most })
    }

    /// Writes a job's header and syncs it and the folder: from here on the job is taken.
    pub(crate) async fn write_header(&self, job: &Job) -> Result<(), SpoolError> {
        let text =
            serde_json::to_vec(&Header { version: HEADER_VERSION, job: job.clone() }).map_err(io::Error::other)?;
        let (path, folder) = (self.header(job.id), self.folder.clone());
        blocking(move || {
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            io::Write::write_all(&mut file, &text)?;
            file.sync_all()?;
            fs::File::open(folder)?.sync_all()
        })
        .await
        .map_err(SpoolError::from)
    }

    /// Opens a job's document for reading.
    pub(crate) async fn read(&self, id: JobId) -> io::Result<tokio::fs::File> {
        tokio::fs::OpenOptions::new().read(true).custom_flags(no_follow()).open(self.document(id)).await
    }

    /// Removes what there is of a job, the document first: without one a header counts for nothing.
    pub(crate) async fn remove(&self, id: JobId) -> io::Result<()> {
        let paths = [self.document(id), self.header(id)];
        blocking(move || {
            for path in paths {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// Removes a job's header alone.
    pub(crate) fn remove_header(&self, id: JobId) -> io::Result<()> {
        match fs::remove_file(self.header(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// What there is of one job.
    pub(crate) fn found(&self, id: JobId) -> io::Result<Found> {
        let document = match fs::symlink_metadata(self.document(id)) {
            Ok(metadata) => metadata.is_file().then_some(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Found { document, header: read_header(&self.header(id)).filter(|job| job.id == id) })
    }

    /// Whether there is anything of this job, sound or not.
    pub(crate) fn has(&self, id: JobId) -> io::Result<bool> {
        for path in [self.document(id), self.header(id)] {
            match fs::symlink_metadata(path) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The jobs of which there is anything.
    pub(crate) fn ids(&self) -> io::Result<BTreeSet<JobId>> {
        let mut ids = BTreeSet::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            ids.extend(id.filter(|id| path == self.document(*id) || path == self.header(*id)));
        }
        Ok(ids)
    }

    /// Everything in the folder, by job. Files whose names were not made here are left alone.
    pub(crate) fn list(&self) -> io::Result<BTreeMap<JobId, Found>> {
        let mut all: BTreeMap<JobId, Found> = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
            let id = part(path.file_stem()).and_then(|stem| stem.parse::<JobId>().ok());
            match (id, part(path.extension()).as_deref()) {
                (Some(id), Some("doc")) if path == self.document(id) => {
                    let metadata = fs::symlink_metadata(&path)?;
                    all.entry(id).or_default().document = metadata.is_file().then_some(metadata.len());
                }
                (Some(id), Some("json")) if path == self.header(id) => {
                    all.entry(id).or_default().header = read_header(&path).filter(|job| job.id == id);
                }
                _ if path == self.folder.join(MARKER) => {}
                _ => tracing::warn!(file = %path.display(), "a file in the spool folder is not ours; it is left alone"),
            }
        }
        Ok(all)
    }
}

fn read_header(path: &Path) -> Option<Job> {
    let file = fs::OpenOptions::new().read(true).custom_flags(no_follow()).open(path).ok()?;
    let header: Header = serde_json::from_reader(io::Read::take(file, LARGEST_HEADER)).ok()?;
    (header.version == HEADER_VERSION).then_some(header.job)
}

fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// A document on its way in.
#[derive(Debug)]
pub(crate) struct Incoming {
    file: tokio::fs::File,
    hash: Sha256,
    bytes: u64,
    most: u64,
}

impl Incoming {
    /// The next piece.
    pub(crate) async fn write(&mut self, piece: &[u8]) -> Result<(), SpoolError> {
        self.bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if self.bytes > self.most {
            return Err(SpoolError::TooLarge { most: self.most });
        }
        self.hash.update(piece);
        Ok(self.file.write_all(piece).await?)
    }

    /// That was all: syncs it, and tells its size and its SHA-256.
    pub(crate) async fn finish(mut self) -> Result<(u64, String), SpoolError> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let hash = self.hash.finalize();
        Ok((self.bytes, hash.iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::engine::tests::a_job;

    #[tokio::test]
    async fn a_document_comes_back_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/spool");
        let spool = Spool::open(&path).unwrap();
        let job = a_job();
        let mut incoming = spool.begin(job.id, 10).await.unwrap();
        incoming.write(b"hel").await.unwrap();
        incoming.write(b"lo").await.unwrap();
        let (bytes, sha256) = incoming.finish().await.unwrap();
        assert_eq!(bytes, 5);
        assert_eq!(sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        spool.write_header(&job).await.unwrap();
        for file in [spool.document(job.id), spool.header(job.id)] {
            assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let found = spool.list().unwrap().remove(&job.id).unwrap();
        assert_eq!((found.document, found.header), (Some(5), Some(job.clone())));
        spool.remove(job.id).await.unwrap();
        assert!(spool.list().unwrap().is_empty());
    }

    #[tokio::test]
    async fn links_and_bounds_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("spool")).unwrap();
        let job = a_job();
        let outside = folder.path().join("outside");
        fs::write(&outside, "secret").unwrap();
        symlink(&outside, spool.document(job.id)).unwrap();
        assert!(matches!(spool.begin(job.id, 10).await, Err(SpoolError::Io(_))));
        assert!(spool.read(job.id).await.is_err());
        assert_eq!(spool.list().unwrap().remove(&job.id).unwrap().document, None);
        spool.remove(job.id).await.unwrap();
        assert!(outside.exists());

        let mut incoming = spool.begin(job.id, 3).await.unwrap();
        assert!(matches!(incoming.write(b"four").await, Err(SpoolError::TooLarge { most: 3 })));
    }

    #[tokio::test]
    async fn foreign_and_torn_files_are_no_headers() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let job = a_job();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        fs::write(spool.header(job.id), "{\"version\":1,\"jo").unwrap();
        let all = spool.list().unwrap();
        assert_eq!(all.len(), 1);
        assert!(all.get(&job.id).unwrap().header.is_none());
        assert!(folder.path().join("notes.txt").exists());
    }
}
