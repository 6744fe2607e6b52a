//! What a process has in memory, as the kernel counts it.

use std::fs;

/// Bytes of a process that are in memory.
pub(crate) struct Memory {
    /// Nobody else's: each page of it costs a page of the machine.
    pub(crate) own: f64,
    /// All, with pages that are shared with files or other processes counted in full.
    pub(crate) resident: f64,
}

impl Memory {
    /// Of the process of this id, or of `self`.
    pub(crate) fn of(process: &str) -> Self {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
        let bytes = |name: &str| -> f64 {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
        };
        Self { own: bytes("Anonymous:"), resident: bytes("Rss:") }
    }
}

/// The most bytes of a process that were in memory since it began. Costs it nothing, unlike looking again and again.
pub(crate) fn most_resident(process: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}

/// How many files a process has open; none where that cannot be seen.
pub(crate) fn open_files(process: &str) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// How many memory mappings a process has, of which `vm.max_map_count` allows so many.
pub(crate) fn mappings(process: &str) -> usize {
    fs::read_to_string(format!("/proc/{process}/maps")).map_or(0, |maps| maps.lines().count())
}
