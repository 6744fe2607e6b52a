//! JSON over HTTP: the reader POSTs each event, and the answer's body is the command (page HTTP Client, JSON).

use std::{io, sync::Mutex, time::Duration};

use reqwest::{Certificate, Client, StatusCode, header::CONTENT_TYPE, redirect::Policy};
use tokio::sync::watch;

use super::{Clock, Command, Event, Record, Tag, WaitError, event, record};

/// The longest answer that the reader reads, in bytes. Assumed.
const LONGEST: usize = 4096;

/// How a reader over HTTP behaves.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where it POSTs to (registers 0290, 0285 and 0291).
    pub url: String,
    /// Its serial number.
    pub device: String,
    /// How long it waits for an answer (register 0292, first byte).
    pub timeout: Duration,
    /// How often it calls again for an event that was not answered. Assumed: the public document does not say.
    pub retries: u32,
    /// HTTPS, which real readers do not speak: a certificate (PEM) to be trusted, with all that it signed.
    pub ca: Option<Vec<u8>>,
    /// HTTPS: trust anybody.
    pub insecure: bool,
}

impl HttpSettings {
    /// A reader that calls this address.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            device: "DA1275B0".to_owned(),
            timeout: Duration::from_secs(30),
            retries: 0,
            ca: None,
            insecure: false,
        }
    }
}

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// The host answered with this status and command; none where the answer was none.
    Answered(u16, Option<Command>),
    /// No answer came, and why.
    Lost(String),
}

/// A reader that calls.
#[derive(Debug)]
pub struct HttpReader {
    settings: HttpSettings,
    client: Client,
    clock: Mutex<Clock>,
    record: watch::Sender<Record>,
}

impl HttpReader {
    /// A reader that has just started. Fails on a certificate that cannot be used.
    pub fn new(settings: HttpSettings) -> io::Result<Self> {
        // For all TLS of this process; an error says that there is one already.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder().no_proxy().redirect(Policy::none()).timeout(settings.timeout);
        if let Some(pem) = &settings.ca {
            let trusted = Certificate::from_pem_bundle(pem).map_err(io::Error::other)?;
            client = client.tls_certs_only(trusted);
        } else if settings.insecure {
            client = client.tls_danger_accept_invalid_certs(true);
        }
        let client = client.build().map_err(io::Error::other)?;
        let (record, _) = watch::channel(Record::default());
        Ok(Self { settings, client, clock: Mutex::new(Clock::started(1)), record })
    }

    /// All that happened so far.
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }

    /// A view of the record that tells when something is added.
    pub fn watch(&self) -> watch::Receiver<Record> {
        self.record.subscribe()
    }

    /// Waits until the record is as wished, for `limit` at most, and gives it. The error shows what did happen.
    pub async fn wait_for(
        &self,
        limit: Duration,
        wish: impl FnMut(&Record) -> bool + Send,
    ) -> Result<Record, WaitError> {
        record::wait_for(self.watch(), limit, wish).await
    }

    /// Shows a card, and calls again for the same event where no answer comes and the settings say so.
    pub async fn tap(&self, tag: &Tag) -> Call {
        let event = event::card(Some(&self.settings.device), tag, &self.uptime());
        self.note(Event::Tapped(tag.id.clone()));
        let call = self.post(event.clone()).await;
        self.again(event, call).await
    }

    /// The same, but the first answer is lost on the way: what came within this time is not looked at, and then the connection
    /// is torn.
    pub async fn tap_and_drop(&self, tag: &Tag, after: Duration) -> Call {
        let event = event::card(Some(&self.settings.device), tag, &self.uptime());
        self.note(Event::Tapped(tag.id.clone()));
        let _ = tokio::time::timeout(after, self.ask(event.clone().into())).await;
        let lost = "dropped on purpose".to_owned();
        self.note(Event::NoAnswer(lost.clone()));
        self.again(event, Call::Lost(lost)).await
    }

    /// Calls again where this came of it and the settings say so.
    async fn again(&self, event: String, mut call: Call) -> Call {
        for _ in 0..self.settings.retries {
            if matches!(call, Call::Answered(status, _) if status < 500) {
                break;
            }
            call = self.post(event.clone()).await;
        }
        call
    }

    /// Shows a card and calls twice for it at once, as a reader that lost patience.
    pub async fn tap_twice_told(&self, tag: &Tag) -> (Call, Call) {
        let event = event::card(Some(&self.settings.device), tag, &self.uptime());
        self.note(Event::Tapped(tag.id.clone()));
        tokio::join!(self.post(event.clone()), self.post(event))
    }

    /// Sends a STATUS, such as `online,ready`.
    pub async fn status(&self, state: &str) -> Call {
        self.note(Event::Status(state.to_owned()));
        self.post(event::status(&self.settings.device, state, &self.uptime())).await
    }

    /// POSTs any body.
    pub async fn post(&self, body: impl Into<Vec<u8>>) -> Call {
        let call = match self.ask(body.into()).await {
            Ok(call) => call,
            // Without the address: it is a secret.
            Err(error) => Call::Lost(error.without_url().to_string()),
        };
        match &call {
            Call::Answered(status, command) => {
                self.note(Event::Answered(*status));
                if let Some(command) = command {
                    self.note(Event::Command(command.clone()));
                }
            }
            Call::Lost(why) => self.note(Event::NoAnswer(why.clone())),
        }
        call
    }

    /// Loses power and comes back.
    pub fn restart(&self) {
        self.clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).restart();
        self.note(Event::Restarted);
    }

    fn uptime(&self) -> String {
        self.clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).uptime()
    }

    async fn ask(&self, body: Vec<u8>) -> reqwest::Result<Call> {
        let request = self.client.post(&self.settings.url).header(CONTENT_TYPE, "application/json").body(body);
        let mut response = request.send().await?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await? {
            answer.extend_from_slice(&piece);
            if answer.len() > LONGEST {
                return Ok(Call::Lost("the answer is too long".to_owned()));
            }
        }
        let command = (status == StatusCode::OK).then(|| Command::parse(&String::from_utf8_lossy(&answer)));
        if let Some(Err(why)) = &command {
            self.note(Event::NoCommand(why.clone()));
        }
        Ok(Call::Answered(status.as_u16(), command.and_then(Result::ok)))
    }

    fn note(&self, event: Event) {
        record::note(&self.record, event);
    }
}
