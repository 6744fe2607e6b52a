//! What drivers ask to be remembered for a reader, across restarts. The host seals the bytes before they come here.

use cardinal_domain::names::ReaderName;
use sqlx::Row as _;

use crate::{Store, StoreError, sql::values};

impl Store {
    /// What was remembered for a reader: keys and sealed values.
    ///
    /// # Errors
    /// The database broke.
    pub async fn reader_memory(&self, reader: &ReaderName) -> Result<Vec<(String, String)>, StoreError> {
        let select = "SELECT name, sealed FROM reader_memory WHERE reader = $1";
        let rows = self.all("read a reader's memory", select, &values![reader.as_str()]).await?;
        let bad = StoreError::unreadable("reader's memory");
        let mut memory = rows
            .iter()
            .map(|row| Ok((row.try_get(0).map_err(&bad)?, row.try_get(1).map_err(&bad)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        // Here, not by the database: each orders texts in its own way.
        memory.sort();
        Ok(memory)
    }

    /// Remembers a sealed value for a reader, or with none forgets it.
    ///
    /// # Errors
    /// The database refused (no such reader) or broke.
    pub async fn remember(&self, reader: &ReaderName, name: &str, sealed: Option<&str>) -> Result<(), StoreError> {
        let mut write = self.write("remember for a reader").await?;
        match sealed {
            Some(sealed) => {
                let sql = "INSERT INTO reader_memory (reader, name, sealed) VALUES ($1, $2, $3) \
                           ON CONFLICT (reader, name) DO UPDATE SET sealed = excluded.sealed";
                write.run(sql, &values![reader.as_str(), name, sealed]).await?;
            }
            None => {
                let sql = "DELETE FROM reader_memory WHERE reader = $1 AND name = $2";
                write.run(sql, &values![reader.as_str(), name]).await?;
            }
        }
        write.commit().await
    }
}
