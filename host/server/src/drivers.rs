//! Installed drivers: their files in the data folder, named by digest, and the loaded components.
//!
//! There is one way in for a driver, [`Drivers::install`], whatever brings it: a file, an upload, or the folder of
//! first-party drivers at start.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
    nearest::nearest,
    site::DriverRef,
    time::Timestamp,
};
use cardinal_runtime::{Bounds, Driver, LoadError, Runtime};
use cardinal_store::{InstalledDriver, Store, StoreError};
use tokio::sync::Mutex;

use crate::files::write_private;

/// The drivers of this host.
pub struct Drivers {
    runtime: Runtime,
    store: Store,
    folder: PathBuf,
    bounds: Bounds,
    /// By `vendor/name`, then by version.
    loaded: RwLock<BTreeMap<String, BTreeMap<Version, Driver>>>,
    /// One installation or removal at a time.
    changing: Mutex<()>,
}

/// `major.minor.patch`, ordered as such.
type Version = (u64, u64, u64);

/// Whether a driver takes the place of another of the same version.
#[derive(Clone, Copy)]
enum Replace {
    Yes,
    No,
}

/// Why a driver was not installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("{0}")]
    Refused(String),
    #[error("cannot keep the driver in {folder}: {source}; is the disk full?", folder = folder.display())]
    Keep { folder: PathBuf, source: std::io::Error },
    #[error("no driver {0} is installed; see `cardinal driver list`")]
    Unknown(String),
    #[error("driver {driver} is used by reader {readers}; give them another driver first")]
    InUse { driver: String, readers: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Drivers {
    pub fn new(runtime: Runtime, store: Store, folder: PathBuf, bounds: Bounds) -> Self {
        Self { runtime, store, folder, bounds, loaded: RwLock::default(), changing: Mutex::default() }
    }

    /// Loads what the store says is installed. A file that is gone or damaged is told of and left out; its readers say
    /// on their page what is missing.
    pub async fn load_installed(&self) -> Result<(), StoreError> {
        for installed in self.store.drivers().await? {
            let label = format!("{}@{}", installed.manifest.id(), installed.manifest.version);
            let path = self.file(&installed.digest);
            let loaded = match tokio::fs::read(&path).await {
                Ok(wasm) => self.load(wasm).await,
                Err(error) => Err(format!("cannot read {}: {error}", path.display())),
            };
            match loaded {
                Ok(driver) if driver.digest() != installed.digest => {
                    self.tell_refused(&format!("{label}: its file was changed; install it again")).await;
                }
                // What it said when it was installed is final.
                Ok(driver) if *driver.manifest() != installed.manifest => {
                    self.tell_refused(&format!("{label} describes itself otherwise than when it was installed")).await;
                }
                Ok(driver) => self.add(driver),
                Err(why) => self.tell_refused(&format!("{label}: {why}")).await,
            }
        }
        Ok(())
    }

    /// Installs the drivers of a folder whose version is not installed yet: what an operator installed stays.
    pub async fn install_folder(&self, folder: &Path) -> Result<(), StoreError> {
        let files = match std::fs::read_dir(folder) {
            Ok(entries) => entries.filter_map(|entry| entry.ok().map(|entry| entry.path())),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "no drivers come with this program; see drivers.bundled");
                return Ok(());
            }
        };
        let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "wasm")).collect();
        files.sort();
        for file in files {
            let outcome = match tokio::fs::read(&file).await {
                Ok(wasm) => self.take(wasm, Replace::No).await.map(drop),
                Err(error) => Err(DriverError::Refused(error.to_string())),
            };
            match outcome {
                Ok(()) => {}
                Err(DriverError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(file = %file.display(), %error, "a driver of the folder was not installed")
                }
            }
        }
        Ok(())
    }

    /// Installs a driver: inspected, compiled in a child process, asked what it is, kept. The same version again replaces
    /// the one before. Sessions that run keep theirs until their next connection.
    ///
    /// # Errors
    /// Why it was refused (told as an event, too), or why it could not be kept.
    pub async fn install(&self, wasm: Vec<u8>) -> Result<InstalledDriver, DriverError> {
        self.take(wasm, Replace::Yes).await
    }

    async fn take(&self, wasm: Vec<u8>, replace: Replace) -> Result<InstalledDriver, DriverError> {
        let _changing = self.changing.lock().await;
        let all = self.store.drivers().await?;
        let digest = cardinal_runtime::inspect::digest(&wasm);
        if let Some(same) = all.iter().find(|installed| installed.digest == digest)
            && self.is_loaded(&digest)
        {
            return Ok(same.clone());
        }
        let driver = match self.load(wasm.clone()).await {
            Ok(driver) => driver,
            Err(why) => {
                self.tell_refused(&why).await;
                return Err(DriverError::Refused(why));
            }
        };
        let same = |installed: &&InstalledDriver| {
            installed.manifest.id() == driver.manifest().id() && installed.manifest.version == driver.manifest().version
        };
        let before = all.iter().find(same);
        // The very file that is installed, and that was lost here (a backup without it), is put back.
        let is_lost =
            |before: &InstalledDriver| before.digest == driver.digest() && before.manifest == *driver.manifest();
        if let (Some(before), Replace::No) = (before.filter(|before| !is_lost(before)), replace) {
            return Ok(before.clone());
        }
        let path = self.file(driver.digest());
        write_private(&path, &wasm).map_err(|source| DriverError::Keep { folder: self.folder.clone(), source })?;
        let installed = InstalledDriver {
            digest: driver.digest().to_owned(),
            manifest: driver.manifest().clone(),
            installed: Timestamp::now(),
        };
        let message = format!("driver {} was installed", driver.label());
        let event = EventBody::new(TraceId::new(), EventKind::DriverInstalled, message)
            .fact("driver", driver.label())
            .fact("digest", installed.digest.clone());
        self.store.put_driver(&installed, vec![event]).await?;
        self.add(driver);
        if let Some(before) = before.filter(|before| before.digest != installed.digest) {
            // Nothing names it any more; a file that stays behind is only litter.
            let _ = std::fs::remove_file(self.file(&before.digest));
        }
        Ok(installed)
    }

    /// Removes a version that no reader uses. The file goes, too.
    ///
    /// # Errors
    /// There is none, or readers use it.
    pub async fn remove(&self, driver: &DriverRef) -> Result<(), DriverError> {
        let _changing = self.changing.lock().await;
        let found = self.find(driver).map_err(|_| DriverError::Unknown(driver.to_string()))?;
        let setup = self.store.setup();
        let users: Vec<_> = setup
            .readers
            .values()
            .filter(|reader| self.find(&reader.driver).is_ok_and(|used| used.digest() == found.digest()))
            .map(|reader| reader.name.to_string())
            .collect();
        if !users.is_empty() {
            return Err(DriverError::InUse { driver: found.label(), readers: users.join(", ") });
        }
        let event =
            EventBody::new(TraceId::new(), EventKind::DriverRemoved, format!("driver {} was removed", found.label()));
        self.store.remove_driver(found.digest(), vec![event.fact("driver", found.label())]).await?;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(versions) = loaded.get_mut(&found.manifest().id()) {
            versions.retain(|_, driver| driver.digest() != found.digest());
        }
        drop(loaded);
        // The row is gone; a file that stays behind is only litter.
        let _ = std::fs::remove_file(self.file(found.digest()));
        Ok(())
    }

    /// The driver that a reader names: that version, or the newest.
    ///
    /// # Errors
    /// What is installed instead, in words for the administrator.
    pub fn find(&self, wanted: &DriverRef) -> Result<Driver, String> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let versions = loaded.get(&wanted.id).filter(|versions| !versions.is_empty()).ok_or_else(|| {
            let known: Vec<_> = loaded.keys().map(String::as_str).collect();
            let near = nearest(&wanted.id, &known);
            format!("driver {} is not installed{near}; install it with `cardinal driver install FILE`", wanted.id)
        })?;
        match &wanted.version {
            None => versions.last_key_value().map(|(_, driver)| driver.clone()),
            Some(version) => versions.values().find(|driver| driver.manifest().version == *version).cloned(),
        }
        .ok_or_else(|| {
            let known: Vec<_> = versions.values().map(|driver| driver.manifest().version.clone()).collect();
            format!("driver {wanted} is not installed; installed versions: {}", known.join(", "))
        })
    }

    async fn load(&self, wasm: Vec<u8>) -> Result<Driver, String> {
        let (runtime, bounds) = (self.runtime.clone(), self.bounds.clone());
        let loading = tokio::task::spawn_blocking(move || runtime.load(&wasm, &bounds)).await;
        match loading {
            Ok(Ok(driver)) => Ok(driver),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err("loading it failed in the host; please report this".to_owned()),
        }
    }

    fn is_loaded(&self, digest: &str) -> bool {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        loaded.values().flat_map(BTreeMap::values).any(|driver| driver.digest() == digest)
    }

    fn add(&self, driver: Driver) {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        let (id, version) = (driver.manifest().id(), version(&driver.manifest().version));
        loaded.entry(id).or_default().insert(version, driver);
    }

    fn file(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }

    async fn tell_refused(&self, why: &str) {
        let event = EventBody::new(TraceId::new(), EventKind::DriverRefused, format!("a driver was refused: {why}"));
        if let Err(error) = self.store.record(vec![event]).await {
            tracing::error!(error = &error as &dyn std::error::Error, "an event was lost");
        }
    }
}

/// The whole chain of an error in one line: each level says something of its own.
fn words(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// The runtime has checked that it is three numbers.
fn version(text: &str) -> Version {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}
