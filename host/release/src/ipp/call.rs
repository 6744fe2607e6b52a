//! One IPP request and its answer: what every operation checks alike, and how answers are made.

use cardinal_domain::{
    job::Job,
    names::{QueueName, UserName},
    site::Queue,
};
use ipp::{
    IppHeader,
    attribute::{IppAttribute, IppAttributeGroup, IppAttributes},
    model::{DelimiterTag, IppVersion, StatusCode},
    value::IppValue,
};

use crate::{
    engine::Engine,
    message::Message,
    options::Serving,
    values::{self, as_integer, as_text, attribute, each},
};

/// The owner of a job whose client gives no name.
const NOBODY: &str = "anonymous";

/// Why an operation was not carried out.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) unsupported: Vec<IppAttribute>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), unsupported: Vec::new() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::ClientErrorBadRequest, message)
    }

    /// Ours to mend: the chain goes to the log, not to the client.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "an IPP request could not be served");
        Self::new(StatusCode::ServerErrorTemporaryError, "the print server has a problem of its own; try again later")
    }
}

impl From<cardinal_store::StoreError> for Refusal {
    fn from(error: cardinal_store::StoreError) -> Self {
        match &error {
            // It was removed since the request was looked at.
            cardinal_store::StoreError::NoQueue { .. } => {
                Self::new(StatusCode::ClientErrorNotFound, "there is no such queue")
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<tokio::task::JoinError> for Refusal {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::internal(&error)
    }
}

/// What an operation answers.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) unsupported: Vec<IppAttribute>,
    pub(crate) groups: Vec<IppAttributeGroup>,
}

impl Answer {
    pub(crate) fn of(group: IppAttributeGroup) -> Self {
        Self { unsupported: Vec::new(), groups: vec![group] }
    }
}

pub(crate) fn group(tag: DelimiterTag, attributes: Vec<IppAttribute>) -> IppAttributeGroup {
    let mut group = IppAttributeGroup::new(tag);
    *group.attributes_mut() = attributes;
    group
}

/// An encoded response.
pub(crate) fn encode(request: &IppHeader, answer: Result<Answer, Refusal>) -> Vec<u8> {
    let (status, message, unsupported, groups) = match answer {
        Ok(answer) if answer.unsupported.is_empty() => (StatusCode::SuccessfulOk, None, Vec::new(), answer.groups),
        Ok(answer) => (StatusCode::SuccessfulOkIgnoredOrSubstitutedAttributes, None, answer.unsupported, answer.groups),
        Err(refusal) => (refusal.status, Some(refusal.message), refusal.unsupported, Vec::new()),
    };
    // The client's own version where it is one of ours, else the nearest to it.
    let version = match request.version.0 >> 8 {
        1 => IppVersion::v1_1(),
        2 if request.version.0 <= IppVersion::v2_2().0 => request.version,
        _ => IppVersion::v2_0(),
    };
    let mut attributes = IppAttributes::new();
    let mut operation = vec![
        attribute("attributes-charset", values::charset("utf-8")),
        attribute("attributes-natural-language", values::language("en")),
    ];
    operation.extend(message.map(|message| attribute("status-message", values::text(&message))));
    attributes.groups_mut().push(group(DelimiterTag::OperationAttributes, operation));
    if !unsupported.is_empty() {
        let unsupported = unsupported.into_iter().map(readable).collect();
        attributes.groups_mut().push(group(DelimiterTag::UnsupportedAttributes, unsupported));
    }
    attributes.groups_mut().extend(groups);
    let header = IppHeader::new(version, status as i16, request.request_id);
    [header.to_bytes(), attributes.to_bytes()].concat()
}

/// What goes back to a client as it gave it. A set of several kinds would be written as if all were of the first one's, which
/// nobody can read; it goes back as `unsupported` (RFC 8011 §4.1.7).
fn readable(attribute: IppAttribute) -> IppAttribute {
    let IppValue::Array(values) = attribute.value() else { return attribute };
    let kind = values.first().map(IppValue::to_tag);
    if values.iter().all(|value| Some(value.to_tag()) == kind) {
        return attribute;
    }
    values::attribute(attribute.name(), values::unsupported())
}

/// A request for one queue.
pub(crate) struct Call {
    pub(crate) queue: Queue,
    /// `host[:port]` as the client reached us.
    pub(crate) host: String,
    /// Whether it came over TLS.
    pub(crate) over_tls: bool,
    /// Who signed in.
    pub(crate) signed_in: Option<UserName>,
    pub(crate) message: Message,
}

impl Call {
    /// What RFC 8011 §4.1 asks of every request.
    pub(crate) fn check(message: &Message) -> Result<(), Refusal> {
        let header = &message.header;
        if !matches!(header.version.0 >> 8, 1 | 2) {
            let message = format!("{} is not supported", header.version);
            return Err(Refusal::new(StatusCode::ServerErrorVersionNotSupported, message));
        }
        if header.request_id <= 0 {
            return Err(Refusal::bad("request-id must be above 0"));
        }
        let mut groups = message.attributes.groups().iter();
        let operation = groups.next().filter(|group| group.tag() == DelimiterTag::OperationAttributes);
        let mut first = operation.map(IppAttributeGroup::attributes).unwrap_or_default().iter();
        let charset = first.next().filter(|first| first.name().as_str() == "attributes-charset");
        let Some(charset) = charset.and_then(|charset| as_text(charset.value())) else {
            return Err(Refusal::bad("attributes-charset must come first"));
        };
        if !first.next().is_some_and(|second| {
            second.name().as_str() == "attributes-natural-language" && as_text(second.value()).is_some()
        }) {
            return Err(Refusal::bad("attributes-natural-language must come second"));
        }
        if !["utf-8", "us-ascii"].contains(&charset.to_ascii_lowercase().as_str()) {
            let message = format!("charset {charset} is not supported; use utf-8");
            return Err(Refusal::new(StatusCode::ClientErrorCharsetNotSupported, message));
        }
        Ok(())
    }

    /// An operation attribute.
    pub(crate) fn operation(&self, name: &str) -> Option<&IppValue> {
        self.message.get(DelimiterTag::OperationAttributes, name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.operation(name).and_then(as_text).filter(|text| !text.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.operation(name) {
            Some(IppValue::Boolean(flag)) => Some(*flag),
            _ => None,
        }
    }

    /// The name that the client gives; nobody has checked it.
    pub(crate) fn claimed(&self) -> String {
        self.text("requesting-user-name").unwrap_or_else(|| NOBODY.to_owned())
    }

    /// Who asks, as surely as that is known: who signed in, else the name that the client gives.
    pub(crate) fn user(&self) -> String {
        self.signed_in.as_ref().map_or_else(|| self.claimed(), ToString::to_string)
    }

    /// Whether a job is the asker's own: by who signed in, where somebody did, else by the names that clients gave. A job
    /// that somebody signed in for is nobody's who only claims to be them.
    pub(crate) fn owns(&self, job: &Job) -> bool {
        match (&self.signed_in, &job.signed_in) {
            (Some(asker), Some(owner)) => asker == owner,
            (Some(asker), None) => UserName::new(&job.owner).is_ok_and(|owner| owner == *asker),
            (None, Some(_)) => false,
            (None, None) => self.claimed() == job.owner,
        }
    }

    fn path(&self) -> String {
        path(&self.queue.name)
    }

    pub(crate) fn printer_uri(&self) -> String {
        format!("{}://{}{}", if self.over_tls { "ipps" } else { "ipp" }, self.host, self.path())
    }

    /// The queue's own page for people; what belongs to it lies below.
    pub(crate) fn page(&self) -> String {
        format!("{}://{}{}", if self.over_tls { "https" } else { "http" }, self.host, self.path())
    }

    /// Every address under which this client may print here, with whether it is over TLS. What is known of the listener
    /// that it did not come by is the port alone, so that one is told with the host name by which it did come.
    pub(crate) fn addresses(&self, serving: &Serving) -> Vec<(String, bool)> {
        let mut all = vec![(self.printer_uri(), self.over_tls)];
        let other = if self.over_tls { serving.ipp_port } else { serving.ipps_port };
        all.extend(other.map(|port| {
            let scheme = if self.over_tls { "ipp" } else { "ipps" };
            (format!("{scheme}://{}:{port}{}", without_port(&self.host), self.path()), !self.over_tls)
        }));
        // Nobody signs in without TLS.
        all.retain(|(_, tls)| *tls || !self.queue.sign_in);
        all
    }

    pub(crate) fn job_uri(&self, number: i32) -> String {
        format!("{}/jobs/{number}", self.printer_uri())
    }

    /// That `printer-uri` is there and names this queue. Access was decided by the HTTP route; a request that names
    /// another queue inside is not served.
    pub(crate) fn check_printer_uri(&self) -> Result<(), Refusal> {
        match self.operation("printer-uri") {
            Some(IppValue::Uri(uri)) if path_of(uri) == Some(self.path().as_str()) => Ok(()),
            Some(IppValue::Uri(uri)) => {
                let message = format!("{} is not {}", values::clean(uri), self.printer_uri());
                Err(Refusal::new(StatusCode::ClientErrorNotFound, message))
            }
            _ => Err(Refusal::bad("printer-uri is missing")),
        }
    }

    /// The job that the request is about: by `job-uri`, or by `printer-uri` and `job-id`.
    pub(crate) async fn job(&self, engine: &Engine) -> Result<Job, Refusal> {
        let none = || Refusal::new(StatusCode::ClientErrorNotFound, "there is no such job");
        let number = match self.operation("job-uri") {
            Some(IppValue::Uri(uri)) => {
                let number = path_of(uri).and_then(|path| path.strip_prefix(&format!("{}/jobs/", self.path())));
                number.and_then(|number| number.parse().ok()).ok_or_else(none)?
            }
            Some(_) => return Err(Refusal::bad("job-uri is no uri")),
            None => {
                self.check_printer_uri()?;
                let number = self.operation("job-id").and_then(as_integer);
                number.ok_or_else(|| Refusal::bad("job-id or job-uri is missing"))?
            }
        };
        engine.store.job_by_number(number).await?.filter(|job| job.queue == self.queue.name).ok_or_else(none)
    }

    /// Which attributes are wanted.
    pub(crate) fn wanted(&self) -> Wanted {
        let names = |value: &IppValue| each(value).iter().filter_map(as_text).collect();
        Wanted(self.operation("requested-attributes").map(names))
    }
}

/// `requested-attributes`.
pub(crate) struct Wanted(Option<Vec<String>>);

impl Wanted {
    /// Nothing was named.
    pub(crate) fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is named, by itself or as part of one of these groups.
    pub(crate) fn names(&self, name: &str, groups: &[&str]) -> bool {
        let named = self.0.as_deref().unwrap_or_default();
        named.iter().any(|wanted| wanted == name || groups.contains(&wanted.as_str()))
    }
}

/// The host of `host[:port]`; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => host,
    }
}

/// The path of a queue's address.
pub(super) fn path(queue: &QueueName) -> String {
    format!("/queues/{queue}")
}

/// The path of an address with a scheme and a host.
fn path_of(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    if !["ipp", "ipps", "http", "https"].contains(&scheme) {
        return None;
    }
    let path = rest.get(rest.find('/')?..)?;
    path.split(['?', '#']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, name) in [("h:8631", "h"), ("h", "h"), ("[::1]:8631", "[::1]"), ("[::1]", "[::1]")] {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn paths() {
        for (uri, path) in [
            ("ipp://h:8631/queues/a", Some("/queues/a")),
            ("ipp://h/queues/a?waitjob=false", Some("/queues/a")),
            ("ipp://h", None),
            ("file:///queues/a", None),
            ("/queues/a", None),
        ] {
            assert_eq!(path_of(uri), path, "{uri}");
        }
    }
}
