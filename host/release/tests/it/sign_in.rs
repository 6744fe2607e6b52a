//! Queues that ask for a sign-in.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Extension, extract::connect_info::MockConnectInfo, http::header};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cardinal_domain::{event::EventKind, job::Job, names::UserName};
use cardinal_release::{OverTls, Serving, SignIn, SignInError};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use ipp::{
    model::{DelimiterTag, Operation, StatusCode},
    request::IppRequestResponse,
    value::IppValue,
};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::common::{Host, PDF, eventually, limits, number, parse, told, with};

/// Stands in for the server's check of passwords, which has tests of its own: everybody's password is their name backwards.
#[derive(Debug)]
struct Backwards;

impl SignIn for Backwards {
    fn sign_in<'a>(&'a self, name: &'a str, password: &'a str) -> BoxFuture<'a, Result<Option<UserName>, SignInError>> {
        assert_ne!(password, "", "an empty password is not asked about");
        async move {
            match name {
                "broken" => Err(SignInError("no database".into())),
                _ => Ok(UserName::new(name).ok().filter(|_| password.chars().rev().eq(name.chars()))),
            }
        }
        .boxed()
    }
}

/// Stands in for the same where it takes its time: as long as the test wants, and then no password is right.
#[derive(Debug)]
struct Slow {
    begun: AtomicUsize,
    go: Semaphore,
    ended: AtomicUsize,
}

impl SignIn for Slow {
    fn sign_in<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Option<UserName>, SignInError>> {
        async move {
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.go.acquire().await.unwrap().forget();
            self.ended.fetch_add(1, Ordering::SeqCst);
            Ok(None)
        }
        .boxed()
    }
}

async fn host() -> Host {
    host_with(Arc::new(Backwards)).await
}

