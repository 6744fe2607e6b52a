//! What drivers fetch from their readers over HTTP.
//!
//! A fetch reaches the one reader whose session asks, on the ports of its mode, and nothing else: redirects are handed back,
//! no proxy and no cookie plays a part, a name that leads to the loopback or the link is refused. Every answer is bounded. A connection
//! serves one exchange: many readers serve one connection at a time, and none is ever there for another reader.

mod failure;
mod limits;
mod names;
mod tls;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use cardinal_domain::{
    bounds::size,
    driver::{Fault, Fetch, Response},
    fingerprint::Fingerprint,
};
use reqwest::{
    Client, Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tokio::sync::Semaphore;

pub use self::{
    limits::{FETCH_LIMITS, FetchLimits},
    names::host_and_port,
};

/// What belongs to a connection, and so to the host (RFC 9110, section 7.6.1; RFC 9112, section 6).
const OURS: [&str; 9] =
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Where a reader has a certificate, nothing is said to whoever cannot show it.
const IN_CLEAR: &str = "the reader has a pinned certificate, so it is talked to over TLS alone, but its driver asked for plain \
                        HTTP: set its driver to TLS, or take the pin away with `cardinal reader set NAME certificate=`";

/// Readers that were silent the last time have one turn of so many, all together: each takes as long as it may, and those
/// that answer must not wait behind them.
const SILENT_PART: usize = 4;

/// The reader that a fetch goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or an address, as it stands in a URL.
    pub host: String,
    /// The one certificate that it has.
    pub certificate: Option<Fingerprint>,
    /// The largest body taken, in bytes.
    pub body_bytes: u64,
}

/// Carries out the fetches of all readers.
pub struct Fetcher {
    limits: FetchLimits,
    /// Asked for each connection: a reader may have another address by now.
    names: Arc<dyn reqwest::dns::Resolve>,
    /// Fair: whoever waits longest is next.
    at_once: Semaphore,
    /// The part of these turns that those have who were silent the last time.
    of_silent: Semaphore,
    /// Where nobody could be reached the last time, or said nothing in time.
    silent: Mutex<HashSet<(String, u16)>>,
    /// By the certificate that each takes.
    clients: Mutex<HashMap<Option<Fingerprint>, Client>>,
}

impl Fetcher {
    /// # Errors
    /// A broken system cannot make a client.
    pub fn new(limits: FetchLimits) -> Result<Self> {
        let most = size(limits.at_once).min(Semaphore::MAX_PERMITS);
        let (at_once, of_silent) = (Semaphore::new(most), Semaphore::new((most / SILENT_PART).max(1)));
        let (silent, clients) = (Mutex::default(), Mutex::default());
        let fetcher = Self { limits, names: Arc::new(names::Names), at_once, of_silent, silent, clients };
        fetcher.client(None).context("cannot make an HTTP client for readers")?;
        Ok(fetcher)
    }

    /// Makes one exchange, on this port.
    ///
    /// # Errors
    /// There is no whole answer: `refused` (no connection), `timeout`, `tls`, `too-large`, or `lost` (the connection ended
    /// half way, or what came is no HTTP).
    pub async fn fetch(&self, target: &Target, port: u16, fetch: Fetch) -> Result<Response, Fault> {
        let stops = |_| Fault::new("lost", "the host stops");
        let at = (target.host.clone(), port);
        let was_silent = self.silent().contains(&at);
        let _of_silent = if was_silent { Some(self.of_silent.acquire().await.map_err(stops)?) } else { None };
        // The time begins when it is this one's turn.
        let _turn = self.at_once.acquire().await.map_err(stops)?;
        let whole = Duration::from_millis(self.limits.whole_ms);
        let exchange = self.exchange(target, port, fetch);
        let outcome = tokio::time::timeout(whole, exchange).await.unwrap_or_else(|_| {
            Err(Fault::new("timeout", format!("the reader gave no whole answer within {whole:?}")))
        });
        let is_silent = outcome.as_ref().is_err_and(|fault| ["refused", "timeout"].contains(&fault.code.as_str()));
        if is_silent {
            self.silent().insert(at);
        } else {
            self.silent().remove(&at);
        }
        outcome
    }

    fn silent(&self) -> MutexGuard<'_, HashSet<(String, u16)>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(&self, target: &Target, port: u16, fetch: Fetch) -> Result<Response, Fault> {
        let unsent = |what: &str| Fault::new("refused", format!("the request cannot be made: {what}"));
        let url = url(target, port, &fetch).ok_or_else(|| unsent("its address is none"))?;
        if target.certificate.is_some() && !fetch.tls {
            return Err(Fault::new("tls", IN_CLEAR));
        }
        let method = Method::from_bytes(fetch.method.as_bytes()).map_err(|_| unsent("its method is none"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &fetch.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsent("a header's name is none"))?;
            let value = HeaderValue::from_str(value).map_err(|_| unsent("a header's value is none"))?;
            if !OURS.contains(&name.as_str()) {
                headers.append(name, value);
            }
        }
        let client = self.client(target.certificate).map_err(failure::fault)?;
        let request = client.request(method, url).headers(headers).body(fetch.body);
        let mut answer = request.send().await.map_err(failure::fault)?;
        let headers = self.headers(answer.headers())?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let most = size(target.body_bytes);
        while let Some(chunk) = answer.chunk().await.map_err(failure::fault)? {
            if body.len().saturating_add(chunk.len()) > most {
                return Err(Fault::new("too-large", format!("the reader's answer is larger than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body })
    }

    fn headers(&self, given: &HeaderMap) -> Result<Vec<(String, String)>, Fault> {
        let mut headers = Vec::new();
        let mut left = size(self.limits.header_bytes);
        for (name, value) in given {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let taken = name.as_str().len().saturating_add(value.len());
            left = left.checked_sub(taken).ok_or_else(|| {
                let most = self.limits.header_bytes;
                Fault::new("too-large", format!("the headers of the reader's answer are larger than {most} bytes"))
            })?;
            headers.push((name.as_str().to_owned(), value));
        }
        Ok(headers)
    }

    fn client(&self, certificate: Option<Fingerprint>) -> Result<Client, reqwest::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&certificate) {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .connect_timeout(Duration::from_millis(self.limits.connect_ms))
            .dns_resolver(Arc::clone(&self.names))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .http1_only()
            .http1_max_headers(size(self.limits.headers))
            .pool_max_idle_per_host(0)
            .user_agent("cardinal");
        let client = tls::with(builder, certificate).build()?;
        clients.insert(certificate, client.clone());
        Ok(client)
    }
}

/// The address of a fetch. The host and the port are the target's, whatever the path is.
fn url(target: &Target, port: u16, fetch: &Fetch) -> Option<Url> {
    let scheme = if fetch.tls { "https" } else { "http" };
    let mut url = Url::parse(&format!("{scheme}://{}/", target.host)).ok()?;
    url.set_port(Some(port)).ok()?;
    url.set_path(&fetch.path);
    if !fetch.query.is_empty() {
        let encoded = url.query_pairs_mut().clear().extend_pairs(&fetch.query).finish().query().map(str::to_owned);
        // A space as `+` is a custom of forms, which not every small device knows; a plus itself is `%2B` here.
        url.set_query(encoded.map(|query| query.replace('+', "%20")).as_deref());
    }
    Some(url)
}

#[cfg(test)]
mod tests;
