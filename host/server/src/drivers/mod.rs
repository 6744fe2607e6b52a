//! Installed drivers: their files in the data folder, named by digest, and the loaded components.
//!
//! There is one way in for a driver, [`Drivers::install`], whatever brings it: a file, an upload, or the folder of
//! first-party drivers at start.

mod canaries;
mod versions;

use std::{
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use cardinal_domain::{
    bounds::size,
    event::{EventBody, EventKind},
    names::TraceId,
    site::DriverRef,
    time::Timestamp,
};
use cardinal_runtime::{Bounds, Driver, LoadError, Runtime};
use cardinal_store::{InstalledDriver, Origin, Store, StoreError};
use tokio::sync::Mutex;

use self::{
    canaries::Canaries,
    versions::{Versions, number},
};
use crate::files::write_private;

/// The drivers of this host.
pub struct Drivers {
    runtime: Runtime,
    store: Store,
    folder: PathBuf,
    bounds: Bounds,
    versions: RwLock<Versions<Driver>>,
    /// Readers that run another version than the chosen one.
    pub canaries: Canaries,
    /// One installation, removal or choice at a time.
    changing: Mutex<()>,
}

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
        let (versions, canaries, changing) = (RwLock::default(), Canaries::default(), Mutex::default());
        Self { runtime, store, folder, bounds, versions, canaries, changing }
    }

    /// Whether nearly as many sessions have an instance as may.
    pub fn is_crowded(&self) -> bool {
        let most = size(self.runtime.options().live_sessions);
        self.runtime.live_sessions() >= most - most / 10
    }

    /// Loads what the store says is installed. A file that is gone or damaged is told of and left out; its readers say
    /// on their page what is missing.
    pub async fn load_installed(&self) -> Result<(), StoreError> {
        self.write().set_choices(self.store.driver_choices().await?);
        for installed in self.store.drivers().await? {
            let (id, version) = (installed.manifest.id(), installed.manifest.version.clone());
            let path = self.file(&installed.digest);
            let loaded = match tokio::fs::read(&path).await {
                Ok(wasm) => self.load(wasm).await,
                Err(error) => Err(format!("cannot read {}: {error}", path.display())),
            };
            let state = match loaded {
                Ok(driver) if driver.digest() != installed.digest => {
                    Err("its file was changed; install it again".to_owned())
                }
                // What it said when it was installed is final.
                Ok(driver) if *driver.manifest() != installed.manifest => {
                    Err("it describes itself otherwise than when it was installed".to_owned())
                }
                other => other,
            };
            if let Err(why) = &state {
                self.tell_refused(&format!("{id}@{version}: {why}")).await;
            }
            self.write().put(&id, &version, state);
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
            && self.version(&same.manifest.id(), &same.manifest.version).is_some()
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
            origin: match replace {
                Replace::Yes => Origin::Installed,
                Replace::No => Origin::Bundled,
            },
        };
        let (id, version) = (installed.manifest.id(), installed.manifest.version.clone());
        let highest = self.store.highest_drivers().await?.remove(&id);
        let highest = highest.filter(|highest| number(highest) > number(&version)).unwrap_or_else(|| version.clone());
        // Whoever names no version stays where they are.
        let present = self.chosen(&id).filter(|present| matches!(replace, Replace::Yes) && *present != version);
        let message = format!("driver {} was installed", driver.label());
        let event = EventBody::new(TraceId::new(), EventKind::DriverInstalled, message)
            .fact("driver", driver.label())
            .fact("digest", installed.digest.clone());
        self.store.put_driver(&installed, &highest, present.as_deref(), vec![event]).await?;
        {
            let mut versions = self.write();
            versions.put(&id, &version, Ok(driver));
            if let Some(present) = present {
                versions.choose(&id, &present);
            }
        }
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
        let all = self.store.drivers().await?;
        let id = driver.id.clone();
        let version = driver.version.clone().or_else(|| self.chosen(&id)).unwrap_or_default();
        let found = all.iter().find(|found| found.manifest.id() == id && found.manifest.version == version);
        let found = found.ok_or_else(|| DriverError::Unknown(driver.to_string()))?;
        let label = format!("{id}@{version}");
        let is_chosen = self.chosen(&id).is_some_and(|chosen| chosen == version);
        let setup = self.store.setup();
        let users: Vec<_> = setup
            .readers
            .values()
            .filter(|reader| reader.driver.id == id)
            .filter(|reader| reader.driver.version.as_ref().map_or(is_chosen, |pinned| *pinned == version))
            .map(|reader| reader.name.to_string())
            .collect();
        if !users.is_empty() {
            return Err(DriverError::InUse { driver: label, readers: users.join(", ") });
        }
        let event = EventBody::new(TraceId::new(), EventKind::DriverRemoved, format!("driver {label} was removed"));
        self.store.remove_driver(found, vec![event.fact("driver", label)]).await?;
        self.write().remove(&id, &version);
        // The row is gone; a file that stays behind is only litter.
        let _ = std::fs::remove_file(self.file(&found.digest));
        Ok(())
    }

    /// The driver that a reader names: that version, or the chosen one.
    ///
    /// # Errors
    /// What is installed instead, or why it is not run, in words for the administrator.
    pub fn find(&self, wanted: &DriverRef) -> Result<Driver, String> {
        self.read().find(wanted)
    }

    /// This version of a driver (`vendor/name`), where it is installed and may run.
    pub fn version(&self, id: &str, version: &str) -> Option<Driver> {
        self.read().state(id, version)?.clone().ok()
    }

    /// The version of a driver (`vendor/name`) that readers run which name none: what was chosen, or the newest installed.
    /// None: no version is installed.
    pub fn chosen(&self, id: &str) -> Option<String> {
        self.read().chosen(id)
    }

    /// Chooses the version of a driver (`vendor/name`) that readers run which name none, and stores these events with it.
    /// Sessions that run keep theirs: whoever chooses moves them.
    ///
    /// # Errors
    /// That version is not installed or may not run, or the store refused.
    #[allow(dead_code, reason = "swapping drivers is what calls it")]
    pub async fn choose(&self, id: &str, version: &str, events: Vec<EventBody>) -> Result<(), DriverError> {
        let _changing = self.changing.lock().await;
        let wanted = DriverRef { id: id.to_owned(), version: Some(version.to_owned()) };
        self.find(&wanted).map_err(DriverError::Refused)?;
        self.store.choose_driver(id, version, events).await?;
        self.write().choose(id, version);
        Ok(())
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

    fn read(&self) -> RwLockReadGuard<'_, Versions<Driver>> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Versions<Driver>> {
        self.versions.write().unwrap_or_else(PoisonError::into_inner)
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
