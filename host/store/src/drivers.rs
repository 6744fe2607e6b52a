//! Which drivers are installed, and which of their versions runs. Their files lie in the data folder, named by digest.

use std::collections::BTreeMap;

use cardinal_domain::{driver::Manifest, event::EventBody, time::Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use crate::{Store, StoreError, sql::values, writer::Write};

/// An installed driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledDriver {
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// What it said of itself when it was installed; final for that file.
    pub manifest: Manifest,
    /// When that was.
    pub installed: Timestamp,
    /// Where it came from.
    #[serde(default)]
    pub origin: Origin,
}

/// Where a driver came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It comes with the program.
    Bundled,
    /// An operator installed it.
    #[default]
    Installed,
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::Installed => "installed",
        }
    }
}

/// A version for each of some drivers, by `vendor/name`.
pub type DriverVersions = BTreeMap<String, String>;

impl Store {
    /// Every installed driver, by id, versions in the order of installation.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn drivers(&self) -> Result<Vec<InstalledDriver>, StoreError> {
        let rows = self.all("list drivers", "SELECT digest, manifest, installed, origin FROM driver", &[]).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let manifest: String = row.try_get(1).map_err(StoreError::unreadable("driver"))?;
            let origin: String = row.try_get(3).map_err(StoreError::unreadable("driver"))?;
            Ok(InstalledDriver {
                digest: row.try_get(0).map_err(StoreError::unreadable("driver"))?,
                manifest: serde_json::from_str(&manifest).map_err(StoreError::unreadable("driver"))?,
                installed: Timestamp(row.try_get(2).map_err(StoreError::unreadable("driver"))?),
                // Whatever else it may say: what is not known to come with the program does not.
                origin: if origin == Origin::Bundled.as_str() { Origin::Bundled } else { Origin::Installed },
            })
        };
        let mut drivers = rows.iter().map(read).collect::<Result<Vec<InstalledDriver>, StoreError>>()?;
        // Here, not by the database: each orders texts in its own way.
        drivers.sort_by_cached_key(|driver| (driver.manifest.id(), driver.installed, driver.manifest.version.clone()));
        Ok(drivers)
    }

    /// The versions that were chosen for readers which name none. A driver that is not there runs its newest.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn driver_choices(&self) -> Result<DriverVersions, StoreError> {
        self.driver_versions("list the chosen versions of drivers", "SELECT id, version FROM driver_choice").await
    }

    /// The highest versions that were ever installed, also of drivers that are removed by now.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn highest_drivers(&self) -> Result<DriverVersions, StoreError> {
        self.driver_versions("list the highest versions of drivers", "SELECT id, version FROM driver_highest").await
    }

    async fn driver_versions(&self, doing: &'static str, select: &'static str) -> Result<DriverVersions, StoreError> {
        let rows = self.all(doing, select, &[]).await?;
        let text = |row: &sqlx::any::AnyRow, at| row.try_get(at).map_err(StoreError::unreadable("version of a driver"));
        rows.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?))).collect()
    }

    /// Adds a driver. A version that is there is replaced: its digest tells the two apart. With it go the highest version
    /// ever installed of that driver from now on, and the version to be chosen, if any.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn put_driver(
        &self,
        driver: &InstalledDriver,
        highest: &str,
        choice: Option<&str>,
        events: Vec<EventBody>,
    ) -> Result<(), StoreError> {
        let mut write = self.write("install a driver").await?;
        let id = driver.manifest.id();
        let version = driver.manifest.version.as_str();
        write.run("DELETE FROM driver WHERE id = $1 AND version = $2", &values![id.as_str(), version]).await?;
        let insert =
            "INSERT INTO driver (digest, id, version, manifest, installed, origin) VALUES ($1, $2, $3, $4, $5, $6)";
        let manifest = serde_json::to_string(&driver.manifest).map_err(StoreError::unreadable("driver"))?;
        let origin = driver.origin.as_str();
        let put = values![driver.digest.clone(), id.as_str(), version, manifest, driver.installed.0, origin];
        write.run(insert, &put).await?;
        let highest_put = "INSERT INTO driver_highest (id, version) VALUES ($1, $2) \
                           ON CONFLICT (id) DO UPDATE SET version = excluded.version";
        write.run(highest_put, &values![id.as_str(), highest]).await?;
        if let Some(choice) = choice {
            choose(&mut write, &id, choice).await?;
        }
        write.tell(events).await?;
        write.commit().await
    }

    /// Chooses the version of a driver that readers run which name none.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn choose_driver(&self, id: &str, version: &str, events: Vec<EventBody>) -> Result<(), StoreError> {
        let mut write = self.write("choose a driver's version").await?;
        choose(&mut write, id, version).await?;
        write.tell(events).await?;
        write.commit().await
    }

    /// Removes a driver, and the choice of it where its version was the chosen one.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn remove_driver(&self, driver: &InstalledDriver, events: Vec<EventBody>) -> Result<(), StoreError> {
        let mut write = self.write("remove a driver").await?;
        write.run("DELETE FROM driver WHERE digest = $1", &values![driver.digest.as_str()]).await?;
        let unchoose = "DELETE FROM driver_choice WHERE id = $1 AND version = $2";
        write.run(unchoose, &values![driver.manifest.id(), driver.manifest.version.as_str()]).await?;
        write.tell(events).await?;
        write.commit().await
    }
}

async fn choose(write: &mut Write, id: &str, version: &str) -> Result<(), StoreError> {
    let put = "INSERT INTO driver_choice (id, version) VALUES ($1, $2) \
               ON CONFLICT (id) DO UPDATE SET version = excluded.version";
    write.run(put, &values![id, version]).await
}
