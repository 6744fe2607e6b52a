//! The known word nearest to one that somebody mistyped.

/// ` (did you mean "x"?)` for the known word nearest to this one, or nothing where none is near.
pub fn nearest<S: AsRef<str>>(written: &str, known: &[S]) -> String {
    known
        .iter()
        .map(|word| (strsim::damerau_levenshtein(written, word.as_ref()), word.as_ref()))
        .filter(|(distance, word)| *distance <= 2.max(word.len() / 3))
        .min()
        .map(|(_, word)| format!(" (did you mean {word:?}?)"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_a_near_word_is_offered() {
        assert_eq!(nearest("adress", &["address", "device"]), " (did you mean \"address\"?)");
        assert_eq!(nearest("zzz", &["address", "device"]), "");
    }
}
