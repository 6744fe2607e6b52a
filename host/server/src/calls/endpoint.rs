//! The readers' listeners as HTTP sees them: `/r/SECRET/…`, any method.
//!
//! Whatever shows no secret in use gets one and the same answer, before anything of its body is read. Paths are logged
//! nowhere: they hold the secrets.

use std::{
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Query, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri,
        header::{CONNECTION, CONTENT_LENGTH, RETRY_AFTER},
    },
    response::IntoResponse as _,
};
use cardinal_domain::{bounds::size, driver, driver::Pair, site::Reader};
use futures_util::StreamExt as _;
use tokio::{
    sync::{mpsc::error::TrySendError, oneshot},
    time::{Instant, sleep_until, timeout_at},
};

use super::{Calling, Calls, Over, Refusal, pace::May, routes::Seat};

/// Headers of one connection rather than of a message (RFC 9110 section 7.6.1, and older ones of the same kind).
const OF_CONNECTION: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// When a reader whose session is not there is to call again, in seconds.
const NOBODY_THERE: &str = "5";
/// When a reader that called too often is to call again, in seconds.
const TOO_MANY: &str = "1";

/// How long a call waits for a session to take it: that of a reader which is changed ends before the next begins.
const SEAT_WAIT: Duration = Duration::from_secs(3);
/// When a refusal is answered, counted from the call: by then it is known why, however long that took, so that the time tells
/// nothing of it.
pub(super) const REFUSED_AFTER: Duration = Duration::from_millis(10);
/// How much of a body that is too large is read all the same, in bodies that are not: whoever still sends when the connection
/// is closed does not come to see why.
const READ_OF_TOO_LARGE: usize = 8;

/// What the readers' listener of this kind serves.
pub fn router(calls: Arc<Calls>, over: Over) -> Router {
    Router::new().fallback(call).with_state((calls, over))
}

