//! Other versions of a built driver, without building it again: some of its texts are replaced by others of the same length.

/// The component with each `from` replaced by its `to`. Names of the contract, which stand behind an `@`, stay.
/// Panics where a text is not there, or the lengths differ.
pub fn altered(wasm: &[u8], texts: &[(&str, &str)]) -> Vec<u8> {
    let mut altered = wasm.to_vec();
    for (from, to) in texts {
        assert_eq!(from.len(), to.len(), "{from:?} and {to:?} must have one length");
        let behind_at = |at: usize| at.checked_sub(1).and_then(|before| altered.get(before)) == Some(&b'@');
        let found =
            altered.windows(from.len()).enumerate().filter(|(at, text)| *text == from.as_bytes() && !behind_at(*at));
        let places: Vec<usize> = found.map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "{from:?} is not in the driver");
        for at in places {
            altered.iter_mut().skip(at).zip(to.bytes()).for_each(|(byte, to)| *byte = to);
        }
    }
    altered
}
