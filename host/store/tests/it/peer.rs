//! The two databases behind one face, and what tests put into them.

use std::collections::BTreeMap;

use cardinal_domain::{
    event::{EventBody, EventKind},
    job::{Job, NewJob},
    job_life::{self, JobInput},
    names::{JobId, QueueName, TraceId},
    plan::plan,
    site::Site,
    strict_toml,
};
use cardinal_store::{Durability, Place, Store};
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};

use crate::postgres::{self, Database};

pub(crate) enum Peer {
    Sqlite(tempfile::TempDir),
    Postgres(Database),
}

impl Peer {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) fn postgres() -> Self {
        Self::Postgres(postgres::database())
    }

    /// Another empty one of the same kind.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::Sqlite(_) => Self::sqlite(),
            Self::Postgres(_) => Self::postgres(),
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Sqlite(folder) => Place::File(folder.path().join("cardinal.db")),
            Self::Postgres(database) => Place::from_url(&database.url).unwrap(),
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.place(), Durability::Process).await.unwrap()
    }

    /// A connection past the store.
    pub(crate) async fn connect(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        let url = match self {
            Self::Sqlite(folder) => format!("sqlite://{}?mode=rwc", folder.path().join("cardinal.db").display()),
            Self::Postgres(database) => database.url.clone(),
        };
        AnyConnection::connect(&url).await.unwrap()
    }

    /// Runs statements past the store.
    pub(crate) async fn run(&self, statements: &'static str) {
        let mut connection = self.connect().await;
        connection.execute(statements).await.unwrap();
        connection.close().await.unwrap();
    }

    /// How the database goes about a query, in its own words.
    pub(crate) async fn explain(&self, query: &str) -> String {
        let explain = if self.is_postgres() { "EXPLAIN" } else { "EXPLAIN QUERY PLAN" };
        let mut connection = self.connect().await;
        let rows = connection.fetch_all(sqlx::query(sqlx::AssertSqlSafe(format!("{explain} {query}")))).await.unwrap();
        let column = if self.is_postgres() { 0 } else { 3 };
        rows.iter().map(|row| row.get::<String, _>(column)).collect::<Vec<_>>().join("\n")
    }
}

const SITE: &str = r#"
    config = { "ext-device.card-no-regex" = "(.{4})" }
    user = [{ name = "ada", full_name = "Ada Lovelace", card = "4711", second_card = "EMP123" }, { name = "bob" }]
    printer = [{ name = "east", uri = "folder:./out" }]
    queue = [{ name = "find-me", allow = ["10.0.0.0/8"] }, { name = "direct", hold = false, printer = "east" }]
    device = [{ name = "d", printer = "east", queues = ["find-me"] }]
    reader = [{ name = "r", driver = "cardinal/generic", mode = "generic", address = "h:1", device = "d", settings = { a = 1, b = ["x"] } }]
"#;

/// A store with a small site in it.
pub(crate) async fn with_site(peer: &Peer) -> (Store, Site) {
    let store = peer.open().await;
    let site: Site = strict_toml::parse(SITE).unwrap();
    store.apply(&plan(&Site::default(), &site, false).unwrap().changes, Vec::new()).await.unwrap();
    (store, site)
}

pub(crate) fn new_job(owner: &str) -> NewJob {
    NewJob {
        queue: QueueName::new("find-me").unwrap(),
        owner: owner.to_owned(),
        signed_in: None,
        name: "letter".to_owned(),
        format: "application/pdf".to_owned(),
        options: BTreeMap::from([("copies".to_owned(), "2".to_owned())]),
    }
}

pub(crate) async fn step(store: &Store, id: JobId, input: JobInput) -> Job {
    store.change_job(id, |job| job_life::step(job, TraceId::new(), input)).await.unwrap().unwrap().unwrap()
}

pub(crate) fn arrived() -> JobInput {
    JobInput::Arrived { bytes: 3, sha256: "00".to_owned() }
}

pub(crate) fn told(message: String) -> EventBody {
    EventBody::new(TraceId::new(), EventKind::HostStarted, message)
}
