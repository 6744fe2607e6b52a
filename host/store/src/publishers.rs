//! Whose signatures are believed for the drivers of which vendor.

use cardinal_domain::{event::EventBody, time::Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{Row as _, any::AnyRow};

use crate::{Store, StoreError, sql::values};

const PART: &str = "publisher";

/// A key that signs, or signed, a vendor's drivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publisher {
    /// The vendor, as its drivers say it.
    pub vendor: String,
    /// The key's id as minisign shows it: 16 hexadecimal digits.
    pub key_id: String,
    /// The key in minisign's base64 form.
    pub public_key: String,
    /// Since when it is trusted.
    pub trusted: Timestamp,
    /// Since when it is not trusted any more. The vendor's name stays taken.
    pub withdrawn: Option<Timestamp>,
}

impl Store {
    /// Every publisher, those that were withdrawn included, by vendor, in the order in which they were trusted.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn publishers(&self) -> Result<Vec<Publisher>, StoreError> {
        let select = "SELECT vendor, key_id, public_key, trusted, withdrawn FROM publisher";
        let rows = self.all("list publishers", select, &[]).await?;
        let mut publishers = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        publishers.sort_by(|a, b| (&a.vendor, a.trusted, &a.key_id).cmp(&(&b.vendor, b.trusted, &b.key_id)));
        Ok(publishers)
    }

    /// Adds a publisher, or changes the one with that vendor and key.
    ///
    /// # Errors
    /// The database refused or broke.
    pub async fn put_publisher(&self, publisher: &Publisher, events: Vec<EventBody>) -> Result<(), StoreError> {
        let mut write = self.write("change a publisher").await?;
        let put = "INSERT INTO publisher (vendor, key_id, public_key, trusted, withdrawn) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (vendor, key_id) DO UPDATE SET public_key = excluded.public_key, \
                   trusted = excluded.trusted, withdrawn = excluded.withdrawn";
        let Publisher { vendor, key_id, public_key, trusted, withdrawn } = publisher;
        let withdrawn = withdrawn.map(|at| at.0);
        write.run(put, &values![vendor.as_str(), key_id.as_str(), public_key.as_str(), trusted.0, withdrawn]).await?;
        write.tell(events).await?;
        write.commit().await
    }
}

fn read(row: &AnyRow) -> Result<Publisher, StoreError> {
    let text = |at| row.try_get::<String, _>(at).map_err(StoreError::unreadable(PART));
    let withdrawn: Option<i64> = row.try_get(4).map_err(StoreError::unreadable(PART))?;
    Ok(Publisher {
        vendor: text(0)?,
        key_id: text(1)?,
        public_key: text(2)?,
        trusted: Timestamp(row.try_get(3).map_err(StoreError::unreadable(PART))?),
        withdrawn: withdrawn.map(Timestamp),
    })
}
