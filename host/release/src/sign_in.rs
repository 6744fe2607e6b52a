//! Signing in to print: HTTP Basic (RFC 7617), checked by whoever the server names, with guessing made slow.
//!
//! A failed sign-in is answered later and later. An address that fails often has one try at a time, and none until the
//! delay of its last failure is over, whether or not the client waits for the answer: a try that comes earlier is refused
//! unchecked. Who signs in rightly is answered at once, and takes nothing off the count.
//!
//! The limit of this: people behind one address (NAT, a proxy) are one client. While one of them guesses, a right password
//! gets in only where it comes first after a delay.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cardinal_domain::{
    event::{EventBody, EventKind},
    names::{QueueName, TraceId, UserName},
};
use cardinal_store::Store;
use futures_util::future::BoxFuture;

use crate::engine::{Engine, lock};

/// The longest `Authorization` header looked at, in bytes: names and passwords are far shorter.
const LONGEST_HEADER: usize = 1024;
/// So many failures in a row are taken for typing errors: they are answered at once.
const TYPING_ERRORS: u32 = 3;
/// How many tries an address has under way at the same time, unless it failed often: for the people behind one NAT.
const MOST_AT_ONCE: u32 = 8;
/// The longest time a failure is answered late.
const LONGEST_DELAY: Duration = Duration::from_secs(8);
/// After so long without a failure an address is like any other again.
const FORGOTTEN: Duration = Duration::from_secs(600);
/// How many addresses that failed are remembered; beyond that, those are forgotten that have not failed for longest.
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
#[derive(Clone)]
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
    /// Too many tries from this address at a time, or too soon after a failure. Nothing was checked.
    Busy,
    /// It cannot be checked.
    Broken,
}

/// Checks what a client shows at this queue.
pub(crate) async fn check(engine: &Engine, client: IpAddr, queue: &QueueName, shown: &Credentials) -> SignedIn {
    let Some(judge) = engine.serving.sign_in.clone() else { return SignedIn::Broken };
    let Some(attempt) = engine.guesses.begin(client, Instant::now()) else { return SignedIn::Busy };
    let (store, queue, shown) = (engine.store.clone(), queue.clone(), shown.clone());
    // Who hangs up before the answer has had their try all the same.
    let checked = engine.to_its_end(async move {
        // An empty password is nobody's: a directory would take it for an anonymous sign-in (RFC 4513 §5.1.2).
        if !shown.password.is_empty()
            && let Some(user) = judge.sign_in(&shown.name, &shown.password).await?
        {
            return Ok(Ok(user));
        }
        let failure = attempt.failed(Instant::now());
        if let Some(failed) = failure.tell {
            tell(&store, client, &queue, failed).await;
        }
        Ok::<_, SignInError>(Err(failure.delay))
    });
    match checked.await.unwrap_or_else(|panicked| Err(SignInError(panicked.into()))) {
        Ok(Ok(user)) => SignedIn::As(user),
        Ok(Err(delay)) => {
            let _ = engine.stop.run_until_cancelled(tokio::time::sleep(delay)).await;
            SignedIn::No
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a sign-in cannot be checked");
            SignedIn::Broken
        }
    }
}

/// Tells an operator of the failures from an address.
async fn tell(store: &Store, client: IpAddr, queue: &QueueName, failed: u32) {
    let message = format!("a sign-in from {client} at {queue} failed, the {failed}. from there of late");
    let event = EventBody::new(TraceId::new(), EventKind::SignInRefused, message)
        .fact("queue", queue.to_string())
        .fact("client", client.to_string())
        .fact("failed", failed.to_string());
    if let Err(error) = store.record(vec![event]).await {
        tracing::error!(error = &error as &dyn std::error::Error, "events cannot be stored");
    }
}

/// The addresses from which sign-ins failed of late. All clones are one.
#[derive(Debug, Default, Clone)]
pub(crate) struct Guesses {
    by_client: Arc<Mutex<HashMap<IpAddr, Record>>>,
}

#[derive(Debug)]
struct Record {
    failed: u32,
    /// When the last one failed, or the first one began.
    last: Instant,
    /// No try before this: the delay of the last failure ends then.
    not_before: Instant,
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
    /// A try begins. None: this address has as many under way as it may, or the delay of its last failure is not over.
    fn begin(&self, client: IpAddr, now: Instant) -> Option<Attempt> {
        let client = counted_as(client);
        let mut all = lock(&self.by_client);
        if all.len() >= MOST_CLIENTS && !all.contains_key(&client) {
            let idle = all.iter().filter(|(_, record)| record.trying == 0);
            let oldest = idle.min_by_key(|(_, record)| record.last).map(|(client, _)| *client)?;
            all.remove(&oldest);
        }
        let new = Record { failed: 0, last: now, not_before: now, told: None, trying: 0 };
        let record = all.entry(client).or_insert(new);
        if now.duration_since(record.last) >= FORGOTTEN {
            record.failed = 0;
        }
        let most = if record.failed < TYPING_ERRORS { MOST_AT_ONCE } else { 1 };
        if record.trying >= most || now < record.not_before {
            return None;
        }
        record.trying += 1;
        Some(Attempt { guesses: self.clone(), client })
    }
}