async fn host_with(sign_in: Arc<dyn SignIn>) -> Host {
    let serving = Serving { sign_in: Some(sign_in), ipps_port: Some(8632), ..Serving::default() };
    let host = Host::start_serving(limits(), serving).await;
    host.queue(r#"{"name":"staff","sign_in":true}"#).await;
    host
}

/// What HTTP answers.
struct Answer {
    status: u16,
    challenge: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    fn ipp(&self) -> IppRequestResponse {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        parse(&self.body)
    }

    fn ipp_status(&self) -> StatusCode {
        self.ipp().header().status_code()
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

async fn ask(host: &Host, over_tls: bool, shown: Option<&str>, request: &IppRequestResponse) -> Answer {
    let client: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let mut router = host.release.router().layer(MockConnectInfo(client));
    if over_tls {
        router = router.layer(Extension(OverTls));
    }
    let document = if request.header().operation_or_status == Operation::PrintJob as i16 { PDF } else { b"" };
    let body = [&request.to_bytes()[..], document].concat();
    let mut post = axum::http::Request::post("/queues/staff").header("host", "print.example:8631");
    post = post.header("content-type", "application/ipp");
    if let Some(shown) = shown {
        post = post.header(header::AUTHORIZATION, shown);
    }
    let answer = router.oneshot(post.body(axum::body::Body::from(body)).unwrap()).await.unwrap();
    let challenge = answer.headers().get(header::WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec();
    Answer { status, challenge, body }
}

async fn print_as(host: &Host, name: &str) -> Job {
    let password: String = name.chars().rev().collect();
    let answer = ask(host, true, Some(&basic(name, &password)), &host.request(Operation::PrintJob, "staff")).await;
    host.store.job_by_number(number(&answer.ipp())).await.unwrap().unwrap()
}

#[tokio::test]
async fn without_tls_nobody_is_asked_for_a_password() {
    let host = host().await;
    for operation in [Operation::GetPrinterAttributes, Operation::PrintJob] {
        let right = basic("ada", "ada");
        for shown in [None, Some(right.as_str())] {
            let answer = ask(&host, false, shown, &host.request(operation, "staff")).await;
            assert_eq!((answer.status, answer.challenge), (403, None));
            assert!(String::from_utf8(answer.body).unwrap().contains("ipps://"));
        }
    }
    assert!(host.jobs().await.is_empty());
}

#[tokio::test]
async fn who_signs_in_is_whose_job_it_is() {
    let host = host().await;
    let print = host.request(Operation::PrintJob, "staff");
    let answer = ask(&host, true, None, &print).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.challenge.as_deref(), Some("Basic realm=\"Cardinal\", charset=\"UTF-8\""));
    for wrong in [basic("bob", "wrong"), basic("bob", ""), basic("", "")] {
        let answer = ask(&host, true, Some(&wrong), &print).await;
        assert_eq!((answer.status, answer.challenge.is_some()), (401, true), "{wrong}");
    }
    assert_eq!(ask(&host, true, Some("Basic ???"), &print).await.status, 400);
    assert_eq!(ask(&host, true, Some(&basic("broken", "x")), &print).await.status, 503);
    assert!(host.jobs().await.is_empty());

    // The request says ada; bob signed in.
    let job = print_as(&host, "bob").await;
    assert_eq!((job.owner.as_str(), job.signed_in.as_ref().unwrap().as_str()), ("ada", "bob"));
    assert_eq!(job.user.as_ref().unwrap().as_str(), "bob");

    let about = |operation| {
        let mut request = host.request(operation, "staff");
        with(&mut request, "job-id", IppValue::Integer(job.number));
        request
    };
    let (ada, bob) = (basic("ada", "ada"), basic("bob", "bob"));
    let name = |answer: &Answer| {
        let answer = answer.ipp();
        told(&answer, DelimiterTag::JobAttributes, "job-originating-user-name").map(ToString::to_string)
    };
    let asked = about(Operation::GetJobAttributes);
    assert_eq!(name(&ask(&host, true, Some(&bob), &asked).await).as_deref(), Some("bob"));
    assert_eq!(name(&ask(&host, true, Some(&ada), &asked).await), None);
    for operation in [Operation::CancelJob, Operation::HoldJob, Operation::ReleaseJob] {
        let theirs = ask(&host, true, Some(&ada), &about(operation)).await;
        assert_eq!(theirs.ipp_status(), StatusCode::ClientErrorNotAuthorized);
    }
    let mut mine = host.request(Operation::GetJobs, "staff");
    with(&mut mine, "my-jobs", IppValue::Boolean(true));
    let jobs = async |shown: &str| {
        ask(&host, true, Some(shown), &mine).await.ipp().attributes().groups_of(DelimiterTag::JobAttributes).count()
    };
    assert_eq!((jobs(&ada).await, jobs(&bob).await), (0, 1));

    // Should the queue ask for no sign-in any more, the claim alone still opens nothing.
    host.queue(r#"{"name":"staff"}"#).await;
    let claimed = ask(&host, false, None, &about(Operation::CancelJob)).await;
    assert_eq!(claimed.ipp_status(), StatusCode::ClientErrorNotAuthorized);
    host.queue(r#"{"name":"staff","sign_in":true}"#).await;
    let cancelled = ask(&host, true, Some(&bob), &about(Operation::CancelJob)).await;
    assert_eq!(cancelled.ipp_status(), StatusCode::SuccessfulOk);
}

#[tokio::test]
async fn what_a_queue_can_do_is_told_before_the_sign_in_with_the_addresses_that_work() {
    let host = host().await;
    let request = |queue| {
        let mut request = host.request(Operation::GetPrinterAttributes, queue);
        with(&mut request, "requested-attributes", IppValue::new_keyword("printer-description").unwrap());
        request
    };
    let lists = |answer: &IppRequestResponse| {
        ["printer-uri-supported", "uri-authentication-supported", "uri-security-supported"]
            .map(|name| told(answer, DelimiterTag::PrinterAttributes, name).unwrap().to_string())
    };
    let answer = ask(&host, true, None, &request("staff")).await.ipp();
    assert_eq!(lists(&answer), ["ipps://print.example:8631/queues/staff", "basic", "tls"]);
    let answer = host.send("find-me", &request("find-me"), b"").await;
    assert_eq!(
        lists(&answer),
        [
            format!("[{}, ipps://127.0.0.1:8632/queues/find-me]", host.uri("find-me")),
            "[requesting-user-name, requesting-user-name]".to_owned(),
            "[none, tls]".to_owned()
        ]
    );
}

#[tokio::test]
async fn guessing_is_told_without_the_names() {
    let host = host().await;
    let print = host.request(Operation::PrintJob, "staff");
    for _ in 0..3 {
        assert_eq!(ask(&host, true, Some(&basic("hunter2", "oops")), &print).await.status, 401);
    }
    let told = host.events(EventKind::SignInRefused).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("127.0.0.1") && told[0].contains("staff") && !told[0].contains("hunter2"), "{told:?}");
}

#[tokio::test]
async fn who_hangs_up_is_counted_and_slowed_all_the_same() {
    let slow = Arc::new(Slow { begun: AtomicUsize::new(0), go: Semaphore::new(0), ended: AtomicUsize::new(0) });
    let sign_in: Arc<dyn SignIn> = Arc::clone(&slow) as _;
    let host = host_with(sign_in).await;
    let print = host.request(Operation::PrintJob, "staff");
    let shown = basic("ada", "guess");
    let begun = || slow.begun.load(Ordering::SeqCst);
    let all_ended = async || slow.ended.load(Ordering::SeqCst) == begun();

    // Of many at a time only some are checked.
    let mut tries: FuturesUnordered<_> = (0..12).map(|_| ask(&host, true, Some(&shown), &print)).collect();
    for _ in 0..4 {
        let answer = tokio::time::timeout(Duration::from_secs(15), tries.next()).await.expect("too many are checked");
        assert_eq!(answer.unwrap().status, 429);
    }
    eventually("the others are checked", async || {
        assert!(tries.next().now_or_never().is_none());
        begun() == 8
    })
    .await;
    drop(tries);
    slow.go.add_permits(8);
    eventually("all are checked, though nobody waits", all_ended).await;
    eventually("it is told", async || !host.events(EventKind::SignInRefused).await.is_empty()).await;

    // Who hangs up and comes again is refused unchecked. Should the delay be over by now, that try begins another.
    eventually("the delay stands", async || {
        let before = begun();
        let again = ask(&host, true, Some(&shown), &print);
        let checked = eventually("it is answered or checked", async || begun() > before);
        tokio::select! {
            answer = again => return answer.status == 429 && begun() == before,
            () = checked => {}
        }
        slow.go.add_permits(1);
        eventually("it is checked to its end", all_ended).await;
        false
    })
    .await;
    assert!(host.jobs().await.is_empty());
}
