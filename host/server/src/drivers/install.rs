//! Installing: from bytes by way of a [`Verified`] driver to a file, a row and something that runs.

use std::path::{Path, PathBuf};

use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
    time::Timestamp,
};
use cardinal_store::{InstalledDriver, Origin, StoreError};

use super::{
    DriverError, Drivers, Ready,
    plan::{Outcome, Present, Wishes, plan},
    report::{Report, SignatureReport},
    verified::{DriverFile, Occasion, Verified},
    versions::number,
};

impl Drivers {
    /// Installs a driver: verified, compiled in a child process, asked what it is, kept. Sessions that run keep theirs, and
    /// so do readers that name no version. Answers what it is and what was done.
    ///
    /// # Errors
    /// Why it was refused (told as an event, too), or why it could not be kept.
    pub async fn install(&self, file: DriverFile, wishes: Wishes) -> Result<Report, DriverError> {
        let _changing = self.changing.lock().await;
        let done = match self.verify(file, Occasion::Acceptance).await {
            Ok(verified) => self.keep(verified, wishes).await,
            Err(why) => Err(DriverError::Refused(why)),
        };
        if let Err(DriverError::Refused(why)) = &done {
            self.tell_refused(why).await;
        }
        done
    }

    /// What [`install`](Self::install) would do. Nothing changes.
    ///
    /// # Errors
    /// Why the file cannot be a driver here, whoever signs it.
    pub async fn dry_run(&self, file: DriverFile, wishes: Wishes) -> Result<Report, DriverError> {
        let driver = self.load(file.wasm.clone()).await.map_err(DriverError::Refused)?;
        let origin = file.origin;
        let (signature, outcome) = match self.verify(file, Occasion::Acceptance).await {
            Ok(verified) => {
                let signature = SignatureReport::Verified { standing: verified.standing() };
                (signature, self.plan(&Ready::of(&verified), origin, wishes).await?)
            }
            Err(why) => (SignatureReport::Refused { why: why.clone() }, Outcome::Refused { why }),
        };
        let report = Report::of(&driver, &self.bounds, signature);
        Ok(Report { outcome: Some(outcome), ..report })
    }

    /// Installs the drivers that come with the program. What an operator installed stays.
    pub(super) async fn install_bundled(&self, bundled: Vec<(PathBuf, Vec<u8>)>) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        let all = self.store.drivers().await?;
        for (path, wasm) in bundled {
            let digest = cardinal_runtime::inspect::digest(&wasm);
            let known = all.iter().find(|known| known.digest == digest && known.origin == Origin::Bundled);
            if known.is_some_and(|known| self.version(&known.manifest.id(), &known.manifest.version).is_some()) {
                continue;
            }
            let file = DriverFile { wasm, signature: None, origin: Origin::Bundled };
            let outcome = match self.verify(file, Occasion::Acceptance).await {
                Ok(verified) => self.keep(verified, Wishes::default()).await.map(drop),
                Err(why) => {
                    self.tell_refused(&why).await;
                    Err(DriverError::Refused(why))
                }
            };
            match outcome {
                Ok(()) => {}
                Err(DriverError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "a driver of the folder was not installed");
                }
            }
        }
        Ok(())
    }

    async fn plan(&self, ready: &Ready, origin: Origin, wishes: Wishes) -> Result<Outcome, StoreError> {
        let manifest = ready.driver.manifest();
        let (id, version) = (manifest.id(), manifest.version.as_str());
        let all = self.store.drivers().await?;
        let present = Present {
            installed: all.iter().filter(|installed| installed.manifest.id() == id).collect(),
            highest: self.highest(&all, &id).await?,
            chosen: self.chosen(&id),
            runs: self.version(&id, version).is_some(),
        };
        Ok(plan(manifest, ready.driver.digest(), origin, &present, wishes))
    }

    /// The highest version of a driver that ever was: what is remembered, or installed by a host that did not remember yet.
    async fn highest(&self, all: &[InstalledDriver], id: &str) -> Result<Option<String>, StoreError> {
        let remembered = self.store.highest_drivers().await?.remove(id);
        let installed = all.iter().filter(|row| row.manifest.id() == id).map(|row| row.manifest.version.clone());
        Ok(installed.chain(remembered).max_by_key(|version| number(version)))
    }

    /// Keeps what was verified: the file first, then the row; a file without a row is litter.
    async fn keep(&self, verified: Verified, wishes: Wishes) -> Result<Report, DriverError> {
        let ready = Ready::of(&verified);
        let outcome = self.plan(&ready, verified.origin(), wishes).await?;
        let (driver, standing) = (&ready.driver, ready.standing);
        let (id, version) = (driver.manifest().id(), driver.manifest().version.clone());
        let all = self.store.drivers().await?;
        let before = all.iter().find(|row| row.manifest.id() == id && row.manifest.version == version);
        let mut report = Report::of(driver, &self.bounds, SignatureReport::Verified { standing });
        report.outcome = Some(outcome.clone());
        let origin = verified.origin();
        let mut installed = Timestamp::now();
        let mut event = EventBody::new(TraceId::new(), EventKind::DriverInstalled, String::new());
        match &outcome {
            Outcome::Refused { why } => return Err(DriverError::Refused(why.clone())),
            Outcome::Again => {
                let runs = self.standing(&id, &version);
                if let Some(before) = before {
                    installed = before.installed;
                    // What comes with the program stays so, whoever brings it once more.
                    let is_ours = before.origin == Origin::Bundled && runs.is_some();
                    if is_ours || (runs == Some(standing) && before.origin == origin) {
                        return Ok(Report { installed: Some(installed), ..report });
                    }
                }
                event.message = format!("driver {id}@{version} was installed again ({standing})");
            }
            Outcome::Replace { digest } => {
                event.message = format!("driver {id}@{version} was replaced by another file ({standing})");
                event = event.fact("replaced", digest.clone());
            }
            Outcome::New | Outcome::Beside { .. } => {
                event.message = format!("driver {id}@{version} was installed ({standing})");
            }
        }
        let stay = match &outcome {
            Outcome::Beside { stay, .. } => stay.clone(),
            _ => None,
        };
        let highest = self.highest(&all, &id).await?;
        let highest = highest.filter(|highest| number(highest) > number(&version)).unwrap_or_else(|| version.clone());
        self.files
            .put(driver.digest(), verified.wasm(), verified.signature())
            .map_err(|source| DriverError::Keep { folder: self.files.folder.clone(), source })?;
        let row = InstalledDriver {
            digest: driver.digest().to_owned(),
            manifest: driver.manifest().clone(),
            installed,
            origin,
        };
        let event = event
            .fact("driver", driver.label())
            .fact("digest", row.digest.clone())
            .fact("signature", standing.to_string());
        self.store.put_driver(&row, &highest, stay.as_deref(), vec![event]).await?;
        if let Some(replaced) = before.filter(|before| before.digest != row.digest) {
            self.files.discard(&replaced.digest);
        }
        let mut versions = self.write();
        versions.put(&id, &version, Ok(ready));
        if let Some(stay) = stay {
            versions.choose(&id, &stay);
        }
        Ok(Report { installed: Some(installed), ..report })
    }
}

/// The driver files of a folder.
pub(super) fn in_folder(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "no drivers come with this program; see drivers.bundled");
            return Vec::new();
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "wasm"));
    paths.sort();
    let read = |path: PathBuf| match std::fs::read(&path) {
        Ok(wasm) => Some((path, wasm)),
        Err(error) => {
            tracing::error!(file = %path.display(), %error, "a driver of the folder was not installed");
            None
        }
    };
    paths.into_iter().filter_map(read).collect()
}
