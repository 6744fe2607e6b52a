//! `cardinal driver build`: a crate becomes a driver file.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use cardinal_build::{DEBIAN_PACKAGES, RUSTUP_COMMAND, TARGET, Version, WasmTarget};
use clap::Args;
use serde_json::Value;

use super::{
    super::output::{self, say},
    files, keys,
};

/// Build a crate into a driver file, with the names of its functions beside it
#[derive(Debug, Args)]
#[command(after_help = "\
Writes target/drivers/CRATE.wasm, a component without names and debug information, and CRATE.names, with which a host tells
where the driver failed. cargo compiles for wasm32-unknown-unknown; where rustup is used, that is once:
  rustup target add wasm32-unknown-unknown
Without that target Debian's packages rustc-web and rust-web-src serve, where they are installed.

Examples:
  cardinal driver build                         the crate in this folder
  cardinal driver build acme-tcp --key acme.key and sign it")]
pub(in crate::cli) struct Build {
    /// The crate's folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Sign it with this secret key
    #[arg(long)]
    key: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// The variable that names another folder than `target`.
const TARGET_FOLDER: &str = "CARGO_TARGET_DIR";

/// Where cargo works.
#[derive(Debug, Clone, Args)]
pub(super) struct Place {
    /// Where cargo works, if not in target/wasm; several crates that share one compile what they have in common once
    #[arg(long, value_name = "DIR", env = "CARDINAL_CARGO_TARGET")]
    cargo_target: Option<PathBuf>,
}

impl Build {
    pub(super) fn run(self, config: &Path, as_json: bool) -> Result<()> {
        let built = Crate::find(&self.folder)?.build(&self.place)?;
        let signature = self.key.map(|key| keys::sign(&built.driver, &key, config)).transpose()?;
        if as_json {
            let signature = signature.map(|signed| signed.path);
            let Built { driver, names, bytes, .. } = &built;
            return output::json(
                &serde_json::json!({ "driver": driver, "names": names, "bytes": bytes, "signature": signature }),
            );
        }
        built.tell();
        if let Some(signed) = signature {
            say!("{}: {}, by key {}", signed.path.display(), signed.claim, signed.key);
        }
        Ok(())
    }
}

/// A driver's crate, as cargo sees it.
pub(super) struct Crate {
    folder: PathBuf,
    manifest: PathBuf,
    package: String,
    library: String,
    /// The oldest compiler that it can do with.
    needs: Version,
    target: PathBuf,
}

/// A driver file that was built.
pub(super) struct Built {
    pub(super) driver: PathBuf,
    names: PathBuf,
    bytes: usize,
    functions: usize,
}

impl Built {
    pub(super) fn tell(&self) {
        let Self { driver, names, bytes, functions } = self;
        say!("{}: {} KiB", driver.display(), bytes.div_ceil(1024));
        say!("{}: the names of {functions} functions", names.display());
    }
}

impl Crate {
    /// Asks cargo about the crate in this folder.
    pub(super) fn find(folder: &Path) -> Result<Self> {
        let manifest = folder.join("Cargo.toml");
        let manifest = manifest
            .canonicalize()
            .with_context(|| format!("there is no crate in {}; `cardinal driver new` makes one", folder.display()))?;
        let folder = manifest.parent().unwrap_or(folder).to_owned();
        let mut metadata = cargo(&folder)?;
        metadata.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(&manifest);
        let metadata: Value =
            serde_json::from_str(&cardinal_build::output(&mut metadata)?).context("cargo metadata gave no JSON")?;
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let packages = metadata.get("packages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let is_it = |package: &&Value| {
            text(package, "manifest_path").and_then(|path| Path::new(&path).canonicalize().ok()).as_ref()
                == Some(&manifest)
        };
        let package = packages.iter().find(is_it);
        let package = package.with_context(|| format!("{} describes no crate", manifest.display()))?;
        let targets = package.get("targets").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let is_cdylib = |target: &&Value| {
            let types = target.get("crate_types").and_then(Value::as_array);
            types.is_some_and(|types| types.iter().any(|kind| kind.as_str() == Some("cdylib")))
        };
        let library = targets.iter().find(is_cdylib).and_then(|target| text(target, "name"));
        let library = library.with_context(|| {
            format!("{} makes no component; say crate-type = [\"cdylib\", \"rlib\"] in [lib]", manifest.display())
        })?;
        let told = |key: &str, value: Option<String>| value.with_context(|| format!("cargo does not tell {key:?}"));
        let needs = text(package, "rust_version").and_then(|needs| Version::parse(&needs));
        Ok(Self {
            package: told("name", text(package, "name"))?,
            library: library.replace('-', "_"),
            // Where it says nothing, as the SDK does.
            needs: needs.or_else(|| Version::parse(env!("CARGO_PKG_RUST_VERSION"))).context("no compiler's version")?,
            target: told("target_directory", text(&metadata, "target_directory"))?.into(),
            manifest,
            folder,
        })
    }

