//! The store on real databases: every test on a SQLite file and on a private PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::indexing_slicing, reason = "the same")]

/// Makes two tests of each function, one for each database.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&crate::peer::Peer::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(&crate::peer::Peer::postgres()).await;
            })*
        }
    };
}

mod away;
mod batches;
mod drivers;
mod lists;
mod migrations;
mod peer;
#[path = "../../../../tests/src/postgres.rs"]
#[allow(dead_code, unreachable_pub, reason = "the end-to-end tests use the rest")]
mod postgres;
mod retention;
mod secrets;
mod store;
mod sync;
