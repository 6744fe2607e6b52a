//! Pages made from tables, compared with what is committed. For tests only.

use std::path::Path;

/// Compares a page with its table; with `CARDINAL_BLESS` set, writes it.
pub(crate) fn check(page: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    if std::env::var_os("CARDINAL_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "{page} is not what its table says; run CARDINAL_BLESS=1 cargo test -p cardinal-domain");
}
