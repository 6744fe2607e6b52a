//! Get-Printer-Attributes: what a queue says of itself.

use cardinal_domain::{
    event::{EventBody, EventKind},
    job::JobState,
    names::{QueueName, TraceId},
    time::Timestamp,
};
use cardinal_store::JobFilter;
use ipp::{
    attribute::IppAttribute,
    model::{DelimiterTag, Operation, PrinterState},
    value::IppValue,
};
use sha2::{Digest as _, Sha256};

use super::{
    announcement::instance_name,
    call::{Answer, Call, Refusal, Wanted, group},
    capabilities::{self, FORMATS},
    check_accepting, media, pages, template,
};
use crate::{
    engine::Engine,
    values::{
        any_keyword, as_text, attribute, charset, clean, cut, date_time, each, keyword, keywords, language, list, mime,
        name, range, text, unknown, uri,
    },
};

/// What an Identify-Printer may ask for: a queue has no light and no voice, but the event list is a display of a kind.
const IDENTIFY_ACTION: &str = "display";
/// What a queue is, in words.
pub(super) const MAKE_AND_MODEL: &str = "Cardinal print queue";
/// A queue is nowhere; its printers are.
pub(super) const LOCATION: &str = "";
/// The longest message of an Identify-Printer that is told on, in bytes (PWG 5100.13: text(127)).
const LONGEST_MESSAGE: usize = 127;

/// Every operation served.
pub(crate) const OPERATIONS: [Operation; 13] = [
    Operation::PrintJob,
    Operation::ValidateJob,
    Operation::CreateJob,
    Operation::SendDocument,
    Operation::CancelJob,
    Operation::GetJobAttributes,
    Operation::GetJobs,
    Operation::GetPrinterAttributes,
    Operation::CancelMyJobs,
    Operation::CloseJob,
    Operation::HoldJob,
    Operation::ReleaseJob,
    Operation::IdentifyPrinter,
];

/// Seconds since 1970: the clock of `printer-up-time` and of all times of jobs. It goes on over a restart, as CUPS has it.
pub(crate) fn seconds(time: Timestamp) -> i32 {
    i32::try_from(time.0 / 1000).unwrap_or(i32::MAX).max(1)
}

/// Answers Get-Printer-Attributes.
pub(crate) async fn attributes(engine: &Engine, call: &Call) -> Result<Answer, Refusal> {
    call.check_printer_uri()?;
    let wanted = call.wanted();
    let mut all = Vec::new();
    let mut tell = |attributes: Vec<IppAttribute>, groups: &[&str]| {
        // The database is long, and told only to those who name it (PWG 5100.7).
        let told = |one: &IppAttribute| match one.name().as_str() {
            "media-col-database" => wanted.names("media-col-database", &[]),
            name => wanted.is_default() || wanted.names(name, groups),
        };
        all.extend(attributes.into_iter().filter(told));
    };
    tell(description(engine, call), &DESCRIPTION);
    tell(addresses(engine, call), &DESCRIPTION);
    tell(capabilities::described(), &DESCRIPTION);
    tell(status(engine, call, &wanted).await?, &DESCRIPTION);
    tell(template::described(), &["all", "job-template"]);
    tell(media::described(), &["all", "job-template"]);
    Ok(Answer::of(group(DelimiterTag::PrinterAttributes, all)))
}

const DESCRIPTION: [&str; 2] = ["all", "printer-description"];

