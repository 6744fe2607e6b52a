//! A reader's pages without a port of their own: whoever serves many readers behind one listener hands each its requests.

use axum::{
    extract::{Request, State},
    response::Response,
};
use tokio::sync::watch;

use super::{
    Configuration, Record, Settings,
    pages::{self, Shared},
};

/// The pages of one reader.
#[derive(Clone)]
pub struct Pages(Shared);

impl Pages {
    /// A reader that is not configured yet. What these settings say of its own calls is not used.
    pub fn new(settings: &Settings) -> Self {
        Self(Shared::new(settings, watch::channel(Record::default()).0))
    }

    /// Answers a request that was made to this reader.
    pub async fn answer(&self, request: Request) -> Response {
        pages::answer(State(self.0.clone()), request).await
    }

    /// What it is configured with. The address in it is a secret of the server's.
    pub fn configuration(&self) -> Configuration {
        self.0.lock().configuration.clone()
    }
}
