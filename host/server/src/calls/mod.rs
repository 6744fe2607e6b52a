//! Calls of readers over HTTP: the readers' listeners, and whose call it is.
//!
//! Each reader has an address of its own to call, `/r/SECRET/…`. The secret is all that a caller has to show, besides coming
//! from the reader's address; it is derived from the host's key and a number in the store, so that it can be told to the
//! reader again and is kept nowhere. What a call says is the driver's business: it goes to the reader's session as it is,
//! bounded, and what the session answers goes back.

mod base;
mod endpoint;
mod limits;
mod pace;
mod routes;
mod secret;
mod sources;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cardinal_domain::{
    bounds::size,
    driver::{Pair, Response},
    event::{EventBody, EventKind},
    names::{ReaderName, TraceId},
    site::Reader,
    time::Timestamp,
};
use cardinal_runtime::Bounds;
use cardinal_store::{SecretNumber, Setup, Store, StoreError};
use ring::hmac;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

pub use self::{
    base::{Base, Bases},
    endpoint::router,
    limits::{CALL_LIMITS, CallLimits},
};
use self::{
    pace::Pace,
    routes::{Routes, Seat},
    secret::{Secret, Secrets},
    sources::{Sources, Whence},
};
use crate::{
    config::Config,
    http::Expected,
    sessions::{Refused, Tell},
};

/// A reader's request that waits for its answer. One whose `answer` is dropped is answered 503; where the reader hangs up,
/// `answer` is closed.
pub struct Calling {
    pub method: String,
    /// What follows the callback address: begins with `/`, or is empty.
    pub path: String,
    /// Decoded.
    pub query: Vec<Pair>,
    /// Names in lower case; those of the connection itself left out, and values that are too long.
    pub headers: Vec<Pair>,
    pub body: Vec<u8>,
    pub answer: oneshot::Sender<Response>,
    /// When its reader is told 504. A session that comes to it later than that leaves it.
    pub until: tokio::time::Instant,
    /// Takes it back from a session that ends without having taken it.
    back: Option<oneshot::Sender<Calling>>,
}

/// Where a reader is to call, and what shows that it is the one.
pub struct Callback {
    /// Without a `/` at its end. It holds the reader's secret.
    pub url: String,
    /// All of the reader's secrets that are good now, the one in the address among them.
    pub secrets: Vec<String>,
}

/// Why there is no address for a reader to call.
#[derive(Debug, thiserror::Error)]
pub enum CallsError {
    #[error(
        "no listener for readers is configured: set listen in [readers] of cardinal.toml to an address that they reach, \
         such as \"0.0.0.0:8633\"; a reader that cannot speak TLS needs plain = true, and plain_listen there"
    )]
    NoListener,
    #[error(
        "it calls over plain HTTP (plain = true), and no listener for that is configured: set plain_listen in [readers] of \
         cardinal.toml to an address that it reaches, such as \"0.0.0.0:8634\""
    )]
    NoPlainListener,
    #[error(
        "the address that readers are to call is not known ({0}): set url in [readers] of cardinal.toml, such as \
         \"https://print.example.org:8633\""
    )]
    NoUrl(String),
    #[error(
        "the address that readers are to call over plain HTTP is not known ({0}): set plain_url in [readers] of \
         cardinal.toml, such as \"http://print.example.org:8634\""
    )]
    NoPlainUrl(String),
    #[error("reader {0} has no secret to call with: was it removed meanwhile?")]
    NoSecret(ReaderName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a call came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Tls,
    Plain,
}

/// The calls of all readers.
pub struct Calls {
    store: Store,
    secrets: Secrets,
    config: Config,
    bases: Bases,
    routes: Arc<Mutex<Routes>>,
    sources: Arc<Sources>,
    refused: Mutex<Refused>,
    known: Mutex<Known>,
    /// One change of secrets at a time, so that memory and store do not go apart.
    changing: tokio::sync::Mutex<()>,
}

