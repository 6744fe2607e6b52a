//! Driver files for tests of what becomes of a file: versions of one guest, keys and signatures, made by the real program.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{cli::Answer, host::Host, program};

/// The guest `test/hostile` as this version: a number with one digit each, such as `1.2.0`. The bytes of its version are
/// replaced where they lie, so each version is another file.
pub fn hostile(version: &str) -> Vec<u8> {
    replaced(
        &fs::read(program::component("guest-hostile")).expect("the guest"),
        "hostile1.0.0M",
        &format!("hostile{version}M"),
    )
}

/// The same bytes but for its summary.
pub fn with_another_summary(driver: &[u8]) -> Vec<u8> {
    replaced(driver, "Misbehaves on demand", "Misbehaves if asked.")
}

/// Bytes with another text in place of the only one of the same length.
pub fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "{from:?} {to:?}");
    let found: Vec<_> =
        bytes.windows(from.len()).enumerate().filter(|(_, at)| *at == from.as_bytes()).map(|(at, _)| at).collect();
    let [at] = found[..] else { panic!("{from:?} is there {} times", found.len()) };
    let (before, rest) = bytes.split_at(at);
    [before, to.as_bytes(), rest.get(from.len()..).unwrap_or_default()].concat()
}

/// Writes a driver into the host's folder.
pub fn write(host: &Host, name: &str, bytes: &[u8]) -> PathBuf {
    let file = host.folder().join(name);
    fs::write(&file, bytes).expect("a file can be written");
    file
}

/// Installs it, with these further arguments.
pub async fn install(host: &Host, file: &Path, arguments: &[&str]) -> Answer {
    host.cli_with(&[&["driver", "install", text(file)], arguments].concat()).await
}

/// A publisher's key pair without a password: the secret key and the public one.
pub async fn keygen(host: &Host, name: &str) -> (PathBuf, PathBuf) {
    let secret = host.folder().join(format!("{name}.key"));
    host.cli_with(&["driver", "keygen", "--no-password", "--out", text(&secret)]).await.ok();
    (secret, host.folder().join(format!("{name}.pub")))
}

/// Signs a file; gives its signature.
pub async fn sign(host: &Host, file: &Path, secret: &Path) -> PathBuf {
    host.cli_with(&["driver", "sign", text(file), "--key", text(secret)]).await.ok();
    PathBuf::from(format!("{}.minisig", text(file)))
}

/// Trusts a key for a vendor, with these further arguments.
pub async fn trust(host: &Host, vendor: &str, public: &Path, arguments: &[&str]) -> Answer {
    host.cli_with(&[&["driver", "trust", vendor, "--key", text(public)], arguments].concat()).await
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
