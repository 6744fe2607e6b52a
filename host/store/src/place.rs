//! Where the database is: a file of SQLite, or an address of PostgreSQL. Never shows a password.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sqlx::postgres::PgConnectOptions;

use crate::StoreError;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// SQLite in this file, which is made if it is not there.
    File(PathBuf),
    /// PostgreSQL.
    Postgres(PostgresUrl),
}

/// The address of a PostgreSQL database, whose password is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    url: String,
    /// `database "cardinal" on db.example.org:5432`.
    told: String,
}

impl Place {
    /// A PostgreSQL database by its address: `postgres://user:password@host:port/database?sslmode=…`. What is left out is
    /// taken from libpq's environment variables (`PGHOST`, `PGPASSWORD`, …) and its password file.
    ///
    /// # Errors
    /// It is no such address; the error does not repeat it.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let refused = |why: String| Err(StoreError::Url { why });
        let scheme = url.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
        match scheme {
            "postgres" | "postgresql" => {}
            "sqlite" | "file" => {
                return refused(
                    "SQLite needs no address: leave it empty, and the store is cardinal.db in the data folder"
                        .to_owned(),
                );
            }
            _ => return refused("it must begin with postgres://".to_owned()),
        }
        let options: PgConnectOptions = match url.parse() {
            Ok(options) => options,
            Err(error) => return refused(error.to_string().replace("error with configuration: ", "")),
        };
        let Some(database) = options.get_database() else {
            return refused("it names no database: postgres://user@host/DATABASE".to_owned());
        };
        let told = match options.get_socket() {
            Some(socket) => format!("database {database:?} at {}", socket.display()),
            None => format!("database {database:?} on {}:{}", options.get_host(), options.get_port()),
        };
        Ok(Self::Postgres(PostgresUrl { url: url.to_owned(), told }))
    }

    /// As sqlx wants it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::File(file) => {
                // In an address these three would mean something else.
                let path = file.display().to_string().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
                format!("sqlite://{path}?mode=rwc")
            }
            Self::Postgres(postgres) => postgres.url.clone(),
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

impl From<&Path> for Place {
    fn from(file: &Path) -> Self {
        Self::File(file.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(file: &PathBuf) -> Self {
        Self::File(file.clone())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            Self::Postgres(postgres) => f.write_str(&postgres.told),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let place = Place::from_url("postgres://ada:s3cret@db.example.org:5433/cardinal?sslmode=require").unwrap();
        assert_eq!(place.to_string(), "database \"cardinal\" on db.example.org:5433");
        assert!(!format!("{place:?}").contains("s3cret"));
        let Place::Postgres(url) = place else { panic!() };
        assert!(!format!("{url:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_words_and_not_repeated() {
        for (url, words) in [
            ("sqlite:///s3cret.db", "leave it empty"),
            ("mysql://ada:s3cret@h/db", "must begin with postgres://"),
            ("s3cret", "must begin with postgres://"),
            ("postgres://ada:s3cret@h:99999/db", "invalid port"),
            ("postgres://ada:s3cret@h/db?sslmode=maybe", "unknown value \"maybe\""),
        ] {
            let error = Place::from_url(url).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("s3cret"), "{error}");
        }
    }
}