/// The addresses of readers that have no name, of a setup.
#[derive(Default)]
struct Known {
    of: Option<Arc<Setup>>,
    addresses: HashSet<IpAddr>,
}

/// A session's place at the listeners: its reader's calls come here while it lives.
pub struct Place {
    calls: mpsc::Receiver<Calling>,
    reader: ReaderName,
    seat: Arc<Seat>,
    routes: Arc<Mutex<Routes>>,
    _looks_up: Option<AbortOnDropHandle<()>>,
}

/// Why a call is answered as one that shows nothing.
enum Refusal {
    /// No secret in use, or of a reader that is not.
    Unknown,
    /// This reader's secret, from another address than this.
    Elsewhere(ReaderName, String),
    /// This reader's secret, over plain HTTP, which is not how it is to call.
    InClear(ReaderName),
    /// This reader's secret, but where it calls from is not known yet.
    NotYet,
}

impl Calls {
    /// With the secrets that readers may have been told, and a key that serves nothing but to make them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn open(store: Store, key: hmac::Key, config: Config, bases: Bases) -> Result<Self, StoreError> {
        let refused = Mutex::new(Refused::new(size(config.callers.refused_told)));
        let calls = Self {
            secrets: Secrets::new(key),
            bases,
            routes: Arc::default(),
            sources: Arc::default(),
            refused,
            known: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            config,
            store,
        };
        let mut numbers = calls.store.secret_numbers().await?;
        numbers.sort_by(|a, b| a.reader.cmp(&b.reader));
        for of_one in numbers.chunk_by(|a, b| a.reader == b.reader) {
            calls.learn(of_one);
        }
        Ok(calls)
    }

    /// The address that the reader is to call, without a `/` at its end. It holds the reader's secret: it is for the reader
    /// alone, and for no log.
    ///
    /// # Errors
    /// No listener of its kind is configured, or not by what name readers reach it; the store failed.
    pub async fn url(&self, reader: &Reader) -> Result<String, CallsError> {
        Ok(self.callback(reader).await?.url)
    }

    /// The same with all secrets that are good, to be kept out of what is said.
    ///
    /// # Errors
    /// As for [`Calls::url`].
    pub async fn callback(&self, reader: &Reader) -> Result<Callback, CallsError> {
        let base = match (self.bases.of_reader(reader), reader.plain) {
            (Base::At(base), _) => base,
            (Base::Unknown(why), false) => return Err(CallsError::NoUrl(why.clone())),
            (Base::Unknown(why), true) => return Err(CallsError::NoPlainUrl(why.clone())),
            (Base::None, false) => return Err(CallsError::NoListener),
            (Base::None, true) => return Err(CallsError::NoPlainListener),
        };
        let _changing = self.changing.lock().await;
        // Asked each time: a reader that was removed and added again has another.
        let numbers = self.store.secret_numbers_of(&reader.name).await?;
        self.learn(&numbers);
        let now = numbers.iter().find(|number| number.ends.is_none());
        let secret = now.map(|now| self.secret(now)).ok_or_else(|| CallsError::NoSecret(reader.name.clone()))?;
        let url = format!("{base}/r/{}", secret.as_str());
        let now = Timestamp::now();
        let good = numbers.iter().filter(|number| number.ends.is_none_or(|ends| now < ends));
        Ok(Callback { url, secrets: good.map(|number| self.secret(number).as_str().to_owned()).collect() })
    }

    /// From now on this reader's calls come here. When dropped, those not taken and those that come wait for the next place,
    /// for a while; then they are answered 503. At most `open_calls` of them wait for their answer, further ones are answered
    /// 503. A newer place takes the older one's calls.
    pub fn take(&self, reader: &Reader) -> Place {
        let bounds = self.bounds(reader);
        let open = size(bounds.open_calls).clamp(1, Semaphore::MAX_PERMITS);
        let (sender, calls) = mpsc::channel(open);
        let limits = &self.config.readers.bounds;
        let seat = Arc::new(Seat {
            calls: sender,
            open: Arc::new(Semaphore::new(open)),
            body_bytes: size(bounds.http_body_bytes),
            pace: Arc::new(Mutex::new(Pace::new(limits.calls_per_second, self.config.sessions.calm_ms))),
        });
        self.routes().sit(&reader.name, &seat);
        let routes = Arc::clone(&self.routes);
        let looks_up = self.sources.follow(&reader.address);
        Place { calls, reader: reader.name.clone(), seat, routes, _looks_up: looks_up }
    }

    /// Gives a reader another secret; those before are good for as long as the overlap. Whoever calls this starts the reader's
    /// session anew, which tells the reader.
    ///
    /// # Errors
    /// The store failed; nothing has changed then.
    pub async fn rotate(&self, reader: &Reader, overlap: Duration) -> Result<Timestamp, StoreError> {
        let _changing = self.changing.lock().await;
        let now = Timestamp::now();
        let overlap = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
        let ends = Timestamp(now.0.saturating_add(overlap));
        let name = &reader.name;
        let message = format!("the callback address of {name} has another secret; the one before is good until {ends}");
        let event =
            EventBody::new(TraceId::new(), EventKind::ReaderRotated, message).reader(name).device(&reader.device);
        let event = event.fact("overlap_ends", ends.to_string());
        self.learn(&self.store.rotate_secret(name, now, ends, vec![event]).await?);
        Ok(ends)
    }

    fn bounds(&self, reader: &Reader) -> Bounds {
        // Overrides were checked when the configuration was read.
        self.config.bounds_of(&reader.driver.id).unwrap_or_else(|_| self.config.drivers.bounds.clone())
    }

    /// Those who are expected to call: addresses of readers that are enabled, and what their names lead to.
    pub fn expected(own: &Arc<Self>) -> Expected {
        let own = Arc::clone(own);
        Expected::new(move |address| own.knows(address))
    }

    fn knows(&self, address: IpAddr) -> bool {
        let setup = self.store.setup();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, &setup)) {
            let enabled = setup.readers.values().filter(|reader| reader.enabled);
            let addresses = enabled.filter_map(|reader| sources::address_of(&reader.address)).collect();
            *known = Known { addresses, of: Some(setup) };
        }
        known.addresses.contains(&address) || self.sources.found(address)
    }

    /// All secrets of one reader.
    fn learn(&self, numbers: &[SecretNumber]) {
        let Some(reader) = numbers.first().map(|number| &number.reader) else { return };
        let secrets = numbers.iter().map(|number| (self.secret(number).digest(), number.ends)).collect();
        self.routes().learn(reader, secrets);
    }

    fn secret(&self, number: &SecretNumber) -> Secret {
        self.secrets.of(&number.reader, number.number)
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose call it is, by what it shows as its secret and where it comes from; and who takes it now.
    fn admit(&self, shown: &str, caller: IpAddr, over: Over) -> Result<(Arc<Reader>, Option<Arc<Seat>>), Refusal> {
        let digest = secret::digest(shown);
        let (reader, seat) = {
            let routes = self.routes();
            let reader = routes.reader(&digest, Timestamp::now()).ok_or(Refusal::Unknown)?;
            (reader.clone(), routes.seat(reader))
        };
        let setup = self.store.setup();
        let spec = setup.readers.get(&reader).filter(|spec| spec.enabled).ok_or(Refusal::Unknown)?;
        match self.sources.admit(&spec.address, caller) {
            Whence::Its => {}
            Whence::Elsewhere => return Err(Refusal::Elsewhere(reader, spec.address.clone())),
            Whence::Unknown => return Err(Refusal::NotYet),
        }
        // Over TLS every reader may call: that tells nobody anything.
        if over == Over::Plain && !spec.plain {
            return Err(Refusal::InClear(reader));
        }
        Ok((Arc::clone(spec), seat))
    }

    /// Tells of a caller that was refused, at most once a minute for an address. Never what it showed: that may be a secret.
    fn tell_refused(&self, caller: IpAddr, refusal: &Refusal) {
        let told = self.refused.lock().unwrap_or_else(PoisonError::into_inner).caller(caller, Instant::now());
        let event = |message| EventBody::new(TraceId::new(), EventKind::CallRefused, message);
        let event = match told {
            None => return,
            Some(Tell::This { before }) => {
                let what = match refusal {
                    Refusal::Unknown | Refusal::NotYet => {
                        format!("{caller} called with no reader's secret; was it rotated?")
                    }
                    Refusal::Elsewhere(reader, address) => {
                        format!("{caller} called with the secret of {reader}, whose address is {address}")
                    }
                    Refusal::InClear(reader) => format!(
                        "{reader} called over plain HTTP, which it is not to do: whoever is on the way has its secret now; \
                         give it another (`cardinal reader rotate {reader} --overlap 0`) and have it call the HTTPS address, \
                         or set plain = true where it cannot speak TLS"
                    ),
                };
                let more = if before > 0 { format!(" ({before} refused since last told)") } else { String::new() };
                let event = event(format!("{what}{more}")).fact("address", caller.to_string());
                match refusal {
                    Refusal::Elsewhere(reader, _) | Refusal::InClear(reader) => event.reader(reader),
                    Refusal::Unknown | Refusal::NotYet => event,
                }
            }
            Some(Tell::Others(count)) => {
                event(format!("{count} more calls were refused, from too many addresses to tell of each"))
                    .fact("suppressed", count.to_string())
            }
        };
        // Not here: the store may be slow. There are no more of these than addresses are told of.
        let store = self.store.clone();
        tokio::spawn(async move { tell(&store, event).await });
    }

    /// Tells of a flood of calls that begins, and once it is over.
    fn tell_flood(&self, spec: &Reader, seat: &Seat) {
        let about =
            |kind, message| EventBody::new(TraceId::new(), kind, message).reader(&spec.name).device(&spec.device);
        let limit = self.config.readers.bounds.calls_per_second;
        let name = &spec.name;
        let begins = about(
            EventKind::ReaderThrottled,
            format!("{name} calls more often than {limit} times a second; further calls are answered 429"),
        )
        .fact("bound", "calls_per_second")
        .fact("limit", limit.to_string());
        let ends = about(EventKind::ReaderUnthrottled, format!("the flood of {name} is over"));
        let (store, pace) = (self.store.clone(), Arc::clone(&seat.pace));
        tokio::spawn(async move {
            tell(&store, begins).await;
            if let Some(lasted) = pace::over(pace).await {
                let message = format!("{}; it lasted {lasted:.1?}", ends.message);
                tell(&store, EventBody { at: Timestamp::now(), message, ..ends }).await;
            }
        });
    }
}

impl Place {
    /// The next call. Cancel safe.
    pub async fn next(&mut self) -> Calling {
        match self.calls.recv().await {
            Some(calling) => calling,
            // Cannot be: the other end is in our own seat.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever calls looks the seat up and puts a call there under the same lock: none is lost between.
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes.rise(&self.reader, &self.seat);
        self.calls.close();
        while let Ok(mut calling) = self.calls.try_recv() {
            if let Some(back) = calling.back.take() {
                let _ = back.send(calling);
            }
        }
    }
}

/// What is unsafe about how a reader calls, if anything.
pub fn warning(reader: &Reader) -> Option<&'static str> {
    reader.plain.then_some(
        "it calls over plain HTTP (plain = true): whoever is on the way reads its cards and can show them as it does; take \
         plain away if it can speak HTTPS",
    )
}

async fn tell(store: &Store, event: EventBody) {
    if let Err(error) = store.record(vec![event]).await {
        tracing::error!(error = &error as &dyn std::error::Error, "an event was lost");
    }
}
