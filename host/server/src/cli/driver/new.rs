//! `cardinal driver new`: a crate to begin with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use cardinal_domain::driver::{Manifest, Mode, Transport};
use clap::Args;

use super::super::output::{self, say};

/// Make a crate for a new driver: code that works, traces, tests
#[derive(Debug, Args)]
#[command(after_help = "\
The vendor is what stands before the first hyphen of the crate's name, and the driver's name is the rest.

The SDK (cardinal-sdk) is part of Cardinal's repository. Without --sdk it is taken from a clone of it: one that this folder or
this program lies in.

Examples:
  cardinal driver new acme-tcp                                     a folder acme-tcp with the driver acme/tcp
  cardinal driver new acme-tcp --sdk ~/cardinal                    with the SDK of the clone there
  cardinal driver new reader --vendor acme --name tcp --path drivers/acme")]
pub(in crate::cli) struct New {
    /// The crate's name
    #[arg(value_name = "CRATE")]
    package: String,
    /// Who publishes it: a-z, 0-9 and hyphens, beginning with a letter
    #[arg(long)]
    vendor: Option<String>,
    /// The driver's name within the vendor, of the same form
    #[arg(long)]
    name: Option<String>,
    /// The folder, new or empty [default: one of the crate's name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// A clone of Cardinal's repository, for its SDK
    #[arg(long, value_name = "DIR", env = "CARDINAL_SDK")]
    sdk: Option<PathBuf>,
}

/// Names that no library can have: words of Rust, and libraries that every driver's crate knows.
const RESERVED: &str = "
    abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen if impl in
    let loop macro match mod move mut override priv pub ref return self static struct super trait true try type typeof
    unsafe unsized use virtual where while yield
    alloc cardinal_sdk core proc_macro std test";

/// The files of a crate, with `{{words}}` to be filled in.
const FILES: [(&str, &str); 8] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("template/lib.rs.txt")),
    ("traces/swipe.trace", include_str!("template/swipe.trace.txt")),
    ("traces/pieces.trace", include_str!("template/pieces.trace.txt")),
    ("traces/noise.trace", include_str!("template/noise.trace.txt")),
    ("tests/native.rs", include_str!("template/native.rs.txt")),
    ("README.md", include_str!("template/README.md.txt")),
    // A key must not be committed.
    (".gitignore", "/target\n*.key\n"),
];

impl New {
    pub(super) fn run(self, as_json: bool) -> Result<()> {
        let (first, rest) = self.package.split_once('-').unwrap_or((self.package.as_str(), ""));
        let vendor = self.vendor.unwrap_or_else(|| first.to_owned());
        let Some(name) = self.name.or_else(|| (!rest.is_empty()).then(|| rest.to_owned())) else {
            bail!("say what the driver is called, too: --name NAME, or a crate's name such as {vendor}-tcp");
        };
        check(&self.package, &vendor, &name)?;
        let folder = self.path.unwrap_or_else(|| PathBuf::from(&self.package));
        if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{} is not empty; say another folder with --path", folder.display());
        }
        let sdk = match self.sdk {
            Some(clone) => sdk_in(&clone).with_context(|| {
                format!("there is no SDK in {}; name a clone of Cardinal's repository", clone.display())
            })?,
            None => find_sdk().context(
                "neither this folder nor this program lies in a clone of Cardinal's repository, which has the SDK; name \
                 one with --sdk CLONE",
            )?,
        };
        let dependency = toml::Table::from_iter([("path".to_owned(), sdk.display().to_string().into())]);
        let dependency = format!("{{ {} }}", dependency.to_string().trim_end());
        let words = [
            ("crate", self.package.clone()),
            ("lib", self.package.replace('-', "_")),
            ("type", type_name(&self.package)),
            ("title", title(&vendor, &name)),
            ("vendor", vendor.clone()),
            ("name", name.clone()),
            ("rust", env!("CARGO_PKG_RUST_VERSION").to_owned()),
            ("sdk", dependency.clone()),
        ];
        for (file, template) in FILES {
            let path = folder.join(file);
            let text = words
                .iter()
                .fold(template.to_owned(), |text, (word, with)| text.replace(&format!("{{{{{word}}}}}"), with));
            let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
            written.with_context(|| format!("cannot write {}", path.display()))?;
        }
        if as_json {
            let driver = format!("{vendor}/{name}");
            return output::json(&serde_json::json!({ "crate": folder, "driver": driver, "sdk": dependency }));
        }
        say!("{}: the driver {vendor}/{name}; SDK of {}", folder.display(), sdk.display());
        let folder = quoted(&folder.display().to_string());
        say!("next: cd {folder} && cargo test && cardinal driver build && cardinal driver test .");
        Ok(())
    }
}

