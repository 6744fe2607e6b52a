//! Which drivers are installed. Their files lie in the data folder, named by digest.

use cardinal_domain::{driver::Manifest, event::EventBody, time::Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use crate::{Store, StoreError, setup::run};

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
        let rows = sqlx::query("SELECT digest, manifest, installed FROM driver ORDER BY id, installed, version")
            .fetch_all(&self.inner.pool)
            .await
            .map_err(StoreError::sql("list drivers"))?;
        let read = |row: &sqlx::any::AnyRow| {
            let manifest: String = row.try_get(1).map_err(StoreError::unreadable("driver"))?;
            Ok(InstalledDriver {
                digest: row.try_get(0).map_err(StoreError::unreadable("driver"))?,
                manifest: serde_json::from_str(&manifest).map_err(StoreError::unreadable("driver"))?,
                installed: Timestamp(row.try_get(2).map_err(StoreError::unreadable("driver"))?),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Adds a driver. A version that is there is replaced: its digest tells the two apart.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn put_driver(&self, driver: &InstalledDriver, events: Vec<EventBody>) -> Result<(), StoreError> {
        let mut write = self.write("install a driver").await?;
        let id = driver.manifest.id();
        let version = driver.manifest.version.as_str();
        run(&mut write, "DELETE FROM driver WHERE id = $1 AND version = $2", &[Some(&id), Some(version)]).await?;
        sqlx::query("INSERT INTO driver (digest, id, version, manifest, installed) VALUES ($1, $2, $3, $4, $5)")
            .bind(driver.digest.clone())
            .bind(id)
            .bind(version.to_owned())
            .bind(serde_json::to_string(&driver.manifest).map_err(StoreError::unreadable("driver"))?)
            .bind(driver.installed.0)
            .execute(&mut *write.tx)
            .await
            .map_err(StoreError::sql("install a driver"))?;
        write.tell(events).await?;
        write.commit().await
    }

    /// Removes a driver.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn remove_driver(&self, digest: &str, events: Vec<EventBody>) -> Result<(), StoreError> {
        let mut write = self.write("remove a driver").await?;
        run(&mut write, "DELETE FROM driver WHERE digest = $1", &[Some(digest)]).await?;
        write.tell(events).await?;
        write.commit().await
    }
}
