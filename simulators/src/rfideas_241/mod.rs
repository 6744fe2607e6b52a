//! An RF IDeas Ethernet 241 in client mode: it is configured over HTTP, and calls its server with each card.
//!
//! Its pages ([`pages`](self)) and the names in them are assumed, like those of the driver's default profile. It calls the
//! address it was configured with, from its own address, once or (as real readers are said to) again where no answer comes.

mod hosted;
mod pages;
mod record;
#[cfg(test)]
mod tests;
mod trouble;

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use reqwest::{Url, redirect};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};

pub use hosted::Pages;
pub use pages::Configuration;
pub use record::{Event, Record, WaitError};
pub use trouble::Trouble;

use crate::generic::Tls;
use pages::Shared;

/// How a reader behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What `/version` tells.
    pub firmware: String,
    /// User and password that the pages want (HTTP Basic).
    pub login: Option<(String, String)>,
    /// Forget the configuration once it was shown so often.
    pub drift_after: Option<u32>,
    /// Of a hundred requests and calls, lose so many.
    pub drop_percent: u8,
    /// What every request is answered with.
    pub trouble: Option<Trouble>,
    /// How the server is known where it is called by HTTPS. None: such calls fail.
    pub tls: Option<Tls>,
    /// How long the answer to a call is waited for.
    pub answer_within: Duration,
    /// How often a call that got no answer is repeated.
    pub retries: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            firmware: "2.04".to_owned(),
            login: None,
            drift_after: None,
            drop_percent: 0,
            trouble: None,
            tls: None,
            answer_within: Duration::from_secs(10),
            retries: 0,
        }
    }
}

/// What the server answered to a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The text.
    pub body: String,
}

/// A card was shown in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TapError {
    /// Nobody configured the reader, or not for client mode.
    NotConfigured,
    /// The server could not be called.
    Unusable(String),
    /// The server gave no answer.
    Unanswered,
}

impl fmt::Display for TapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured => f.write_str("the reader is not configured to call anybody, so nothing was sent"),
            Self::Unusable(why) => write!(f, "the server cannot be called: {why}"),
            Self::Unanswered => f.write_str("the server did not answer"),
        }
    }
}

impl std::error::Error for TapError {}

/// A running reader; dropping it closes its port.
pub struct RfIdeas241 {
    settings: Settings,
    shared: Shared,
    served: Mutex<Served>,
    record: watch::Receiver<Record>,
}

/// The pages being served.
struct Served {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RfIdeas241 {
    /// Starts a reader whose pages are at this address; port 0 takes a free one. Fails where the port is not to be had.
    pub async fn listen(address: SocketAddr, settings: Settings) -> io::Result<Self> {
        let (recorder, record) = watch::channel(Record::default());
        let shared = Shared::new(&settings, recorder);
        let served = Mutex::new(serve(address, shared.clone()).await?);
        Ok(Self { settings, shared, served, record })
    }

    /// Where the pages are.
    pub fn address(&self) -> SocketAddr {
        self.served().address
    }

    /// Goes to another address, as a reader does that gets a new one by DHCP. Connections break. Fails where the port is not
    /// to be had, and stays then.
    pub async fn move_to(&self, address: SocketAddr) -> io::Result<()> {
        let served = serve(address, self.shared.clone()).await?;
        let address = served.address;
        *self.served() = served;
        self.shared.note(Event::Moved(address));
        Ok(())
    }

    /// What it is configured with. The address in it is a secret of the server's.
    pub fn configuration(&self) -> Configuration {
        self.shared.lock().configuration.clone()
    }

    /// All that happened so far.
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// A view of the record that tells when something is added.
    pub fn watch(&self) -> watch::Receiver<Record> {
        self.record.clone()
    }

    /// Waits until the record is as wished, for `limit` at most, and gives it. The error shows what did happen.
    pub async fn wait_for(
        &self,
        limit: Duration,
        wish: impl FnMut(&Record) -> bool + Send,
    ) -> Result<Record, WaitError> {
        let mut record = self.record.clone();
        match tokio::time::timeout(limit, record.wait_for(wish)).await {
            Ok(Ok(record)) => Ok(record.clone()),
            Ok(Err(_)) | Err(_) => Err(WaitError { limit, record: self.record() }),
        }
    }

