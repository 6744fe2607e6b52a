//! A simulated printer that keeps what came: every Print-Job with its name and what was in it, whole or broken off. It never
//! forgets a job, prints a few at a time, and takes a little while for it, so that a host can be killed at each moment.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures_util::StreamExt as _;
use ipp::{
    attribute::{IppAttribute, IppAttributeGroup},
    model::{DelimiterTag, IppVersion, JobState, Operation, StatusCode},
    parser::IppParser,
    reader::IppReader,
    request::IppRequestResponse,
    value::IppValue,
};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, time::Instant};

use super::history::Print;

/// A printer that keeps what came.
#[derive(Debug, Clone)]
pub struct KeepingPrinter {
    inside: Arc<Inside>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Inside {
    name: String,
    /// How long it takes before it answers, and for printing.
    pace: (Duration, Duration),
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    jobs: Vec<Taken>,
    broken_off: usize,
}

#[derive(Debug)]
struct Taken {
    name: String,
    sha256: String,
    done: Instant,
}

impl KeepingPrinter {
    /// A printer of this name that answers and prints as quickly as told.
    pub async fn start(name: &str, answers: Duration, prints: Duration) -> Self {
        let inside = Inside { name: name.to_owned(), pace: (answers, prints), kept: Mutex::default() };
        let inside = Arc::new(inside);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let router = Router::new()
            .route("/ipp/print", post(serve))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inside));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { inside, address }
    }

    /// Its address.
    pub fn uri(&self) -> String {
        format!("ipp://{}/ipp/print", self.address)
    }

    /// What came out so far.
    pub fn prints(&self) -> Vec<Print> {
        let print = |taken: &Taken| Print {
            printer: self.inside.name.clone(),
            name: Some(taken.name.clone()),
            sha256: taken.sha256.clone(),
            whole: true,
        };
        self.inside.kept().jobs.iter().map(print).collect()
    }

    /// How many documents broke off on their way in; such a printer prints none of them.
    pub fn broken_off(&self) -> usize {
        self.inside.kept().broken_off
    }
}

impl Inside {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(State(inside): State<Arc<Inside>>, body: Body) -> Response {
    let mut bytes = Vec::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => {
                bytes.extend_from_slice(&piece);
                // So that a large document is some time on its way.
                tokio::time::sleep(inside.pace.0 / 40).await;
            }
            Err(_) => {
                inside.kept().broken_off += 1;
                return Response::default();
            }
        }
    }
    let (answer, pause) = answer(&inside, bytes.into());
    // What it took it has from here on, whatever becomes of whoever sent it.
    tokio::time::sleep(pause).await;
    answer.into_response()
}

/// The answer to a request, and how long it is in coming.
fn answer(inside: &Inside, bytes: Bytes) -> (Bytes, Duration) {
    let request = IppParser::new(IppReader::new(std::io::Cursor::new(bytes))).parse();
    let request = request.expect("our host speaks IPP");
    let operation = request.header().operation_or_status;
    let asked = |name: &str| {
        let group = request.attributes().first_of(DelimiterTag::OperationAttributes)?;
        group.get(name).map(|attribute| attribute.value().clone())
    };
    let text = |name: &str| asked(name).map(|value| value.to_string()).unwrap_or_default();
    let mut pause = Duration::ZERO;
    let (status, groups) = if operation == Operation::PrintJob as i16 {
        let name = text("job-name");
        let mut document = Vec::new();
        std::io::Read::read_to_end(&mut request.into_payload(), &mut document).expect("all of it is here");
        let mut kept = inside.kept();
        let sha256 = sha256(&document);
        kept.jobs.push(Taken { name, sha256, done: Instant::now() + inside.pace.0 + inside.pace.1 });
        let number = kept.jobs.len();
        pause = inside.pace.0 * u32::try_from(number % 3).unwrap_or_default();
        (StatusCode::SuccessfulOk, kept.jobs.last().map(|taken| group(number, taken)).into_iter().collect())
    } else if operation == Operation::GetJobAttributes as i16 {
        let number = asked("job-id").and_then(|value| value.as_integer().copied()).unwrap_or_default();
        let kept = inside.kept();
        let number = usize::try_from(number).unwrap_or_default();
        match number.checked_sub(1).and_then(|index| kept.jobs.get(index)) {
            Some(taken) => (StatusCode::SuccessfulOk, vec![group(number, taken)]),
            None => (StatusCode::ClientErrorNotFound, vec![]),
        }
    } else if operation == Operation::GetJobs as i16 {
        let completed = text("which-jobs") == "completed";
        let limit = asked("limit").and_then(|value| value.as_integer().copied()).unwrap_or(i32::MAX);
        let kept = inside.kept();
        let newest_first = kept.jobs.iter().enumerate().rev();
        let groups = newest_first
            .filter(|(_, taken)| (taken.done <= Instant::now()) == completed)
            .take(usize::try_from(limit).unwrap_or_default())
            .map(|(index, taken)| group(index + 1, taken));
        (StatusCode::SuccessfulOk, groups.collect())
    } else {
        (StatusCode::SuccessfulOk, vec![])
    };
    let mut answer = IppRequestResponse::new_response(IppVersion::v1_1(), status, 1).expect("an answer");
    answer.attributes_mut().groups_mut().extend(groups);
    (answer.to_bytes(), pause)
}

fn group(number: usize, taken: &Taken) -> IppAttributeGroup {
    let attribute = |name: &str, value| IppAttribute::with_name(name, value).expect("an attribute");
    let done = taken.done <= Instant::now();
    let (state, reason) =
        if done { (JobState::Completed, "job-completed-successfully") } else { (JobState::Processing, "job-printing") };
    let mut group = IppAttributeGroup::new(DelimiterTag::JobAttributes);
    group.attributes_mut().extend([
        attribute("job-id", IppValue::Integer(i32::try_from(number).unwrap_or(i32::MAX))),
        attribute("job-name", IppValue::new_name_without_language(taken.name.clone()).expect("a name")),
        attribute("job-state", IppValue::Enum(state as i32)),
        attribute("job-state-reasons", IppValue::new_keyword(reason).expect("a keyword")),
    ]);
    group
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
