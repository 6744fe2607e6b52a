//! The event of a driver's session that is over against its will: what its publisher needs to find out why.

use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
    site::Reader,
};
use cardinal_runtime::SessionError;

use super::{Services, status::StatusCell};

/// The event: reader, driver with its version and file, export, bound or trap, and where the driver's code was, with the
/// names of its functions where the host has them.
pub(super) async fn fault_event(
    services: &Services,
    reader: &Reader,
    status: &StatusCell,
    trace: TraceId,
    error: &SessionError,
) -> EventBody {
    // What runs by now: the session may have begun in another version.
    let (label, digest) = status.driver();
    let name = &reader.name;
    let message = format!("reader {name}: {label}: {error}. Its connection is closed and made anew");
    let event = |kind| EventBody::new(trace, kind, message.clone()).reader(name).device(&reader.device);
    let (event, backtrace) = match error {
        SessionError::Trap { backtrace, export, .. } => {
            (event(EventKind::DriverTrapped).fact("export", *export), backtrace.as_str())
        }
        SessionError::Bound { name, limit, export, backtrace, .. } => {
            let event = event(EventKind::DriverBound).fact("bound", *name).fact("limit", limit.to_string());
            (event.fact("export", *export), backtrace.as_str())
        }
        SessionError::Contract { export, .. } | SessionError::Host { export, .. } => {
            (event(EventKind::DriverFault).fact("export", *export), "")
        }
        SessionError::Fault(_) | SessionError::Ended => (event(EventKind::DriverFault), ""),
    };
    let event = event.fact("driver", label).fact("digest", digest.as_str());
    if backtrace.is_empty() {
        return event;
    }
    event.fact("backtrace", services.drivers.named(&digest, backtrace).await)
}