async fn call(
    State((calls, over)): State<(Arc<Calls>, Over)>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response<Body> {
    let came = Instant::now();
    let caller = peer.ip().to_canonical();
    let (shown, path) = parts(request.uri());
    match calls.admit(shown, caller, over) {
        Ok((reader, seat)) => {
            let path = path.to_owned();
            taken(&calls, &reader, seat, path, request).await
        }
        Err(Refusal::NotYet) => later(StatusCode::SERVICE_UNAVAILABLE, NOBODY_THERE),
        Err(refusal) => {
            calls.tell_refused(caller, &refusal);
            sleep_until(came + REFUSED_AFTER).await;
            refused()
        }
    }
}

/// What stands where the secret stands, and what follows it.
fn parts(uri: &Uri) -> (&str, &str) {
    // Without the beginning it is no secret's address; an empty text is no secret either.
    let shown = uri.path().strip_prefix("/r/").unwrap_or_default();
    shown.split_at(shown.find('/').unwrap_or(shown.len()))
}

/// One answer for all who show nothing, whatever it is that they lack.
fn refused() -> Response<Body> {
    (StatusCode::NOT_FOUND, [(CONNECTION, "close")], "not found\n").into_response()
}

/// A call of a reader, from its body to its answer.
async fn taken(
    calls: &Calls,
    reader: &Reader,
    seat: Option<Arc<Seat>>,
    path: String,
    request: Request<Body>,
) -> Response<Body> {
    let nobody = || later(StatusCode::SERVICE_UNAVAILABLE, NOBODY_THERE);
    let seat = match seat {
        Some(seat) => seat,
        None => match next_seat(calls, reader).await {
            Some(seat) => seat,
            None => return nobody(),
        },
    };
    let may = seat.pace.lock().unwrap_or_else(PoisonError::into_inner).call();
    if let May::NotNow { begins } = may {
        if begins {
            calls.tell_flood(reader, &seat);
        }
        return later(StatusCode::TOO_MANY_REQUESTS, TOO_MANY);
    }
    let Ok(mut open) = Arc::clone(&seat.open).try_acquire_owned() else {
        return later(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY);
    };
    let limits = &calls.config.readers.bounds;
    let (head, body) = request.into_parts();
    let Ok(query) = Query::<Vec<Pair>>::try_from_uri(&head.uri) else { return status(StatusCode::BAD_REQUEST) };
    let whole_until = Instant::now() + Duration::from_millis(limits.request_ms);
    let body = match timeout_at(whole_until, whole(body, &head.headers, seat.body_bytes)).await {
        Ok(Ok(body)) => body,
        Ok(Err(why)) => return status(why),
        Err(_) => return status(StatusCode::REQUEST_TIMEOUT),
    };
    let (answer, mut answered) = oneshot::channel();
    let until = Instant::now() + Duration::from_millis(limits.answer_ms);
    let mut calling = Calling {
        method: head.method.as_str().to_owned(),
        path,
        query: query.0,
        headers: shown(&head.headers, size(limits.header_bytes)),
        body,
        answer,
        until,
        back: None,
    };
    let mut seat = seat;
    loop {
        let (back, returned) = oneshot::channel();
        calling.back = Some(back);
        let put = {
            // Under the lock, so that a session which ends leaves none there.
            let _routes = calls.routes();
            seat.calls.try_send(calling)
        };
        calling = match put {
            // There is room for as many as may be open.
            Err(TrySendError::Full(_)) => return later(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY),
            Err(TrySendError::Closed(calling)) => calling,
            Ok(()) => tokio::select! {
                biased;
                answer = &mut answered => return match answer {
                    Ok(answer) => carried(answer),
                    // The session and the timer here look at the same moment; either may come first.
                    Err(_) if Instant::now() >= until => status(StatusCode::GATEWAY_TIMEOUT),
                    Err(_) => later(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY),
                },
                // Its session has ended, and has not taken it.
                Ok(calling) = returned => calling,
                () = sleep_until(until) => return status(StatusCode::GATEWAY_TIMEOUT),
            },
        };
        drop(open);
        let Some(next) = next_seat(calls, reader).await else { return nobody() };
        let Ok(of_next) = Arc::clone(&next.open).try_acquire_owned() else {
            return later(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY);
        };
        (seat, open) = (next, of_next);
    }
}

/// The seat of the reader, once it has one; none: nobody takes its calls within a while, or too many wait for that already.
async fn next_seat(calls: &Calls, reader: &Reader) -> Option<Arc<Seat>> {
    let mut coming = {
        let most = size(calls.bounds(reader).open_calls);
        let mut routes = calls.routes();
        match routes.seat(&reader.name) {
            Some(seat) => return Some(seat),
            None => routes.wait(&reader.name, most)?,
        }
    };
    let seat = timeout_at(Instant::now() + SEAT_WAIT, coming.wait_for(Option::is_some)).await.ok()?.ok()?;
    seat.clone()
}

/// The whole body, or how to answer.
async fn whole(body: Body, headers: &HeaderMap, most: usize) -> Result<Vec<u8>, StatusCode> {
    let read_at_most = most.saturating_mul(READ_OF_TOO_LARGE);
    let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > read_at_most)) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut pieces = body.into_data_stream();
    let (mut whole, mut length) = (Vec::new(), 0_usize);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
        length = length.saturating_add(piece.len());
        if length > read_at_most {
            break;
        }
        if length <= most {
            whole.extend_from_slice(&piece);
        }
    }
    if length > most { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(whole) }
}

