//! Signing in to print: HTTP Basic (RFC 7617), checked by whoever the server names, with guessing made slow.
//!
//! A failed sign-in is answered later and later, and an address that fails often has one try at a time. Who signs in
//! rightly is answered at once, also behind an address from which somebody guesses, as far as that one try allows.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::Mutex,
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cardinal_domain::{
    event::{EventBody, EventKind},
    names::{QueueName, TraceId, UserName},
};
use futures_util::future::BoxFuture;

use crate::engine::{Engine, lock};

/// The longest `Authorization` header looked at, in bytes: names and passwords are far shorter.
const LONGEST_HEADER: usize = 1024;
/// So many failures in a row are taken for typing errors: they are answered at once.
const TYPING_ERRORS: u32 = 3;
/// The longest time a failure is answered late.
const LONGEST_DELAY: Duration = Duration::from_secs(8);
/// After so long without a failure an address is like any other again.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// How many addresses are told apart; those beyond share one count.
const MOST_CLIENTS: usize = 1024;
/// An address whose sign-ins fail is told of once in so long.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Why nobody can say whether a password is right.
#[derive(Debug, thiserror::Error)]
#[error("sign-ins cannot be checked now")]
pub struct SignInError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Checks names and passwords.
pub trait SignIn: fmt::Debug + Send + Sync {
    /// The user of this name, if the password is theirs. A name that is not known takes as long as a wrong password.
    ///
    /// # Errors
    /// It cannot be told now.
    fn sign_in<'a>(&'a self, name: &'a str, password: &'a str) -> BoxFuture<'a, Result<Option<UserName>, SignInError>>;
}

/// What a client shows. `Debug` is left out on purpose.
pub(crate) struct Credentials {
    name: String,
    password: String,
}

/// What an `Authorization` header says. None: there is none, or of another scheme. Error: it cannot be read.
pub(crate) fn credentials(headers: &HeaderMap) -> Result<Option<Credentials>, ()> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.len() <= LONGEST_HEADER).ok_or(())?;
    let Some((scheme, token)) = text.trim().split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let bytes = BASE64_STANDARD.decode(token.trim()).map_err(drop)?;
    let text = String::from_utf8(bytes).map_err(drop)?;
    let (name, password) = text.split_once(':').ok_or(())?;
    Ok(Some(Credentials { name: name.to_owned(), password: password.to_owned() }))
}

/// What came of a sign-in.
pub(crate) enum SignedIn {
    As(UserName),
    /// The name is not known, or the password is wrong.
    No,
    /// Too many tries from this address at a time.
    Busy,
    /// It cannot be checked.
    Broken,
}

/// Checks what a client shows at this queue.
pub(crate) async fn check(engine: &Engine, client: IpAddr, queue: &QueueName, shown: &Credentials) -> SignedIn {
    let Some(attempt) = engine.guesses.begin(client, Instant::now()) else { return SignedIn::Busy };
    let Some(judge) = &engine.serving.sign_in else { return SignedIn::Broken };
    // An empty password is nobody's: a directory would take it for an anonymous sign-in (RFC 4513 §5.1.2).
    let checked = if shown.password.is_empty() { Ok(None) } else { judge.sign_in(&shown.name, &shown.password).await };
    match checked {
        Ok(Some(user)) => SignedIn::As(user),
        Ok(None) => {
            let failure = attempt.failed(Instant::now());
            if let Some(failed) = failure.tell {
                let message = format!("a sign-in from {client} at {queue} failed, the {failed}. from there of late");
                let event = EventBody::new(TraceId::new(), EventKind::SignInRefused, message)
                    .fact("queue", queue.to_string())
                    .fact("client", client.to_string())
                    .fact("failed", failed.to_string());
                engine.record(vec![event]).await;
            }
            let _ = engine.stop.run_until_cancelled(tokio::time::sleep(failure.delay)).await;
            SignedIn::No
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a sign-in cannot be checked");
            SignedIn::Broken
        }
    }
}

/// The addresses from which sign-ins failed of late.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    by_client: Mutex<HashMap<IpAddr, Record>>,
}

#[derive(Debug)]
struct Record {
    failed: u32,
    /// When the last one failed, or the first one began.
    last: Instant,
    told: Option<Instant>,
    /// Tries under way.
    trying: u32,
}

/// What follows from a failure.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    /// How long the answer waits.
    delay: Duration,
    /// How many have failed, if an operator is to be told now.
    tell: Option<u32>,
}

