//! A printer that does as it is told: busy, lying, silent, or gone in the middle.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, response::IntoResponse as _, response::Response, routing::post};
use ipp::{
    attribute::{IppAttribute, IppAttributeGroup},
    model::{DelimiterTag, IppVersion, JobState, Operation, StatusCode},
    request::IppRequestResponse,
    value::IppValue,
};

use super::parse;

/// What it does with the next Print-Job.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next {
    /// Takes it, and ends it so: state, reason, pages.
    End(JobState, &'static str, Option<i32>),
    /// Answers this status.
    Status(StatusCode),
    /// Takes it, but the answer is lost.
    LoseAnswer,
    /// Takes the beginning of it, breaks the connection, prints that, and says that it is done.
    PrintPart,
    /// Takes nothing, and the answer is lost.
    LoseAll,
    /// Answers rubbish, now and ever after.
    Rubbish,
    /// Never answers.
    Hang,
    /// Says that it took it, and never lists it.
    Lie,
    /// Takes it, and answers no question any more.
    TakeAndHang,
}

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) document: Vec<u8>,
    pub(crate) wishes: Vec<(String, IppValue)>,
    end: (JobState, &'static str, Option<i32>),
    pub(crate) asked: u32,
}

#[derive(Default)]
struct Inside {
    next: VecDeque<Next>,
    jobs: Vec<Seen>,
    requests: u32,
    rubbish: bool,
    mute: bool,
    forgets: bool,
    calls_all: Option<String>,
    up_seconds: Option<i32>,
    told: Vec<(String, IppValue)>,
    looks: Vec<usize>,
    forbids: bool,
    askers: Vec<Option<String>>,
}

#[derive(Clone)]
pub(crate) struct FakePrinter {
    inside: Arc<Mutex<Inside>>,
    pub(crate) address: SocketAddr,
}

impl FakePrinter {
    pub(crate) async fn start(next: &[Next]) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), next).await
    }

    pub(crate) async fn start_at(address: SocketAddr, next: &[Next]) -> Self {
        let inside = Arc::new(Mutex::new(Inside { next: next.iter().copied().collect(), ..Inside::default() }));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/ipp/print", post(answer))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inside));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { inside, address }
    }

    pub(crate) fn uri(&self) -> String {
        format!("ipp://{}/ipp/print", self.address)
    }

    /// The jobs it took.
    pub(crate) fn jobs(&self) -> Vec<Seen> {
        self.inside.lock().unwrap().jobs.clone()
    }

    /// How many Print-Jobs came, taken or not.
    pub(crate) fn requests(&self) -> u32 {
        self.inside.lock().unwrap().requests
    }

    /// From now on it tells this name of every job.
    pub(crate) fn calls_all(&self, name: &str) {
        self.inside.lock().unwrap().calls_all = Some(name.to_owned());
    }

    /// It says that it has been up for so long.
    pub(crate) fn is_up_for(&self, seconds: i32) {
        self.inside.lock().unwrap().up_seconds = Some(seconds);
    }

    /// From now on it says this of itself, instead of what it said of the same before.
    pub(crate) fn tells(&self, name: &str, value: IppValue) {
        let told = &mut self.inside.lock().unwrap().told;
        told.retain(|(known, _)| known != name);
        told.push((name.to_owned(), value));
    }

    /// How many attributes each question about itself named.
    pub(crate) fn looks(&self) -> Vec<usize> {
        self.inside.lock().unwrap().looks.clone()
    }

    /// From now on it does not tell of itself.
    pub(crate) fn forbids(&self) {
        self.inside.lock().unwrap().forbids = true;
    }

    /// The users that asked it about jobs.
    pub(crate) fn askers(&self) -> Vec<Option<String>> {
        self.inside.lock().unwrap().askers.clone()
    }

    /// It loses its job list.
    pub(crate) fn forget(&self) {
        self.inside.lock().unwrap().forgets = true;
    }

    /// It has this job already.
    pub(crate) fn has(&self, name: &str, state: JobState) {
        let end = (state, "none", Some(1));
        let seen = Seen { name: name.to_owned(), document: vec![], wishes: vec![], end, asked: 10 };
        self.inside.lock().unwrap().jobs.push(seen);
    }
}

fn attribute(name: &str, value: IppValue) -> IppAttribute {
    IppAttribute::with_name(name, value).unwrap()
}

fn group(index: usize, seen: &mut Seen, called: Option<&String>) -> IppAttributeGroup {
    seen.asked += 1;
    let name = called.unwrap_or(&seen.name).clone();
    // The first question finds it at work.
    let (state, reason, pages) = if seen.asked > 1 { seen.end } else { (JobState::Processing, "job-printing", None) };
    let mut group = IppAttributeGroup::new(DelimiterTag::JobAttributes);
    let attributes = group.attributes_mut();
    attributes.push(attribute("job-id", IppValue::Integer(i32::try_from(index).unwrap() + 1)));
    attributes.push(attribute("job-name", IppValue::new_name_without_language(name).unwrap()));
    attributes.push(attribute("job-state", IppValue::Enum(state as i32)));
    attributes.push(attribute("job-state-reasons", IppValue::new_keyword(reason).unwrap()));
    if let Some(pages) = pages {
        attributes.push(attribute("job-impressions-completed", IppValue::Integer(pages)));
    }
    group
}

fn lost() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
    axum::body::Body::from_stream(broken).into_response()
}

