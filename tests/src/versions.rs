//! Other versions of a built driver, without building it again: some of its texts are replaced by others of the same length.

/// The component with each `from` replaced by its `to`. Names of the contract, which stand behind an `@`, stay.
/// Panics where a text is not there, or the lengths differ.
pub fn altered(wasm: &[u8], texts: &[(&str, &str)]) -> Vec<u8> {
    let mut altered = wasm.to_vec();
    for (from, to) in texts {
        assert_eq!(from.len(), to.len(), "{from:?} and {to:?} must have one length");
        let found = |at: &usize| {
            let is_here = altered.get(*at..).is_some_and(|rest| rest.starts_with(from.as_bytes()));
            is_here && at.checked_sub(1).and_then(|before| altered.get(before)) != Some(&b'@')
        };
        let places: Vec<usize> = (0..altered.len()).filter(found).collect();
        assert!(!places.is_empty(), "{from:?} is not in the driver");
        for at in places {
            if let Some(place) = altered.get_mut(at..at + to.len()) {
                place.copy_from_slice(to.as_bytes());
            }
        }
    }
    altered
}
