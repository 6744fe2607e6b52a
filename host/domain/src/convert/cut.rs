//! The default cut: magnetic-stripe readers send `number=more`, and the number is what stands before `=`.

/// What stands before the first `=`, or all of it.
pub(super) fn before_equals(said: &str) -> &str {
    said.split_once('=').map_or(said, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use super::before_equals;

    #[test]
    fn what_stands_before_the_equals_sign() {
        assert_eq!(before_equals("5235092385=8"), "5235092385");
        assert_eq!(before_equals("4711"), "4711");
    }
}
