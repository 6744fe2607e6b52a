//! The workspace as cargo sees it.
//!
//! Owns where things are (root, target folder, the guest crates) and how cargo is called from inside `cargo run`. The
//! guests are discovered, never listed by hand: a new driver crate is built because of where it lies. Builds nothing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// The folders whose crates of type `cdylib` are guests.
const GUEST_FOLDERS: [&str; 3] = ["drivers", "examples", "tests/guests"];

/// What is to be known of the workspace.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// The target folder, absolute.
    pub(crate) target: PathBuf,
    /// The crates that become components, by package name.
    pub(crate) guests: Vec<Guest>,
}

/// A crate that becomes a component.
pub(crate) struct Guest {
    /// The package's name; the component is called so.
    pub(crate) package: String,
    /// The library's name; the core module is called so.
    pub(crate) library: String,
    /// Whether it comes with Cardinal: a crate under `drivers/`.
    pub(crate) bundled: bool,
}

impl Workspace {
    /// Asks cargo. Fails where cargo does, for example on a manifest that cannot be read.
    pub(crate) fn find() -> Result<Self> {
        // The working folder stays the caller's: a relative CARGO_TARGET_DIR counts from there.
        let mut metadata = cargo_command();
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        if let Some(folder) = env::var_os("CARGO_MANIFEST_DIR") {
            metadata.arg("--manifest-path").arg(Path::new(&folder).join("Cargo.toml"));
        }
        let metadata: Value =
            serde_json::from_str(&process::output(&mut metadata)?).context("reading the answer of cargo metadata")?;
        let root = PathBuf::from(text(&metadata, "workspace_root")?);
        let target = PathBuf::from(text(&metadata, "target_directory")?);

        let mut guests = Vec::new();
        for package in metadata.get("packages").and_then(Value::as_array).into_iter().flatten() {
            let manifest = PathBuf::from(text(package, "manifest_path")?);
            if !GUEST_FOLDERS.iter().any(|folder| manifest.starts_with(root.join(folder))) {
                continue;
            }
            let Some(library) = cdylib(package) else { continue };
            guests.push(Guest {
                package: text(package, "name")?.to_owned(),
                library: text(library, "name")?.replace('-', "_"),
                bundled: manifest.starts_with(root.join("drivers")),
            });
        }
        guests.sort_by(|a, b| a.package.cmp(&b.package));
        Ok(Self { root, target, guests })
    }

    /// A call of cargo in the workspace's root, with this workspace's target folder.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = cargo_command();
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    /// A program of ours, as `cargo build` leaves it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(name)
    }

    /// The same as `cargo build --release` leaves it.
    pub(crate) fn optimised(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// The folder of the finished components.
    pub(crate) fn components(&self) -> PathBuf {
        self.target.join("drivers")
    }

    /// The folder of those that come with Cardinal, where a program in `debug/` or `release/` beside it looks for them.
    pub(crate) fn bundled(&self) -> PathBuf {
        self.target.join("share/cardinal/drivers")
    }
}

/// The cargo that started us, without what `cargo run` told us about our own package.
fn cargo_command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|own| name.starts_with(own))
        });
        if ours {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The package's library, where it is built as a `cdylib`.
fn cdylib(package: &Value) -> Option<&Value> {
    let is_cdylib = |target: &&Value| {
        target
            .get("crate_types")
            .and_then(Value::as_array)
            .is_some_and(|types| types.iter().any(|kind| kind.as_str() == Some("cdylib")))
    };
    package.get("targets")?.as_array()?.iter().find(is_cdylib)
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("cargo metadata does not tell {key:?}"))
}
