//! Get-Printer-Attributes: what a queue says of itself.

use cardinal_domain::time::Timestamp;
use ipp::{
    attribute::IppAttribute,
    model::{DelimiterTag, Operation, PrinterState},
    value::IppValue,
};

use super::{
    call::{Answer, Call, Refusal, group},
    media, template,
};
use crate::{
    engine::Engine,
    values::{attribute, charset, keyword, keywords, language, list, mime, name, range, text, uri},
};

/// Cardinal does not look into documents: these are what clients send, passed on as they are.
pub(crate) const FORMATS: [&str; 8] = [
    "application/octet-stream",
    "application/pdf",
    "application/postscript",
    "application/vnd.hp-pcl",
    "image/jpeg",
    "image/png",
    "image/pwg-raster",
    "text/plain",
];

/// Every operation served.
pub(crate) const OPERATIONS: [Operation; 10] = [
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
    tell(description(engine, call), &["all", "printer-description"]);
    tell(template::described(), &["all", "job-template"]);
    tell(media::described(), &["all", "job-template"]);
    if wanted.is_default() || wanted.names("queued-job-count", &["all", "printer-description"]) {
        let open = engine.store.open_jobs(&call.queue.name).await?;
        all.push(attribute("queued-job-count", IppValue::Integer(i32::try_from(open).unwrap_or(i32::MAX))));
    }
    Ok(Answer::of(group(DelimiterTag::PrinterAttributes, all)))
}

fn description(engine: &Engine, call: &Call) -> Vec<IppAttribute> {
    let queue = &call.queue;
    let integer = |number: u64| IppValue::Integer(i32::try_from(number).unwrap_or(i32::MAX));
    let info = match &queue.printer {
        Some(printer) if !queue.hold => format!("Cardinal queue {}: passes jobs on to {printer}", queue.name),
        _ => format!("Cardinal queue {}: holds jobs until their owner's card is shown", queue.name),
    };
    let more = format!("http://{}/queues/{}", call.host, queue.name);
    // Names of job attributes that a client may give when it makes a job.
    let creation: Vec<_> = template::names().chain(["ipp-attribute-fidelity", "job-name"]).collect();
    vec![
        attribute("charset-configured", charset("utf-8")),
        attribute("charset-supported", list([charset("us-ascii"), charset("utf-8")])),
        attribute("color-supported", IppValue::Boolean(true)),
        attribute("compression-supported", keyword("none")),
        attribute("document-format-default", mime("application/octet-stream")),
        attribute("document-format-supported", list(FORMATS.map(mime))),
        attribute("generated-natural-language-supported", language("en")),
        attribute("ipp-versions-supported", keywords(&["1.1", "2.0"])),
        attribute("job-creation-attributes-supported", keywords(&creation)),
        attribute("job-ids-supported", IppValue::Boolean(false)),
        attribute("job-k-octets-supported", {
            range(0, i32::try_from(engine.limits.max_document_bytes >> 10).unwrap_or(i32::MAX))
        }),
        attribute("multiple-document-jobs-supported", IppValue::Boolean(false)),
        attribute("multiple-operation-time-out", integer(engine.limits.multiple_operation_timeout_s.max(1))),
        attribute("multiple-operation-time-out-action", keyword("abort-job")),
        attribute("natural-language-configured", language("en")),
        attribute("operations-supported", list(OPERATIONS.map(|operation| IppValue::Enum(operation as i32)))),
        // The speed is the printer's, which is not known here; clients only show it.
        attribute("pages-per-minute", IppValue::Integer(30)),
        attribute("pages-per-minute-color", IppValue::Integer(30)),
        attribute("pdl-override-supported", keyword("attempted")),
        attribute("printer-device-id", text("MFG:Cardinal;MDL:Print queue;CMD:PDF,PWGRaster,JPEG,PS,PCL;")),
        attribute("printer-get-attributes-supported", keyword("document-format")),
        attribute("printer-info", text(&info)),
        attribute("printer-is-accepting-jobs", IppValue::Boolean(!engine.stop.is_cancelled())),
        attribute("printer-location", text("")),
        attribute("printer-make-and-model", text("Cardinal print queue")),
        attribute("printer-more-info", uri(&more)),
        attribute("printer-name", name(queue.name.as_str())),
        attribute("printer-state", IppValue::Enum(PrinterState::Idle as i32)),
        attribute("printer-state-message", text("")),
        attribute("printer-state-reasons", keyword("none")),
        attribute("printer-up-time", IppValue::Integer(seconds(Timestamp::now()))),
        attribute("printer-uri-supported", uri(&call.printer_uri())),
        attribute("pwg-raster-document-resolution-supported", list([template::dpi(300), template::dpi(600)])),
        attribute("pwg-raster-document-sheet-back", keyword("normal")),
        attribute("pwg-raster-document-type-supported", keywords(&["black_1", "sgray_8", "srgb_8"])),
        attribute("uri-authentication-supported", keyword("requesting-user-name")),
        attribute("uri-security-supported", keyword("none")),
        attribute("which-jobs-supported", keywords(&["completed", "not-completed"])),
    ]
}
