//! Every bound a driver runs under, in one table: its name, default, unit and reason.
//!
//! The table makes the structs, so configuration, docs and error messages cannot disagree about a bound. [`Bounds`] holds
//! for one driver, [`EngineOptions`] for the engine that all drivers share. A bound is a number and nothing else here;
//! whoever enforces it says so when it is crossed, with the name from this table.

pub(crate) use cardinal_domain::bounds::size;
pub use cardinal_domain::bounds::{BoundInfo, BoundsError};
use cardinal_domain::{bounds::in_range, bounds_table};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

bounds_table! {
    /// What one driver may use, for each of its sessions.
    Bounds,
    /// The table behind [`Bounds`].
    BOUNDS:

    call_deadline_ms = 250, "ms", "Time on the clock for one call of handle or save. A call takes microseconds; a quarter of a second is far above the hiccups of an overloaded machine and still short for a person at a reader.";
    open_deadline_ms = 500, "ms", "Time for a new instance and its open, which may build tables.";
    describe_deadline_ms = 1_000, "ms", "Time for a new instance and its describe, once per installation.";
    memory_bytes = 4 * MIB, "bytes", "Linear memory of one session. A Rust driver starts at about 1.1 MB, nearly all of it untouched stack.";
    table_elements = 4_096, "elements", "Function table of one session. The table of a Rust driver has some hundred entries.";
    instances = 4, "instances", "Core instances in one component: the driver and the shims its tool chain adds.";
    component_handles = 16, "handles", "Live resource handles of one session. It needs one; more are a leak.";
    hostcall_fuel = MIB, "bytes", "Data taken from the driver in one answer, before it is looked at.";
    outputs_per_call = 256, "outputs", "Outputs of one call. A chunk of input holds a few cards at most.";
    output_bytes_per_call = 256 * KIB, "bytes", "Texts and bytes in the outputs of one call. Readers are slow; more would pile up in the send queue.";
    input_bytes = 256, "bytes", "Received bytes given to a driver at once; the host cuts longer runs into pieces. A piece full of the shortest cards stays below outputs_per_call and swipes_waiting, so a flood is slowed down instead of taken for a fault.";
    http_body_bytes = 256 * KIB, "bytes", "Body taken from a reader in one call or one answer to a fetch.";
    timers = 16, "timers", "Timers set at one time.";
    fetches_in_flight = 4, "fetches", "HTTP requests to the reader at one time. Embedded web servers rarely stand more.";
    fetches_per_minute = 600, "fetches", "HTTP requests to the reader by the session's clock. Configuring a reader may take tens; ten a second, kept up, wear down a small web server.";
    open_calls = 8, "calls", "HTTP calls from the reader that wait for their answer; the host refuses further ones by itself.";
    swipes_waiting = 200, "swipes", "Cards that wait for their verdict. The host reads no further once 16 wait, so only one chunk of input can add to them.";
    log_lines_per_minute = 60, "lines", "Lines of log by the session's clock, so that one reader cannot fill the log.";
    reports_per_minute = 120, "reports", "Status, typed, remember and late answers by the session's clock. Each is a stored event or a commit; a driver gives a few for each connection.";
    remembered_bytes = 4 * KIB, "bytes", "Keys and values kept for later sessions of a reader, all together: a key or two.";
    saved_bytes = 64 * KIB, "bytes", "What save gives. A sleeping reader costs this much memory.";
    component_bytes = 8 * MIB, "bytes", "Size of a driver's file. A Rust driver has 40 KB.";
    compile_seconds = 60, "s", "Time to compile a driver. A usual one takes a twentieth of a second.";
    compile_memory_bytes = 1_024 * MIB, "bytes", "Address space of the process that compiles, itself included.";
}

bounds_table! {
    /// What holds for the engine that all drivers of a host share.
    EngineOptions,
    /// The table behind [`EngineOptions`].
    ENGINE_OPTIONS:

    live_sessions = 10_000, "sessions", "Instances at one time; a further session waits. Each is a memory mapping, and Linux allows 65,530 of them in a process.";
    worker_threads = 0, "threads", "Threads that run drivers. 0: as many as the machine has cores.";
    epoch_tick_ms = 10, "ms", "How often running drivers are checked against their deadlines, and so how exact these are.";
    stack_bytes = 512 * KIB, "bytes", "Stack of a call. Threads are made with this much and room for the host besides.";
    largest_memory_bytes = 64 * MIB, "bytes", "The most that memory_bytes of any driver may be.";
    largest_table_elements = 20_000, "elements", "The most that table_elements of any driver may be.";
    largest_instances = 4, "instances", "The most that instances of any driver may be; room is set aside for this many in each live session.";
}

