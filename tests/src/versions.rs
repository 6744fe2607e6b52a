//! Other versions of a built driver, without building it again: some of its texts are replaced by others of the same length.

/// The component with each `from` replaced by its `to`. Names of the contract, which stand behind an `@`, stay.
/// Panics where a text is not there, or the lengths differ.
pub fn altered(wasm: &[u8], texts: &[(&str, &str)]) -> Vec<u8> {
    let mut altered = wasm.to_vec();
    for (from, to) in texts {
        assert_eq!(from.len(), to.len(), "{from:?} and {to:?} must have one length");
        let found: Vec<_> = places(&altered, from).collect();
        assert!(!found.is_empty(), "{from:?} is not in the driver");
        for at in found {
            altered.splice(at..at + to.len(), to.bytes());
        }
    }
    altered
}

/// Where the text lies, but not behind an `@`.
fn places<'b>(bytes: &'b [u8], text: &'b str) -> impl Iterator<Item = usize> + 'b {
    let is_named = |at: usize| at > 0 && bytes.get(at - 1) == Some(&b'@');
    let found = bytes.windows(text.len()).enumerate().filter(move |(_, window)| *window == text.as_bytes());
    found.map(|(at, _)| at).filter(move |at| !is_named(*at))
}