impl Guesses {
    /// A try begins. None: this address has one under way, and failed too often to have more.
    fn begin(&self, client: IpAddr, now: Instant) -> Option<Attempt<'_>> {
        let mut all = lock(&self.by_client);
        if all.len() >= MOST_CLIENTS {
            all.retain(|_, record| record.trying > 0 || now.duration_since(record.last) < FORGOTTEN);
        }
        let client = client.to_canonical();
        let is_full = all.len() >= MOST_CLIENTS && !all.contains_key(&client);
        let client = if is_full { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { client };
        let record = all.entry(client).or_insert(Record { failed: 0, last: now, told: None, trying: 0 });
        if now.duration_since(record.last) >= FORGOTTEN {
            record.failed = 0;
        }
        if record.failed > TYPING_ERRORS && record.trying > 0 {
            return None;
        }
        record.trying += 1;
        Some(Attempt { guesses: self, client })
    }
}

/// A try is under way while this lives.
struct Attempt<'g> {
    guesses: &'g Guesses,
    client: IpAddr,
}

impl Attempt<'_> {
    fn failed(&self, now: Instant) -> Failure {
        let mut all = lock(&self.guesses.by_client);
        let Some(record) = all.get_mut(&self.client) else { return Failure { delay: LONGEST_DELAY, tell: None } };
        record.failed = record.failed.saturating_add(1);
        record.last = now;
        let tell = record.told.is_none_or(|told| now.duration_since(told) >= TOLD_EVERY).then_some(record.failed);
        if tell.is_some() {
            record.told = Some(now);
        }
        Failure { delay: delay(record.failed), tell }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.guesses.by_client);
        if let Some(record) = all.get_mut(&self.client) {
            record.trying -= 1;
            // Who never failed leaves nothing behind.
            if record.trying == 0 && record.failed == 0 {
                all.remove(&self.client);
            }
        }
    }
}

/// A second for the first failure that is no typing error, then twice as long each time.
fn delay(failed: u32) -> Duration {
    match failed.checked_sub(TYPING_ERRORS + 1) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_secs(1 << doublings.min(16)).min(LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(header: &str) -> Result<Option<(String, String)>, ()> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, header.parse().unwrap());
        credentials(&headers).map(|read| read.map(|shown| (shown.name, shown.password)))
    }

    #[test]
    fn basic_is_read() {
        // RFC 7617 §2, and §2.1 with a pound sign.
        for (header, name, password) in [
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
            ("bAsIc dGVzdDoxMjPCow==", "test", "123£"),
            ("Basic YTpiOmM=", "a", "b:c"),
            ("Basic YTo=", "a", ""),
        ] {
            assert_eq!(read(header), Ok(Some((name.to_owned(), password.to_owned()))), "{header}");
        }
        assert_eq!(read("Bearer abc"), Ok(None));
        assert_eq!(read("Negotiate"), Ok(None));
        for wrong in ["Basic !", "Basic YWRh", "Basic /w==", &format!("Basic {}", "QUFB".repeat(400))] {
            assert_eq!(read(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn guessing_gets_slow_and_is_told_once_a_minute() {
        let guesses = Guesses::default();
        let (client, now) = (IpAddr::from([10, 0, 0, 1]), Instant::now());
        let seconds: Vec<_> = (0..9).map(|_| guesses.begin(client, now).unwrap().failed(now).delay.as_secs()).collect();
        assert_eq!(seconds, [0, 0, 0, 1, 2, 4, 8, 8, 8]);
        assert_eq!(guesses.begin(client, now).unwrap().failed(now).tell, None);
        let later = now + TOLD_EVERY;
        assert_eq!(guesses.begin(client, later).unwrap().failed(later).tell, Some(11));

        // One at a time from there; others are not slowed.
        let one = guesses.begin(client, later).unwrap();
        assert!(guesses.begin(client, later).is_none());
        let other = IpAddr::from([10, 0, 0, 2]);
        let both = (guesses.begin(other, later).unwrap(), guesses.begin(other, later).unwrap());
        assert_eq!(both.0.failed(later), Failure { delay: Duration::ZERO, tell: Some(1) });
        drop((one, both));
        let much_later = later + FORGOTTEN;
        assert_eq!(guesses.begin(client, much_later).unwrap().failed(much_later).delay, Duration::ZERO);
    }

    #[test]
    fn the_addresses_remembered_are_bounded() {
        let guesses = Guesses::default();
        let now = Instant::now();
        for number in 0..u32::try_from(MOST_CLIENTS).unwrap() * 3 {
            guesses.begin(IpAddr::from(number.to_be_bytes()), now).map(|attempt| attempt.failed(now));
        }
        assert!(lock(&guesses.by_client).len() <= MOST_CLIENTS + 1);
        // Those that are not told apart are slowed together.
        assert_eq!(guesses.begin(IpAddr::from([99, 0, 0, 1]), now).unwrap().failed(now).delay, LONGEST_DELAY);
        drop(guesses.begin(IpAddr::from([10, 0, 0, 1]), now + FORGOTTEN));
        assert!(lock(&guesses.by_client).is_empty());
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_harm(text in "(Basic )?[ -~]{0,60}") {
            let _ = read(&text);
        }
    }
}
