//! Where the database is: a file of SQLite, or an address of PostgreSQL. Never shows a password.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sqlx::postgres::PgConnectOptions;

use crate::StoreError;

/// The parameters of an address that sqlx-postgres 0.9 knows, besides `options[…]`. It logs any other with its value.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
const ESCAPE: &str = "it is ambiguous: write special characters of the password as %XX (@ is %40, / is %2F, : is %3A, \
                      ? is %3F, # is %23)";

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
        // Before anybody else sees it: what is unknown is logged, and what is misread may be part of a password.
        if let Err(why) = check(url) {
            return refused(why);
        }
        let options: PgConnectOptions = match url.parse() {
            Ok(options) => options,
            Err(error) => return refused(error.to_string().replace("error with configuration: ", "")),
        };
        let Some(database) = options.get_database() else {
            return refused("it names no database: postgres://user@host/DATABASE".to_owned());
        };
        if database.contains(['@', ':', '/']) {
            return refused(ESCAPE.to_owned());
        }
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

/// Whether each part of the address is what it seems. Says why not, without any part of it that may be a password.
fn check(url: &str) -> Result<(), String> {
    let Some((_, rest)) = url.split_once("://") else { return Err("it must begin with postgres://".to_owned()) };
    // A password's own `/`, `?`, `#` or `@` leaves an `@` behind the first of these.
    let ambiguous = match rest.split_once('@') {
        Some((user, rest)) => user.contains(['/', '?']) || rest.contains('@'),
        None => false,
    };
    if ambiguous || rest.contains('#') {
        return Err(ESCAPE.to_owned());
    }
    let query = rest.split_once('?').map(|(_, query)| query).unwrap_or_default();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let Some((key, _)) = parameter.split_once('=') else {
            return Err("it has a parameter without a value: ?KEY=VALUE&KEY=VALUE".to_owned());
        };
        let is_option = ["options[", "options%5B", "options%5b"].iter().any(|option| key.starts_with(option));
        if !is_option && !PARAMETERS.contains(&key) {
            return Err(format!("its parameter {key:?} is not known; known are {}", PARAMETERS.join(", ")));
        }
    }
    Ok(())
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
    fn what_sqlx_knows_is_taken() {
        for parameter in PARAMETERS {
            let value = match *parameter {
                "sslmode" | "ssl-mode" => "require",
                "hostaddr" => "127.0.0.1",
                "port" | "statement-cache-capacity" => "7",
                _ => "x",
            };
            Place::from_url(&format!("postgres://ada:s%2F3%40@h/db?{parameter}={value}")).unwrap();
        }
        for more in ["options[search_path]=a", "options%5Bsearch_path%5D=a", "sslmode=prefer&&user=ada", ""] {
            Place::from_url(&format!("postgres://ada:s%2F3%40@h/db?{more}")).unwrap();
        }
        Place::from_url("postgresql:///db?host=/var/run/postgresql").unwrap();
    }

    #[test]
    fn what_is_no_address_is_refused_with_words_and_not_repeated() {
        for (url, words) in [
            ("sqlite:///s3cret.db", "leave it empty"),
            ("mysql://ada:s3cret@h/db", "must begin with postgres://"),
            ("s3cret", "must begin with postgres://"),
            ("postgres://ada:s3cret@h:99999/db", "invalid port"),
            ("postgres://ada:s3cret@h/db?sslmode=maybe", "unknown value \"maybe\""),
            ("postgres:ada:s3cret@h/db", "must begin with postgres://"),
            ("postgres://ada@h/db?sslpassword=s3cret", "parameter \"sslpassword\" is not known"),
            ("postgres://ada@h/db?sslmode=require&pwd=s3cret", "parameter \"pwd\" is not known"),
            ("postgres://ada@h/db?s3cret", "without a value"),
            // Each of these would be a host, a port and a database, or a parameter.
            ("postgres://ada:12/s3cret@h/db", "write special characters of the password as %XX"),
            ("postgres://ada:12?s3cret=1@h/db", "write special characters of the password as %XX"),
            ("postgres://ada:12#s3cret@h/db", "write special characters of the password as %XX"),
            ("postgres://ada:12@s3cret@h/db", "write special characters of the password as %XX"),
            ("postgres://ada:12@h/s3cret@db", "write special characters of the password as %XX"),
            ("postgres://ada:12/s3cret/db", "write special characters of the password as %XX"),
            ("postgres://ada@h/s3cret%40h", "write special characters of the password as %XX"),
        ] {
            let error = Place::from_url(url).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("s3cret"), "{error}");
        }
    }
}