/// The address by which a client is counted: of IPv6 the /64, because any host has all of its addresses to itself
/// (RFC 4291 §2.5.1). Link-local clients are one that way.
fn counted_as(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(client) => Ipv6Addr::from_bits(client.to_bits() & (u128::MAX << 64)).into(),
        client => client,
    }
}

/// A try is under way while this lives.
struct Attempt {
    guesses: Guesses,
    client: IpAddr,
}

impl Attempt {
    /// It is over, and failed.
    fn failed(self, now: Instant) -> Failure {
        let mut all = lock(&self.guesses.by_client);
        let Some(record) = all.get_mut(&self.client) else { return Failure { delay: LONGEST_DELAY, tell: None } };
        record.failed = record.failed.saturating_add(1);
        record.last = now;
        let delay = delay(record.failed);
        record.not_before = record.not_before.max(now + delay);
        let tell = record.told.is_none_or(|told| now.duration_since(told) >= TOLD_EVERY).then_some(record.failed);
        if tell.is_some() {
            record.told = Some(now);
        }
        Failure { delay, tell }
    }
}

impl Drop for Attempt {
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
        let (client, mut now) = (IpAddr::from([10, 0, 0, 1]), Instant::now());
        let mut seconds = Vec::new();
        for _ in 0..9 {
            let failure = guesses.begin(client, now).unwrap().failed(now);
            seconds.push(failure.delay.as_secs());
            if !failure.delay.is_zero() {
                // Whoever does not wait for the answer is not checked, and what is not checked does not count.
                assert!(guesses.begin(client, now).is_none());
                assert!(guesses.begin(client, now + failure.delay - Duration::from_millis(1)).is_none());
            }
            now += failure.delay;
        }
        assert_eq!(seconds, [0, 0, 0, 1, 2, 4, 8, 8, 8]);
        assert_eq!(guesses.begin(client, now).unwrap().failed(now).tell, None);
        let later = now + TOLD_EVERY;
        assert_eq!(guesses.begin(client, later).unwrap().failed(later).tell, Some(11));

        // One at a time from there, and a right one changes nothing; others are not slowed.
        let later = later + LONGEST_DELAY;
        let right = guesses.begin(client, later).unwrap();
        assert!(guesses.begin(client, later).is_none());
        drop(right);
        assert_eq!(guesses.begin(client, later).unwrap().failed(later).delay, LONGEST_DELAY);
        let other = IpAddr::from([10, 0, 0, 2]);
        let (one, two) = (guesses.begin(other, later).unwrap(), guesses.begin(other, later).unwrap());
        assert_eq!(one.failed(later), Failure { delay: Duration::ZERO, tell: Some(1) });
        drop(two);
        let much_later = later + FORGOTTEN;
        assert_eq!(guesses.begin(client, much_later).unwrap().failed(much_later).delay, Duration::ZERO);
    }

    #[test]
    fn the_first_tries_of_an_address_are_few_at_a_time() {
        let guesses = Guesses::default();
        let (client, now) = (IpAddr::from([10, 0, 0, 1]), Instant::now());
        let begun: Vec<_> = (0..64).filter_map(|_| guesses.begin(client, now)).collect();
        assert_eq!(begun.len(), 8);
        let longest = begun.into_iter().map(|attempt| attempt.failed(now).delay).max();
        assert_eq!(longest, Some(LONGEST_DELAY));
        assert!(guesses.begin(client, now).is_none());
        assert!(guesses.begin(client, now + LONGEST_DELAY).is_some());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let guesses = Guesses::default();
        let now = Instant::now();
        let begin = |address: &str| guesses.begin(address.parse().unwrap(), now);
        for last in 1..=4 {
            begin(&format!("2001:db8:0:1::{last}")).unwrap().failed(now);
        }
        assert!(begin("2001:db8:0:1:ffff:ffff:ffff:ffff").is_none());
        assert!(begin("2001:db8:0:2::1").is_some());
        for _ in 0..4 {
            begin("::ffff:10.0.0.1").unwrap().failed(now);
        }
        assert!(begin("10.0.0.1").is_none() && begin("10.0.0.2").is_some());
    }

    #[test]
    fn the_addresses_remembered_are_bounded_and_shut_nobody_out() {
        let guesses = Guesses::default();
        let mut now = Instant::now();
        let number = |number: u32| IpAddr::from(number.to_be_bytes());
        let most = u32::try_from(MOST_CLIENTS).unwrap();
        for client in 0..most * 3 {
            now += Duration::from_millis(1);
            let failure = guesses.begin(number(client), now).unwrap().failed(now);
            assert_eq!(failure.delay, Duration::ZERO);
        }
        assert_eq!(lock(&guesses.by_client).len(), MOST_CLIENTS);
        // Those that failed last are remembered.
        let first = most * 2;
        assert!(!lock(&guesses.by_client).contains_key(&number(first - 1)));
        assert!(lock(&guesses.by_client).contains_key(&number(first)));

        // Only tries under way are never forgotten.
        let begun: Vec<_> = (0..most).map(|client| guesses.begin(number(first + client), now).unwrap()).collect();
        assert!(guesses.begin(number(0), now).is_none());
        assert!(guesses.begin(number(first), now).is_some());
        drop(begun);
        assert!(guesses.begin(number(0), now).is_some());
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_harm(text in "(Basic )?[ -~]{0,60}") {
            let _ = read(&text);
        }
    }
}
