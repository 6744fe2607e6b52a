//! Finding a compiler for `wasm32-unknown-unknown`.
//!
//! Two ways: the target installed for the active compiler; Debian's `rustc-web` with the sources of its standard library,
//! which cargo then compiles. Owns this choice and the environment that it needs. Never downloads from rustup's servers:
//! many networks do not reach them.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    BuildError,
    process::{find, output},
};

/// The target of every driver.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The one command that helps everywhere rustup reaches its servers.
pub const RUSTUP_COMMAND: &str = "rustup target add wasm32-unknown-unknown";

/// Debian's compiler and the sources of its standard library; both must be of one version.
pub const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Where Debian puts that compiler.
pub const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// Where cargo looks for its sources.
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust";

/// A way to compile drivers.
#[derive(Debug)]
pub enum WasmTarget {
    /// The active compiler has the target.
    Installed,
    /// Debian's compiler, which builds the standard library first.
    Debian(Debian),
}

/// Debian's compiler with all that it needs.
#[derive(Debug)]
pub struct Debian {
    version: Version,
    /// Given to cargo only where it would not find the right library by itself.
    library: Option<PathBuf>,
    linker: PathBuf,
}

impl WasmTarget {
    /// Finds a way that can build code of `needed` (a manifest's `rust-version`) in this folder: the active compiler is the
    /// one that is active there. None: this machine has none.
    ///
    /// # Errors
    /// The active compiler cannot be asked, or there is a compiler and no linker.
    pub fn find(needed: Version, folder: &Path) -> Result<Option<Self>, BuildError> {
        if installed(folder)? {
            return Ok(Some(Self::Installed));
        }
        Ok(Debian::find(needed, folder)?.map(Self::Debian))
    }

    /// Gives a call of `cargo build` what this way needs.
    pub fn configure(&self, cargo: &mut Command) {
        cargo.args(["--target", TARGET]);
        // Flags meant for this machine's own code do not suit wasm.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        let Self::Debian(debian) = self else { return };
        cargo
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC", DEBIAN_RUSTC)
            // Building the standard library is an unstable option of cargo; this unlocks it on a stable one.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &debian.linker)
            // `cargo run` put the active compiler's libraries there; they are not Debian's.
            .env_remove("LD_LIBRARY_PATH");
        if let Some(library) = &debian.library {
            cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
        }
    }
}

impl fmt::Display for WasmTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed => write!(f, "the installed {TARGET} target"),
            Self::Debian(debian) => {
                write!(f, "Debian's rustc {} and, the first time, its standard library (a few minutes)", debian.version)
            }
        }
    }
}

impl Debian {
    /// Debian's compiler, if it is here, new enough, and with sources of its own version.
    fn find(needed: Version, folder: &Path) -> Result<Option<Self>, BuildError> {
        if !Path::new(DEBIAN_RUSTC).exists() {
            return Ok(None);
        }
        let Some(version) = release(DEBIAN_RUSTC)?.as_deref().and_then(Version::parse) else { return Ok(None) };
        if version < needed {
            return Ok(None);
        }
        let name = format!("rustc-{version}");
        let linked = fs::canonicalize(DEBIAN_SOURCES).ok();
        let library = if linked.is_some_and(|found| found.ends_with(&name) && has_library(&found)) {
            None
        } else {
            let sources = Path::new("/usr/src").join(&name);
            if !has_library(&sources) {
                return Ok(None);
            }
            Some(sources.join("library"))
        };
        Ok(Some(Self { version, library, linker: linker(folder)? }))
    }
}

/// Whether the active compiler has the target's standard library.
fn installed(folder: &Path) -> Result<bool, BuildError> {
    let mut rustc = active_rustc(folder);
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let library = output(&mut rustc)?;
    let Ok(entries) = fs::read_dir(library.trim()) else { return Ok(false) };
    Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
}

/// The compiler that cargo uses in this folder, where a `rust-toolchain.toml` may name one.
fn active_rustc(folder: &Path) -> Command {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(folder);
    rustc
}

/// rustup's compilers bring a linker for wasm; other ones leave it to the system.
fn linker(folder: &Path) -> Result<PathBuf, BuildError> {
    let sysroot = output(active_rustc(folder).args(["--print", "sysroot"]))?;
    let verbose = output(active_rustc(folder).arg("-vV"))?;
    let host = verbose.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let bundled = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/rust-lld");
    if bundled.is_file() {
        return Ok(bundled);
    }
    let system = ["wasm-ld", "lld"].into_iter().find_map(find);
    system.ok_or_else(|| BuildError::Linker { bundled: bundled.display().to_string() })
}

/// What a compiler says of itself, such as `1.96.0`.
fn release(rustc: &str) -> Result<Option<String>, BuildError> {
    let verbose = output(Command::new(rustc).arg("-vV").env_remove("LD_LIBRARY_PATH"))?;
    Ok(verbose.lines().find_map(|line| line.strip_prefix("release: ")).map(str::to_owned))
}

fn has_library(sources: &Path) -> bool {
    sources.join("library/std/Cargo.toml").is_file()
}

/// A compiler's version: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version([u32; 3]);

impl Version {
    /// Reads `1.95`, `1.96.0` and `1.96.0+dfsg1-1~deb12u2`.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut parts = numbers.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().map_or(Ok(0), str::parse).ok()?;
        Some(Self([major, minor, patch]))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_are_read_as_manifests_compilers_and_debian_write_them() {
        assert_eq!(Version::parse("1.95"), Some(Version([1, 95, 0])));
        assert_eq!(Version::parse("1.96.0"), Some(Version([1, 96, 0])));
        assert_eq!(Version::parse("1.85.1+dfsg3-1~deb12u3"), Some(Version([1, 85, 1])));
        assert_eq!(Version::parse("unknown"), None);
    }

    #[test]
    fn an_older_compiler_is_seen_as_older() {
        assert!(Version::parse("1.85.0+dfsg3-1") < Version::parse("1.95"));
        assert!(Version::parse("1.100") > Version::parse("1.95"));
    }
}
