//! What is printed, and where it comes out.

use std::{fs, path::Path};

use crate::{program, wait};

/// A small real PDF.
pub fn hello() -> Vec<u8> {
    fs::read(program::in_workspace("examples/hello.pdf")).expect("the example document")
}

/// A document of this size that no two callers with different seeds share: a PDF's first line, then arbitrary bytes.
pub fn arbitrary(size: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_769) | 1;
    let bytes = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    });
    b"%PDF-1.7\n".iter().copied().chain(bytes.flatten()).take(size).collect()
}

/// The documents that came out in this folder; one that is being written is not out yet.
pub fn came_out(folder: &Path) -> Vec<Vec<u8>> {
    // The folder is made with the first document.
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_whole = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    entries.flatten().filter(is_whole).map(|entry| fs::read(entry.path()).expect("a document can be read")).collect()
}

/// Waits until this many documents have come out. Panics where it becomes more.
pub async fn out(folder: &Path, count: usize) -> Vec<Vec<u8>> {
    let what = format!("{count} documents in {}", folder.display());
    let documents = wait::until(&what, async || Some(came_out(folder)).filter(|out| out.len() >= count)).await;
    assert_eq!(documents.len(), count, "too many documents came out");
    documents
}
