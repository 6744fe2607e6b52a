//! Firmware versions, compared part by part as numbers: 2.10 is later than 2.04.

use std::cmp::Ordering;

/// The longest version text that is taken for one, in bytes.
const LONGEST: usize = 40;

/// A version such as `2.04` or `2.04b`; what follows the digits of a part does not count.
#[derive(Debug, Clone)]
pub(crate) struct Firmware {
    text: String,
    parts: Vec<u32>,
}

impl Firmware {
    /// None: this is no version.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > LONGEST {
            return None;
        }
        let part = |part: &str| {
            let after = part.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = part.strip_suffix(after)?;
            after.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).then_some(())?;
            digits.parse().ok()
        };
        Some(Self { text: text.to_owned(), parts: text.split('.').map(part).collect::<Option<_>>()? })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it came before the other. A part that is not there counts as 0.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        let part = |of: &Self, at: usize| of.parts.get(at).copied().unwrap_or(0);
        let longest = self.parts.len().max(other.parts.len());
        let differs = (0..longest).map(|at| part(self, at).cmp(&part(other, at))).find(|order| order.is_ne());
        differs == Some(Ordering::Less)
    }
}

#[cfg(test)]
mod tests {
    use super::Firmware;

    fn is_before(one: &str, other: &str) -> bool {
        Firmware::parse(one).unwrap().is_before(&Firmware::parse(other).unwrap())
    }

    #[test]
    fn parts_are_numbers() {
        for (earlier, later) in
            [("2.03", "2.04"), ("2.04", "2.10"), ("1.99", "2.04"), ("2", "2.04"), ("2.04", "2.04.1")]
        {
            assert!(is_before(earlier, later), "{earlier} {later}");
            assert!(!is_before(later, earlier), "{later} {earlier}");
        }
        for (one, same) in [("2.04", "2.4"), ("2.04", "2.04.0"), ("2.04", "2.04b"), (" 3 ", "3.0")] {
            assert!(!is_before(one, same) && !is_before(same, one), "{one} {same}");
        }
    }

    #[test]
    fn what_is_no_version_is_none() {
        for wrong in ["", ".", "2.", "v2", "2..4", "2.04 (beta)", "2.99999999999", "2.04\u{7f}", &"1.".repeat(30)] {
            assert!(Firmware::parse(wrong).is_none(), "{wrong:?}");
        }
    }
}
