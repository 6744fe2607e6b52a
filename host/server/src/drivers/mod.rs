//! Installed drivers: their files in the data folder, named by digest, what may run of them, and which version a reader
//! gets.
//!
//! There is one way in for a driver, whatever brings it (a file, an upload, the folder of those that come with the
//! program): [`verified`] makes a driver of bytes or refuses them, [`plan`] says what installing it comes to, and
//! `install` carries that out.

mod canaries;
mod error;
mod files;
mod install;
mod plan;
mod publishers;
mod remove;
mod report;
mod signature;
mod verified;
mod versions;

use std::{
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use cardinal_build::Names;
use cardinal_domain::{
    bounds::size,
    event::{EventBody, EventKind},
    names::TraceId,
    site::DriverRef,
};
use cardinal_runtime::{Bounds, Driver, Runtime};
use cardinal_store::{InstalledDriver, Origin, Publisher, Store, StoreError};
use tokio::sync::Mutex;

use self::{
    canaries::Canaries,
    files::Files,
    verified::{Occasion, Policy, Verified},
    versions::Versions,
};
pub use self::{
    error::DriverError,
    files::read_signature,
    plan::{Outcome, Wishes},
    remove::collect,
    report::{Report, SignatureReport},
    signature::{Claim, KeyId, PublicKey, SUFFIX, check_by},
    verified::{DriverFile, Standing, words},
};

/// The drivers of this host.
pub struct Drivers {
    runtime: Runtime,
    store: Store,
    files: Files,
    bounds: Bounds,
    grace: Duration,
    policy: RwLock<Policy>,
    versions: RwLock<Versions<Ready>>,
    /// Readers that run another version than the chosen one.
    pub canaries: Canaries,
    /// One change of drivers or publishers at a time.
    changing: Mutex<()>,
}

/// What there is to know of a host's drivers before any is installed.
pub struct DriverOptions {
    /// Where their files lie.
    pub folder: PathBuf,
    /// What holds for each.
    pub bounds: Bounds,
    /// Whether drivers that nobody known signed are taken.
    pub unsigned: bool,
    /// How long a file stays that nothing names.
    pub grace: Duration,
}

/// A driver that may run, and on whose word.
#[derive(Clone)]
struct Ready {
    driver: Driver,
    standing: Standing,
}

impl Ready {
    fn of(verified: &Verified) -> Self {
        Self { driver: verified.driver().clone(), standing: verified.standing() }
    }
}

/// How an installed version is.
pub struct About {
    /// On whose word it runs; or why it does not.
    pub standing: Result<Standing, String>,
    /// Whether readers run it that name no version.
    pub chosen: bool,
}

impl Drivers {
    pub fn new(runtime: Runtime, store: Store, options: DriverOptions) -> Self {
        let DriverOptions { folder, bounds, unsigned, grace } = options;
        let policy = RwLock::new(Policy { unsigned, publishers: Vec::new() });
        let files = Files { folder };
        let (versions, canaries, changing) = (RwLock::default(), Canaries::default(), Mutex::default());
        Self { runtime, store, files, bounds, grace, policy, versions, canaries, changing }
    }

    /// Whether nearly as many sessions have an instance as may.
    pub fn is_crowded(&self) -> bool {
        let most = size(self.runtime.options().live_sessions);
        self.runtime.live_sessions() >= most - most / 10
    }

    /// Loads what the store says is installed, and installs what comes with the program (the `bundled` folder). What may
    /// not run is told of and keeps its place; its readers say on their page why.
    ///
    /// # Errors
    /// The store broke.
    pub async fn start(&self, bundled: &Path) -> Result<(), StoreError> {
        self.believe(self.store.publishers().await?);
        let choices = self.store.driver_choices().await?;
        self.write().set_choices(choices);
        let bundled = install::in_folder(bundled);
        let digests: Vec<_> = bundled.iter().map(|(_, wasm)| cardinal_runtime::inspect::digest(wasm)).collect();
        for mut row in self.store.drivers().await? {
            // As one of a version of Cardinal that did not write down where a driver came from.
            if digests.contains(&row.digest) {
                row.origin = Origin::Bundled;
            }
            let (id, version) = (row.manifest.id(), row.manifest.version.clone());
            let state = self.admit(row).await;
            match &state {
                Err(why) => self.tell_refused(&format!("{id}@{version} is installed and not run: {why}")).await,
                Ok(Ready { standing: Standing::Unsigned, .. }) => {
                    tracing::warn!(driver = format!("{id}@{version}"), "runs unsigned: [drivers] unsigned = \"allow\"");
                }
                Ok(_) => {}
            }
            self.write().put(&id, &version, state);
        }
        self.install_bundled(bundled).await
    }

    /// Whether what is installed may run: its file is there and the same, and its signature still holds.
    async fn admit(&self, row: InstalledDriver) -> Result<Ready, String> {
        let (wasm, signature) = self.files.get(&row.digest)?;
        if cardinal_runtime::inspect::digest(&wasm) != row.digest {
            return Err("its file was changed; install it again".to_owned());
        }
        let verified = self.verify(DriverFile { wasm, signature, origin: row.origin }, Occasion::Review).await?;
        // What it said when it was installed is final.
        if *verified.driver().manifest() != row.manifest {
            return Err("it describes itself otherwise than when it was installed".to_owned());
        }
        Ok(Ready::of(&verified))
    }

    /// Looks at the drivers of a vendor again, whose publishers have changed. Answers those (`vendor/name`) of which a
    /// version may run now that could not, or the other way round.
    async fn review(&self, vendor: &str) -> Result<Vec<String>, StoreError> {
        let mut changed = Vec::new();
        for row in self.store.drivers().await?.into_iter().filter(|row| row.manifest.vendor == vendor) {
            let (id, version) = (row.manifest.id(), row.manifest.version.clone());
            let state = self.admit(row).await;
            let ran = self.version(&id, &version).is_some();
            if ran != state.is_ok() {
                changed.push(id.clone());
            }
            if let (true, Err(why)) = (ran, &state) {
                self.tell_refused(&format!("{id}@{version} is installed and not run from now on: {why}")).await;
            }
            self.write().put(&id, &version, state);
        }
        changed.dedup();
        Ok(changed)
    }

    /// The driver that a reader names: that version, or the chosen one.
    ///
    /// # Errors
    /// What is installed instead, or why it is not run, in words for the administrator.
    pub fn find(&self, wanted: &DriverRef) -> Result<Driver, String> {
        self.read().find(wanted).map(|ready| ready.driver)
    }

    /// This version of a driver (`vendor/name`), where it is installed and may run.
    pub fn version(&self, id: &str, version: &str) -> Option<Driver> {
        Some(self.read().state(id, version)?.as_ref().ok()?.driver.clone())
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
    pub async fn choose(&self, id: &str, version: &str, events: Vec<EventBody>) -> Result<(), DriverError> {
        let _changing = self.changing.lock().await;
        let wanted = DriverRef { id: id.to_owned(), version: Some(version.to_owned()) };
        self.find(&wanted).map_err(DriverError::Refused)?;
        self.store.choose_driver(id, version, events).await?;
        self.write().choose(id, version);
        Ok(())
    }

    /// On whose word the driver runs that a reader names; none where it does not run.
    pub fn standing_of(&self, wanted: &DriverRef) -> Option<Standing> {
        self.read().find(wanted).ok().map(|ready| ready.standing)
    }

    fn standing(&self, id: &str, version: &str) -> Option<Standing> {
        Some(self.read().state(id, version)?.as_ref().ok()?.standing)
    }

    /// How an installed version is.
    pub fn about(&self, id: &str, version: &str) -> About {
        let versions = self.read();
        let standing = match versions.state(id, version) {
            Some(Ok(ready)) => Ok(ready.standing),
            Some(Err(why)) => Err(why.clone()),
            None => Err("it is being changed just now".to_owned()),
        };
        About { standing, chosen: versions.chosen(id).is_some_and(|chosen| chosen == version) }
    }

    /// Keeps the names of the functions of the driver that is installed as this version, for the backtraces of its faults.
    /// Answers how many there are.
    ///
    /// # Errors
    /// No such driver, names that are not its own, or they cannot be kept. The driver runs all the same.
    pub async fn keep_names(&self, wanted: &DriverRef, text: &str) -> Result<usize, DriverError> {
        let _changing = self.changing.lock().await;
        let driver = self.find(wanted).map_err(DriverError::Refused)?;
        let names = Names::parse(text, driver.digest()).map_err(|error| DriverError::Refused(error.to_string()))?;
        let kept = self.files.put_names(driver.digest(), text);
        kept.map_err(|source| DriverError::Keep { folder: self.files.folder.clone(), source })?;
        Ok(names.count())
    }

    /// A backtrace of the driver with this digest, with the names of its functions where they are known.
    pub async fn named(&self, digest: &str, backtrace: &str) -> String {
        let (files, digest) = (self.files.clone(), digest.to_owned());
        let names = tokio::task::spawn_blocking(move || files.get_names(&digest)).await.ok().flatten();
        names.map_or_else(|| backtrace.to_owned(), |names| names.put_into(backtrace))
    }

    async fn verify(&self, file: DriverFile, occasion: Occasion) -> Result<Verified, String> {
        let (policy, runtime, bounds) = (self.policy(), self.runtime.clone(), self.bounds.clone());
        blocking(move || policy.verify(&runtime, &bounds, file, occasion)).await
    }

    async fn load(&self, wasm: Vec<u8>) -> Result<Driver, String> {
        let (runtime, bounds) = (self.runtime.clone(), self.bounds.clone());
        blocking(move || runtime.load(&wasm, &bounds).map_err(|error| words(&error))).await
    }

    fn policy(&self) -> Policy {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn believe(&self, publishers: Vec<Publisher>) {
        self.policy.write().unwrap_or_else(PoisonError::into_inner).publishers = publishers;
    }

    fn read(&self) -> RwLockReadGuard<'_, Versions<Ready>> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Versions<Ready>> {
        self.versions.write().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell_refused(&self, why: &str) {
        let event = EventBody::new(TraceId::new(), EventKind::DriverRefused, format!("a driver was refused: {why}"));
        if let Err(error) = self.store.record(vec![event]).await {
            tracing::error!(error = &error as &dyn std::error::Error, "an event was lost");
        }
    }
}

/// Compiling takes a core for a while, and is nothing for the threads that serve sockets.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err("loading it failed in the host; please report this".to_owned()))
}