    /// Waits until it is configured, for `limit` at most.
    pub async fn configured(&self, limit: Duration) -> Result<(), WaitError> {
        self.wait_for(limit, |record| record.configured).await.map(drop)
    }

    /// Forgets its configuration.
    pub fn drift(&self) {
        self.shared.drift();
    }

    /// Has another firmware from now on.
    pub fn set_firmware(&self, firmware: &str) {
        firmware.clone_into(&mut self.shared.lock().firmware);
    }

    /// Misbehaves in this way from now on; none: no more.
    pub fn misbehave(&self, trouble: Option<Trouble>) {
        self.shared.lock().trouble = trouble;
    }

    /// Loses the answers to this many of its next calls: the server is called and answers, and the reader hears nothing.
    pub fn lose_answers(&self, calls: u32) {
        self.shared.lock().lose_answers = calls;
    }

    /// Shows a card: calls the server, and again where the settings say so, and gives its answer.
    ///
    /// # Errors
    /// Not configured, or no answer came.
    pub async fn tap(&self, card: &str) -> Result<Answer, TapError> {
        let url = {
            let configuration = self.configuration();
            let (url, parameter) = configuration.call().ok_or(TapError::NotConfigured)?;
            // Without the address: it is a secret.
            let mut url = Url::parse(&url).map_err(|error| TapError::Unusable(error.to_string()))?;
            url.query_pairs_mut().append_pair(parameter, card);
            url
        };
        let client = self.client()?;
        self.shared.note(Event::Tapped(card.to_owned()));
        for _ in 0..=self.settings.retries {
            match self.call(&client, url.clone()).await {
                Ok(Answer { status, body }) => {
                    self.shared.note(Event::Answered { card: card.to_owned(), status, body: body.clone() });
                    return Ok(Answer { status, body });
                }
                Err(why) => self.shared.note(Event::Unanswered { card: card.to_owned(), why }),
            }
        }
        Err(TapError::Unanswered)
    }

    async fn call(&self, client: &reqwest::Client, url: Url) -> Result<Answer, String> {
        if self.shared.loses() {
            tokio::time::sleep(self.settings.answer_within).await;
            return Err("lost on purpose".to_owned());
        }
        let read = async {
            let response = client.get(url).send().await?;
            Ok(Answer { status: response.status().as_u16(), body: response.text().await? })
        };
        if self.shared.loses_answer() {
            // A reader that hears nothing waits to the end; whether the answer came at all is nothing to it.
            let (_, ()) = tokio::join!(read, tokio::time::sleep(self.settings.answer_within));
            self.shared.note(Event::AnswerLost);
            return Err("its answer was lost on purpose".to_owned());
        }
        read.await.map_err(|error: reqwest::Error| chain(&error.without_url()))
    }

    fn client(&self) -> Result<reqwest::Client, TapError> {
        let unusable = |error: &dyn std::error::Error| TapError::Unusable(error.to_string());
        let tls = match &self.settings.tls {
            Some(tls) => tls.clone(),
            None => Tls::nobody().map_err(|error| unusable(&error))?,
        };
        let own = self.address().ip();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls.config()).clone())
            // A reader is known by the address it calls from.
            .local_address(Some(own).filter(|own| !own.is_unspecified()))
            .timeout(self.settings.answer_within)
            .redirect(redirect::Policy::none())
            .no_proxy();
        client.build().map_err(|error| unusable(&error))
    }

    fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the pages at this address until the task is aborted; every connection ends with it.
async fn serve(address: SocketAddr, shared: Shared) -> io::Result<Served> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let service = TowerToHyperService::new(Router::new().fallback(pages::answer).with_state(shared));
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // A caller that is gone before it was accepted is none.
                    let Ok((stream, _)) = accepted else { continue };
                    let service = service.clone();
                    connections.spawn(async move {
                        let builder = auto::Builder::new(TokioExecutor::new());
                        // Whoever hangs up early does so on purpose.
                        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    Ok(Served { address, task })
}

/// An error with all its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
