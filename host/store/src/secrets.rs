//! The numbers that the secrets of readers' callback addresses are derived from. The secrets are the host's business.

use cardinal_domain::{event::EventBody, names::ReaderName, time::Timestamp};
use sqlx::{Row as _, any::AnyRow};

use crate::{
    Store, StoreError,
    sql::{Value, values},
    writer::Write,
};

const PART: &str = "number of a reader's secret";

/// One of a reader's secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretNumber {
    /// Whose it is.
    pub reader: ReaderName,
    /// What it is derived from, besides the reader's name; given once, over all readers.
    pub number: i64,
    /// Until when it is good. None: it is the one that the reader is given now.
    pub ends: Option<Timestamp>,
}

impl Store {
    /// The numbers of all readers' secrets, those past their end included.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn secret_numbers(&self) -> Result<Vec<SecretNumber>, StoreError> {
        let select = "SELECT reader, number, ends FROM reader_secret ORDER BY number";
        self.all("list the numbers of readers' secrets", select, &[]).await?.iter().map(read).collect()
    }

    /// The numbers of this reader's secrets, in the order in which they were given; the last is the one to be told to the
    /// reader, and is made where there is none yet.
    ///
    /// # Errors
    /// The database refused (no such reader) or broke.
    pub async fn secret_numbers_of(&self, reader: &ReaderName) -> Result<Vec<SecretNumber>, StoreError> {
        let rows = self.all("find a reader's secret", OF_READER, &values![reader.as_str()]).await?;
        let numbers = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if numbers.iter().any(|number| number.ends.is_none()) {
            return Ok(numbers);
        }
        let mut write = self.write("give a reader a secret").await?;
        // Somebody may have been faster.
        let current = "SELECT number FROM reader_secret WHERE reader = $1 AND ends IS NULL";
        if write.first(current, &values![reader.as_str()]).await?.is_none() {
            give(&mut write, reader).await?;
        }
        let rows = write.all(OF_READER, &values![reader.as_str()]).await?;
        let numbers = rows.iter().map(read).collect::<Result<_, _>>()?;
        write.commit().await?;
        Ok(numbers)
    }

    /// Gives a reader another secret. All that it had before are good until then and no longer; those that have ended by
    /// `now` are forgotten. Answers as [`secret_numbers_of`](Self::secret_numbers_of) does from now on.
    ///
    /// # Errors
    /// The database refused (no such reader) or broke.
    pub async fn rotate_secret(
        &self,
        reader: &ReaderName,
        now: Timestamp,
        ends: Timestamp,
        events: Vec<EventBody>,
    ) -> Result<Vec<SecretNumber>, StoreError> {
        let mut write = self.write("give a reader another secret").await?;
        let end = "UPDATE reader_secret SET ends = $1 WHERE reader = $2 AND (ends IS NULL OR ends > $3)";
        write.run(end, &values![ends.0, reader.as_str(), ends.0]).await?;
        let forget = "DELETE FROM reader_secret WHERE reader = $1 AND ends <= $2";
        write.run(forget, &values![reader.as_str(), now.0]).await?;
        give(&mut write, reader).await?;
        let rows = write.all(OF_READER, &values![reader.as_str()]).await?;
        let numbers = rows.iter().map(read).collect::<Result<_, _>>()?;
        write.tell(events).await?;
        write.commit().await?;
        Ok(numbers)
    }
}

const OF_READER: &str = "SELECT reader, number, ends FROM reader_secret WHERE reader = $1 ORDER BY number";

async fn give(write: &mut Write, reader: &ReaderName) -> Result<(), StoreError> {
    let number = write.count("reader-secret", 1).await?;
    let insert = "INSERT INTO reader_secret (number, reader, ends) VALUES ($1, $2, $3)";
    write.run(insert, &[number.into(), reader.as_str().into(), Value::Number(None)]).await
}

fn read(row: &AnyRow) -> Result<SecretNumber, StoreError> {
    let reader: String = row.try_get(0).map_err(StoreError::unreadable(PART))?;
    let ends: Option<i64> = row.try_get(2).map_err(StoreError::unreadable(PART))?;
    Ok(SecretNumber {
        reader: ReaderName::new(&reader).map_err(StoreError::unreadable(PART))?,
        number: row.try_get(1).map_err(StoreError::unreadable(PART))?,
        ends: ends.map(Timestamp),
    })
}