/// How things are with the queue just now. What costs a look into the store is looked up only where it is wanted.
async fn status(engine: &Engine, call: &Call, wanted: &Wanted) -> Result<Vec<IppAttribute>, Refusal> {
    let is_wanted = |name: &str| wanted.is_default() || wanted.names(name, &DESCRIPTION);
    let now = Timestamp::now();
    let up_time = |time| IppValue::Integer(seconds(time));
    let accepting = !engine.stop.is_cancelled() && check_accepting(&call.queue).is_ok();
    let mut all = vec![
        attribute("printer-current-time", date_time(now)),
        attribute("printer-is-accepting-jobs", IppValue::Boolean(accepting)),
        attribute("printer-state-message", text("")),
        attribute("printer-state-reasons", keyword("none")),
        attribute("printer-up-time", up_time(now)),
    ];
    let of_changes = ["printer-state-change", "printer-config-change"];
    let changes = of_changes.iter().flat_map(|what| [format!("{what}-time"), format!("{what}-date-time")]);
    if changes.chain(["printer-state".to_owned()]).any(|name| is_wanted(&name)) {
        let state = state(engine, &call.queue.name).await? as i32;
        let changed = engine.changes.look(&call.queue, state, now);
        all.extend([
            attribute("printer-state", IppValue::Enum(state)),
            attribute("printer-state-change-time", up_time(changed.state)),
            attribute("printer-state-change-date-time", date_time(changed.state)),
            attribute("printer-config-change-time", up_time(changed.config)),
            attribute("printer-config-change-date-time", date_time(changed.config)),
        ]);
    }
    if is_wanted("queued-job-count") {
        let open = engine.store.open_jobs(&call.queue.name).await?;
        all.push(attribute("queued-job-count", IppValue::Integer(i32::try_from(open).unwrap_or(i32::MAX))));
    }
    Ok(all)
}

/// A queue is at work while one of its jobs is on its way to paper; jobs that are held keep nobody busy.
async fn state(engine: &Engine, queue: &QueueName) -> Result<PrinterState, Refusal> {
    for state in [JobState::Releasing, JobState::Sending, JobState::Printing] {
        let filter = JobFilter { queue: Some(queue.clone()), state: Some(state), limit: 1, ..JobFilter::default() };
        if !engine.store.jobs(&filter).await?.is_empty() {
            return Ok(PrinterState::Processing);
        }
    }
    Ok(PrinterState::Idle)
}

/// The three lists that belong together (RFC 8011 §5.4.1 to §5.4.3), and which attributes of jobs are private.
fn addresses(engine: &Engine, call: &Call) -> Vec<IppAttribute> {
    let addresses = call.addresses(&engine.serving);
    let authentication = if call.queue.sign_in { "basic" } else { "requesting-user-name" };
    let security = |tls| keyword(if tls { "tls" } else { "none" });
    vec![
        attribute("printer-uri-supported", list(addresses.iter().map(|(address, _)| uri(address)))),
        attribute("uri-authentication-supported", list(addresses.iter().map(|_| keyword(authentication)))),
        attribute("uri-security-supported", list(addresses.iter().map(|(_, tls)| security(*tls)))),
    ]
}