/// How much of a document is its beginning.
const PART: usize = 200_000;

/// A request's body, or its beginning.
async fn read(body: axum::body::Body, most: usize) -> Bytes {
    let mut body = body.into_data_stream();
    let mut read = Vec::new();
    while read.len() < most
        && let Some(piece) = futures_util::StreamExt::next(&mut body).await
    {
        read.extend_from_slice(&piece.unwrap());
    }
    read.into()
}

async fn answer(State(inside): State<Arc<Mutex<Inside>>>, body: axum::body::Body) -> Response {
    let part = matches!(inside.lock().unwrap().next.front(), Some(Next::PrintPart));
    let body = read(body, if part { PART } else { usize::MAX }).await;
    if inside.lock().unwrap().mute {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    let request = parse(&body);
    let operation = request.header().operation_or_status;
    let asked = |name: &str| request.attributes().groups()[0].get(name).map(|attribute| attribute.value().clone());
    let respond = |status, groups: Vec<IppAttributeGroup>| {
        let mut answer = IppRequestResponse::new_response(IppVersion::v1_1(), status, 1).unwrap();
        answer.attributes_mut().groups_mut().extend(groups);
        answer.to_bytes().into_response()
    };
    if inside.lock().unwrap().rubbish {
        return "rubbish".into_response();
    }
    if operation == Operation::PrintJob as i16 {
        let next = {
            let mut inside = inside.lock().unwrap();
            inside.requests += 1;
            inside.next.pop_front().unwrap_or(Next::End(JobState::Completed, "job-completed-successfully", Some(1)))
        };
        let mut end = (JobState::Completed, "none", Some(1));
        match next {
            Next::Status(status) => return respond(status, vec![]),
            Next::LoseAll => return lost(),
            Next::Rubbish => {
                inside.lock().unwrap().rubbish = true;
                return "rubbish".into_response();
            }
            Next::Hang => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                return lost();
            }
            Next::End(state, reason, pages) => end = (state, reason, pages),
            Next::LoseAnswer | Next::PrintPart => {}
            Next::TakeAndHang => inside.lock().unwrap().mute = true,
            Next::Lie => {
                let mut group = IppAttributeGroup::new(DelimiterTag::JobAttributes);
                group.attributes_mut().push(attribute("job-id", IppValue::Integer(77)));
                return respond(StatusCode::SuccessfulOk, vec![group]);
            }
        }
        let wishes = request.attributes().first_of(DelimiterTag::JobAttributes).into_iter();
        let wishes = wishes.flat_map(|group| group.attributes());
        let seen = Seen {
            name: asked("job-name").unwrap().to_string(),
            wishes: wishes.map(|wish| (wish.name().to_string(), wish.value().clone())).collect(),
            document: {
                let mut document = Vec::new();
                std::io::Read::read_to_end(&mut request.into_payload(), &mut document).unwrap();
                document
            },
            end,
            asked: 0,
        };
        let mut inside = inside.lock().unwrap();
        inside.jobs.push(seen);
        if matches!(next, Next::LoseAnswer | Next::PrintPart) {
            return lost();
        }
        let id = i32::try_from(inside.jobs.len()).unwrap();
        let mut group = IppAttributeGroup::new(DelimiterTag::JobAttributes);
        group.attributes_mut().push(attribute("job-id", IppValue::Integer(id)));
        return respond(StatusCode::SuccessfulOk, vec![group]);
    }
    let mut inside = inside.lock().unwrap();
    if operation == Operation::GetPrinterAttributes as i16 {
        if inside.forbids {
            return respond(StatusCode::ClientErrorForbidden, vec![]);
        }
        let names = asked("requested-attributes").map_or(0, |names| match names {
            IppValue::Array(names) => names.len(),
            _ => 1,
        });
        // A single one is the question whether it was switched off meanwhile.
        if names > 1 {
            inside.looks.push(names);
        }
        let mut group = IppAttributeGroup::new(DelimiterTag::PrinterAttributes);
        let up = inside.up_seconds.map(|up| attribute("printer-up-time", IppValue::Integer(up)));
        group.attributes_mut().extend(up);
        group.attributes_mut().extend(inside.told.iter().map(|(name, value)| attribute(name, value.clone())));
        return respond(StatusCode::SuccessfulOk, vec![group]);
    }
    inside.askers.push(asked("requesting-user-name").map(|name| name.to_string()));
    let called = inside.calls_all.clone();
    if inside.forgets {
        let status = if operation == Operation::GetJobs as i16 {
            StatusCode::SuccessfulOk
        } else {
            StatusCode::ClientErrorNotFound
        };
        return respond(status, vec![]);
    }
    if operation == Operation::GetJobAttributes as i16 {
        let id = *asked("job-id").unwrap().as_integer().unwrap();
        let index = usize::try_from(id - 1).unwrap();
        return match inside.jobs.get_mut(index) {
            Some(seen) => respond(StatusCode::SuccessfulOk, vec![group(index, seen, called.as_ref())]),
            None => respond(StatusCode::ClientErrorNotFound, vec![]),
        };
    }
    let completed = asked("which-jobs").unwrap().to_string() == "completed";
    let all = inside.jobs.iter_mut().enumerate();
    let fitting = all.filter(|(_, seen)| (seen.asked > 0) == completed);
    let groups = fitting.map(|(index, seen)| group(index, seen, called.as_ref())).collect();
    respond(StatusCode::SuccessfulOk, groups)
}
