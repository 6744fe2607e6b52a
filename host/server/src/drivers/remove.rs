//! Removing: the row at once, the file after its grace.

use std::time::Duration;

use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
    site::DriverRef,
};
use tokio_util::sync::CancellationToken;

use super::{DriverError, Drivers};
use crate::sessions::Services;

/// How often is looked for files that nothing names.
const COLLECT_EVERY: Duration = Duration::from_secs(3_600);

impl Drivers {
    /// Removes a version that no reader uses: none names it, and where it is the chosen one, none names no version. Where
    /// several are installed it must be said which.
    ///
    /// # Errors
    /// There is none, or readers use it.
    pub async fn remove(&self, driver: &DriverRef) -> Result<(), DriverError> {
        let _changing = self.changing.lock().await;
        let mut all = self.store.drivers().await?;
        all.retain(|row| row.manifest.id() == driver.id);
        if driver.version.is_none() && all.len() > 1 {
            let known: Vec<_> = all.iter().map(|row| format!("{}@{}", driver.id, row.manifest.version)).collect();
            return Err(DriverError::Refused(format!("say which version: {}", known.join(", "))));
        }
        all.retain(|row| driver.version.as_ref().is_none_or(|version| row.manifest.version == *version));
        let row = all.pop().ok_or_else(|| DriverError::Unknown(driver.to_string()))?;
        let (id, version) = (row.manifest.id(), row.manifest.version.clone());
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
        // Its grace begins before nobody names it any more, so that the file does not go with the row.
        self.files.discard(&row.digest);
        self.store.remove_driver(&row, vec![event.fact("driver", label)]).await?;
        self.write().remove(&id, &version);
        Ok(())
    }

    /// Removes the files that no driver names and that have been there for their grace.
    async fn collect(&self) {
        let _changing = self.changing.lock().await;
        let rows = match self.store.drivers().await {
            Ok(rows) => rows,
            Err(error) => {
                return tracing::error!(error = &error as &dyn std::error::Error, "unused driver files stay");
            }
        };
        match self.files.collect(|digest| rows.iter().any(|row| row.digest == digest), self.grace) {
            Ok(gone) => {
                gone.iter().for_each(|file| tracing::info!(file = %file.display(), "an unused driver file is gone"))
            }
            Err(error) => tracing::error!(folder = %self.files.folder.display(), %error, "unused driver files stay"),
        }
    }
}

/// Collects files that nothing names, at once and every hour, until the host stops.
pub async fn collect(services: std::sync::Arc<Services>, stop: CancellationToken) {
    loop {
        if stop.run_until_cancelled(services.drivers.collect()).await.is_none()
            || stop.run_until_cancelled(tokio::time::sleep(COLLECT_EVERY)).await.is_none()
        {
            return;
        }
    }
}