fn description(engine: &Engine, call: &Call) -> Vec<IppAttribute> {
    let queue = &call.queue;
    let integer = |number: u64| IppValue::Integer(i32::try_from(number).unwrap_or(i32::MAX));
    let info = match &queue.printer {
        Some(printer) if !queue.hold => format!("Cardinal queue {}: passes jobs on to {printer}", queue.name),
        _ => format!("Cardinal queue {}: holds jobs until their owner's card is shown", queue.name),
    };
    // Names of job attributes that a client may give when it makes a job.
    let creation: Vec<_> = template::names().chain(["ipp-attribute-fidelity", "job-name"]).collect();
    let icons = pages::ICONS.map(|(icon, _)| uri(&format!("{}/icon/{icon}", call.page())));
    vec![
        attribute("charset-configured", charset("utf-8")),
        attribute("charset-supported", list([charset("us-ascii"), charset("utf-8")])),
        attribute("compression-supported", keywords(&["none", "gzip"])),
        attribute("document-format-default", mime("application/octet-stream")),
        attribute("document-format-supported", list(FORMATS.map(mime))),
        attribute("generated-natural-language-supported", language("en")),
        attribute("identify-actions-default", keyword(IDENTIFY_ACTION)),
        attribute("identify-actions-supported", keyword(IDENTIFY_ACTION)),
        attribute("ipp-features-supported", keywords(&["ipp-everywhere", "page-overrides"])),
        attribute("ipp-versions-supported", keywords(&["1.1", "2.0"])),
        attribute("job-creation-attributes-supported", keywords(&creation)),
        attribute("job-ids-supported", IppValue::Boolean(true)),
        attribute("job-k-octets-supported", {
            range(0, i32::try_from(engine.limits.max_document_bytes >> 10).unwrap_or(i32::MAX))
        }),
        attribute("job-privacy-attributes", keywords(&super::jobs::PRIVATE)),
        attribute("job-privacy-scope", keyword("owner")),
        attribute("multiple-document-jobs-supported", IppValue::Boolean(false)),
        attribute("multiple-operation-time-out", integer(engine.limits.multiple_operation_timeout_s.max(1))),
        attribute("multiple-operation-time-out-action", keyword("abort-job")),
        attribute("natural-language-configured", language("en")),
        attribute("operations-supported", list(OPERATIONS.map(|operation| IppValue::Enum(operation as i32)))),
        attribute("preferred-attributes-supported", IppValue::Boolean(false)),
        attribute("printer-dns-sd-name", name(&instance_name(&queue.name, &engine.serving.machine))),
        attribute("printer-geo-location", unknown()),
        attribute("printer-get-attributes-supported", keyword("document-format")),
        attribute("printer-icons", list(icons)),
        attribute("printer-info", text(&info)),
        attribute("printer-kind", keyword("document")),
        attribute("printer-location", text(LOCATION)),
        attribute("printer-make-and-model", text(MAKE_AND_MODEL)),
        attribute("printer-more-info", uri(&call.page())),
        attribute("printer-name", name(queue.name.as_str())),
        attribute("printer-organization", text("")),
        attribute("printer-organizational-unit", text("")),
        attribute("printer-supply-info-uri", uri(&call.page())),
        attribute("printer-uuid", uri(&format!("urn:uuid:{}", uuid(&engine.serving.host_id, &queue.name)))),
        attribute("which-jobs-supported", keywords(&["completed", "not-completed", "all"])),
    ]
}

/// The queue's own UUID: the same for ever, and on no other host. Version 8, made by SHA-256 from the host's number and
/// the queue's name, as RFC 9562 §5.8 and its appendix B.2 have it.
pub(super) fn uuid(host: &[u8; 16], queue: &QueueName) -> String {
    let hash = Sha256::new().chain_update(host).chain_update(queue.as_str()).finalize();
    let mut number = hash.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    number = number & !(0xf << 76) | 8 << 76;
    number = number & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{number:032x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// Answers Identify-Printer (PWG 5100.13 §3.1).
pub(crate) async fn identify(engine: &Engine, call: &Call) -> Result<Answer, Refusal> {
    call.check_printer_uri()?;
    let mut answer = Answer::default();
    let actions: Vec<_> = call.operation("identify-actions").map(each).unwrap_or_default().iter().collect();
    let other: Vec<_> = actions.iter().filter_map(|action| as_text(action)).filter(|a| a != IDENTIFY_ACTION).collect();
    if !other.is_empty() {
        let other = list(other.iter().map(|action| any_keyword(action)));
        answer.unsupported.push(attribute("identify-actions", other));
    }
    let words = call.text("message").map(|words| clean(cut(&words, LONGEST_MESSAGE)));
    let said = words.map(|words| format!(": {words:?}")).unwrap_or_default();
    let queue = &call.queue.name;
    let message = format!("{} asks which printer {queue} is{said}", call.user());
    let event = EventBody::new(TraceId::new(), EventKind::PrinterIdentify, message).fact("queue", queue.to_string());
    engine.record(vec![event]).await;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_has_a_uuid_of_its_own() {
        let [one, two] = ["find-me", "direct"].map(|name| QueueName::new(name).unwrap());
        let first = uuid(&[7; 16], &one);
        assert_eq!(first, uuid(&[7; 16], &one));
        assert_ne!(first, uuid(&[7; 16], &two));
        assert_ne!(first, uuid(&[8; 16], &one));
        assert_eq!(first.len(), 36);
        assert_eq!((&first[14..15], "89ab".contains(&first[19..20])), ("8", true), "{first}");
    }
}
