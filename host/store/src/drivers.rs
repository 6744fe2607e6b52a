//! Which drivers are installed. Their files lie in the data folder, named by digest.

use cardinal_domain::{driver::Manifest, event::EventBody, time::Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use crate::{Store, StoreError, sql::values};

/// An installed driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledDriver {
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// What it said of itself when it was installed; final for that file.
    pub manifest: Manifest,
    /// When that was.
    pub installed: Timestamp,
}

impl Store {
    /// Every installed driver, by id, versions in the order of installation.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn drivers(&self) -> Result<Vec<InstalledDriver>, StoreError> {
        let rows = self.all("list drivers", "SELECT digest, manifest, installed FROM driver", &[]).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let manifest: String = row.try_get(1).map_err(StoreError::unreadable("driver"))?;
            Ok(InstalledDriver {
                digest: row.try_get(0).map_err(StoreError::unreadable("driver"))?,
                manifest: serde_json::from_str(&manifest).map_err(StoreError::unreadable("driver"))?,
                installed: Timestamp(row.try_get(2).map_err(StoreError::unreadable("driver"))?),
            })
        };
        let mut drivers = rows.iter().map(read).collect::<Result<Vec<InstalledDriver>, StoreError>>()?;
        // Here, not by the database: each orders texts in its own way.
        drivers.sort_by_cached_key(|driver| (driver.manifest.id(), driver.installed, driver.manifest.version.clone()));
        Ok(drivers)
    }

    /// Adds a driver. A version that is there is replaced: its digest tells the two apart.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn put_driver(&self, driver: &InstalledDriver, events: Vec<EventBody>) -> Result<(), StoreError> {
        let mut write = self.write("install a driver").await?;
        let id = driver.manifest.id();
        let version = driver.manifest.version.as_str();
        write.run("DELETE FROM driver WHERE id = $1 AND version = $2", &values![id.as_str(), version]).await?;
        let insert = "INSERT INTO driver (digest, id, version, manifest, installed) VALUES ($1, $2, $3, $4, $5)";
        let manifest = serde_json::to_string(&driver.manifest).map_err(StoreError::unreadable("driver"))?;
        let put = values![driver.digest.clone(), id, version, manifest, driver.installed.0];
        write.run(insert, &put).await?;
        write.tell(events).await?;
        write.commit().await
    }

    /// Removes a driver.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn remove_driver(&self, digest: &str, events: Vec<EventBody>) -> Result<(), StoreError> {
        let mut write = self.write("remove a driver").await?;
        write.run("DELETE FROM driver WHERE digest = $1", &values![digest]).await?;
        write.tell(events).await?;
        write.commit().await
    }
}