    /// The folders that a build writes to.
    pub(super) fn makes(&self, place: &Place) -> Result<[PathBuf; 2]> {
        Ok([self.target.clone(), self.work(place)?])
    }

    /// Where cargo works.
    fn work(&self, place: &Place) -> Result<PathBuf> {
        let work = place.cargo_target.clone().unwrap_or_else(|| self.target.join("wasm"));
        std::path::absolute(&work).with_context(|| format!("{} is no folder", work.display()))
    }

    /// Compiles it and writes what comes of it. The compiler talks to the person itself.
    pub(super) fn build(&self, place: &Place) -> Result<Built> {
        let way = WasmTarget::find(self.needs, &self.folder)?.with_context(|| {
            format!(
                "drivers are compiled for {TARGET}, which this compiler lacks; run\n    {RUSTUP_COMMAND}\nor, on Debian \
                 where rustup does not reach its servers,\n    apt-get install {}",
                DEBIAN_PACKAGES.join(" ")
            )
        })?;
        let work = self.work(place)?;
        let mut cargo = cargo(&self.folder)?;
        cargo.args(["build", "--lib", "--profile", "driver", "--package", &self.package]);
        cargo.arg("--manifest-path").arg(&self.manifest).arg("--target-dir").arg(&work);
        // Small and quick, and a panic is a trap. The names go to a file of their own.
        for setting in
            ["inherits='release'", "opt-level=3", "lto=true", "codegen-units=1", "panic='abort'", "strip='debuginfo'"]
        {
            cargo.arg("--config").arg(format!("profile.driver.{setting}"));
        }
        way.configure(&mut cargo);
        let status = cargo.status().context("cannot start cargo; install Rust from https://rustup.rs")?;
        if !status.success() {
            bail!("{} does not compile", self.package);
        }

        let module = work.join(TARGET).join("driver").join(format!("{}.wasm", self.library));
        let module = fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
        let (bare, names) = cardinal_build::split(&module, &self.package)?;
        let component = cardinal_build::component(&bare)
            .with_context(|| format!("{} is no driver; does it say cardinal_sdk::driver!(…)?", self.package))?;
        let folder = self.target.join("drivers");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let (driver, beside) =
            (folder.join(format!("{}.wasm", self.package)), folder.join(format!("{}.names", self.package)));
        let digest = cardinal_runtime::inspect::digest(&component);
        replace(&driver, &component)?;
        replace(&beside, names.to_text(&digest).as_bytes())?;
        // One of another file would be refused.
        let signature = files::signature_of(&driver);
        if signature.exists() {
            fs::remove_file(&signature).with_context(|| format!("cannot remove {}", signature.display()))?;
        }
        Ok(Built { driver, names: beside, bytes: component.len(), functions: names.count() })
    }
}

/// Cargo in the crate's folder: it finds the crate's own `rust-toolchain.toml` and `.cargo/config.toml` from there.
fn cargo(folder: &Path) -> Result<Command> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder);
    // What the caller's folder is to it stays so.
    if let Some(target) = std::env::var_os(TARGET_FOLDER) {
        cargo.env(TARGET_FOLDER, std::path::absolute(target).context("CARGO_TARGET_DIR names no folder")?);
    }
    Ok(cargo)
}

/// Writes a file whole or not at all, for everybody to read.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(content)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.persist(path).map_err(|error| error.error)
    };
    write().map(drop).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_has_its_own_configuration_of_cargo_wherever_it_is_built_from() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[package]\nname = \"a-b\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n");
        write("src/lib.rs", "");
        write(".cargo/config.toml", "[build]\ntarget-dir = \"made\"\n");
        let found = Crate::find(folder.path()).unwrap();
        if std::env::var_os(TARGET_FOLDER).is_none() {
            assert_eq!(found.target, folder.path().canonicalize().unwrap().join("made"));
        }
        let place = Place { cargo_target: Some("/elsewhere".into()) };
        assert_eq!(found.makes(&place).unwrap(), [found.target.clone(), "/elsewhere".into()]);
    }
}