/// The longest deadline, so that milliseconds and ticks never overflow: an hour.
const LONGEST_MS: u64 = 3_600_000;
/// The largest stack: test and tool threads have 2 MiB, and the host needs room besides.
const LARGEST_STACK: u64 = MIB;

impl Bounds {
    /// Whether this engine can hold these bounds.
    ///
    /// # Errors
    /// The first bound that is out of range.
    pub fn check(&self, engine: &EngineOptions) -> Result<(), BoundsError> {
        let memory = engine.largest_memory_bytes;
        let because = "; the engine's largest_… setting says so";
        in_range("call_deadline_ms", self.call_deadline_ms, 1, LONGEST_MS, "")?;
        in_range("open_deadline_ms", self.open_deadline_ms, 1, LONGEST_MS, "")?;
        in_range("describe_deadline_ms", self.describe_deadline_ms, 1, LONGEST_MS, "")?;
        in_range("memory_bytes", self.memory_bytes, 64 * KIB, memory, because)?;
        in_range("table_elements", self.table_elements, 1, engine.largest_table_elements, because)?;
        in_range("instances", self.instances, 1, engine.largest_instances, because)?;
        in_range("compile_seconds", self.compile_seconds, 1, LONGEST_MS / 1_000, "")
    }
}

impl EngineOptions {
    /// Whether an engine can be made with these options.
    ///
    /// # Errors
    /// The first option that is out of range.
    pub fn check(&self) -> Result<(), BoundsError> {
        in_range("live_sessions", self.live_sessions, 1, 20_000, "; sleep takes care of more readers")?;
        in_range("worker_threads", self.worker_threads, 0, 1_024, "")?;
        in_range("epoch_tick_ms", self.epoch_tick_ms, 1, 1_000, "")?;
        in_range("stack_bytes", self.stack_bytes, 64 * KIB, LARGEST_STACK, "")?;
        in_range("largest_memory_bytes", self.largest_memory_bytes, 64 * KIB, 4_096 * MIB, "")?;
        in_range("largest_table_elements", self.largest_table_elements, 1, 1_000_000, "")?;
        in_range("largest_instances", self.largest_instances, 1, 64, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_struct_agree() {
        let bounds = Bounds::default();
        for info in BOUNDS {
            assert_eq!(bounds.get(info.name), Some(info.default), "{}", info.name);
            assert!(!info.reason.is_empty() && !info.unit.is_empty());
        }
        let keys = serde_json::to_value(&bounds).unwrap();
        assert_eq!(keys.as_object().unwrap().len(), BOUNDS.len());
        assert!(bounds.check(&EngineOptions::default()).is_ok());
        assert!(EngineOptions::default().check().is_ok());
    }

    /// A driver's author reads the contract alone, and must find every bound there.
    #[test]
    fn the_contract_tells_every_bound() {
        let contract = include_str!("../../../wit/v1/reader.wit");
        for info in BOUNDS {
            let value = match info.default {
                value if info.unit == "bytes" && value % (1 << 30) == 0 => format!("{} GiB", value >> 30),
                value if info.unit == "bytes" && value % MIB == 0 => format!("{} MiB", value / MIB),
                value if info.unit == "bytes" && value % KIB == 0 => format!("{} KiB", value / KIB),
                value if value >= 1_000 => format!("{},{:03}", value / 1_000, value % 1_000),
                value => value.to_string(),
            };
            let words = format!("`{}` {value}", info.name);
            assert!(contract.contains(&words), "{words}");
        }
    }

    #[test]
    fn an_override_names_what_is_wrong() {
        let bounds: Bounds = serde_json::from_str(r#"{ "timers": 2 }"#).unwrap();
        assert_eq!((bounds.timers, bounds.fetches_in_flight), (2, 4));
        assert!(serde_json::from_str::<Bounds>(r#"{ "timer": 2 }"#).is_err());
        let large = Bounds { memory_bytes: 1 << 40, ..Bounds::default() };
        assert_eq!(
            large.check(&EngineOptions::default()).unwrap_err().to_string(),
            "memory_bytes = 1099511627776 is out of range: it may be 65536 to 67108864; the engine's largest_… setting says so"
        );
    }
}
