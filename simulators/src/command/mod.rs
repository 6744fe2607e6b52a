//! The subcommands, a file each, and what their arguments share.

pub(crate) mod generic;
pub(crate) mod rfideas_241;
pub(crate) mod springcore;

use std::time::Duration;

/// Reads a time such as `2s`, `500ms` or `1m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no time; write it as 2s, 500ms or 1m"))?;
    match text.get(digits.len()..) {
        Some("ms") => Ok(Duration::from_millis(number)),
        Some("s") => Ok(Duration::from_secs(number)),
        Some("m") => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("{text:?} has no unit; write it as 2s, 500ms or 1m")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        for wrong in ["", "2", "s", "2h", "-1s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