/// The headers that a driver is shown.
fn shown(headers: &HeaderMap, longest: usize) -> Vec<Pair> {
    let named: Vec<_> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers
        .iter()
        .filter(|(name, value)| {
            let name = name.as_str();
            !OF_CONNECTION.contains(&name) && !named.iter().any(|other| other == name) && value.len() <= longest
        })
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// A driver's answer as HTTP. What cannot stand in it is left out.
fn carried(answer: driver::Response) -> Response<Body> {
    let code = StatusCode::from_u16(answer.status).ok().filter(|code| (200..600).contains(&code.as_u16()));
    let Some(code) = code else {
        tracing::warn!(status = answer.status, "a driver answered a call with no status of HTTP");
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let empty = matches!(code, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    let mut response = Response::new(if empty { Body::empty() } else { Body::from(answer.body) });
    *response.status_mut() = code;
    for (name, value) in answer.headers {
        // Neither takes a line break.
        let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) else {
            tracing::debug!("a header that a driver answered with was left out");
            continue;
        };
        if name != CONTENT_LENGTH && !OF_CONNECTION.contains(&name.as_str()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// An answer of the host's own that ends the connection: the rest of the call is not read.
fn status(code: StatusCode) -> Response<Body> {
    (code, [(CONNECTION, "close")]).into_response()
}

/// Not now: call again after so many seconds.
fn later(code: StatusCode, seconds: &'static str) -> Response<Body> {
    (code, [(CONNECTION, "close"), (RETRY_AFTER, seconds)]).into_response()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_secret_is_one_step_of_the_path() {
        for (uri, expected) in [
            ("/r/abc", ("abc", "")),
            ("/r/abc/", ("abc", "/")),
            ("/r/abc/swipe/x?card=1", ("abc", "/swipe/x")),
            ("http://h/r/abc/x", ("abc", "/x")),
            ("/r//abc", ("", "/abc")),
            ("/r/", ("", "")),
            ("/R/abc", ("", "")),
            ("/", ("", "")),
            ("*", ("", "")),
        ] {
            assert_eq!(parts(&uri.parse().unwrap()), expected, "{uri}");
        }
    }

    #[test]
    fn what_belongs_to_the_connection_is_not_shown() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("Content-Type", "text/plain"),
            ("Connection", "close, X-Mine"),
            ("X-Mine", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Cookie", "too long"),
            ("Accept", "a"),
            ("Accept", "b"),
        ] {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers.append("x-bytes", HeaderValue::from_bytes(b"\xff").unwrap());
        headers.insert("cookie", HeaderValue::from_bytes(&[b'x'; 33]).unwrap());
        let mut shown = shown(&headers, 32);
        shown.sort();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected =
            [pair("accept", "a"), pair("accept", "b"), pair("content-type", "text/plain"), pair("x-bytes", "\u{fffd}")];
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_answer_cannot_say_more_than_one_answer() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let answer = |status, headers| carried(driver::Response { status, headers, body: b"ok".to_vec() });
        let response = answer(
            200,
            vec![
                pair("X-A", "1"),
                pair("x-b", "1\r\nx-evil: 1"),
                pair("x c", "1"),
                pair("Content-Length", "99"),
                pair("transfer-encoding", "chunked"),
                pair("Set-Cookie", "a"),
                pair("set-cookie", "b"),
            ],
        );
        let names: Vec<_> = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(names, [("x-a", &b"1"[..]), ("set-cookie", b"a"), ("set-cookie", b"b")]);
        for wrong in [0, 99, 101, 199, 600, 1_000] {
            assert_eq!(answer(wrong, Vec::new()).status(), StatusCode::INTERNAL_SERVER_ERROR, "{wrong}");
        }
        assert_eq!(answer(599, Vec::new()).status().as_u16(), 599);
    }

    proptest! {
        #[test]
        fn any_query_is_read_or_refused_and_never_more_than_it_is(query in "[ -~]{0,200}") {
            if let Ok(uri) = format!("/r/x?{query}").parse::<Uri>() {
                let read = Query::<Vec<Pair>>::try_from_uri(&uri).unwrap();
                let bytes: usize = read.0.iter().map(|(name, value)| name.len() + value.len()).sum();
                // A byte that is no UTF-8 becomes a mark of three.
                prop_assert!(bytes <= 3 * query.len());
            }
        }

        #[test]
        fn any_path_has_its_parts(path in "/[!-~]{0,100}") {
            if let Ok(uri) = path.parse::<Uri>() {
                let (shown, rest) = parts(&uri);
                prop_assert!(!shown.contains('/') && (rest.is_empty() || rest.starts_with('/')));
            }
        }
    }
}