/// The names, as the contract and cargo want them.
fn check(package: &str, vendor: &str, name: &str) -> Result<()> {
    let transports = vec![Transport::Dial(1)];
    let (id, title, summary) = ("line".to_owned(), "-".to_owned(), "-".to_owned());
    let mode = Mode { id, title, summary, transports, settings: Vec::new(), commands: Vec::new() };
    let (version, summary) = ("0.1.0".to_owned(), "-".to_owned());
    let (vendor, name) = (vendor.to_owned(), name.to_owned());
    let manifest = Manifest { vendor, name, version, summary, modes: vec![mode] };
    cardinal_runtime::manifest::check(&manifest).context("these names are no driver's")?;
    if manifest.vendor == "cardinal" {
        bail!("the vendor cardinal is Cardinal's own; say yours with --vendor");
    }
    let good = package.starts_with(|c: char| c.is_ascii_lowercase())
        && package.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !good || package.len() > 64 {
        bail!("{package:?} is no crate's name: a-z, 0-9 and hyphens, beginning with a letter, 64 at most");
    }
    if RESERVED.split_ascii_whitespace().any(|word| word == package.replace('-', "_")) {
        bail!("{package:?} means something else in Rust; take a name such as {}-{}", manifest.vendor, manifest.name);
    }
    Ok(())
}

/// `acme-tcp` as a type: `AcmeTcp`. One word alone, such as `card`, could be a type of the SDK: `CardDriver`.
fn type_name(package: &str) -> String {
    let name: String = package.split(['-', '_']).map(capital).collect();
    if package.contains(['-', '_']) { name } else { name + "Driver" }
}

/// As a shell takes it for one word.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if path.chars().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

fn title(vendor: &str, name: &str) -> String {
    format!("{} {}", capital(vendor), name.split('-').map(capital).collect::<Vec<_>>().join(" "))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The SDK's crate in the clone that the working folder or this program lies in.
fn find_sdk() -> Option<PathBuf> {
    let places = [std::env::current_dir(), std::env::current_exe().and_then(fs::canonicalize)];
    places.iter().flatten().flat_map(|place| place.ancestors()).find_map(sdk_in)
}

/// The SDK's crate in a clone, if that is one.
fn sdk_in(clone: &Path) -> Option<PathBuf> {
    let places = [clone.join("sdk/rust"), clone.to_owned()];
    let is_sdk = |folder: &&PathBuf| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.contains("name = \"cardinal-sdk\"")
    };
    places.iter().find(is_sdk)?.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(package: &str, path: &Path) -> New {
        let sdk = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        New { package: package.to_owned(), vendor: None, name: None, path: Some(path.to_owned()), sdk }
    }

    #[test]
    fn every_word_is_filled_in_and_the_manifest_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it");
        new("acme-tcp-2", &path).run(true).unwrap();
        for (file, _) in FILES {
            let text = fs::read_to_string(path.join(file)).unwrap();
            assert!(!text.contains("{{") || file == "src/lib.rs" && !text.contains("{{c"), "{file}: {text}");
        }
        let manifest: toml::Table = fs::read_to_string(path.join("Cargo.toml")).unwrap().parse().unwrap();
        assert!(manifest["dependencies"]["cardinal-sdk"]["path"].as_str().unwrap().ends_with("sdk/rust"));
        let code = fs::read_to_string(path.join("src/lib.rs")).unwrap();
        assert!(code.contains("Manifest::new(\"acme\", \"tcp-2\"") && code.contains("pub struct AcmeTcp2 {"));
    }

    #[test]
    fn a_folder_with_something_in_it_and_names_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "").unwrap();
        assert!(new("acme-tcp", folder.path()).run(true).unwrap_err().to_string().contains("not empty"));
        let free = folder.path().join("new");
        for name in ["acme", "Acme-tcp", "acme-TCP", "1acme-x", "cardinal-x", "acme-", "ac me-x", "-x", "proc-macro"] {
            assert!(new(name, &free).run(true).is_err(), "{name}");
        }
        assert!(!free.exists());
    }

    #[test]
    fn a_name_of_one_word_makes_no_type_of_the_sdk_and_no_word_of_rust_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let new = |package: &str| {
            let (vendor, name) = (Some("acme".to_owned()), Some("tcp".to_owned()));
            New { vendor, name, ..new(package, &folder.path().join(package)) }.run(true)
        };
        new("card").unwrap();
        let code = fs::read_to_string(folder.path().join("card/src/lib.rs")).unwrap();
        assert!(code.contains("pub struct CardDriver {"), "{code}");
        for word in ["match", "self", "std"] {
            assert!(new(word).unwrap_err().to_string().contains("such as acme-tcp"), "{word}");
        }
    }

    #[test]
    fn the_next_command_can_be_typed() {
        assert_eq!(quoted("drivers/acme-tcp"), "drivers/acme-tcp");
        assert_eq!(quoted("it's my/x"), r"'it'\''s my/x'");
    }
}
