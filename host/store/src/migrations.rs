//! The schema, one file a step under `migrations/`, and what a step cannot say in SQL that both databases understand.

use sqlx::{
    AnyConnection, Row as _, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::{
    DatabaseError, StoreError,
    jobs::folded,
    sql::{query, values},
};

/// How many jobs are made searchable in one go, after an update of Cardinal.
const FOLDED_AT_ONCE: i64 = 1000;

fn migrator() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "first", include_str!("../migrations/0001_first.sql")),
        migration(2, "sign in", include_str!("../migrations/0002_sign_in.sql")),
        migration(3, "search", include_str!("../migrations/0003_search.sql")),
        migration(4, "event of job", include_str!("../migrations/0004_event_of_job.sql")),
        migration(5, "reader secrets", include_str!("../migrations/0005_reader_secrets.sql")),
        migration(6, "drivers", include_str!("../migrations/0006_drivers.sql")),
        migration(7, "directory", include_str!("../migrations/0007_directory.sql")),
    ])
}

/// Brings the schema up to date. Broken off, it goes on the next time.
pub(crate) async fn run(connection: &mut AnyConnection) -> Result<(), StoreError> {
    migrator().run(&mut *connection).await.map_err(StoreError::Migrate)?;
    fold_jobs(connection)
        .await
        .map_err(|error| StoreError::Sql { doing: "make its jobs searchable", source: DatabaseError::from(error) })
}

/// Letters are folded here, not by the databases: each of them knows other letters.
async fn fold_jobs(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    loop {
        let select = "SELECT id, owner, user_name, name FROM job WHERE folded IS NULL LIMIT $1";
        let rows = query(&select.into(), &values![FOLDED_AT_ONCE]).fetch_all(&mut *connection).await?;
        if rows.is_empty() {
            return Ok(());
        }
        query(&"BEGIN".into(), &[]).execute(&mut *connection).await?;
        for row in rows {
            let (id, owner, name): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(3)?);
            let user: Option<String> = row.try_get(2)?;
            let folded = folded(&owner, user.as_deref(), &name);
            let update = "UPDATE job SET folded = $1 WHERE id = $2";
            query(&update.into(), &values![folded, id]).execute(&mut *connection).await?;
        }
        query(&"COMMIT".into(), &[]).execute(&mut *connection).await?;
    }
}
