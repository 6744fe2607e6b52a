//! Bounds of the flight recorder.

use cardinal_domain::{
    bounds::{BoundsError, in_range},
    bounds_table,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

bounds_table! {
    /// What is kept of readers' sessions: `[recorder]` in `cardinal.toml`.
    RecorderLimits,
    /// The table behind [`RecorderLimits`].
    RECORDER_LIMITS:

    ring_entries = 64, "entries", "What is kept in memory of each reader, masked, for `cardinal reader trace`: an entry is what its driver was told, or what it answered. 0: nothing.";
    ring_bytes = 1_792, "bytes", "The memory that this may take for one reader. A swipe takes some 60 bytes; 100,000 readers take 200 MB at most. 0: nothing.";
    captures = 8, "captures", "Captures under way at one time. 0: none can be made on this host.";
    capture_longest_s = 86_400, "s", "The longest time that a capture may be opened for.";
    capture_bytes = 16 * MIB, "bytes", "The size of one capture, all its sessions together; then it ends. A swipe takes some 200 bytes.";
    capture_sessions = 100, "sessions", "Sessions in one capture, a file each; then it ends. A reader that cannot be reached has a session for each try that gets through.";
    captures_kept = 100, "captures", "Captures that are kept; to make another, one must be removed or grow old.";
    capture_days = 14, "days", "How long a capture is kept once it has ended. It holds card numbers: no longer than needed.";
}

impl RecorderLimits {
    /// Whether a recorder can work within these.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), BoundsError> {
        in_range("ring_entries", self.ring_entries, 0, 100_000, "")?;
        in_range("ring_bytes", self.ring_bytes, 0, MIB, "")?;
        in_range("captures", self.captures, 0, 1_000, "")?;
        in_range("capture_longest_s", self.capture_longest_s, 1, 31 * 86_400, "")?;
        in_range("capture_bytes", self.capture_bytes, 64 * KIB, 1_024 * MIB, "")?;
        in_range("capture_sessions", self.capture_sessions, 1, 10_000, "")?;
        in_range("captures_kept", self.captures_kept, 1, 10_000, "")?;
        in_range("capture_days", self.capture_days, 1, 3_650, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_nothing_is_kept_for_ever() {
        RecorderLimits::default().check().unwrap();
        let mut limits = RecorderLimits::default();
        assert!(RECORDER_LIMITS.iter().all(|bound| limits.get(bound.name) == Some(bound.default)));
        *limits.get_mut("capture_days").unwrap() = 0;
        assert!(limits.check().unwrap_err().to_string().contains("capture_days = 0"));
    }
}
